// What every arithmetic instruction does to what is known of its operands: one row per operation, for 64 and for 32 bits.

import { divide, divide32 } from "./divide.ts";
import { addBits, andBits, multiplyBits, orBits, subtractBits, xorBits } from "./known-bits.ts";
import {
  copyScalar,
  isConstant,
  isConstant32,
  MASK,
  SCALAR_WORDS,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setUnbounded,
  setUnbounded32,
  setUnbounded64,
  setUnknown,
  sync,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
  zeroExtend,
} from "./scalar.ts";
import {
  less,
  multiplyOverflows,
  multiplyOverflowsSigned,
  out,
  SIGN,
  shiftLeft,
  shiftRight,
  shiftRightSigned,
} from "./words.ts";

/** The scalar at `d` becomes the result of the operation on it and the one at `s`; `s` may change. */
export type Transfer = (r: Int32Array, d: number, s: number) => void;

/** Names of the operations, as the rows of the instruction table begin. */
export type AluOperation =
  | "add" | "sub" | "mul" | "or" | "and" | "xor" | "lsh" | "rsh" | "arsh" | "neg" | "div" | "sdiv" | "mod" | "smod"; // biome-ignore format: one line

/** Both widths of an operation. */
export interface AluTransfer {
  readonly wide: Transfer;
  readonly narrow: Transfer;
}

const MAX32 = 0x7fff_ffff;

/** Columns `lo` of d and s added as numbers, with or without overflow: both ends or none, else the range is full. */
function addRanges(r: Int32Array, d: number, s: number): void {
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

function addRanges32(r: Int32Array, d: number, s: number): void {
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

function subtractRanges(r: Int32Array, d: number, s: number): void {
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

function subtractRanges32(r: Int32Array, d: number, s: number): void {
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

function multiplyRanges(r: Int32Array, d: number, s: number): void {
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

function multiplyRanges32(r: Int32Array, d: number, s: number): void {
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
function bitwise(r: Int32Array, d: number, s: number, operation: "and" | "or" | "xor"): void {
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

/** Both operands lose their upper halves first: the 64-bit columns then follow from the lower ones. */
function narrowed(operation: Transfer): Transfer {
  return (r, d, s) => {
    operation(r, d, s);
    zeroExtend(r, d);
    sync(r, d);
  };
}

const add: Transfer = (r, d, s) => {
  addRanges32(r, d, s);
  addBits(r, d, s);
};
const sub: Transfer = (r, d, s) => {
  subtractRanges32(r, d, s);
  subtractBits(r, d, s);
};
const mul: Transfer = (r, d, s) => {
  multiplyRanges32(r, d, s);
  multiplyBits(r, d, s);
};
const and: Transfer = (r, d, s) => {
  andBits(r, d, s);
  bitwise(r, d, s, "and");
};
const or: Transfer = (r, d, s) => {
  orBits(r, d, s);
  bitwise(r, d, s, "or");
};
const xor: Transfer = (r, d, s) => {
  xorBits(r, d, s);
  bitwise(r, d, s, "xor");
};

const widened =
  (operation: Transfer, ranges: Transfer = () => {}): Transfer =>
  (r, d, s) => {
    ranges(r, d, s);
    operation(r, d, s);
    sync(r, d);
  };

/** A shift by a number that is not exactly known, or not below the width, can give anything. */
function shift(width: 32 | 64, operation: (r: Int32Array, d: number, count: number) => void): Transfer {
  return (r, d, s) => {
    const known = width === 64 ? isConstant(r, s) && r[s + 1] === 0 : isConstant32(r, s);
    const count = r[s]! >>> 0;
    if (!known || count >= width) {
      setUnknown(r, d);
      return;
    }
    operation(r, d, count);
    if (width === 32) zeroExtend(r, d);
    sync(r, d);
  };
}

const lsh = (r: Int32Array, d: number, count: number): void => {
  const bits = count === 0 ? 0 : highestBits(r[d + UMAX]!, r[d + UMAX + 1]!, count);
  shiftLeft(r[d + UMIN]!, r[d + UMIN + 1]!, count);
  const minLow = out[0]!;
  const minHigh = out[1]!;
  shiftLeft(r[d + UMAX]!, r[d + UMAX + 1]!, count);
  const maxLow = out[0]!;
  const maxHigh = out[1]!;
  // Signed ends stay ends as long as shifting them back gives them again.
  shiftLeft(r[d + SMIN]!, r[d + SMIN + 1]!, count);
  const sminLow = out[0]!;
  const sminHigh = out[1]!;
  shiftRightSigned(sminLow, sminHigh, count);
  const keepsMin = out[0] === r[d + SMIN] && out[1] === r[d + SMIN + 1];
  shiftLeft(r[d + SMAX]!, r[d + SMAX + 1]!, count);
  const smaxLow = out[0]!;
  const smaxHigh = out[1]!;
  shiftRightSigned(smaxLow, smaxHigh, count);
  const keeps = keepsMin && out[0] === r[d + SMAX] && out[1] === r[d + SMAX + 1];
  lshRanges32(r, d, count);
  setUnbounded64(r, d);
  if (bits === 0) {
    r[d + UMIN] = minLow;
    r[d + UMIN + 1] = minHigh;
    r[d + UMAX] = maxLow;
    r[d + UMAX + 1] = maxHigh;
  }
  if (keeps) {
    r[d + SMIN] = sminLow;
    r[d + SMIN + 1] = sminHigh;
    r[d + SMAX] = smaxLow;
    r[d + SMAX + 1] = smaxHigh;
  }
  shiftBits(r, d, count, shiftLeft);
};

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

const rsh = (r: Int32Array, d: number, count: number): void => {
  shiftEnd(r, d + UMIN, count, shiftRight);
  shiftEnd(r, d + UMAX, count, shiftRight);
  r[d + SMIN] = 0;
  r[d + SMIN + 1] = SIGN;
  r[d + SMAX] = -1;
  r[d + SMAX + 1] = MAX32;
  setUnbounded32(r, d);
  shiftBits(r, d, count, shiftRight);
};

const arsh = (r: Int32Array, d: number, count: number): void => {
  shiftEnd(r, d + SMIN, count, shiftRightSigned);
  shiftEnd(r, d + SMAX, count, shiftRightSigned);
  r[d + UMIN] = 0;
  r[d + UMIN + 1] = 0;
  r[d + UMAX] = -1;
  r[d + UMAX + 1] = -1;
  setUnbounded32(r, d);
  shiftBits(r, d, count, shiftRightSigned);
};

const lsh32 = (r: Int32Array, d: number, count: number): void => {
  lshRanges32(r, d, count);
  r[d] = r[d]! << count;
  r[d + MASK] = r[d + MASK]! << count;
};
const rsh32 = (r: Int32Array, d: number, count: number): void => {
  const min = r[d + UMIN32]! >>> count;
  const max = r[d + UMAX32]! >>> count;
  setUnbounded32(r, d);
  r[d + UMIN32] = min;
  r[d + UMAX32] = max;
  r[d] = r[d]! >>> count;
  r[d + MASK] = r[d + MASK]! >>> count;
};
const arsh32 = (r: Int32Array, d: number, count: number): void => {
  const min = r[d + SMIN32]! >> count;
  const max = r[d + SMAX32]! >> count;
  setUnbounded32(r, d);
  r[d + SMIN32] = min;
  r[d + SMAX32] = max;
  r[d] = r[d]! >> count;
  r[d + MASK] = r[d + MASK]! >> count;
};

const operand = new Int32Array(SCALAR_WORDS);

/** 0 − d. */
function negated(operation: Transfer): Transfer {
  return (r, d, s) => {
    copyScalar(operand, 0, r, d);
    for (let i = 0; i < SCALAR_WORDS; i++) r[d + i] = 0;
    copyScalar(r, s, operand, 0);
    operation(r, d, s);
  };
}

const subtract64 = widened(sub, subtractRanges);
const subtract32 = narrowed(sub);

/** All rows. `neg` needs the place at `s` to work in. Tests replace single entries to plant a mistake. */
// biome-ignore format: one row per operation
export const ALU: Readonly<Record<AluOperation, AluTransfer>> = {
  add:  { wide: widened(add, addRanges),           narrow: narrowed(add) },
  sub:  { wide: subtract64,                        narrow: subtract32 },
  mul:  { wide: widened(mul, multiplyRanges),      narrow: narrowed(mul) },
  and:  { wide: widened(and),                      narrow: narrowed(and) },
  or:   { wide: widened(or),                       narrow: narrowed(or) },
  xor:  { wide: widened(xor),                      narrow: narrowed(xor) },
  lsh:  { wide: shift(64, lsh),                    narrow: shift(32, lsh32) },
  rsh:  { wide: shift(64, rsh),                    narrow: shift(32, rsh32) },
  arsh: { wide: shift(64, arsh),                   narrow: shift(32, arsh32) },
  neg:  { wide: negated(subtract64),               narrow: negated(subtract32) },
  div:  { wide: divide("div"),                     narrow: divide32("div") },
  sdiv: { wide: divide("sdiv"),                    narrow: divide32("sdiv") },
  mod:  { wide: divide("mod"),                     narrow: divide32("mod") },
  smod: { wide: divide("smod"),                    narrow: divide32("smod") },
};

/** Clears columns that an unknown result has; for kernels that do not follow an operation. */
export function forget(r: Int32Array, d: number): void {
  setUnknown(r, d);
  setUnbounded(r, d);
}
