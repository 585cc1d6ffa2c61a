// The tree of paths that a verification walks, step by step: which instruction came after which, and what each one changed.
import { AUX, baseOf, FRAME, fixedOf, isPacket, REF, REG_WORDS, SCALAR, Type } from "./register.ts";
import type { Recorder } from "./replay.ts";
import { ROWS } from "./rows.ts";
import { SCALAR_WORDS, SMAX, SMIN } from "./scalar.ts";
import { isSpill, KINDS, type Reference, regAt, type State, spillAt } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";
import { signed } from "./words.ts";

/** A register or a slot of a frame as one number: frame << 8, with the register or with 0x80 | slot. */
export function registerPlace(frame: number, reg: number): number {
  return (frame << 8) | reg;
}

export function slotPlace(frame: number, slot: number): number {
  return (frame << 8) | 0x80 | slot;
}

/** What the path holds and has to give back: references, a lock, sections. */
export const HELD = 0x7f;

export const isSlot = (place: number): boolean => (place & 0x80) !== 0;
export const frameOf = (place: number): number => place >> 8;
/** The register, or the slot. */
export const indexOf = (place: number): number => place & 0x7f;

/** Slots that an instruction accesses. */
export interface Touch {
  readonly frame: number;
  /** Nearest to r10, and farthest from it. */
  readonly first: number;
  readonly last: number;
}

/** What states are compared by. */
class Snapshot {
  readonly frames: { words: Int32Array; depth: number }[] = [];
  references: readonly Reference[] = [];
  held = 0;

  copy(): Snapshot {
    const copied = new Snapshot();
    for (const { words, depth } of this.frames) copied.frames.push({ words: words.slice(), depth });
    copied.references = this.references;
    copied.held = this.held;
    return copied;
  }
}

interface Fork {
  readonly step: number;
  readonly before: Snapshot;
}

/**
 * Records a verification. Memory: 20 bytes a step and 4 for each change, and a frame for each path that waits.
 */
export class Trace implements Recorder {
  /** By step, from 1: slot of the instruction, and the step before it on its path; 0 for none. */
  insns: Int32Array = new Int32Array(1024);
  parents: Int32Array = new Int32Array(1024);
  /** Frames, with 0x100 where a pointer into the packet is compared with another pointer. */
  #marks: Int32Array = new Int32Array(1024);
  #touches: Int32Array = new Int32Array(1024);
  /** Where the changes begin between the step before and this one. */
  #changesAt: Int32Array = new Int32Array(1024);
  #changes: Int32Array = new Int32Array(1024);
  #changed = 0;
  #state: State<StoredState> | undefined;
  #before = new Snapshot();
  #now = 0;
  readonly #forks = new WeakMap<State<StoredState>, Fork>();

  readonly step = (v: Verification): void => {
    const now = v.counters.insns;
    const { state } = v;
    this.#reserve(now);
    let parent = this.#now;
    if (state !== this.#state) {
      const fork = this.#forks.get(state);
      parent = fork?.step ?? 0;
      this.#before = fork?.before ?? new Snapshot();
      this.#state = state;
    }
    // Steps between are paths that ended without running an instruction.
    for (let k = this.#now + 1; k <= now; k++) {
      this.insns[k] = -1;
      this.#changesAt[k] = this.#changed;
    }
    this.insns[now] = state.insn;
    this.parents[now] = parent;
    this.#compare(state);
    this.#marks[now] = state.frames.length | (comparesPackets(v) ? 0x100 : 0);
    this.#touches[now] = touchOf(v);
    this.#changesAt[now + 1] = this.#changed;
    this.#now = now;
  };

  readonly forked = (other: State<StoredState>): void => {
    this.#forks.set(other, { step: this.#now, before: this.#before.copy() });
  };

  /** The steps of the path that the verification ended on, its last instruction included, though it may not have run. */
  pathTo(v: Verification): number[] {
    if (this.#now !== v.counters.insns || v.state !== this.#state) this.step(v);
    const path: number[] = [];
    for (let k = this.#now; k !== 0; k = this.parents[k]!) path.push(k);
    return path.reverse();
  }

  framesAt(step: number): number {
    return this.#marks[step]! & 0xff;
  }

  comparesPackets(step: number): boolean {
    return (this.#marks[step]! & 0x100) !== 0;
  }

  touchAt(step: number): Touch | undefined {
    const touch = this.#touches[step]!;
    return touch === 0
      ? undefined
      : { frame: (touch - 1) >> 12, first: ((touch - 1) >> 6) & 63, last: (touch - 1) & 63 };
  }

  /** The places that differ between a step and the one before it on its path. */
  changesInto(step: number): Int32Array {
    return this.#changes.subarray(this.#changesAt[step]!, this.#changesAt[step + 1]!);
  }

  #reserve(step: number): void {
    if (step + 2 <= this.insns.length) return;
    const size = 2 * Math.max(step + 2, this.insns.length);
    this.insns = grown(this.insns, size);
    this.parents = grown(this.parents, size);
    this.#marks = grown(this.#marks, size);
    this.#touches = grown(this.#touches, size);
    this.#changesAt = grown(this.#changesAt, size);
  }

  #change(place: number): void {
    if (this.#changed === this.#changes.length) this.#changes = grown(this.#changes, 2 * this.#changed);
    this.#changes[this.#changed++] = place;
  }

  /** Notes what differs from the last look at this path, and looks. */
  #compare(state: State<StoredState>): void {
    const before = this.#before;
    before.frames.length = Math.min(before.frames.length, state.frames.length);
    for (let f = 0; f < state.frames.length; f++) {
      const { words, depth } = state.frames[f]!;
      let old = before.frames[f];
      if (old === undefined) {
        old = { words: new Int32Array(words.length), depth: 0 };
        before.frames.push(old);
      }
      for (let reg = 0; reg < 11; reg++)
        if (takeOver(old.words, words, regAt(reg))) this.#change(registerPlace(f, reg));
      for (let slot = 0; slot < Math.max(depth, old.depth); slot++) {
        const kinds = slot < depth ? words[KINDS + slot]! : 0;
        const was = slot < old.depth ? old.words[KINDS + slot]! : 0;
        old.words[KINDS + slot] = kinds;
        const moved = isSpill(kinds) && takeOver(old.words, words, spillAt(slot));
        if (moved || kinds !== was) this.#change(slotPlace(f, slot));
      }
      old.depth = depth;
    }
    const held = state.lockMap + 1000 * (state.rcuSections + 1000 * state.preemptSections);
    if (before.references !== state.references || before.held !== held) this.#change(HELD);
    before.references = state.references;
    before.held = held;
  }
}

function grown(words: Int32Array, size: number): Int32Array {
  const larger = new Int32Array(size);
  larger.set(words);
  return larger;
}

/** Copies a register; whether it means something else now. Ids do not count: they tell what belongs together, not what it is. */
function takeOver(old: Int32Array, now: Int32Array, at: number): boolean {
  let differs = false;
  const type = now[at]!;
  if (old[at] !== type) differs = true;
  else if (type === Type.UNINIT) return false;
  else {
    for (const word of [REF, AUX, FRAME]) differs ||= old[at + word] !== now[at + word];
    for (let i = SCALAR; i < SCALAR + SCALAR_WORDS && !differs; i++) differs = old[at + i] !== now[at + i];
  }
  if (differs) for (let i = 0; i < REG_WORDS; i++) old[at + i] = now[at + i]!;
  return differs;
}

function comparesPackets(v: Verification): boolean {
  const i = v.state.insn;
  const row = ROWS[v.ops[i]!]!;
  if (row.kind !== "jumpIf" || row.immediate) return false;
  const { words } = v.frame;
  const [dst, src] = [baseOf(words[regAt(v.insns.dst(i))]!), baseOf(words[regAt(v.insns.src(i))]!)];
  return (isPacket(dst) || isPacket(src)) && dst > Type.SCALAR && src > Type.SCALAR;
}

/** Slots of stack that a load or a store goes to: 1 + frame << 12 | first << 6 | last. */
function touchOf(v: Verification): number {
  const i = v.state.insn;
  const row = ROWS[v.ops[i]!]!;
  let reg: number;
  if (row.kind === "load" || row.kind === "loadSx" || row.kind === "loadAcquire") reg = v.insns.src(i);
  else if (row.kind === "store" || row.kind === "storeImm" || row.kind === "storeRelease" || row.kind === "atomic")
    reg = v.insns.dst(i);
  else return 0;
  const { words } = v.frame;
  const at = regAt(reg);
  if (words[at] !== Type.STACK) return 0;
  const s = at + SCALAR;
  const off = v.insns.off(i) + fixedOf(words, at);
  const min = Math.max(-512, signed(words[s + SMIN]!, words[s + SMIN + 1]!) + off);
  const max = Math.min(-1, signed(words[s + SMAX]!, words[s + SMAX + 1]!) + off + row.bytes - 1);
  if (min > -1 || max < -512 || max < min) return 0;
  const slot = (offset: number): number => (-offset - 1) >> 3;
  return 1 + ((words[at + FRAME]! << 12) | (slot(max) << 6) | slot(min));
}
