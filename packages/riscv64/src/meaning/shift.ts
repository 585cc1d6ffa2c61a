// Shifts, rotations, extensions and byte reversal: RISC-V Unprivileged ISA manual, chapters RV32I, RV64I and Zbb.
import type { Ops } from "@bpfkit/core";
import type { Binary } from "./operands.ts";

/** Counts of word shifts are taken modulo 32. */
function wordCount<V>(m: Ops<V>, count: V): V {
  return m.and(count, m.constant(31n));
}

export const sll: Binary = (m, a, b) => m.shl(a, b);
export const srl: Binary = (m, a, b) => m.shr(a, b);
export const sra: Binary = (m, a, b) => m.sar(a, b);

export const sllw: Binary = (m, a, b) => m.sext(4, m.shl(a, wordCount(m, b)));
export const srlw: Binary = (m, a, b) => m.sext(4, m.shr(m.zext(4, a), wordCount(m, b)));
export const sraw: Binary = (m, a, b) => m.sar(m.sext(4, a), wordCount(m, b));
export const slliUw: Binary = (m, a, b) => m.shl(m.zext(4, a), b);

export const rol: Binary = (m, a, b) => m.or(m.shl(a, b), m.shr(a, m.sub(m.constant(0n), b)));
export const ror: Binary = (m, a, b) => m.or(m.shr(a, b), m.shl(a, m.sub(m.constant(0n), b)));

export const rorw: Binary = (m, a, b) => {
  const count = wordCount(m, b);
  const low = m.zext(4, a);
  return m.sext(4, m.or(m.shr(low, count), m.shl(low, m.sub(m.constant(32n), count))));
};
export const rolw: Binary = (m, a, b) => rorw(m, a, m.sub(m.constant(0n), b));

export const sextB = <V>(m: Ops<V>, a: V): V => m.sext(1, a);
export const sextH = <V>(m: Ops<V>, a: V): V => m.sext(2, a);
export const zextH = <V>(m: Ops<V>, a: V): V => m.zext(2, a);

/** Swaps neighbouring bytes, then neighbouring pairs of them, then halves. */
export function rev8<V>(m: Ops<V>, a: V): V {
  const swap = (value: V, count: bigint, low: bigint): V => {
    const by = m.constant(count);
    const mask = m.constant(low);
    return m.or(m.shl(m.and(value, mask), by), m.and(m.shr(value, by), mask));
  };
  return swap(swap(swap(a, 8n, 0x00ff_00ff_00ff_00ffn), 16n, 0x0000_ffff_0000_ffffn), 32n, 0xffff_ffffn);
}
