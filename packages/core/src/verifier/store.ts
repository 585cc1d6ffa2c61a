// States that wait to be compared with: packed, a few words for each register that is in use and for each stack slot.

import { liveAcross } from "./control-flow.ts";
import type { BackEdge } from "./prune.ts";
import { AUX, DELTA, FRAME, ID, LINK, PRECISE, REF, SCALAR, setUninit, TYPE, Type } from "./register.ts";
import {
  isConstant,
  isUnknown,
  MASK,
  SCALAR_WORDS,
  SMAX,
  SMIN,
  setConstant,
  setUnknown,
  UMAX,
  UMIN,
} from "./scalar.ts";
import { hasWords, KINDS, type Reference, regAt, type State, spillAt } from "./state.ts";
import type { Verification } from "./verification.ts";

/** How a scalar is packed: nothing known, one number in 0, 1 or 2 words, a range of non-negative 31-bit numbers, everything. */
const [UNKNOWN, ZERO, SHORT, LONG, RANGE, FULL] = [0, 1, 2, 3, 4, 5];
const [HAS_ID, HAS_LINKS] = [1 << 16, 1 << 17];
/** Words before the registers of a frame: call site, subprogram, registers stored, slots, callback depth. */
const FRAME_HEADER = 5;

/** A state that was stored, and what has become known of it since. */
export class StoredState {
  readonly insn: number;
  readonly words: Int32Array;
  readonly frames: number;
  readonly references: readonly Reference[];
  readonly lockId: number;
  readonly lockMap: number;
  readonly rcuSections: number;
  readonly preemptSections: number;
  readonly parent: StoredState | undefined;
  /** Instructions on the way from the parent, and the first of them. */
  readonly history: Int32Array;
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
  readonly edges: BackEdge[] = [];
  /** How many states lie above it. */
  readonly depth: number;
  /** Three words a frame: precise registers, precise slots 0..31, 32..63. */
  readonly precise: Int32Array;
  /** Two words a frame: slots that somebody reads below; slots written whole on the way from the parent. */
  readonly readSlots: Int32Array;
  readonly written: Int32Array;

  constructor(state: State<StoredState>, words: Int32Array) {
    this.insn = state.insn;
    this.words = words;
    this.frames = state.frames.length;
    this.references = state.references;
    this.lockId = state.lockId;
    this.lockMap = state.lockMap;
    this.rcuSections = state.rcuSections;
    this.preemptSections = state.preemptSections;
    this.parent = state.parent;
    this.history = state.history.slice(0, state.historyLength);
    this.first = state.first;
    this.depth = state.parent === undefined ? 0 : state.parent.depth + 1;
    this.mayGotoDepth = state.mayGotoDepth;
    this.callbackUnroll = state.callbackUnroll;
    this.precise = new Int32Array(3 * this.frames);
    this.readSlots = new Int32Array(2 * this.frames);
    this.written = new Int32Array(2 * this.frames);
    for (const [i, frame] of state.frames.entries()) {
      this.written[2 * i] = frame.written0;
      this.written[2 * i + 1] = frame.written1;
    }
  }

  /** Bytes that it takes, but for its object. */
  get bytes(): number {
    return 4 * (this.words.length + this.history.length + 7 * this.frames);
  }

  isPrecise(frame: number, reg: number): boolean {
    return ((this.precise[3 * frame]! >> reg) & 1) === 1;
  }

  isPreciseSlot(frame: number, slot: number): boolean {
    return ((this.precise[3 * frame + 1 + (slot >> 5)]! >> (slot & 31)) & 1) === 1;
  }

  isRead(frame: number, slot: number): boolean {
    return ((this.readSlots[2 * frame + (slot >> 5)]! >> (slot & 31)) & 1) === 1;
  }
}

let buffer = new Int32Array(4096);
let length = 0;

function push(word: number): void {
  if (length === buffer.length) {
    const grown = new Int32Array(2 * length);
    grown.set(buffer);
    buffer = grown;
  }
  buffer[length++] = word;
}

/** Registers of a frame that are worth storing: those in use at the instruction, or across the call that it waits for. */
export function usedRegisters(v: Verification, state: State<StoredState>, frame: number): number {
  const top = frame === state.frames.length - 1;
  const mask = top ? v.live[state.insn]! : liveAcross(v.live, state.frames[frame + 1]!.origin.callSite);
  // A callback's caller goes on with the call that it waits for: its arguments are needed again.
  const again = top ? 0 : state.frames[frame + 1]!.origin.callback === undefined ? 0 : 0b11_1110;
  return (mask | again) & 0x3ff;
}

/** Packs a state. O(registers in use + slots). */
export function packState(v: Verification, state: State<StoredState>): Int32Array {
  length = 0;
  for (const [f, frame] of state.frames.entries()) {
    const { words } = frame;
    const used = usedRegisters(v, state, f);
    let mask = 0;
    for (let reg = 0; reg < 10; reg++) {
      if (((used >> reg) & 1) === 1 && words[regAt(reg)] !== Type.UNINIT) mask |= 1 << reg;
    }
    push(frame.origin.callSite);
    push(frame.origin.subprog);
    push(mask);
    push(frame.depth);
    push(frame.callbackDepth);
    for (let reg = 0; reg < 10; reg++) if (((mask >> reg) & 1) === 1) packRegister(words, regAt(reg));
    for (let slot = 0; slot < frame.depth; slot++) {
      push(words[KINDS + slot]!);
      if (hasWords(words[KINDS + slot]!)) packRegister(words, spillAt(slot));
    }
  }
  return buffer.slice(0, length);
}

function packRegister(r: Int32Array, x: number): void {
  const hasId = (r[x + ID]! | r[x + AUX]!) !== 0;
  const hasLinks = (r[x + REF]! | r[x + FRAME]! | r[x + DELTA]! | r[x + LINK]!) !== 0;
  const s = x + SCALAR;
  const shape = shapeOf(r, s);
  push(r[x + TYPE]! | (shape << 20) | (hasId ? HAS_ID : 0) | (hasLinks ? HAS_LINKS : 0));
  if (hasId) {
    push(r[x + ID]!);
    push(r[x + AUX]!);
  }
  if (hasLinks) for (const word of [REF, FRAME, DELTA, LINK]) push(r[x + word]!);
  if (shape === SHORT || shape === LONG) push(r[s]!);
  if (shape === LONG) push(r[s + 1]!);
  if (shape === RANGE) {
    push(r[s]!);
    push(r[s + MASK]!);
    push(r[s + UMIN]!);
    push(r[s + UMAX]!);
  }
  if (shape === FULL) for (let i = 0; i < SCALAR_WORDS; i++) push(r[s + i]!);
}

function shapeOf(r: Int32Array, s: number): number {
  if (isConstant(r, s)) return (r[s]! | r[s + 1]!) === 0 ? ZERO : r[s + 1] === r[s]! >> 31 ? SHORT : LONG;
  if (isUnknown(r, s)) return UNKNOWN;
  const upper =
    r[s + 1]! | r[s + MASK + 1]! | r[s + UMIN + 1]! | r[s + UMAX + 1]! | r[s + SMIN + 1]! | r[s + SMAX + 1]!;
  const same =
    upper === 0 &&
    r[s + UMAX]! >= 0 &&
    r[s + UMIN] === r[s + SMIN] &&
    r[s + UMAX] === r[s + SMAX] &&
    r[s + 12] === r[s + UMIN] &&
    r[s + 14] === r[s + UMIN] &&
    r[s + 13] === r[s + UMAX] &&
    r[s + 15] === r[s + UMAX];
  return same ? RANGE : FULL;
}

/** Unpacks the register at word `p` to `x` of `r`; gives the word behind it. */
function unpackRegister(words: Int32Array, p: number, r: Int32Array, x: number): number {
  const head = words[p++]!;
  const s = x + SCALAR;
  for (let i = 0; i < SCALAR; i++) r[x + i] = 0;
  r[x + TYPE] = head & 0xffff;
  if ((head & HAS_ID) !== 0) {
    r[x + ID] = words[p++]!;
    r[x + AUX] = words[p++]!;
  }
  if ((head & HAS_LINKS) !== 0) {
    r[x + REF] = words[p++]!;
    r[x + FRAME] = words[p++]!;
    r[x + DELTA] = words[p++]!;
    r[x + LINK] = words[p++]!;
  }
  switch (head >> 20) {
    case UNKNOWN:
      setUnknown(r, s);
      return p;
    case ZERO:
      setConstant(r, s, 0, 0);
      return p;
    case SHORT:
      setConstant(r, s, words[p]!, words[p]! >> 31);
      return p + 1;
    case LONG:
      setConstant(r, s, words[p]!, words[p + 1]!);
      return p + 2;
    case RANGE: {
      setConstant(r, s, words[p]!, 0);
      r[s + MASK] = words[p + 1]!;
      for (const min of [UMIN, SMIN, 12, 14]) r[s + min] = words[p + 2]!;
      for (const max of [UMAX, SMAX, 13, 15]) r[s + max] = words[p + 3]!;
      return p + 4;
    }
    default:
      for (let i = 0; i < SCALAR_WORDS; i++) r[s + i] = words[p + i]!;
      return p + SCALAR_WORDS;
  }
}

/** One frame of a stored state while it is read: registers first, in order, then slots. */
export class Reader {
  readonly words: Int32Array;
  p = 0;
  callSite = 0;
  subprog = 0;
  mask = 0;
  depth = 0;
  callbackDepth = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  frame(): void {
    const { words, p } = this;
    this.callSite = words[p]!;
    this.subprog = words[p + 1]!;
    this.mask = words[p + 2]!;
    this.depth = words[p + 3]!;
    this.callbackDepth = words[p + 4]!;
    this.p = p + FRAME_HEADER;
  }

  register(r: Int32Array, x: number): void {
    this.p = unpackRegister(this.words, this.p, r, x);
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
  const reader = new Reader(stored.words);
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
