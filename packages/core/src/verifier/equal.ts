// When a path may end where another one has been: everything that it can do from here, the other one could do.
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
import { Reader, type StoredState } from "./store.ts";
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
  /** Whether a slot counts, given whether somebody reads it below. */
  readonly slotCounts: (isRead: boolean) => boolean;
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
  slotCounts: (isRead) => isRead,
  open: "ranges",
  tracesSlots: true,
  byteCovers: (stored, now) =>
    stored === now || stored === Byte.INVALID || (stored === Byte.MISC && (now === Byte.ZERO || now === Byte.INVALID)),
};

const ids = new IdMap();
const old = new Int32Array(REG_WORDS);
const fake = new Int32Array(REG_WORDS);
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
  for (const word of [TYPE, AUX, FRAME, DELTA, LINK]) if (old[word] !== r[x + word]) return false;
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
 * Whether the stored state covers the current one. Cost: the words of the packed state.
 *
 * `liveness`: whether all that the stored state led to is known, so that what nobody read there may differ.
 */
export function stateCovers(v: Verification, stored: StoredState, state: State<StoredState>, how: Exactness): boolean {
  if (stored.frames !== state.frames.length) return differAt(Differing.CALLS);
  ids.clear();
  unique = -1;
  if (!sameReferences(stored, state)) return differAt(Differing.HELD);
  const reader = new Reader(stored.words);
  for (let f = 0; f < stored.frames; f++) {
    reader.frame();
    const frame = state.frames[f]!;
    if (reader.callSite !== frame.origin.callSite || reader.subprog !== frame.origin.subprog)
      return differAt(Differing.CALLS);
    // Where a callback had been entered more often, fewer calls of it were left to walk through.
    if (reader.callbackDepth > frame.callbackDepth) return differAt(Differing.CALLS);
    if (
      (reader.callSite >= 0 || frame.callbackDepth !== 0) &&
      reader.callbackDepth !== frame.callbackDepth &&
      how !== "ranges"
    )
      if (how === "exact") return differAt(Differing.CALLS);
    for (let reg = 0; reg < 10; reg++) {
      if (((reader.mask >> reg) & 1) === 0) continue;
      reader.register(old, 0);
      old[PRECISE] = stored.isPrecise(f, reg) ? 1 : 0;
      if (!covers(v, frame.words, regAt(reg), how)) return differAt((f << 8) | reg);
    }
    if (!stackCovers(v, stored, reader, state, f, how)) return false;
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
  reader: Reader,
  state: State<StoredState>,
  f: number,
  how: Exactness,
): boolean {
  const frame = state.frames[f]!;
  const { words } = frame;
  for (let slot = 0; slot < reader.depth; slot++) {
    const kinds = reader.kinds();
    const spilled = hasWords(kinds);
    if (spilled) reader.register(old, 0);
    old[PRECISE] = stored.isPreciseSlot(f, slot) ? 1 : 0;
    if (how === "enough" && !v.tables.pruning.slotCounts(stored.isRead(f, slot))) continue;
    const now = slot < frame.depth ? words[KINDS + slot]! : 0;
    if (how === "exact") {
      const same = isSpecial(kinds)
        ? sameObject(words, spillAt(slot))
        : !spilled || covers(v, words, spillAt(slot), how);
      if (now !== kinds || !same) return differAt((f << 8) | 0x80 | slot);
      continue;
    }
    if (!slotCovers(v, kinds, now, words, slot, how)) return differAt((f << 8) | 0x80 | slot);
  }
  return true;
}

/** Objects of one sort in one state; how often an iterator has moved on makes no difference. */
function sameObject(r: Int32Array, x: number): boolean {
  for (const word of [TYPE, AUX, FRAME]) if (old[word] !== r[x + word]) return false;
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
