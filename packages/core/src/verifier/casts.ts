// Sign extensions and byte swaps of what is known of a number.
import { sync, truncate } from "./deduce.ts";
import {
  isConstant,
  MASK,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setConstant,
  setUnbounded32,
  setUnknown,
  zeroExtend,
} from "./scalar.ts";

/** The low `bytes` bytes (1, 2 or 4) with their sign, as a 64-bit number; for `wide` false its upper half is cleared. */
export function signExtend(r: Int32Array, x: number, bytes: number, wide: boolean): void {
  const drop = 32 - 8 * bytes;
  const of = (word: number): number => (word << drop) >> drop;
  if (isConstant(r, x)) {
    const low = of(r[x]!);
    setConstant(r, x, low, wide ? low >> 31 : 0);
    return;
  }
  const [least, most] = ends(r, x, bytes, of, wide);
  setUnknown(r, x);
  if (wide) {
    r[x + SMIN] = least;
    r[x + SMIN + 1] = least >> 31;
    r[x + SMAX] = most;
    r[x + SMAX + 1] = most >> 31;
  } else {
    setUnbounded32(r, x);
    r[x + SMIN32] = least;
    r[x + SMAX32] = most;
    zeroExtend(r, x);
  }
  sync(r, x);
}

/** Signed ends of the extended number: those of the operand where both agree above the kept bytes, else all of them. */
function ends(
  r: Int32Array,
  x: number,
  bytes: number,
  of: (word: number) => number,
  wide: boolean,
): readonly [number, number] {
  const sign = 2 ** (8 * bytes - 1);
  const low = wide ? r[x + SMIN]! : r[x + SMIN32]!;
  const high = wide ? r[x + SMAX]! : r[x + SMAX32]!;
  const above = bytes === 4 ? 0 : (low ^ high) >>> (8 * bytes);
  const agree = above === 0 && (!wide || r[x + SMIN + 1] === r[x + SMAX + 1]);
  if (agree && of(low) <= of(high)) return [of(low), of(high)];
  return [-sign, sign - 1];
}

/** The low `bits` bits (16, 32 or 64), in the other byte order when `swaps`; known bits alone survive a swap. */
export function swapBytes(r: Int32Array, x: number, bits: number, swaps: boolean): void {
  const vl = r[x]!;
  const vh = r[x + 1]!;
  const ml = r[x + MASK]!;
  const mh = r[x + MASK + 1]!;
  if (!swaps) {
    truncate(r, x, bits / 8);
    return;
  }
  setUnknown(r, x);
  if (bits === 64) {
    r[x] = reversed(vh);
    r[x + 1] = reversed(vl);
    r[x + MASK] = reversed(mh);
    r[x + MASK + 1] = reversed(ml);
  } else {
    r[x] = reversed(vl) >>> (32 - bits);
    r[x + 1] = 0;
    r[x + MASK] = reversed(ml) >>> (32 - bits);
    r[x + MASK + 1] = 0;
  }
  sync(r, x);
}

function reversed(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
