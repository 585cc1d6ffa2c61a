// When a path may end where another one has been: everything that it can do from here, the other one could do.
import { unpackRegister } from "./pack.ts";
import {
  AUX,
  baseOf,
  DELTA,
  FIXED,
  FRAME,
  ID,
  LINK,
  PRECISE,
  REF,
  REG_WORDS,
  SCALAR,
  setNumber,
  setScalar,
  TYPE,
  Type,
} from "./register.ts";
import { bitsWithin, isConstant, rangesWithin, SCALAR_WORDS } from "./scalar.ts";
import {
  Byte,
  eight,
  type Frame,
  hasWords,
  isFullSpill,
  isSpecial,
  isSpill,
  KINDS,
  kindAt,
  regAt,
  type State,
  spillAt,
} from "./state.ts";
import { Marks, Reader, type StoredState, usedRegisters } from "./store.ts";
import type { Verification } from "./verification.ts";

/** How much must agree: what matters, everything, or what matters with ranges even of values that no decision depended on. */
export type Exactness = "enough" | "exact" | "ranges";

/** Pairs of numbers that name the same thing on both sides. */
export class IdMap {
  readonly #stored: number[] = [];
  readonly #now: number[] = [];

  #count = 0;

  clear(): void {
    this.#count = 0;
  }

  /** Whether `stored` can be called `now`: both none, or a pair that breaks no other. */
  pairs(stored: number, now: number): boolean {
    if ((stored === 0) !== (now === 0)) return false;
    if (stored === 0) return true;
    for (let i = 0; i < this.#count; i++) {
      if (this.#stored[i] === stored) return this.#now[i] === now;
      if (this.#now[i] === now) return false;
    }
    this.#stored[this.#count] = stored;
    this.#now[this.#count++] = now;
    return true;
  }

  /** The same for numbers that are linked: one that is not, on the stored side, asks for nothing. */
  links(stored: number, now: number, unique: number): boolean {
    return stored === 0 || this.pairs(stored, now === 0 ? unique : now);
  }
}

/** Rules that a test can break. */
export interface Pruning {
  /** Whether a number that was safe to go on with covers another one. */
  readonly scalarCovers: (
    stored: Int32Array,
    x: number,
    now: Int32Array,
    y: number,
    precise: boolean,
    how: Exactness,
  ) => boolean;
  /** Whether a pointer covers another one of its type. */
  readonly pointerCovers: (stored: Int32Array, x: number, now: Int32Array, y: number) => boolean;
  /** Which slots count, given those that somebody reads below: a bit for each of 32 slots. */
  readonly slotsThatCount: (read: number) => number;
  /** How much must agree where what a state led to is not all known yet: loops that have a bound of their own, callbacks. */
  readonly open: Exactness;
  /** Whether a number that a decision depended on is traced back into the slot that it was loaded from. */
  readonly tracesSlots: boolean;
  /** Whether a byte of the stack of one kind covers one of another. */
  readonly byteCovers: (stored: number, now: number) => boolean;
}

/** As they should be. */
export const PRUNING: Pruning = {
  scalarCovers: (stored, x, now, y, precise, how) =>
    (!precise && how === "enough") ||
    (stored[x + LINK] === now[y + LINK] &&
      stored[x + DELTA] === now[y + DELTA] &&
      rangesWithin(stored, x + SCALAR, now, y + SCALAR) &&
      bitsWithin(stored, x + SCALAR, now, y + SCALAR)),
  pointerCovers: (stored, x, now, y) =>
    rangesWithin(stored, x + SCALAR, now, y + SCALAR) && bitsWithin(stored, x + SCALAR, now, y + SCALAR),
  slotsThatCount: (read) => read,
  open: "ranges",
  tracesSlots: true,
  byteCovers: (stored, now) =>
    stored === now || stored === Byte.INVALID || (stored === Byte.MISC && (now === Byte.ZERO || now === Byte.INVALID)),
};

const ids = new IdMap();
const old = new Int32Array(REG_WORDS);
const fake = new Int32Array(REG_WORDS);
const reader = new Reader();
let unique = -1;
/** Where the last comparison found a difference: see {@link differingPlace}. */
let place = 0;

/** Something other than a value differs: how the frames came to be, or what the path holds. */
export const Differing = { CALLS: -1, HELD: -2 } as const;

/** Notes where states differ. */
function differAt(where: number): false {
  place = where;
  return false;
}

/** Where the last comparison that failed found the first difference: frame << 8 with a register, or with 0x80 | slot; or one of `Differing`. */
export function differingPlace(): number {
  return place;
}

function sameWords(r: Int32Array, x: number, y: number): boolean {
  if (old[TYPE] !== r[x + TYPE] || old[AUX] !== r[x + AUX] || old[FRAME] !== r[x + FRAME]) return false;
  if (old[DELTA] !== r[x + DELTA] || old[LINK] !== r[x + LINK]) return false;
  for (let i = 0; i < SCALAR_WORDS; i++) if (old[SCALAR + i] !== r[y + i]) return false;
  return true;
}

/** Whether the register in `old` covers the one at `x` of `r`. */
function covers(v: Verification, r: Int32Array, x: number, how: Exactness): boolean {
  const type = old[TYPE]!;
  if (how === "exact")
    return sameWords(r, x, x + SCALAR) && ids.pairs(old[ID]!, r[x + ID]!) && ids.pairs(old[REF]!, r[x + REF]!);
  if (type === Type.UNINIT) return true;
  if (type !== r[x + TYPE]) return false;
  const { pruning } = v.tables;
  if (type === Type.SCALAR) {
    const precise = old[PRECISE] !== 0;
    if (!pruning.scalarCovers(old, 0, r, x, precise, how)) return false;
    return (!precise && how === "enough") || ids.links(old[ID]!, r[x + ID]!, unique--);
  }
  const sameIds = ids.pairs(old[ID]!, r[x + ID]!) && ids.pairs(old[REF]!, r[x + REF]!);
  switch (baseOf(type)) {
    case Type.MAP_VALUE:
    case Type.MAP_KEY:
    case Type.BUFFER:
    case Type.TP_BUFFER:
      return (
        old[AUX] === r[x + AUX] &&
        old[FRAME] === r[x + FRAME] &&
        old[FIXED] === r[x + FIXED] &&
        pruning.pointerCovers(old, 0, r, x) &&
        sameIds
      );
    case Type.MEMORY:
      return (
        old[AUX] === r[x + AUX] &&
        old[DELTA] === r[x + DELTA] &&
        old[FIXED] === r[x + FIXED] &&
        ids.pairs(old[FRAME]!, r[x + FRAME]!) &&
        pruning.pointerCovers(old, 0, r, x) &&
        sameIds
      );
    case Type.PACKET:
    case Type.PACKET_META:
      return old[AUX]! <= r[x + AUX]! && old[FIXED] === r[x + FIXED] && pruning.pointerCovers(old, 0, r, x) && sameIds;
    default:
      return sameWords(r, x, x + SCALAR) && sameIds;
  }
}

/**
 * Whether the stored state covers the current one. What was different the last time is looked at first: it mostly is again. Cost: the words
 * of the packed state, but for numbers that nothing depended on, which are passed over.
 */
export function stateCovers(v: Verification, stored: StoredState, state: State<StoredState>, how: Exactness): boolean {
  const frames = stored.frames;
  if (frames !== state.frames.length) return differAt(Differing.CALLS);
  if (stored.differenceAt !== 0 && !v.log.records && stillDiffers(v, stored, state, how)) return false;
  ids.clear();
  unique = -1;
  if (!sameReferences(stored, state)) return differAt(Differing.HELD);
  reader.begin(stored.words);
  for (let f = 0; f < frames; f++) {
    reader.frame();
    const { origin, callbackDepth } = state.frames[f]!;
    if (reader.callSite !== origin.callSite || reader.subprog !== origin.subprog) return differAt(Differing.CALLS);
    // Where a callback had been entered more often, fewer calls of it were left to walk through.
    if (reader.callbackDepth > callbackDepth) return differAt(Differing.CALLS);
    const called = reader.callSite >= 0 || callbackDepth !== 0;
    if (called && how === "exact" && reader.callbackDepth !== callbackDepth) return differAt(Differing.CALLS);
    if (!registersCover(v, stored, state, f, how) || !stackCovers(v, stored, state, f, how)) return false;
    reader.p = reader.end;
  }
  return true;
}

/** Whether what was different the last time is different again. */
function stillDiffers(v: Verification, stored: StoredState, state: State<StoredState>, how: Exactness): boolean {
  const { difference, differenceAt, words } = stored;
  const f = difference >> 8;
  ids.clear();
  unique = -1;
  place = difference;
  if ((difference & 0x80) === 0) {
    const reg = difference & 0x7f;
    if (how === "enough" && ((countingRegisters(v, state, f) >> reg) & 1) === 0) return false;
    unpackRegister(words, differenceAt, old, 0);
    old[PRECISE] = stored.isPrecise(f, reg) ? 1 : 0;
    return !covers(v, state.frames[f]!.words, regAt(reg), how);
  }
  const slot = difference & 0x7f;
  const counts = v.tables.pruning.slotsThatCount(words[stored.marks(f, Marks.READ) + (slot >> 5)]!);
  if (how === "enough" && ((counts >> (slot & 31)) & 1) === 0) return false;
  const kinds = words[differenceAt]!;
  if (hasWords(kinds)) unpackRegister(words, differenceAt + 1, old, 0);
  old[PRECISE] = stored.isPreciseSlot(f, slot) ? 1 : 0;
  return !slotFits(v, kinds, state.frames[f]!, slot, how);
}

/** Notes where states differ, and where that begins among the words of the stored one. */
function differIn(stored: StoredState, where: number, at: number): false {
  stored.difference = where;
  stored.differenceAt = at;
  return differAt(where);
}

/** Registers that count once all that a state led to is known: what Linux 6.12 stores beside those that are used says nothing then. */
function countingRegisters(v: Verification, state: State<StoredState>, f: number): number {
  return v.modern ? -1 : usedRegisters(v, state, f);
}

function registersCover(
  v: Verification,
  stored: StoredState,
  state: State<StoredState>,
  f: number,
  how: Exactness,
): boolean {
  const { words } = state.frames[f]!;
  const packed = stored.words;
  const precise = packed[stored.marks(f, Marks.PRECISE)]!;
  // Numbers that no decision depended on: whatever number is there now will do.
  const any = how === "enough" ? packed[stored.marks(f, Marks.NUMBERS)]! & ~precise : 0;
  const counting = how === "enough" ? countingRegisters(v, state, f) : -1;
  for (let reg = 0; reg < 10; reg++) {
    if (((reader.mask >> reg) & 1) === 0) continue;
    const at = reader.p;
    reader.skip();
    if (((counting >> reg) & 1) === 0) continue;
    if (((any >> reg) & 1) === 1) {
      if (words[regAt(reg)] !== Type.SCALAR) return differIn(stored, (f << 8) | reg, at);
      continue;
    }
    unpackRegister(packed, at, old, 0);
    old[PRECISE] = (precise >> reg) & 1;
    if (!covers(v, words, regAt(reg), how)) return differIn(stored, (f << 8) | reg, at);
  }
  return true;
}

function sameReferences(stored: StoredState, state: State<StoredState>): boolean {
  if (stored.references.length !== state.references.length) return false;
  for (let i = 0; i < stored.references.length; i++) {
    if (!ids.pairs(stored.references[i]!.id, state.references[i]!.id)) return false;
  }
  if (stored.rcuSections !== state.rcuSections || stored.preemptSections !== state.preemptSections) return false;
  return stored.lockMap === state.lockMap && ids.pairs(stored.lockId, state.lockId);
}

function stackCovers(
  v: Verification,
  stored: StoredState,
  state: State<StoredState>,
  f: number,
  how: Exactness,
): boolean {
  const frame = state.frames[f]!;
  const packed = stored.words;
  const enough = how === "enough";
  const [read, precise, whole] = [
    stored.marks(f, Marks.READ),
    stored.marks(f, Marks.PRECISE) + 1,
    stored.marks(f, Marks.WHOLE),
  ];
  const { slotsThatCount } = v.tables.pruning;
  const low = enough ? slotsThatCount(packed[read]!) : -1;
  const high = enough ? slotsThatCount(packed[read + 1]!) : -1;
  const end = Math.min(reader.depth, high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(low));
  for (let slot = 0; slot < end; slot++) {
    const at = reader.p;
    const kinds = packed[at]!;
    reader.p++;
    if (hasWords(kinds)) reader.skip();
    const bit = slot & 31;
    if ((((slot < 32 ? low : high) >> bit) & 1) === 0) continue;
    const half = slot >> 5;
    const isPrecise = (packed[precise + half]! >> bit) & 1;
    if (
      enough &&
      isPrecise === 0 &&
      ((packed[whole + half]! >> bit) & 1) === 1 &&
      slot < frame.depth &&
      isFullSpill(frame.words[KINDS + slot]!) &&
      frame.words[spillAt(slot)] === Type.SCALAR
    )
      continue;
    if (hasWords(kinds)) unpackRegister(packed, at + 1, old, 0);
    old[PRECISE] = isPrecise;
    if (!slotFits(v, kinds, frame, slot, how)) return differIn(stored, (f << 8) | 0x80 | slot, at);
  }
  return true;
}

/** Whether a slot with `kinds`, and what `old` holds of it, covers the frame's. */
function slotFits(v: Verification, kinds: number, frame: Frame, slot: number, how: Exactness): boolean {
  const { words, depth } = frame;
  const now = slot < depth ? words[KINDS + slot]! : 0;
  if (how !== "exact") return slotCovers(v, kinds, now, words, slot, how);
  if (now !== kinds) return false;
  if (isSpecial(kinds)) return sameObject(words, spillAt(slot));
  return !isSpill(kinds) || covers(v, words, spillAt(slot), how);
}

/** Objects of one sort in one state; how often an iterator has moved on makes no difference. */
function sameObject(r: Int32Array, x: number): boolean {
  if (old[TYPE] !== r[x + TYPE] || old[AUX] !== r[x + AUX] || old[FRAME] !== r[x + FRAME]) return false;
  return ids.pairs(old[ID]!, r[x + ID]!) && ids.pairs(old[REF]!, r[x + REF]!);
}

/** Eight bytes of which each is some number, whatever it is called. */
function isMisc(kinds: number): boolean {
  for (let byte = 0; byte < 8; byte++) {
    const kind = kindAt(kinds, byte);
    if (kind !== Byte.MISC && kind !== Byte.INVALID) return false;
  }
  return true;
}

function slotCovers(
  v: Verification,
  kinds: number,
  now: number,
  words: Int32Array,
  slot: number,
  how: Exactness,
): boolean {
  if (isSpecial(kinds)) return now === kinds && sameObject(words, spillAt(slot));
  const wholeNumber = isFullSpill(kinds) && old[TYPE] === Type.SCALAR;
  const nowNumber = isFullSpill(now) && words[spillAt(slot)] === Type.SCALAR;
  // A whole number beside eight bytes of anything, or of zero, is compared as a number.
  if (
    (wholeNumber || isMisc(kinds)) &&
    (nowNumber || (isMisc(now) && !isMisc(kinds)) || (now === eight(Byte.ZERO) && wholeNumber))
  ) {
    if (!wholeNumber) {
      const precise = old[PRECISE]!;
      setScalar(old, 0);
      old[PRECISE] = precise;
    }
    if (nowNumber) return covers(v, words, spillAt(slot), how);
    if (now === eight(Byte.ZERO)) setNumber(fake, 0, 0, 0);
    else setScalar(fake, 0);
    return covers(v, fake, 0, how);
  }
  for (let byte = 0; byte < 8; byte++) {
    if (kindAt(kinds, byte) === Byte.SPILL && kindAt(now, byte) === Byte.SPILL) continue;
    if (!v.tables.pruning.byteCovers(kindAt(kinds, byte), kindAt(now, byte))) {
      const isZero = kindAt(kinds, byte) === Byte.ZERO && kindAt(now, byte) === Byte.SPILL && isZeroSpill(words, slot);
      const isAny =
        kindAt(kinds, byte) === Byte.MISC && kindAt(now, byte) === Byte.SPILL && words[spillAt(slot)] === Type.SCALAR;
      if (!isZero && !isAny) return false;
    }
  }
  return !isSpill(kinds) || !isSpill(now) || covers(v, words, spillAt(slot), how);
}

function isZeroSpill(words: Int32Array, slot: number): boolean {
  const x = spillAt(slot);
  return (
    words[x] === Type.SCALAR && isConstant(words, x + SCALAR) && (words[x + SCALAR]! | words[x + SCALAR + 1]!) === 0
  );
}
