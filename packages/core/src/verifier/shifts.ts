// Shifts by a known number of bits, in both widths.
import {
  MASK,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setUnbounded32,
  setUnbounded64,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
} from "./scalar.ts";
import { out, SIGN, shiftLeft, shiftRight, shiftRightSigned } from "./words.ts";

const MAX32 = 0x7fff_ffff;

export function lsh(r: Int32Array, d: number, count: number): void {
  const bits = count === 0 ? 0 : highestBits(r[d + UMAX]!, r[d + UMAX + 1]!, count);
  shiftLeft(r[d + UMIN]!, r[d + UMIN + 1]!, count);
  const minLow = out[0]!;
  const minHigh = out[1]!;
  shiftLeft(r[d + UMAX]!, r[d + UMAX + 1]!, count);
  const maxLow = out[0]!;
  const maxHigh = out[1]!;
  // Signed ends are followed where all of the lower half becomes the upper one, and no further.
  const smin = r[d + SMIN32]!;
  const smax = r[d + SMAX32]!;
  lshRanges32(r, d, count);
  setUnbounded64(r, d);
  if (bits === 0) {
    r[d + UMIN] = minLow;
    r[d + UMIN + 1] = minHigh;
    r[d + UMAX] = maxLow;
    r[d + UMAX + 1] = maxHigh;
  }
  if (count === 32) {
    r[d + SMIN] = 0;
    r[d + SMIN + 1] = smin;
    r[d + SMAX] = 0;
    r[d + SMAX + 1] = smax;
  }
  shiftBits(r, d, count, shiftLeft);
}

/** The `count` highest bits. */
function highestBits(low: number, high: number, count: number): number {
  shiftRight(low, high, 64 - count);
  return out[0]! | out[1]!;
}

function lshRanges32(r: Int32Array, d: number, count: number): void {
  const min = r[d + UMIN32]!;
  const max = r[d + UMAX32]!;
  setUnbounded32(r, d);
  if (count >= 32 || (count > 0 && max >>> (32 - count) !== 0)) return;
  r[d + UMIN32] = min << count;
  r[d + UMAX32] = max << count;
}

function shiftBits(r: Int32Array, d: number, count: number, by: typeof shiftLeft): void {
  by(r[d]!, r[d + 1]!, count);
  r[d] = out[0]!;
  r[d + 1] = out[1]!;
  by(r[d + MASK]!, r[d + MASK + 1]!, count);
  r[d + MASK] = out[0]!;
  r[d + MASK + 1] = out[1]!;
}

function shiftEnd(r: Int32Array, at: number, count: number, by: typeof shiftLeft): void {
  by(r[at]!, r[at + 1]!, count);
  r[at] = out[0]!;
  r[at + 1] = out[1]!;
}

export function rsh(r: Int32Array, d: number, count: number): void {
  shiftEnd(r, d + UMIN, count, shiftRight);
  shiftEnd(r, d + UMAX, count, shiftRight);
  r[d + SMIN] = 0;
  r[d + SMIN + 1] = SIGN;
  r[d + SMAX] = -1;
  r[d + SMAX + 1] = MAX32;
  setUnbounded32(r, d);
  shiftBits(r, d, count, shiftRight);
}

export function arsh(r: Int32Array, d: number, count: number): void {
  shiftEnd(r, d + SMIN, count, shiftRightSigned);
  shiftEnd(r, d + SMAX, count, shiftRightSigned);
  r[d + UMIN] = 0;
  r[d + UMIN + 1] = 0;
  r[d + UMAX] = -1;
  r[d + UMAX + 1] = -1;
  setUnbounded32(r, d);
  shiftBits(r, d, count, shiftRightSigned);
}

export function lsh32(r: Int32Array, d: number, count: number): void {
  lshRanges32(r, d, count);
  r[d] = r[d]! << count;
  r[d + MASK] = r[d + MASK]! << count;
}
export function rsh32(r: Int32Array, d: number, count: number): void {
  const min = r[d + UMIN32]! >>> count;
  const max = r[d + UMAX32]! >>> count;
  setUnbounded32(r, d);
  r[d + UMIN32] = min;
  r[d + UMAX32] = max;
  r[d] = r[d]! >>> count;
  r[d + MASK] = r[d + MASK]! >>> count;
}
export function arsh32(r: Int32Array, d: number, count: number): void {
  const min = r[d + SMIN32]! >> count;
  const max = r[d + SMAX32]! >> count;
  setUnbounded32(r, d);
  r[d + SMIN32] = min;
  r[d + SMAX32] = max;
  r[d] = r[d]! >> count;
  r[d + MASK] = r[d + MASK]! >> count;
}
