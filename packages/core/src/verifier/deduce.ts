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

/** Deductions of Linux 7.2; without them, those of 6.12. One verification runs at a time, and says it when it begins. */
let sharp = true;

export function deduceSharply(yes: boolean): void {
  sharp = yes;
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
  // A range on both sides of the signed border is one arc of the circle: its signed ends say nothing.
  if (!sharp || !isFullSigned(r, x) || isFullUnsigned(r, x)) {
    raiseSmin(r, x, vl, vh | (mh & SIGN));
    lowerSmax(r, x, vl | ml, vh | (mh & MAX32));
  }
  raiseUmin(r, x, vl, vh);
  lowerUmax(r, x, vl | ml, vh | mh);
}

function isFullSigned(r: Int32Array, x: number): boolean {
  return r[x + SMIN + 1] === SIGN && r[x + SMIN] === 0 && r[x + SMAX + 1] === MAX32 && r[x + SMAX] === -1;
}

function isFullUnsigned(r: Int32Array, x: number): boolean {
  return (r[x + UMIN]! | r[x + UMIN + 1]!) === 0 && (r[x + UMAX]! & r[x + UMAX + 1]!) === -1;
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
  // −k..m as halves is a signed range too where the upper halves are −1 and 0, or any two in a row.
  if (((r[x + SMIN + 1]! + 1) | 0) === r[x + SMAX + 1] && r[x + SMIN]! < 0 && r[x + SMAX]! >= 0) {
    raiseSmin32(r, x, r[x + SMIN]!);
    lowerSmax32(r, x, r[x + SMAX]!);
  }
  if (r[x + UMIN32]! <= r[x + UMAX32]!) {
    raiseSmin32(r, x, r[x + UMIN32]!);
    lowerSmax32(r, x, r[x + UMAX32]!);
  } else if (sharp) {
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
  } else if (sharp && r[x + SMIN + 1]! < 0 && r[x + SMAX + 1]! >= 0) {
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

/** 64-bit ranges from 32-bit ones: their ends are numbers whose lower halves are in range. */
function deduceMixed(r: Int32Array, x: number): void {
  if (!sharp) {
    deduceMixedByHalves(r, x);
    return;
  }
  // Either range of the lower half is one arc of the circle of 32-bit numbers.
  const isSigned = r[x + UMIN32] === 0 && r[x + UMAX32] === -1;
  const first = r[x + (isSigned ? SMIN32 : UMIN32)]!;
  const last = r[x + (isSigned ? SMAX32 : UMAX32)]!;
  if (((last - first) | 0) !== -1) {
    trim(r, x + UMIN, x + UMAX, first, last, -1, 0);
    if (!isFullSigned(r, x)) trim(r, x + SMIN, x + SMAX, first, last, MAX32, SIGN);
  }
  // A number that fits into 32 bits with its sign equals its lower half.
  if (fitsSigned32(r, x)) {
    raiseSmin(r, x, r[x + SMIN32]!, r[x + SMIN32]! >> 31);
    lowerSmax(r, x, r[x + SMAX32]!, r[x + SMAX32]! >> 31);
  }
}

/**
 * Moves both ends of a range inwards, to where the lower half is from `first` to `last` on the circle; `top` and `bottom` are the greatest
 * and the least upper half.
 */
function trim(r: Int32Array, min: number, max: number, first: number, last: number, top: number, bottom: number): void {
  const width = (last - first) >>> 0;
  const low = r[min]!;
  if ((low - first) >>> 0 > width) {
    const carries = low >>> 0 > first >>> 0;
    if (!carries || r[min + 1] !== top) {
      r[min] = first;
      if (carries) r[min + 1]!++;
    }
  }
  const high = r[max]!;
  if ((high - first) >>> 0 > width) {
    const borrows = high >>> 0 < last >>> 0;
    if (!borrows || r[max + 1] !== bottom) {
      r[max] = last;
      if (borrows) r[max + 1]!--;
    }
  }
}

/** The same as Linux 6.12 does it: the lower halves of the ends alone. */
function deduceMixedByHalves(r: Int32Array, x: number): void {
  const low = r[x + UMIN32]!;
  const high = r[x + UMAX32]!;
  raiseUmin(r, x, low, r[x + UMIN + 1]!);
  lowerUmax(r, x, high, r[x + UMAX + 1]!);
  raiseSmin(r, x, low, r[x + SMIN + 1]!);
  lowerSmax(r, x, high, r[x + SMAX + 1]!);
  if (r[x + SMIN32]! >= 0 && fitsSigned32(r, x)) {
    raiseSmin(r, x, r[x + SMIN32]!, 0);
    lowerSmax(r, x, r[x + SMAX32]!, 0);
  }
}

function fitsSigned32(r: Int32Array, x: number): boolean {
  return !less(r[x + SMIN]!, r[x + SMIN + 1]!, SIGN, -1) && !less(MAX32, 0, r[x + SMAX]!, r[x + SMAX + 1]!);
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
  for (let round = sharp ? 3 : 2; round > 0; round--) {
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
