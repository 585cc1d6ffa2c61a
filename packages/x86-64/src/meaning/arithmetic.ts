// Meanings of arithmetic and logic: Intel SDM volume 2, ADD to XOR, and the multiplications and divisions.
import type { Ops, Size } from "@bpfkit/core";
import { divide128, divideSigned128 } from "./divide.ts";
import { addFlags, divFlags, logicFlags, mulFlags, not, subFlags } from "./flags.ts";
import { type Fields, type Meaning, RAX, RDX, rax, rm, type Source, updateRm, type Width } from "./operands.ts";

/** An operation with the flags it leaves; all values zero-extended from `size`. */
export interface Binary {
  readonly value: <V>(m: Ops<V>, a: V, b: V) => V;
  readonly flags: <V>(m: Ops<V>, size: Size, a: V, b: V, result: V) => void;
}

export const ADD: Binary = { value: (m, a, b) => m.add(a, b), flags: addFlags };
export const SUB: Binary = { value: (m, a, b) => m.sub(a, b), flags: subFlags };
export const AND: Binary = { value: (m, a, b) => m.and(a, b), flags: logicFlags };
export const OR: Binary = { value: (m, a, b) => m.or(a, b), flags: logicFlags };
export const XOR: Binary = { value: (m, a, b) => m.xor(a, b), flags: logicFlags };

/** `rm = rm op source` */
export const toRm =
  ({ value, flags }: Binary, size: Size, source: Source): Meaning =>
  (m, f) => {
    const b = source(m, f, size);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, value(m, a, b)),
      (a, result) => flags(m, size, a, b, result),
    );
  };

/** `register = register op source`, the register being one of the row's or rax. */
const toRegister =
  (number: (f: Fields) => number) =>
  ({ value, flags }: Binary, size: Width, source: Source): Meaning =>
  (m, f) => {
    const a = m.zext(size, m.get(number(f)));
    const b = source(m, f, size);
    const result = m.zext(size, value(m, a, b));
    flags(m, size, a, b, result);
    m.set(number(f), result);
  };

export const toReg: (op: Binary, size: Width, source: Source) => Meaning = toRegister((f) => f.reg);
export const toRax: (op: Binary, size: Width, source: Source) => Meaning = toRegister(() => RAX);

/** Flags of `a op b` and nothing else. */
export const compare =
  ({ value, flags }: Binary, size: Size, left: Source, right: Source): Meaning =>
  (m, f) => {
    const a = left(m, f, size);
    const b = right(m, f, size);
    flags(m, size, a, b, m.zext(size, value(m, a, b)));
  };

export const neg =
  (size: Width): Meaning =>
  (m, f) => {
    const zero = m.constant(0n);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, m.sub(zero, a)),
      (a, result) => subFlags(m, size, zero, a, result),
    );
  };

export const complement =
  (size: Width): Meaning =>
  (m, f) =>
    updateRm(m, f, size, (a) => m.zext(size, m.xor(a, m.constant(0xffff_ffff_ffff_ffffn))));

/** Low and high half of a product, and whether the high half is more than the low one's extension. */
function multiply<V>(
  m: Ops<V>,
  size: Width,
  signed: boolean,
  a: V,
  b: V,
): { readonly low: V; readonly high: V; readonly overflow: V } {
  const zero = m.constant(0n);
  if (size === 4) {
    const product = signed ? m.mul(m.sext(4, a), m.sext(4, b)) : m.mul(a, b);
    const low = m.zext(4, product);
    return {
      low,
      high: m.shr(product, m.constant(32n)),
      overflow: not(m, m.eq(product, signed ? m.sext(4, low) : low)),
    };
  }
  const low = m.mul(a, b);
  const unsignedHigh = m.mulhu(a, b);
  if (!signed) return { low, high: unsignedHigh, overflow: not(m, m.eq(unsignedHigh, zero)) };
  const lessB = m.sub(unsignedHigh, m.select(m.slt(a, zero), b, zero));
  const high = m.sub(lessB, m.select(m.slt(b, zero), a, zero));
  return { low, high, overflow: not(m, m.eq(high, m.sar(low, m.constant(63n)))) };
}

/** `rdx:rax = rax * rm` */
export const mulWide =
  (size: Width, signed: boolean): Meaning =>
  (m, f) => {
    const { low, high, overflow } = multiply(m, size, signed, rax(m, f, size), rm(m, f, size));
    mulFlags(m, size, low, overflow);
    m.set(RAX, low);
    m.set(RDX, high);
  };

/** `reg = left * right`, signed. */
export const imul =
  (size: Width, left: Source, right: Source): Meaning =>
  (m, f) => {
    const { low, overflow } = multiply(m, size, true, left(m, f, size), right(m, f, size));
    mulFlags(m, size, low, overflow);
    m.set(f.reg, low);
  };

/** `rax = rdx:rax / rm`, `rdx` the remainder; a trap where the quotient does not fit. */
export const div =
  (size: Width): Meaning =>
  (m, f) => {
    const divisor = rm(m, f, size);
    const high = m.zext(size, m.get(RDX));
    const low = rax(m, f, size);
    m.trapIf(not(m, m.ult(high, divisor)), "divide");
    if (size === 8) {
      const { quotient, remainder } = divide128(m, high, low, divisor);
      setQuotient(m, size, quotient, remainder);
    } else {
      const dividend = m.or(m.shl(high, m.constant(32n)), low);
      setQuotient(m, size, m.udiv(dividend, divisor), m.urem(dividend, divisor));
    }
  };

export const idiv =
  (size: Width): Meaning =>
  (m, f) => {
    const divisor = rm(m, f, size);
    if (size === 8) {
      const { quotient, remainder, overflows } = divideSigned128(m, m.get(RDX), m.get(RAX), divisor);
      m.trapIf(overflows, "divide");
      setQuotient(m, size, quotient, remainder);
    } else {
      const dividend = m.or(m.shl(m.get(RDX), m.constant(32n)), rax(m, f, 4));
      const by = m.sext(4, divisor);
      const quotient = m.sdiv(dividend, by);
      m.trapIf(m.or(m.eq(by, m.constant(0n)), not(m, m.eq(quotient, m.sext(4, quotient)))), "divide");
      setQuotient(m, size, quotient, m.srem(dividend, by));
    }
  };

function setQuotient<V>(m: Ops<V>, size: Width, quotient: V, remainder: V): void {
  const value = m.zext(size, quotient);
  divFlags(m, size, value);
  m.set(RAX, value);
  m.set(RDX, m.zext(size, remainder));
}

/** `rdx` = all copies of the sign of `rax`. */
export const signToRdx =
  (size: Width): Meaning =>
  (m) =>
    m.set(RDX, m.zext(size, m.sar(m.sext(size, m.get(RAX)), m.constant(63n))));
