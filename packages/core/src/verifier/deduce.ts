// Keeps the columns of a scalar consistent: what each of them knows is carried to all others.
import {
  lowerSmax,
  lowerSmax32,
  lowerUmax,
  lowerUmax32,
  MASK,
  raiseSmin,
  raiseSmin32,
  raiseUmin,
  raiseUmin32,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setUnbounded,
  setUnknown,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
  zeroExtend,
} from "./scalar.ts";
import { below, less, SIGN } from "./words.ts";

const MAX32 = 0x7fff_ffff;

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
