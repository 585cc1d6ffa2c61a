// Rewriting patch sites: one aligned word each, and an aligned slot for a target that is far; Arm ARM (DDI 0487) sections B2.2.1 and B2.2.5.
import {
  BpfError,
  type FarJump,
  type Label,
  type PokePhase,
  type PokePlan,
  type Settings,
  type SiteState,
  type TextSite,
} from "@bpfkit/core";
import { X10 } from "./abi.ts";
import { type Assembler, B_WORD, BL_WORD, BRK_WORD, branch26, NOP_WORD, reach26, writeWord } from "./assembler.ts";
import { emit } from "./emit.ts";

/** Bytes of a site: a `nop`, `bl`, `b` or `brk`, which are instructions that may be written over each other while a CPU runs them. */
export const SITE = 4;
const SLOT = 8;

/**
 * `ldr x10` and `br x10`, where 8 bytes are aligned: the far jump of a site. With the layout `far` its slot follows; else nothing does, as in
 * the length that the kernel reports of its programs, and nothing can lead there.
 */
export function emitFarJump(a: Assembler, layout: Settings, start: Label, site: number): void {
  if (a.misalignment(start) !== 0) emit.nop(a);
  const code = a.here();
  emit.ldr_lit(a, 1, X10, 2);
  emit.br(a, X10);
  if (!layout.far) return;
  a.farJump(site, code);
  a.ensure(SLOT);
  a.bytes.fill(0, a.length, a.length + SLOT);
  a.length += SLOT;
}

/**
 * Where the word of a site reaches the targets, one store puts the new instruction there. Until the cores are synchronized, a CPU may run the
 * old one; the kernel does not wait for that with the store itself, but before it gives back what the old instruction led to.
 *
 * A target more than 128 MiB away is in the slot of the site's far jump, and the word leads to the far jump. CPUs load a slot, they do not
 * fetch it: they see the old address or the new one, but nothing orders that load behind the fetch of the word, except the synchronization
 * of the CPU that does both. (The kernel stores both without.) A CPU that has x10 has left the site: it goes to what it has loaded, as does one that is at
 * the first instruction of its target. So it is only the load that must not come too late. Hence
 *
 * - to a far target: the slot, sync, then the word. The slot is 0 before, and nobody is at the load.
 * - away from it: the word, sync, wait until nobody is at the load, then the slot is 0 again, for no later plan could tell what is in it. No
 *   sync behind that: the next plan that leads there has one before it stores the word.
 * - from one to another: the slot alone, for whoever is at the load has come there by the word that is still there.
 * - from a call of one to a jump to it: the word, sync, and the wait, so that this is so again.
 * - from a call of one to a jump to another, neither of which may be seen with the other's target: a `brk`, where CPUs go on as in the new
 *   state, sync, wait until nobody is at the load, slot, sync, word, sync.
 *
 * @throws {BpfError} `argument` for a site that is not one aligned word, for a slot that is not aligned and for a target that is no address of
 *   code; `out-of-range` for a target more than 128 MiB away where the site has no far jump within 128 MiB
 */
export function poke(site: TextSite, from: SiteState, to: SiteState): PokePlan {
  checkSite(site);
  const old = contentOf(site, from);
  const next = contentOf(site, to);
  const word = (expect: Uint8Array, bytes: Uint8Array): PokePhase[] => [
    { kind: "write", address: site.address, expect, bytes },
    { kind: "sync-cores" },
  ];
  const isSame = { word: isEqual(old.word, next.word), slot: isEqual(old.slot, next.slot) };
  if (isSame.word && isSame.slot) return { phases: [] };
  if (isEqual(old.slot, NOWHERE) && isSame.slot) return { phases: word(old.word, next.word) };

  const { code, slot } = site.far!;
  const store: PokePhase = { kind: "write", address: slot, expect: old.slot, bytes: next.slot };
  const wait: PokePhase = { kind: "wait-clear", from: code, to: code + 4n };
  if (isSame.slot) return { phases: [...word(old.word, next.word), wait] };
  if (isSame.word) return { phases: [store, { kind: "sync-cores" }] };
  if (isEqual(old.slot, NOWHERE)) return { phases: [store, { kind: "sync-cores" }, ...word(old.word, next.word)] };
  if (isEqual(next.slot, NOWHERE)) return { phases: [...word(old.word, next.word), wait, store] };
  return {
    phases: [...word(old.word, BREAKPOINT), wait, store, { kind: "sync-cores" }, ...word(BREAKPOINT, next.word)],
    trap: { address: site.address, resume: to },
  };
}

const BREAKPOINT: Uint8Array = wordOf(BRK_WORD);
const NOP: Uint8Array = wordOf(NOP_WORD);
/** What is in the slot of a site that does not need it. */
const NOWHERE: Uint8Array = new Uint8Array(SLOT);

function checkSite({ address, size, far }: TextSite): void {
  if (size !== SITE || (address & 3n) !== 0n) {
    throw new BpfError("argument", `a patch site of ${size} bytes at ${hex(address)}`, {
      expected: `${SITE} bytes at a multiple of ${SITE}`,
    });
  }
  if (far !== undefined && ((far.slot & 7n) !== 0n || (far.code & 3n) !== 0n)) {
    throw new BpfError("argument", `a far jump at ${hex(far.code)} with its slot at ${hex(far.slot)}`, {
      expected: `multiples of 4 and ${SLOT}`,
    });
  }
}

/** What a site and its slot hold. */
interface Content {
  readonly word: Uint8Array;
  readonly slot: Uint8Array;
}

function contentOf({ address, far }: TextSite, state: SiteState): Content {
  if (state.kind === "nop") return { word: NOP, slot: NOWHERE };
  const { kind, target } = state;
  const what = `a ${kind} to ${hex(target)}`;
  if ((target & 3n) !== 0n) throw new BpfError("argument", what, { expected: "a multiple of 4" });
  const opcode = kind === "call" ? BL_WORD : B_WORD;
  const near = reach26(address, target);
  if (near !== undefined) return { word: wordOf(opcode | branch26(near)), slot: NOWHERE };
  const distance = far && reach26(address, far.code);
  if (distance === undefined) throw outOfReach(what, address, far);
  const slot = new Uint8Array(SLOT);
  new DataView(slot.buffer).setBigUint64(0, target, true);
  return { word: wordOf(opcode | branch26(distance)), slot };
}

function outOfReach(what: string, address: bigint, far: FarJump<bigint> | undefined): BpfError {
  return new BpfError("out-of-range", `${what} from ${hex(address)}`, {
    expected: "a target within 128 MiB",
    hint:
      far === undefined
        ? "sites of code with the layout far reach any target"
        : `nor is the far jump at ${hex(far.code)}`,
  });
}

function wordOf(word: number): Uint8Array {
  const bytes = new Uint8Array(SITE);
  writeWord(bytes, 0, word);
  return bytes;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function hex(address: bigint): string {
  return `0x${BigInt.asUintN(64, address).toString(16)}`;
}
