// Meanings of shifts, rotations and byte swaps: Intel SDM volume 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, their BMI2 forms, BSWAP.
import type { Ops, Size } from "@bpfkit/core";
import { bitAt, type Count, rotateFlags, shiftFlags, topBit } from "./flags.ts";
import { type Fields, type Meaning, RCX, rm, updateRm, vvvv, type Width } from "./operands.ts";

/** Where a shift finds its count, cut by the mask for its width. */
export type CountOf = <V>(m: Ops<V>, f: Fields, mask: bigint) => Count<V>;

export const by1: CountOf = () => ({ known: 1n });
export const byImm: CountOf = (_m, f, mask) => ({ known: f.imm & mask });
export const byCl: CountOf = (m, _f, mask) => {
  const value = m.and(m.get(RCX), m.constant(mask));
  return { value, isZero: m.eq(value, m.constant(0n)) };
};

const countMask = (size: Size): bigint => (size === 8 ? 63n : 31n);
const amountOf = <V>(m: Ops<V>, count: Count<V>): V => ("known" in count ? m.constant(count.known) : count.value);

export const shl =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, m.shl(a, amount)),
      (a, result) => {
        const carry = () => m.and(m.shr(a, m.sub(m.constant(BigInt(8 * size)), amount)), m.constant(1n));
        shiftFlags(m, size, count, result, carry, () => m.xor(topBit(m, size, result), carry()));
      },
    );
  };

export const shr =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    updateRm(
      m,
      f,
      size,
      (a) => m.shr(a, amount),
      (a, result) => {
        const carry = () => m.and(m.shr(a, m.sub(amount, m.constant(1n))), m.constant(1n));
        shiftFlags(m, size, count, result, carry, () => topBit(m, size, a));
      },
    );
  };

export const sar =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, m.sar(m.sext(size, a), amount)),
      (a, result) => {
        const carry = () => m.and(m.sar(m.sext(size, a), m.sub(amount, m.constant(1n))), m.constant(1n));
        shiftFlags(m, size, count, result, carry, () => m.constant(0n));
      },
    );
  };

function rotatedLeft<V>(m: Ops<V>, size: Size, a: V, amount: V): V {
  const width = m.constant(BigInt(8 * size));
  const within = m.urem(amount, width);
  return m.zext(size, m.or(m.shl(a, within), m.shr(a, m.sub(width, within))));
}

export const rol =
  (size: Exclude<Size, 1>, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    updateRm(
      m,
      f,
      size,
      (a) => rotatedLeft(m, size, a, amountOf(m, count)),
      (_a, result) => {
        const carry = () => bitAt(m, result, 0);
        rotateFlags(m, count, carry, () => m.xor(topBit(m, size, result), carry()));
      },
    );
  };

function rotatedRight<V>(m: Ops<V>, size: Size, a: V, amount: V): V {
  return rotatedLeft(m, size, a, m.sub(m.constant(BigInt(8 * size)), m.urem(amount, m.constant(BigInt(8 * size)))));
}

export const ror =
  (size: Exclude<Size, 1>, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    updateRm(
      m,
      f,
      size,
      (a) => rotatedRight(m, size, a, amountOf(m, count)),
      (_a, result) => {
        const carry = () => topBit(m, size, result);
        rotateFlags(m, count, carry, () => m.xor(carry(), bitAt(m, result, 8 * size - 2)));
      },
    );
  };

/** The shifts that take any register as count and touch no flags. */
export const shiftX =
  (op: "shl" | "shr" | "sar", size: Width): Meaning =>
  (m, f) => {
    const a = rm(m, f, size);
    const count = m.and(vvvv(m, f, size), m.constant(countMask(size)));
    m.set(f.reg, m.zext(size, m[op](op === "sar" ? m.sext(size, a) : a, count)));
  };

export const rorX =
  (size: Width): Meaning =>
  (m, f) =>
    m.set(f.reg, rotatedRight(m, size, rm(m, f, size), m.constant(f.imm & countMask(size))));

export const bswap =
  (size: Width): Meaning =>
  (m, f) => {
    let value = m.get(f.reg);
    for (const [bits, mask] of [
      [8n, 0x00ff_00ff_00ff_00ffn],
      [16n, 0x0000_ffff_0000_ffffn],
      [32n, 0xffff_ffffn],
    ] as const) {
      const low = m.and(value, m.constant(mask));
      const high = m.and(m.shr(value, m.constant(bits)), m.constant(mask));
      value = m.or(m.shl(low, m.constant(bits)), high);
    }
    m.set(f.reg, size === 8 ? value : m.shr(value, m.constant(32n)));
  };
