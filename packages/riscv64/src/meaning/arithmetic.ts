// Sums, comparisons, logic and products: RISC-V Unprivileged ISA manual, chapters RV32I, RV64I, M (multiplication), Zba and Zbb.
import type { Ops, Size } from "@bpfkit/core";
import type { Binary, Meaning } from "./operands.ts";

const ONES = 0xffff_ffff_ffff_ffffn;

export const add: Binary = (m, a, b) => m.add(a, b);
export const sub: Binary = (m, a, b) => m.sub(a, b);
export const and: Binary = (m, a, b) => m.and(a, b);
export const or: Binary = (m, a, b) => m.or(a, b);
export const xor: Binary = (m, a, b) => m.xor(a, b);
export const mul: Binary = (m, a, b) => m.mul(a, b);
export const slt: Binary = (m, a, b) => m.slt(a, b);
export const sltu: Binary = (m, a, b) => m.ult(a, b);

export const andn: Binary = (m, a, b) => m.and(a, m.xor(b, m.constant(ONES)));
export const orn: Binary = (m, a, b) => m.or(a, m.xor(b, m.constant(ONES)));
export const xnor: Binary = (m, a, b) => m.xor(m.xor(a, b), m.constant(ONES));
export const max: Binary = (m, a, b) => m.select(m.slt(a, b), b, a);
export const maxu: Binary = (m, a, b) => m.select(m.ult(a, b), b, a);
export const min: Binary = (m, a, b) => m.select(m.slt(a, b), a, b);
export const minu: Binary = (m, a, b) => m.select(m.ult(a, b), a, b);

/** b where a is negative, else 0. */
function ifNegative<V>(m: Ops<V>, a: V, b: V): V {
  return m.and(m.sar(a, m.constant(63n)), b);
}

export const mulhu: Binary = (m, a, b) => m.mulhu(a, b);
export const mulhsu: Binary = (m, a, b) => m.sub(m.mulhu(a, b), ifNegative(m, a, b));
export const mulh: Binary = (m, a, b) => m.sub(mulhsu(m, a, b), ifNegative(m, b, a));

/** rs2 + rs1 shifted left by `count`, rs1 cut to its lower half where `size` is 4. */
export function shiftAdd(count: bigint, size: Size): Binary {
  return (m, a, b) => {
    const index = m.zext(size, a);
    return m.add(b, count === 0n ? index : m.shl(index, m.constant(count)));
  };
}

export const lui: Meaning = (m, { rd, imm }) => m.set(rd, m.constant(imm));
export const auipc: Meaning = (m, { rd, target }) => m.set(rd, m.constant(target));
