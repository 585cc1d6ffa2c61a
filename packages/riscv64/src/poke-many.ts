// Rewriting very many patch sites of eight bytes together: the steps of `poke`, in columns.
import { type PokeStages, type SiteColumns, SiteKind } from "@bpfkit/core";
import { T0, T1, ZERO } from "./abi.ts";
import { upperOf } from "./assembler.ts";
import { BREAKPOINT, SITE } from "./poke.ts";

/** Bytes of an instruction: the second one of a site is the one that jumps, and its first parcel decides. */
const INSN = 4;
/** `addi zero, zero, 0`; `auipc t1, 0`; `jalr t0, t1, 0` and `jalr zero, t1, 0`: formats I and U. */
const NOP_WORD = 0x13;
const AUIPC_WORD: number = 0x17 | (T1 << 7);
const CALL_WORD: number = 0x67 | (T0 << 7) | (T1 << 15);
const JUMP_WORD: number = 0x67 | (ZERO << 7) | (T1 << 15);
const REACH_LOW = -0x8000_0800;
const REACH_HIGH = 0x7fff_f7fe;

/**
 * As `poke`, in the three stages that its longest plan has, with a wait behind the first: to a jump everything but the deciding parcel; away from
 * one the deciding parcel; between two of them a breakpoint in the first parcel, behind which the rest is written in the second stage.
 * Undefined for sites of other sizes, odd addresses and targets, and targets further than 2 GiB.
 */
export function pokeMany(sites: SiteColumns): PokeStages | undefined {
  const { addresses, size, fromKinds, fromTargets, toKinds, toTargets } = sites;
  if (size !== SITE) return undefined;
  const old = statesOf(addresses, fromKinds, fromTargets);
  const bytes = statesOf(addresses, toKinds, toTargets);
  if (old === undefined || bytes === undefined) return undefined;
  const [first, second] = [old.slice(), bytes.slice()];
  for (let i = 0; i < addresses.length; i++) {
    const at = SITE * i;
    const isChanged = differ(old, bytes, at);
    if (fromKinds[i] === SiteKind.NOP) {
      copy(bytes, first, at, SITE);
      copy(old, first, at + INSN, BREAKPOINT.length);
    } else if (toKinds[i] === SiteKind.NOP) copy(bytes, first, at + INSN, BREAKPOINT.length);
    else if (isChanged) {
      for (let byte = 0; byte < BREAKPOINT.length; byte++) first[at + byte] = second[at + byte] = BREAKPOINT[byte]!;
    }
  }
  return { contents: [old, first, second, bytes], clear: { from: INSN, to: SITE }, traps: true };
}

function differ(a: Uint8Array, b: Uint8Array, at: number): boolean {
  for (let i = at; i < at + SITE; i++) if (a[i] !== b[i]) return true;
  return false;
}

function copy(from: Uint8Array, to: Uint8Array, at: number, size: number): void {
  for (let i = at; i < at + size; i++) to[i] = from[i]!;
}

function statesOf(addresses: Float64Array, kinds: Uint8Array, targets: Float64Array): Uint8Array | undefined {
  const bytes = new Uint8Array(SITE * addresses.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]!;
    let [one, two] = [NOP_WORD, NOP_WORD];
    if (kinds[i] !== SiteKind.NOP) {
      const distance = targets[i]! - address;
      if (distance % 2 !== 0 || distance < REACH_LOW || distance > REACH_HIGH) return undefined;
      const upper = upperOf(distance);
      one = AUIPC_WORD | upper;
      two = (kinds[i] === SiteKind.CALL ? CALL_WORD : JUMP_WORD) | ((distance - upper) << 20);
    }
    if (address % 2 !== 0) return undefined;
    view.setInt32(SITE * i, one, true);
    view.setInt32(SITE * i + INSN, two, true);
  }
  return bytes;
}
