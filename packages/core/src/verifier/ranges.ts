// Ranges of sums, differences, products and bitwise results. All work on the scalars at `d` and `s`, and leave the result in the one at `d`.
import { MASK, SMAX, SMAX32, SMIN, SMIN32, UMAX, UMAX32, UMIN, UMIN32 } from "./scalar.ts";
import { less, multiplyOverflows, multiplyOverflowsSigned, out, SIGN } from "./words.ts";

const MAX32 = 0x7fff_ffff;

/** Ends of the sum, which may both overflow; where only one does, the range is full. */
export function addRanges(r: Int32Array, d: number, s: number): void {
  const minLow = (r[d + UMIN]! + r[s + UMIN]!) | 0;
  const minCarry = minLow >>> 0 < r[s + UMIN]! >>> 0 ? 1 : 0;
  const minTop = (r[d + UMIN + 1]! >>> 0) + (r[s + UMIN + 1]! >>> 0) + minCarry;
  const maxLow = (r[d + UMAX]! + r[s + UMAX]!) | 0;
  const maxCarry = maxLow >>> 0 < r[s + UMAX]! >>> 0 ? 1 : 0;
  const maxTop = (r[d + UMAX + 1]! >>> 0) + (r[s + UMAX + 1]! >>> 0) + maxCarry;
  const full = minTop > 0xffff_ffff !== maxTop > 0xffff_ffff;
  r[d + UMIN] = full ? 0 : minLow;
  r[d + UMIN + 1] = full ? 0 : minTop | 0;
  r[d + UMAX] = full ? -1 : maxLow;
  r[d + UMAX + 1] = full ? -1 : maxTop | 0;

  const sminLow = (r[d + SMIN]! + r[s + SMIN]!) | 0;
  const sminTop = r[d + SMIN + 1]! + r[s + SMIN + 1]! + (sminLow >>> 0 < r[s + SMIN]! >>> 0 ? 1 : 0);
  const smaxLow = (r[d + SMAX]! + r[s + SMAX]!) | 0;
  const smaxTop = r[d + SMAX + 1]! + r[s + SMAX + 1]! + (smaxLow >>> 0 < r[s + SMAX]! >>> 0 ? 1 : 0);
  setSignedEnds(r, d, sminLow, sminTop, smaxLow, smaxTop);
}

/** Signed ends whose upper halves may lie outside 32 bits: full unless both left on the same side, or none did. */
function setSignedEnds(r: Int32Array, d: number, minLow: number, minTop: number, maxLow: number, maxTop: number): void {
  const full = sideOf(minTop) !== sideOf(maxTop);
  r[d + SMIN] = full ? 0 : minLow;
  r[d + SMIN + 1] = full ? SIGN : minTop | 0;
  r[d + SMAX] = full ? -1 : maxLow;
  r[d + SMAX + 1] = full ? MAX32 : maxTop | 0;
}

function sideOf(top: number): number {
  return top < SIGN ? -1 : top > MAX32 ? 1 : 0;
}

export function addRanges32(r: Int32Array, d: number, s: number): void {
  const umin = (r[d + UMIN32]! >>> 0) + (r[s + UMIN32]! >>> 0);
  const umax = (r[d + UMAX32]! >>> 0) + (r[s + UMAX32]! >>> 0);
  const full = umin > 0xffff_ffff !== umax > 0xffff_ffff;
  r[d + UMIN32] = full ? 0 : umin | 0;
  r[d + UMAX32] = full ? -1 : umax | 0;
  setSignedEnds32(r, d, r[d + SMIN32]! + r[s + SMIN32]!, r[d + SMAX32]! + r[s + SMAX32]!);
}

function setSignedEnds32(r: Int32Array, d: number, min: number, max: number): void {
  const full = sideOf(min) !== sideOf(max);
  r[d + SMIN32] = full ? SIGN : min | 0;
  r[d + SMAX32] = full ? MAX32 : max | 0;
}

export function subtractRanges(r: Int32Array, d: number, s: number): void {
  const minLow = (r[d + UMIN]! - r[s + UMAX]!) | 0;
  const minTop =
    (r[d + UMIN + 1]! >>> 0) - (r[s + UMAX + 1]! >>> 0) - (r[d + UMIN]! >>> 0 < r[s + UMAX]! >>> 0 ? 1 : 0);
  const maxLow = (r[d + UMAX]! - r[s + UMIN]!) | 0;
  const maxTop =
    (r[d + UMAX + 1]! >>> 0) - (r[s + UMIN + 1]! >>> 0) - (r[d + UMAX]! >>> 0 < r[s + UMIN]! >>> 0 ? 1 : 0);
  const full = minTop < 0 !== maxTop < 0;
  const sminLow = (r[d + SMIN]! - r[s + SMAX]!) | 0;
  const sminTop = r[d + SMIN + 1]! - r[s + SMAX + 1]! - (r[d + SMIN]! >>> 0 < r[s + SMAX]! >>> 0 ? 1 : 0);
  const smaxLow = (r[d + SMAX]! - r[s + SMIN]!) | 0;
  const smaxTop = r[d + SMAX + 1]! - r[s + SMIN + 1]! - (r[d + SMAX]! >>> 0 < r[s + SMIN]! >>> 0 ? 1 : 0);
  r[d + UMIN] = full ? 0 : minLow;
  r[d + UMIN + 1] = full ? 0 : minTop | 0;
  r[d + UMAX] = full ? -1 : maxLow;
  r[d + UMAX + 1] = full ? -1 : maxTop | 0;
  setSignedEnds(r, d, sminLow, sminTop, smaxLow, smaxTop);
}

export function subtractRanges32(r: Int32Array, d: number, s: number): void {
  const umin = (r[d + UMIN32]! >>> 0) - (r[s + UMAX32]! >>> 0);
  const umax = (r[d + UMAX32]! >>> 0) - (r[s + UMIN32]! >>> 0);
  const full = umin < 0 !== umax < 0;
  const smin = r[d + SMIN32]! - r[s + SMAX32]!;
  const smax = r[d + SMAX32]! - r[s + SMIN32]!;
  r[d + UMIN32] = full ? 0 : umin | 0;
  r[d + UMAX32] = full ? -1 : umax | 0;
  setSignedEnds32(r, d, smin, smax);
}

const ends = new Int32Array(8);

export function multiplyRanges(r: Int32Array, d: number, s: number): void {
  let full = multiplyOverflows(r[d + UMAX]!, r[d + UMAX + 1]!, r[s + UMAX]!, r[s + UMAX + 1]!);
  const maxLow = out[0]!;
  const maxHigh = out[1]!;
  multiplyOverflows(r[d + UMIN]!, r[d + UMIN + 1]!, r[s + UMIN]!, r[s + UMIN + 1]!);
  r[d + UMIN] = full ? 0 : out[0]!;
  r[d + UMIN + 1] = full ? 0 : out[1]!;
  r[d + UMAX] = full ? -1 : maxLow;
  r[d + UMAX + 1] = full ? -1 : maxHigh;
  full = false;
  for (let i = 0; i < 4; i++) {
    const a = d + (i < 2 ? SMIN : SMAX);
    const b = s + ((i & 1) === 0 ? SMIN : SMAX);
    full = multiplyOverflowsSigned(r[a]!, r[a + 1]!, r[b]!, r[b + 1]!) || full;
    ends[2 * i] = out[0]!;
    ends[2 * i + 1] = out[1]!;
  }
  let least = 0;
  let most = 0;
  for (let i = 2; i < 8; i += 2) {
    if (less(ends[i]!, ends[i + 1]!, ends[least]!, ends[least + 1]!)) least = i;
    if (less(ends[most]!, ends[most + 1]!, ends[i]!, ends[i + 1]!)) most = i;
  }
  r[d + SMIN] = full ? 0 : ends[least]!;
  r[d + SMIN + 1] = full ? SIGN : ends[least + 1]!;
  r[d + SMAX] = full ? -1 : ends[most]!;
  r[d + SMAX + 1] = full ? MAX32 : ends[most + 1]!;
}

export function multiplyRanges32(r: Int32Array, d: number, s: number): void {
  const most = (r[d + UMAX32]! >>> 0) * (r[s + UMAX32]! >>> 0);
  const full = most > 0xffff_ffff;
  const least = full ? 0 : (r[d + UMIN32]! >>> 0) * (r[s + UMIN32]! >>> 0);
  const a = r[d + SMIN32]! * r[s + SMIN32]!;
  const b = r[d + SMIN32]! * r[s + SMAX32]!;
  const c = r[d + SMAX32]! * r[s + SMIN32]!;
  const e = r[d + SMAX32]! * r[s + SMAX32]!;
  const min = Math.min(a, b, c, e);
  const max = Math.max(a, b, c, e);
  const leaves = min < SIGN || max > MAX32;
  r[d + UMIN32] = least | 0;
  r[d + UMAX32] = full ? -1 : most | 0;
  r[d + SMIN32] = leaves ? SIGN : min | 0;
  r[d + SMAX32] = leaves ? MAX32 : max | 0;
}

/** Unsigned ranges of a bitwise operation, whose known bits are there already; the signed ones follow from them. */
export function bitwise(r: Int32Array, d: number, s: number, operation: "and" | "or" | "xor"): void {
  const umaxLow = r[s + UMAX]!;
  const umaxHigh = r[s + UMAX + 1]!;
  const uminLow = r[s + UMIN]!;
  const uminHigh = r[s + UMIN + 1]!;
  const umax32 = r[s + UMAX32]!;
  const umin32 = r[s + UMIN32]!;
  const lessMax =
    r[d + UMAX + 1] === umaxHigh ? r[d + UMAX]! >>> 0 < umaxLow >>> 0 : r[d + UMAX + 1]! >>> 0 < umaxHigh >>> 0;
  const lessMin =
    r[d + UMIN + 1] === uminHigh ? r[d + UMIN]! >>> 0 < uminLow >>> 0 : r[d + UMIN + 1]! >>> 0 < uminHigh >>> 0;
  if (operation === "and") {
    if (!lessMax) {
      r[d + UMAX] = umaxLow;
      r[d + UMAX + 1] = umaxHigh;
    }
    if (umax32 >>> 0 < r[d + UMAX32]! >>> 0) r[d + UMAX32] = umax32;
    r[d + UMIN] = r[d]!;
    r[d + UMIN + 1] = r[d + 1]!;
    r[d + UMIN32] = r[d]!;
  } else {
    if (operation === "xor") {
      r[d + UMIN] = r[d]!;
      r[d + UMIN + 1] = r[d + 1]!;
      r[d + UMIN32] = r[d]!;
    } else {
      if (lessMin) {
        r[d + UMIN] = uminLow;
        r[d + UMIN + 1] = uminHigh;
      }
      if (r[d + UMIN32]! >>> 0 < umin32 >>> 0) r[d + UMIN32] = umin32;
    }
    r[d + UMAX] = r[d]! | r[d + MASK]!;
    r[d + UMAX + 1] = r[d + 1]! | r[d + MASK + 1]!;
    r[d + UMAX32] = r[d]! | r[d + MASK]!;
  }
  r[d + SMIN] = 0;
  r[d + SMIN + 1] = SIGN;
  r[d + SMAX] = -1;
  r[d + SMAX + 1] = MAX32;
  r[d + SMIN32] = SIGN;
  r[d + SMAX32] = MAX32;
}
