// What every arithmetic instruction does to what is known of its operands: one row per operation, for 64 and for 32 bits.
import { sync } from "./deduce.ts";
import { divide, divide32 } from "./divide.ts";
import { addBits, andBits, multiplyBits, orBits, subtractBits, xorBits } from "./known-bits.ts";
import {
  addRanges,
  addRanges32,
  bitwise,
  multiplyRanges,
  multiplyRanges32,
  subtractRanges,
  subtractRanges32,
} from "./ranges.ts";
import { copyScalar, isConstant, isConstant32, SCALAR_WORDS, setUnbounded, setUnknown, zeroExtend } from "./scalar.ts";
import { arsh, arsh32, lsh, lsh32, rsh, rsh32 } from "./shifts.ts";

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
