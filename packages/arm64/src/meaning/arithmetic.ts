// Meanings of arithmetic and logic: Arm ARM (DDI 0487) section C6.2, ADD to UMULH.
import type { Ops } from "@bpfkit/core";
import { ALL_FLAGS, addFlags, condition, immediateFlags, logicFlags, subFlags } from "./flags.ts";
import { cut, type Meaning, not, read, type Source, type Width, write } from "./operands.ts";

/** An operation with the flags it leaves; all values zero-extended from `size`. */
export interface Binary {
  readonly value: <V>(m: Ops<V>, a: V, b: V) => V;
  readonly flags: <V>(m: Ops<V>, size: Width, a: V, b: V, result: V) => (reg: number) => V;
}

export const ADD: Binary = { value: (m, a, b) => m.add(a, b), flags: addFlags };
export const SUB: Binary = { value: (m, a, b) => m.sub(a, b), flags: subFlags };
export const AND: Binary = { value: (m, a, b) => m.and(a, b), flags: logicFlags };
export const BIC: Binary = { value: (m, a, b) => m.and(a, not(m, b)), flags: logicFlags };
export const ORR: Binary = { value: (m, a, b) => m.or(a, b), flags: logicFlags };
export const ORN: Binary = { value: (m, a, b) => m.or(a, not(m, b)), flags: logicFlags };
export const EOR: Binary = { value: (m, a, b) => m.xor(a, b), flags: logicFlags };
export const EON: Binary = { value: (m, a, b) => m.xor(a, not(m, b)), flags: logicFlags };

/** `rd = rn op source` */
export const compute =
  ({ value }: Binary, source: Source): Meaning =>
  (m, f) =>
    write(m, f.rd, f.size, value(m, read(m, f.rn, f.size), source(m, f, f.size)));

/** The same, with flags. */
export const computeFlags =
  ({ value, flags }: Binary, source: Source): Meaning =>
  (m, f) => {
    const { size } = f;
    const a = read(m, f.rn, size);
    const b = source(m, f, size);
    const result = cut(m, size, value(m, a, b));
    m.setLazy(ALL_FLAGS, flags(m, size, a, b, result));
    write(m, f.rd, size, result);
  };

/** Flags of `rn op source` where the condition holds, else those the instruction names. */
export const compareIf =
  ({ value, flags }: Binary, source: Source): Meaning =>
  (m, f) => {
    const { size } = f;
    const a = read(m, f.rn, size);
    const b = source(m, f, size);
    const compared = flags(m, size, a, b, cut(m, size, value(m, a, b)));
    const otherwise = immediateFlags(m, f.nzcv);
    const holds = condition(m, f.cond);
    m.setLazy(ALL_FLAGS, (reg) => m.select(holds, compared(reg), otherwise(reg)));
  };

/** `rd = ra ± rn * rm` */
export const multiplyAdd =
  (op: "add" | "sub"): Meaning =>
  (m, f) => {
    const product = m.mul(read(m, f.rn, f.size), read(m, f.rm, f.size));
    write(m, f.rd, f.size, m[op](read(m, f.ra, f.size), product));
  };

/** `xd = xa + wn * wm` */
export const multiplyAddLong =
  (extension: "zext" | "sext"): Meaning =>
  (m, f) => {
    const factor = (reg: number) => m[extension](4, read(m, reg, 8));
    write(m, f.rd, 8, m.add(read(m, f.ra, 8), m.mul(factor(f.rn), factor(f.rm))));
  };

export const multiplyHigh: Meaning = (m, f) => write(m, f.rd, 8, m.mulhu(read(m, f.rn, 8), read(m, f.rm, 8)));

export const multiplyHighSigned: Meaning = (m, f) => {
  const zero = m.constant(0n);
  const [a, b] = [read(m, f.rn, 8), read(m, f.rm, 8)] as const;
  const lessB = m.sub(m.mulhu(a, b), m.select(m.slt(a, zero), b, zero));
  write(m, f.rd, 8, m.sub(lessB, m.select(m.slt(b, zero), a, zero)));
};

/** A division by 0 gives 0; the least number divided by −1 is itself. */
export const divide =
  (op: "udiv" | "sdiv"): Meaning =>
  (m, f) => {
    const { size } = f;
    const [a, b] = [read(m, f.rn, size), read(m, f.rm, size)] as const;
    const quotient = op === "udiv" ? m.udiv(a, b) : m.sdiv(m.sext(size, a), m.sext(size, b));
    write(m, f.rd, size, m.select(m.eq(b, m.constant(0n)), m.constant(0n), quotient));
  };
