// 64-bit numbers as pairs of signed 32-bit halves: comparisons, and results in `out` where a function gives two halves.

/** Sign bit of a half. */
export const SIGN: number = -0x8000_0000;

/** Where functions of this file leave a result of two halves (or of four: the whole product): low half first. */
export const out: Int32Array = new Int32Array(4);

/** Unsigned a < b. */
export function below(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh >>> 0 < bHigh >>> 0;
}

/** Signed a < b. */
export function less(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh < bHigh;
}

/** 1 when the unsigned sum of two halves does not fit into 32 bits. */
export function carry(a: number, b: number): number {
  return (a + b) >>> 0 < a >>> 0 ? 1 : 0;
}

/** 1 when b is the greater one, unsigned. */
export function borrow(a: number, b: number): number {
  return a >>> 0 < b >>> 0 ? 1 : 0;
}

/** a × b, unsigned, 64 bits of result in `out`. */
export function multiply32(a: number, b: number): void {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const low = a0 * b0;
  const middle = a1 * b0 + (low >>> 16);
  const cross = a0 * b1 + (middle & 0xffff);
  out[0] = Math.imul(a, b);
  out[1] = a1 * b1 + Math.floor(middle / 0x1_0000) + Math.floor(cross / 0x1_0000);
}

/** The low 64 bits of a × b. */
export function multiply(aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  multiply32(aLow, bLow);
  out[1] = (out[1]! + Math.imul(aLow, bHigh) + Math.imul(aHigh, bLow)) | 0;
}

/** Whether the unsigned product has more than 64 bits; `out` gets its low 64. */
export function multiplyOverflows(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  if (aHigh !== 0 && bHigh !== 0) {
    multiply(aLow, aHigh, bLow, bHigh);
    return true;
  }
  if (aHigh === 0 && bHigh === 0) {
    multiply32(aLow, bLow);
    return false;
  }
  // One side is a half: the cross product must fit into 32 bits together with the carry from below.
  const [half, low, high] = aHigh === 0 ? [aLow, bLow, bHigh] : [bLow, aLow, aHigh];
  multiply32(half, high);
  const [crossLow, crossHigh] = [out[0]!, out[1]!];
  multiply32(half, low);
  const sum = (out[1]! >>> 0) + (crossLow >>> 0);
  out[1] = sum;
  return crossHigh !== 0 || sum > 0xffff_ffff;
}

/** Whether the signed product leaves 64 bits; `out` gets its low 64. */
export function multiplyOverflowsSigned(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  const negative = (aHigh ^ bHigh) < 0;
  negate(aLow, aHigh, aHigh < 0);
  const [xLow, xHigh] = [out[0]!, out[1]!];
  negate(bLow, bHigh, bHigh < 0);
  const over = multiplyOverflows(xLow, xHigh, out[0]!, out[1]!);
  const [low, high] = [out[0]!, out[1]!];
  negate(low, high, negative);
  return over || (high < 0 && !(negative && high === SIGN && low === 0));
}

function negate(low: number, high: number, really: boolean): void {
  if (really) {
    out[0] = -low;
    out[1] = low === 0 ? -high : ~high;
  } else {
    out[0] = low;
    out[1] = high;
  }
}

/** a << count, 0..63. */
export function shiftLeft(low: number, high: number, count: number): void {
  if (count === 0) {
    out[0] = low;
    out[1] = high;
  } else if (count < 32) {
    out[1] = (high << count) | (low >>> (32 - count));
    out[0] = low << count;
  } else {
    out[1] = low << (count - 32);
    out[0] = 0;
  }
}

/** a >> count without sign, 0..63. */
export function shiftRight(low: number, high: number, count: number): void {
  if (count === 0) {
    out[0] = low;
    out[1] = high;
  } else if (count < 32) {
    out[0] = (low >>> count) | (high << (32 - count));
    out[1] = high >>> count;
  } else {
    out[0] = high >>> (count - 32);
    out[1] = 0;
  }
}

/** a >> count with sign, 0..63. */
export function shiftRightSigned(low: number, high: number, count: number): void {
  if (count < 32) {
    shiftRight(low, high, count);
    out[1] = high >> count;
  } else {
    out[0] = high >> (count - 32);
    out[1] = high >> 31;
  }
}

/** The number two halves stand for, unsigned; exact below 2⁵³. */
export function unsigned(low: number, high: number): number {
  return (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
}

/** The number two halves stand for, signed; exact within ±2⁵³. */
export function signed(low: number, high: number): number {
  return high * 0x1_0000_0000 + (low >>> 0);
}

/** The unsigned 64-bit number of two halves; for printing and for tests. */
export function bigOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Bits that a non-negative number takes: 0 for 0. */
export function bitsOf(low: number, high: number): number {
  return high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(low);
}
