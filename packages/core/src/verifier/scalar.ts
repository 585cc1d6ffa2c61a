// What is known of a 64-bit number: known bits and four ranges, in 16 words of an Int32Array, kept consistent with one another.
//
//   words  0..3   known bits: value, then mask; a bit set in the mask is unknown, and is 0 in the value
//          4..7   least and greatest as an unsigned number
//          8..11  least and greatest as a signed number
//         12..15  the same four of the low 32 bits
//
// 64-bit columns take two words, the low half first. `x` is always where a scalar begins in `r`.
import { below, less, SIGN } from "./words.ts";

export const VALUE: 0 = 0;
export const MASK: 2 = 2;
export const UMIN: 4 = 4;
export const UMAX: 6 = 6;
export const SMIN: 8 = 8;
export const SMAX: 10 = 10;
export const UMIN32: 12 = 12;
export const UMAX32: 13 = 13;
export const SMIN32: 14 = 14;
export const SMAX32: 15 = 15;
/** Words of a scalar. */
export const SCALAR_WORDS: 16 = 16;

const MAX32 = 0x7fff_ffff;

/** Any number at all. */
export function setUnknown(r: Int32Array, x: number): void {
  r[x] = 0;
  r[x + 1] = 0;
  r[x + 2] = -1;
  r[x + 3] = -1;
  setUnbounded(r, x);
}

/** All ranges are full; the known bits stay. */
export function setUnbounded(r: Int32Array, x: number): void {
  setUnbounded64(r, x);
  setUnbounded32(r, x);
}

export function setUnbounded64(r: Int32Array, x: number): void {
  r[x + UMIN] = 0;
  r[x + UMIN + 1] = 0;
  r[x + UMAX] = -1;
  r[x + UMAX + 1] = -1;
  r[x + SMIN] = 0;
  r[x + SMIN + 1] = SIGN;
  r[x + SMAX] = -1;
  r[x + SMAX + 1] = MAX32;
}

export function setUnbounded32(r: Int32Array, x: number): void {
  r[x + UMIN32] = 0;
  r[x + UMAX32] = -1;
  r[x + SMIN32] = SIGN;
  r[x + SMAX32] = MAX32;
}

/** Exactly one number. */
export function setConstant(r: Int32Array, x: number, low: number, high: number): void {
  r[x] = low;
  r[x + 1] = high;
  r[x + 2] = 0;
  r[x + 3] = 0;
  for (let i = UMIN; i < UMIN32; i += 2) {
    r[x + i] = low;
    r[x + i + 1] = high;
  }
  for (let i = UMIN32; i < SCALAR_WORDS; i++) r[x + i] = low;
}

export function isConstant(r: Int32Array, x: number): boolean {
  return (r[x + MASK]! | r[x + MASK + 1]!) === 0;
}

/** Whether the low 32 bits are exactly known. */
export function isConstant32(r: Int32Array, x: number): boolean {
  return r[x + MASK] === 0;
}

export function isUnknown(r: Int32Array, x: number): boolean {
  return (
    (r[x + MASK]! & r[x + MASK + 1]!) === -1 &&
    (r[x + UMIN]! | r[x + UMIN + 1]!) === 0 &&
    (r[x + UMAX]! & r[x + UMAX + 1]!) === -1 &&
    r[x + SMIN + 1] === SIGN &&
    r[x + SMIN] === 0 &&
    r[x + SMAX + 1] === MAX32 &&
    r[x + SMAX] === -1 &&
    r[x + UMIN32] === 0 &&
    r[x + UMAX32] === -1 &&
    r[x + SMIN32] === SIGN &&
    r[x + SMAX32] === MAX32
  );
}

/** Whether it stands for no number: a branch with such a value is never taken. */
export function isEmpty(r: Int32Array, x: number): boolean {
  return (
    below(r[x + UMAX]!, r[x + UMAX + 1]!, r[x + UMIN]!, r[x + UMIN + 1]!) ||
    less(r[x + SMAX]!, r[x + SMAX + 1]!, r[x + SMIN]!, r[x + SMIN + 1]!) ||
    r[x + UMAX32]! >>> 0 < r[x + UMIN32]! >>> 0 ||
    r[x + SMAX32]! < r[x + SMIN32]! ||
    ((r[x]! & r[x + MASK]!) | (r[x + 1]! & r[x + MASK + 1]!)) !== 0
  );
}

/** Greater of the column and a number, unsigned or signed: columns only ever grow tighter. */
export function raiseUmin(r: Int32Array, x: number, low: number, high: number): void {
  if (below(r[x + UMIN]!, r[x + UMIN + 1]!, low, high)) {
    r[x + UMIN] = low;
    r[x + UMIN + 1] = high;
  }
}

export function lowerUmax(r: Int32Array, x: number, low: number, high: number): void {
  if (below(low, high, r[x + UMAX]!, r[x + UMAX + 1]!)) {
    r[x + UMAX] = low;
    r[x + UMAX + 1] = high;
  }
}

export function raiseSmin(r: Int32Array, x: number, low: number, high: number): void {
  if (less(r[x + SMIN]!, r[x + SMIN + 1]!, low, high)) {
    r[x + SMIN] = low;
    r[x + SMIN + 1] = high;
  }
}

export function lowerSmax(r: Int32Array, x: number, low: number, high: number): void {
  if (less(low, high, r[x + SMAX]!, r[x + SMAX + 1]!)) {
    r[x + SMAX] = low;
    r[x + SMAX + 1] = high;
  }
}

export function raiseUmin32(r: Int32Array, x: number, low: number): void {
  if (r[x + UMIN32]! >>> 0 < low >>> 0) r[x + UMIN32] = low;
}

export function lowerUmax32(r: Int32Array, x: number, low: number): void {
  if (low >>> 0 < r[x + UMAX32]! >>> 0) r[x + UMAX32] = low;
}

export function raiseSmin32(r: Int32Array, x: number, low: number): void {
  if (r[x + SMIN32]! < low) r[x + SMIN32] = low;
}

export function lowerSmax32(r: Int32Array, x: number, low: number): void {
  if (low < r[x + SMAX32]!) r[x + SMAX32] = low;
}

/** Ranges from known bits: the unknown ones all 0 or all 1, the sign the other way round. */
function rangesFromBits(r: Int32Array, x: number): void {
  const vl = r[x]!;
  const vh = r[x + 1]!;
  const ml = r[x + 2]!;
  const mh = r[x + 3]!;
  raiseSmin32(r, x, vl | (ml & SIGN));
  lowerSmax32(r, x, vl | (ml & MAX32));
  raiseUmin32(r, x, vl);
  lowerUmax32(r, x, vl | ml);
  raiseSmin(r, x, vl, vh | (mh & SIGN));
  lowerSmax(r, x, vl | ml, vh | (mh & MAX32));
  raiseUmin(r, x, vl, vh);
  lowerUmax(r, x, vl | ml, vh | mh);
}

function deduce32(r: Int32Array, x: number): void {
  // What all numbers of the 64-bit ranges share in their upper half leaves ranges for the lower one.
  if (r[x + UMIN + 1] === r[x + UMAX + 1]) {
    raiseUmin32(r, x, r[x + UMIN]!);
    lowerUmax32(r, x, r[x + UMAX]!);
    if (r[x + UMIN]! <= r[x + UMAX]!) {
      raiseSmin32(r, x, r[x + UMIN]!);
      lowerSmax32(r, x, r[x + UMAX]!);
    }
  }
  if (r[x + SMIN + 1] === r[x + SMAX + 1]) {
    if (r[x + SMIN]! >>> 0 <= r[x + SMAX]! >>> 0) {
      raiseUmin32(r, x, r[x + SMIN]!);
      lowerUmax32(r, x, r[x + SMAX]!);
    }
    if (r[x + SMIN]! <= r[x + SMAX]!) {
      raiseSmin32(r, x, r[x + SMIN]!);
      lowerSmax32(r, x, r[x + SMAX]!);
    }
  }
  // −k..m as halves is a signed range too where the upper halves are −1 and 0.
  if (r[x + SMIN + 1] === -1 && r[x + SMAX + 1] === 0 && r[x + SMIN]! < 0 && r[x + SMAX]! >= 0) {
    raiseSmin32(r, x, r[x + SMIN]!);
    lowerSmax32(r, x, r[x + SMAX]!);
  }
  if (r[x + UMIN32]! <= r[x + UMAX32]!) {
    raiseSmin32(r, x, r[x + UMIN32]!);
    lowerSmax32(r, x, r[x + UMAX32]!);
  } else {
    crossing32(r, x);
  }
  if (r[x + SMIN32]! >>> 0 <= r[x + SMAX32]! >>> 0) {
    raiseUmin32(r, x, r[x + SMIN32]!);
    lowerUmax32(r, x, r[x + SMAX32]!);
  }
}

/** An unsigned range across the sign and a signed one across 0 often meet at one end only. */
function crossing32(r: Int32Array, x: number): void {
  if (r[x + SMIN32]! >= 0 || r[x + SMAX32]! < 0) return;
  if (r[x + UMAX32]! >>> 0 < r[x + SMIN32]! >>> 0) {
    raiseSmin32(r, x, r[x + UMIN32]!);
    lowerUmax32(r, x, r[x + SMAX32]!);
  } else if (r[x + SMAX32]! >>> 0 < r[x + UMIN32]! >>> 0) {
    lowerSmax32(r, x, r[x + UMAX32]!);
    raiseUmin32(r, x, r[x + SMIN32]!);
  }
}

function deduce64(r: Int32Array, x: number): void {
  const ul = r[x + UMIN]!;
  const uh = r[x + UMIN + 1]!;
  const xl = r[x + UMAX]!;
  const xh = r[x + UMAX + 1]!;
  if (!less(xl, xh, ul, uh)) {
    raiseSmin(r, x, ul, uh);
    lowerSmax(r, x, xl, xh);
  } else if (r[x + SMIN + 1]! < 0 && r[x + SMAX + 1]! >= 0) {
    if (below(xl, xh, r[x + SMIN]!, r[x + SMIN + 1]!)) {
      raiseSmin(r, x, ul, uh);
      lowerUmax(r, x, r[x + SMAX]!, r[x + SMAX + 1]!);
    } else if (below(r[x + SMAX]!, r[x + SMAX + 1]!, ul, uh)) {
      lowerSmax(r, x, xl, xh);
      raiseUmin(r, x, r[x + SMIN]!, r[x + SMIN + 1]!);
    }
  }
  const sl = r[x + SMIN]!;
  const sh = r[x + SMIN + 1]!;
  const tl = r[x + SMAX]!;
  const th = r[x + SMAX + 1]!;
  if (!below(tl, th, sl, sh)) {
    raiseUmin(r, x, sl, sh);
    lowerUmax(r, x, tl, th);
  }
}

/** 64-bit ranges from 32-bit ones: the lower half is no less than its own least value. */
function deduceMixed(r: Int32Array, x: number): void {
  const low = r[x + UMIN32]!;
  const high = r[x + UMAX32]!;
  raiseUmin(r, x, low, r[x + UMIN + 1]!);
  lowerUmax(r, x, high, r[x + UMAX + 1]!);
  raiseSmin(r, x, low, r[x + SMIN + 1]!);
  lowerSmax(r, x, high, r[x + SMAX + 1]!);
  // A number that fits into 32 bits with its sign equals its lower half.
  const sl = r[x + SMIN]!;
  const sh = r[x + SMIN + 1]!;
  const tl = r[x + SMAX]!;
  const th = r[x + SMAX + 1]!;
  if (!less(sl, sh, SIGN, -1) && !less(MAX32, 0, tl, th)) {
    raiseSmin(r, x, r[x + SMIN32]!, r[x + SMIN32]! >> 31);
    lowerSmax(r, x, r[x + SMAX32]!, r[x + SMAX32]! >> 31);
  }
}

/** Known bits that all numbers of a range share: those above the highest one in which its ends differ; then of the lower half. */
function bitsFromRange(r: Int32Array, x: number): void {
  const minLow = r[x + UMIN]!;
  const minHigh = r[x + UMIN + 1]!;
  const high = minHigh ^ r[x + UMAX + 1]!;
  const low = minLow ^ r[x + UMAX]!;
  const maskHigh = high === 0 ? 0 : -1 >>> Math.clz32(high);
  const maskLow = high !== 0 ? -1 : low === 0 ? 0 : -1 >>> Math.clz32(low);
  meetBits(r, x, minLow & ~maskLow, minHigh & ~maskHigh, maskLow, maskHigh);
  const min32 = r[x + UMIN32]!;
  const differ = min32 ^ r[x + UMAX32]!;
  const mask32 = differ === 0 ? 0 : -1 >>> Math.clz32(differ);
  meetBits(r, x, min32 & ~mask32, r[x + 1]!, mask32, r[x + 3]!);
}

/** Adds known bits; a bit known as 0 and as 1 shows as set in value and mask, which {@link isEmpty} finds. */
export function meetBits(r: Int32Array, x: number, vl: number, vh: number, ml: number, mh: number): void {
  const clash0 = (r[x]! ^ vl) & ~(r[x + 2]! | ml);
  const clash1 = (r[x + 1]! ^ vh) & ~(r[x + 3]! | mh);
  const maskLow = r[x + 2]! & ml;
  const maskHigh = r[x + 3]! & mh;
  r[x] = (r[x]! | vl) & ~maskLow;
  r[x + 1] = (r[x + 1]! | vh) & ~maskHigh;
  r[x + 2] = maskLow;
  r[x + 3] = maskHigh;
  if ((clash0 | clash1) !== 0) markEmpty(r, x);
}

/** Makes it stand for no number. */
export function markEmpty(r: Int32Array, x: number): void {
  r[x + UMIN] = -1;
  r[x + UMIN + 1] = -1;
  r[x + UMAX] = 0;
  r[x + UMAX + 1] = 0;
}

/** Carries what each column knows to all others; sound for any columns that hold a number in common. */
export function sync(r: Int32Array, x: number): void {
  rangesFromBits(r, x);
  for (let round = 0; round < 3; round++) {
    deduce32(r, x);
    deduce64(r, x);
    deduceMixed(r, x);
  }
  bitsFromRange(r, x);
  rangesFromBits(r, x);
}

/** Clears the upper half, as every 32-bit operation does: the low half decides. */
export function zeroExtend(r: Int32Array, x: number): void {
  r[x + 1] = 0;
  r[x + MASK + 1] = 0;
  r[x + UMIN] = r[x + UMIN32]!;
  r[x + UMIN + 1] = 0;
  r[x + UMAX] = r[x + UMAX32]!;
  r[x + UMAX + 1] = 0;
  r[x + SMIN] = r[x + UMIN32]!;
  r[x + SMIN + 1] = 0;
  r[x + SMAX] = r[x + UMAX32]!;
  r[x + SMAX + 1] = 0;
}

/** Keeps the low `bytes` bytes, as a load of that size does. */
export function truncate(r: Int32Array, x: number, bytes: number): void {
  if (bytes >= 8) return;
  if (bytes === 4) {
    // What the low half is known to be stays.
    zeroExtend(r, x);
    sync(r, x);
    return;
  }
  const mask = (1 << (8 * bytes)) - 1;
  const min = r[x + UMIN]!;
  const max = r[x + UMAX]!;
  // Ends that agree above the kept bytes stay ends below.
  const keeps = r[x + UMIN + 1] === r[x + UMAX + 1] && ((min ^ max) & ~mask) === 0;
  r[x] = r[x]! & mask;
  r[x + 1] = 0;
  r[x + MASK] = r[x + MASK]! & mask;
  r[x + MASK + 1] = 0;
  setUnbounded(r, x);
  r[x + UMIN] = keeps ? min & mask : 0;
  r[x + UMAX] = keeps ? max & mask : mask;
  r[x + UMAX + 1] = 0;
  sync(r, x);
}

/** Any number of `bytes` bytes, zero-extended. */
export function setUnsigned(r: Int32Array, x: number, bytes: number): void {
  setUnknown(r, x);
  if (bytes < 8) {
    if (bytes === 4) zeroExtend(r, x);
    else truncate(r, x, bytes);
  }
}

/** Copies a scalar's 16 words. */
export function copyScalar(to: Int32Array, at: number, from: Int32Array, x: number): void {
  for (let i = 0; i < SCALAR_WORDS; i++) to[at + i] = from[x + i]!;
}

/** Whether a number, given by its halves, is one of those the scalar stands for: every column must say yes. */
export function holds(r: Int32Array, x: number, low: number, high: number): boolean {
  return (
    (((r[x]! ^ low) & ~r[x + 2]!) | ((r[x + 1]! ^ high) & ~r[x + 3]!)) === 0 &&
    !below(low, high, r[x + UMIN]!, r[x + UMIN + 1]!) &&
    !below(r[x + UMAX]!, r[x + UMAX + 1]!, low, high) &&
    !less(low, high, r[x + SMIN]!, r[x + SMIN + 1]!) &&
    !less(r[x + SMAX]!, r[x + SMAX + 1]!, low, high) &&
    low >>> 0 >= r[x + UMIN32]! >>> 0 &&
    low >>> 0 <= r[x + UMAX32]! >>> 0 &&
    low >= r[x + SMIN32]! &&
    low <= r[x + SMAX32]!
  );
}

/** Whether all numbers of the scalar at `y` of `s` are among those at `x` of `r`, column by column. */
export function includes(r: Int32Array, x: number, s: Int32Array, y: number): boolean {
  return rangesWithin(r, x, s, y) && bitsWithin(r, x, s, y);
}

export function bitsWithin(r: Int32Array, x: number, s: Int32Array, y: number): boolean {
  return (
    ((s[y + 2]! & ~r[x + 2]!) | (s[y + 3]! & ~r[x + 3]!)) === 0 &&
    (((s[y]! ^ r[x]!) & ~r[x + 2]!) | ((s[y + 1]! ^ r[x + 1]!) & ~r[x + 3]!)) === 0
  );
}

export function rangesWithin(r: Int32Array, x: number, s: Int32Array, y: number): boolean {
  return (
    !below(s[y + UMIN]!, s[y + UMIN + 1]!, r[x + UMIN]!, r[x + UMIN + 1]!) &&
    !below(r[x + UMAX]!, r[x + UMAX + 1]!, s[y + UMAX]!, s[y + UMAX + 1]!) &&
    !less(s[y + SMIN]!, s[y + SMIN + 1]!, r[x + SMIN]!, r[x + SMIN + 1]!) &&
    !less(r[x + SMAX]!, r[x + SMAX + 1]!, s[y + SMAX]!, s[y + SMAX + 1]!) &&
    s[y + UMIN32]! >>> 0 >= r[x + UMIN32]! >>> 0 &&
    s[y + UMAX32]! >>> 0 <= r[x + UMAX32]! >>> 0 &&
    s[y + SMIN32]! >= r[x + SMIN32]! &&
    s[y + SMAX32]! <= r[x + SMAX32]!
  );
}
