// States that wait to be compared with: packed, a few words for each register that is in use and for each stack slot.

import { liveAcross } from "./control-flow.ts";
import { packHistory } from "./history.ts";
import { Packing, packedLength, unpackRegister } from "./pack.ts";
import type { BackEdge } from "./prune.ts";
import { PRECISE, setUninit, Type } from "./register.ts";
import { hasWords, isFullSpill, isSpill, KINDS, type Reference, regAt, type State, spillAt } from "./state.ts";
import type { Verification } from "./verification.ts";

/** Words before the registers of a frame: call site, subprogram, registers stored, slots, callback depth, words of the frame. */
const FRAME_HEADER = 6;

/**
 * Sets of registers and slots of a frame, as words behind the state: registers, slots 0..31, slots 32..63 where there are three words, slots
 * where there are two.
 */
export const Marks = {
  /** Numbers that a decision depended on. */
  PRECISE: 0,
  /** Those that are numbers at all, whole or in part. */
  NUMBERS: 3,
  /** Slots that hold a whole number. */
  WHOLE: 6,
  /** Slots that somebody reads below. */
  READ: 8,
  /** Slots written whole on the way from the parent. */
  WRITTEN: 10,
  WORDS: 12,
} as const;

/** A state that was stored, and what has become known of it since. */
export class StoredState {
  readonly insn: number;
  /** The packed state, the history of the path from the parent, and the marks of each frame. */
  readonly words: Int32Array;
  readonly historyAt: number;
  readonly marksAt: number;
  readonly frames: number;
  readonly references: readonly Reference[];
  readonly lockId: number;
  readonly lockMap: number;
  readonly rcuSections: number;
  readonly preemptSections: number;
  readonly parent: StoredState | undefined;
  /** The first instruction on the way from the parent. */
  readonly first: number;
  readonly mayGotoDepth: number;
  readonly callbackUnroll: number;
  /** Paths below it that have not ended. */
  branches = 1;
  hits = 0;
  misses = 0;
  /** The head of a loop that a path below it led back to before that loop had been walked to its end. */
  loop: StoredState | undefined = undefined;
  /** Paths that ended here, or at what depends on it, before it was complete. */
  edges: BackEdge[] | undefined = undefined;
  /** How many states lie above it. */
  readonly depth: number;
  /** What was different when it was compared last, as in equal.ts, and where that begins in `words`; 0 where it was nothing of a frame. */
  difference = 0;
  differenceAt = 0;

  constructor(state: State<StoredState>, words: Int32Array, historyAt: number, marksAt: number) {
    this.insn = state.insn;
    this.words = words;
    this.historyAt = historyAt;
    this.marksAt = marksAt;
    this.frames = state.frames.length;
    this.references = state.references;
    this.lockId = state.lockId;
    this.lockMap = state.lockMap;
    this.rcuSections = state.rcuSections;
    this.preemptSections = state.preemptSections;
    this.parent = state.parent;
    this.first = state.first;
    this.depth = state.parent === undefined ? 0 : state.parent.depth + 1;
    this.mayGotoDepth = state.mayGotoDepth;
    this.callbackUnroll = state.callbackUnroll;
  }

  /** Bytes that it takes, but for its object. */
  get bytes(): number {
    return 4 * this.words.length;
  }

  /** Instructions on the way from the parent, packed: see history.ts. */
  get history(): Int32Array {
    return this.words.subarray(this.historyAt, this.marksAt);
  }

  /** Word of `words` where marks of a frame begin. */
  marks(frame: number, which: number): number {
    return this.marksAt + Marks.WORDS * frame + which;
  }

  isPrecise(frame: number, reg: number): boolean {
    return ((this.words[this.marks(frame, Marks.PRECISE)]! >> reg) & 1) === 1;
  }

  isPreciseSlot(frame: number, slot: number): boolean {
    return ((this.words[this.marks(frame, Marks.PRECISE + 1) + (slot >> 5)]! >> (slot & 31)) & 1) === 1;
  }

  isRead(frame: number, slot: number): boolean {
    return ((this.words[this.marks(frame, Marks.READ) + (slot >> 5)]! >> (slot & 31)) & 1) === 1;
  }
}

const packing = new Packing();

/** Registers of a frame that are worth storing: those in use at the instruction, or across the call that it waits for. */
export function usedRegisters(v: Verification, state: State<StoredState>, frame: number): number {
  const top = frame === state.frames.length - 1;
  const mask = top ? v.live[state.insn]! : liveAcross(v.live, state.frames[frame + 1]!.origin.callSite);
  // A callback's caller goes on with the call that it waits for: its arguments are needed again.
  const again = top ? 0 : state.frames[frame + 1]!.origin.callback === undefined ? 0 : 0b11_1110;
  return (mask | again) & 0x3ff;
}

/** Packs a state, with its history and marks. O(registers in use + slots + history). */
export function storedState(v: Verification, state: State<StoredState>): StoredState {
  packing.length = 0;
  const { frames, history, historyLength } = state;
  const sets = new Int32Array(5 * frames.length);
  for (let f = 0; f < frames.length; f++) packFrame(v, state, f, sets);
  const historyAt = packing.length;
  packHistory(history, historyLength, packing);
  const marksAt = packing.length;
  for (let f = 0; f < frames.length; f++) {
    for (let i = 0; i < 3; i++) packing.push(0);
    for (let i = 0; i < 5; i++) packing.push(sets[5 * f + i]!);
    packing.push(0);
    packing.push(0);
    packing.push(frames[f]!.written0);
    packing.push(frames[f]!.written1);
  }
  return new StoredState(state, packing.words.slice(0, packing.length), historyAt, marksAt);
}

const ALL_REGISTERS = 0x3ff;

/** Packs a frame, and notes in `sets` which of its registers and slots are numbers. */
function packFrame(v: Verification, state: State<StoredState>, f: number, sets: Int32Array): void {
  const { words, depth, origin, callbackDepth } = state.frames[f]!;
  const used = v.modern ? usedRegisters(v, state, f) : ALL_REGISTERS;
  let mask = 0;
  for (let reg = 0; reg < 10; reg++) {
    const type = words[regAt(reg)]!;
    if (((used >> reg) & 1) === 0 || type === Type.UNINIT) continue;
    mask |= 1 << reg;
    if (type === Type.SCALAR) sets[5 * f]! |= 1 << reg;
  }
  const start = packing.length;
  packing.push(origin.callSite);
  packing.push(origin.subprog);
  packing.push(mask);
  packing.push(depth);
  packing.push(callbackDepth);
  packing.push(0);
  for (let reg = 0; reg < 10; reg++) if (((mask >> reg) & 1) === 1) packing.register(words, regAt(reg));
  for (let slot = 0; slot < depth; slot++) {
    const kinds = words[KINDS + slot]!;
    packing.push(kinds);
    if (!hasWords(kinds)) continue;
    packing.register(words, spillAt(slot));
    if (!isSpill(kinds) || words[spillAt(slot)] !== Type.SCALAR) continue;
    sets[5 * f + 1 + (slot >> 5)]! |= 1 << (slot & 31);
    if (isFullSpill(kinds)) sets[5 * f + 3 + (slot >> 5)]! |= 1 << (slot & 31);
  }
  packing.words[start + FRAME_HEADER - 1] = packing.length - start;
}

const NOTHING = new Int32Array(0);

/** One frame of a stored state while it is read: registers first, in order, then slots. */
export class Reader {
  words: Int32Array = NOTHING;
  p = 0;
  callSite = 0;
  subprog = 0;
  mask = 0;
  depth = 0;
  callbackDepth = 0;
  /** Where the next frame begins. */
  end = 0;

  begin(words: Int32Array): void {
    this.words = words;
    this.p = 0;
  }

  frame(): void {
    const { words, p } = this;
    this.callSite = words[p]!;
    this.subprog = words[p + 1]!;
    this.mask = words[p + 2]!;
    this.depth = words[p + 3]!;
    this.callbackDepth = words[p + 4]!;
    this.end = p + words[p + 5]!;
    this.p = p + FRAME_HEADER;
  }

  register(r: Int32Array, x: number): void {
    this.p = unpackRegister(this.words, this.p, r, x);
  }

  /** Passes over a register. */
  skip(): void {
    this.p += packedLength(this.words[this.p]!);
  }

  kinds(): number {
    return this.words[this.p++]!;
  }
}

/** Calls `visit` with every register and spilled register of a stored state: `slot` is −1 for registers. */
export function eachStored(
  stored: StoredState,
  r: Int32Array,
  visit: (frame: number, reg: number, slot: number, kinds: number) => void,
): void {
  const reader = new Reader();
  reader.begin(stored.words);
  for (let f = 0; f < stored.frames; f++) {
    reader.frame();
    for (let reg = 0; reg < 10; reg++) {
      if (((reader.mask >> reg) & 1) === 0) continue;
      reader.register(r, 0);
      r[PRECISE] = stored.isPrecise(f, reg) ? 1 : 0;
      visit(f, reg, -1, 0);
    }
    for (let slot = 0; slot < reader.depth; slot++) {
      const kinds = reader.kinds();
      if (hasWords(kinds)) reader.register(r, 0);
      else setUninit(r, 0);
      r[PRECISE] = stored.isPreciseSlot(f, slot) ? 1 : 0;
      visit(f, -1, slot, kinds);
    }
  }
}
