// Quotients and remainders: RISC-V Unprivileged ISA manual, chapter M, "Division Operations". Nothing traps.
import type { Binary } from "./operands.ts";

export const div: Binary = (m, a, b) => m.sdiv(a, b);
export const divu: Binary = (m, a, b) => m.udiv(a, b);
export const rem: Binary = (m, a, b) => m.srem(a, b);
export const remu: Binary = (m, a, b) => m.urem(a, b);

export const divw: Binary = (m, a, b) => m.sext(4, m.sdiv(m.sext(4, a), m.sext(4, b)));
export const divuw: Binary = (m, a, b) => m.sext(4, m.udiv(m.zext(4, a), m.zext(4, b)));
export const remw: Binary = (m, a, b) => m.sext(4, m.srem(m.sext(4, a), m.sext(4, b)));
export const remuw: Binary = (m, a, b) => m.sext(4, m.urem(m.zext(4, a), m.zext(4, b)));
