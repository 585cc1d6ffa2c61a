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
