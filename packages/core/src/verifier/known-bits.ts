// Arithmetic on known bits alone: sums, differences and products of numbers of which some bits are unknown.
import { multiply, out, shiftLeft } from "./words.ts";

// All functions work on the first four words of the scalars at `d` and `s` and leave the result in those at `d`.

/** Bits of the sum: unknown are those that differ between the least and the greatest sum, and those of either operand. */
export function addBits(r: Int32Array, d: number, s: number): void {
  addKnown(r, d, r[s]!, r[s + 1]!, r[s + 2]!, r[s + 3]!);
}

function addKnown(r: Int32Array, d: number, vl: number, vh: number, ml: number, mh: number): void {
  const vLow = (r[d]! + vl) | 0;
  const vHigh = (r[d + 1]! + vh + (vLow >>> 0 < vl >>> 0 ? 1 : 0)) | 0;
  const mLow = (r[d + 2]! + ml) | 0;
  const mHigh = (r[d + 3]! + mh + (mLow >>> 0 < ml >>> 0 ? 1 : 0)) | 0;
  const allLow = (vLow + mLow) | 0;
  const allHigh = (vHigh + mHigh + (allLow >>> 0 < mLow >>> 0 ? 1 : 0)) | 0;
  const maskLow = (allLow ^ vLow) | r[d + 2]! | ml;
  const maskHigh = (allHigh ^ vHigh) | r[d + 3]! | mh;
  r[d] = vLow & ~maskLow;
  r[d + 1] = vHigh & ~maskHigh;
  r[d + 2] = maskLow;
  r[d + 3] = maskHigh;
}

/** Bits of the difference: those that are the same in the greatest and the least difference, and known in both operands. */
export function subtractBits(r: Int32Array, d: number, s: number): void {
  const vLow = (r[d]! - r[s]!) | 0;
  const vHigh = (r[d + 1]! - r[s + 1]! - (r[d]! >>> 0 < r[s]! >>> 0 ? 1 : 0)) | 0;
  const mostLow = (vLow + r[d + 2]!) | 0;
  const mostHigh = (vHigh + r[d + 3]! + (mostLow >>> 0 < vLow >>> 0 ? 1 : 0)) | 0;
  const leastLow = (vLow - r[s + 2]!) | 0;
  const leastHigh = (vHigh - r[s + 3]! - (vLow >>> 0 < r[s + 2]! >>> 0 ? 1 : 0)) | 0;
  const maskLow = (mostLow ^ leastLow) | r[d + 2]! | r[s + 2]!;
  const maskHigh = (mostHigh ^ leastHigh) | r[d + 3]! | r[s + 3]!;
  r[d] = vLow & ~maskLow;
  r[d + 1] = vHigh & ~maskHigh;
  r[d + 2] = maskLow;
  r[d + 3] = maskHigh;
}

export function andBits(r: Int32Array, d: number, s: number): void {
  for (let i = 0; i < 2; i++) {
    const value = r[d + i]! & r[s + i]!;
    r[d + 2 + i] = (r[d + i]! | r[d + 2 + i]!) & (r[s + i]! | r[s + 2 + i]!) & ~value;
    r[d + i] = value;
  }
}

export function orBits(r: Int32Array, d: number, s: number): void {
  for (let i = 0; i < 2; i++) {
    const value = r[d + i]! | r[s + i]!;
    r[d + 2 + i] = (r[d + 2 + i]! | r[s + 2 + i]!) & ~value;
    r[d + i] = value;
  }
}

export function xorBits(r: Int32Array, d: number, s: number): void {
  for (let i = 0; i < 2; i++) {
    const mask = r[d + 2 + i]! | r[s + 2 + i]!;
    r[d + i] = (r[d + i]! ^ r[s + i]!) & ~mask;
    r[d + 2 + i] = mask;
  }
}

const product = new Int32Array(4);

/**
 * Bits of the product, as a sum over the bits of the first factor: a known 1 adds the second one's unknown bits, an unknown bit adds
 * all bits that the second one may have; the known parts are multiplied as they are.
 */
export function multiplyBits(r: Int32Array, d: number, s: number): void {
  multiply(r[d]!, r[d + 1]!, r[s]!, r[s + 1]!);
  const low = out[0]!;
  const high = out[1]!;
  product[0] = 0;
  product[1] = 0;
  product[2] = 0;
  product[3] = 0;
  for (let bit = 0; bit < 64; bit++) {
    const half = bit >> 5;
    if (bit === 32 && (r[d + 1]! | r[d + 3]!) === 0) break;
    const mask = 1 << (bit & 31);
    if ((r[d + half]! & mask) !== 0) shiftLeft(r[s + 2]!, r[s + 3]!, bit);
    else if ((r[d + 2 + half]! & mask) !== 0) shiftLeft(r[s]! | r[s + 2]!, r[s + 1]! | r[s + 3]!, bit);
    else continue;
    addKnown(product, 0, 0, 0, out[0]!, out[1]!);
  }
  r[d] = low;
  r[d + 1] = high;
  r[d + 2] = 0;
  r[d + 3] = 0;
  addKnown(r, d, product[0]!, product[1]!, product[2]!, product[3]!);
}
