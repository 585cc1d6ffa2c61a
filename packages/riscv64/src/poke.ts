// Rewriting patch sites while CPUs may run them; RISC-V Unprivileged ISA manual, sections 1.5 (parcels) and "Zifencei".
import { BpfError, type PokePhase, type PokePlan, type SiteState, type TextSite, type WordSink } from "@bpfkit/core";
import { T0, T1, ZERO } from "./abi.ts";
import { upperOf } from "./assembler.ts";
import { emit } from "./emit.ts";

/** Bytes of a site that holds `auipc` and `jalr`, which reach two gigabytes; and of one that holds `jal`, which reaches a megabyte. */
export const SITE = 8;
export const NEAR_SITE = 4;

/** Bytes that a CPU is sure to fetch in one go. */
const PARCEL = 2;
/** `c.ebreak`. */
export const BREAKPOINT: Uint8Array = Uint8Array.of(0x02, 0x90);

/**
 * How to rewrite a site of four bytes (`nop`, or `jal zero` for a jump) or eight (two `nop`, or `auipc t1` and `jalr`, which leaves the
 * return address of a call in t0). Code before a site must not have anything in t1 that code behind it wants.
 *
 * Instructions begin at any multiple of two, and a CPU fetches them in parcels of two bytes. So an instruction of four bytes, and even more
 * so a pair, can be met half written: until cores are synchronized every parcel may be the old one or the new one. All plans rest on the
 * *deciding* parcel: the first half of the instruction that jumps. While it is a `nop`'s, the other half makes it `addi zero, ..`, which does
 * nothing whatever its operands are, and an `auipc t1` before it, whole or half, changes t1 alone. Hence
 *
 * - nothing to a jump: everything but the deciding parcel, sync, wait until no CPU stands between the two instructions of a pair (it has passed
 *   the old first one, so its t1 would lead the jump astray), then the deciding parcel.
 * - a jump to nothing: the deciding parcel, sync, then the rest. A CPU between the two instructions goes on through a `nop`, so no wait; whether it
 *   fetches the rest as it was or as it is makes no difference, so no second sync: the next plan has one before it decides anything.
 * - from jump to jump nothing may not show in between, as what lies behind a site may not be ready for it. Where they differ in one parcel
 *   that is one store: both values of it go with either `auipc` that a CPU may have run. Else the first parcel becomes a breakpoint, where
 *   CPUs go on as in the new state; when none is left between the two instructions the rest is written, and the first parcel last.
 *
 * @throws {BpfError} `argument` for a site that is no multiple of two or of another size, for a call in four bytes, and for an odd target;
 *   `out-of-range` for a target that is too far away
 */
export function poke(site: TextSite, from: SiteState, to: SiteState): PokePlan {
  checkSite(site);
  const old = bytesOf(site, from);
  const bytes = bytesOf(site, to);
  const plan = new Plan(site, old);
  const changed = parcelsThatDiffer(old, bytes);
  /** Where the instruction that jumps begins: it is the last. */
  const deciding = site.size - 4;
  if (changed.length === 0) return { phases: [] };
  if (from.kind === "nop") {
    // Also where there is nothing to write: the plan that led to nothing may have left its last store unseen.
    plan.store(replaced(bytes, deciding, old.subarray(deciding, deciding + PARCEL)));
    plan.sync();
    plan.waitBetween();
    plan.write(bytes);
  } else if (to.kind === "nop") {
    plan.write(replaced(old, deciding, bytes.subarray(deciding, deciding + PARCEL)));
    plan.store(bytes);
  } else if (changed.length === 1) plan.write(bytes);
  else {
    plan.write(replaced(old, 0, BREAKPOINT));
    plan.waitBetween();
    plan.write(replaced(bytes, 0, BREAKPOINT));
    plan.write(bytes);
    return { phases: plan.phases, trap: { address: site.address, resume: to } };
  }
  return { phases: plan.phases };
}

/** Collects the steps of a plan. */
class Plan {
  readonly phases: PokePhase[] = [];
  readonly #site: TextSite;
  #now: Uint8Array;

  constructor(site: TextSite, now: Uint8Array) {
    this.#site = site;
    this.#now = now;
  }

  /** {@link store}, and from then on nobody fetches what was there. */
  write(bytes: Uint8Array): void {
    if (this.store(bytes)) this.sync();
  }

  /** Stores the parcels that differ from what is there now, and those between them; tells whether there are any. */
  store(bytes: Uint8Array): boolean {
    const changed = parcelsThatDiffer(this.#now, bytes);
    if (changed.length === 0) return false;
    const start = changed[0]!;
    const end = changed.at(-1)! + PARCEL;
    const address = this.#site.address + BigInt(start);
    this.phases.push({ kind: "write", address, expect: this.#now.slice(start, end), bytes: bytes.slice(start, end) });
    this.#now = bytes;
    return true;
  }

  sync(): void {
    this.phases.push({ kind: "sync-cores" });
  }

  /** Waits until no CPU is about to run the second instruction of a pair. */
  waitBetween(): void {
    const { address, size } = this.#site;
    if (size === SITE) this.phases.push({ kind: "wait-clear", from: address + 4n, to: address + BigInt(size) });
  }
}

/** Offsets of the parcels in which code differs. */
function parcelsThatDiffer(a: Uint8Array, b: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < a.length; at += PARCEL) if (a[at] !== b[at] || a[at + 1] !== b[at + 1]) offsets.push(at);
  return offsets;
}

/** `bytes` with others in the place of some. */
function replaced(bytes: Uint8Array, at: number, others: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(others, at);
  return copy;
}

function checkSite({ address, size }: TextSite): void {
  if ((size === NEAR_SITE || size === SITE) && (address & 1n) === 0n) return;
  throw new BpfError("argument", `a patch site of ${size} bytes at ${hex(address)}`, {
    expected: `${NEAR_SITE} or ${SITE} bytes at a multiple of ${PARCEL}`,
  });
}

/** The instructions that do what a state says. */
function bytesOf({ address, size }: TextSite, state: SiteState): Uint8Array {
  const bytes = new Uint8Array(size);
  const sink: WordSink = { bytes, view: new DataView(bytes.buffer), length: 0, ensure() {} };
  if (state.kind === "nop") {
    while (sink.length < size) emit.addi(sink, ZERO, ZERO, 0);
    return bytes;
  }
  const { kind, target } = state;
  const what = `a ${kind} to ${hex(target)}`;
  if ((target & 1n) !== 0n) throw new BpfError("argument", what, { expected: `a multiple of ${PARCEL}` });
  if (size === NEAR_SITE && kind === "call") {
    throw new BpfError("argument", `${what} in ${size} bytes`, { expected: `a site of ${SITE} bytes` });
  }
  const distance = BigInt.asIntN(64, target - address);
  const [low, high] = size === NEAR_SITE ? REACH_JAL : REACH_PAIR;
  if (distance < low || distance > high) {
    throw new BpfError("out-of-range", `${what} from ${hex(address)}`, {
      expected: `a distance from ${low} to ${high} bytes`,
    });
  }
  const near = Number(distance);
  if (size === NEAR_SITE) emit.jal(sink, ZERO, near);
  else {
    const upper = upperOf(near);
    emit.auipc(sink, T1, upper);
    emit.jalr(sink, kind === "call" ? T0 : ZERO, near - upper, T1);
  }
  return bytes;
}

/** Shortest and longest distance, in bytes. */
const REACH_JAL = [-0x10_0000n, 0xf_fffen] as const;
const REACH_PAIR = [-0x8000_0800n, 0x7fff_f7fen] as const;

function hex(address: bigint): string {
  return `0x${BigInt.asUintN(64, address).toString(16)}`;
}
