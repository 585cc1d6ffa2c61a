// What meanings are made of: the fields of an instruction and ways to combine them.
import type { Ops } from "@bpfkit/core";

/** What a meaning knows about its instruction. Registers are numbers, x0 as a destination is the sink; other fields are 64-bit constants. */
export interface Fields {
  readonly rd: number;
  readonly rs1: number;
  readonly rs2: number;
  /** Immediate or count of a shift. */
  readonly imm: bigint;
  /** `pc` plus immediate: where a branch leads. */
  readonly target: bigint;
  /** Address of the instruction behind this one. */
  readonly next: bigint;
  /** What a fence orders: bits of input, output, read, write, the highest first. */
  readonly pred: number;
  readonly succ: number;
}

/** What an instruction does, in any reading. */
export type Meaning = <V>(m: Ops<V>, f: Fields) => void;

/** A function of two values. */
export type Binary = <V>(m: Ops<V>, a: V, b: V) => V;

/** rd = operation(rs1, rs2) */
export function reg(operation: Binary): Meaning {
  return (m, { rd, rs1, rs2 }) => m.set(rd, operation(m, m.get(rs1), m.get(rs2)));
}

/** rd = operation(rs1, immediate) */
export function imm(operation: Binary): Meaning {
  return (m, { rd, rs1, imm }) => m.set(rd, operation(m, m.get(rs1), m.constant(imm)));
}

/** rd = operation(rs1) */
export function unary(operation: <V>(m: Ops<V>, a: V) => V): Meaning {
  return (m, { rd, rs1 }) => m.set(rd, operation(m, m.get(rs1)));
}

/** The operation on the lower halves, the result's sign extended. */
export function word(operation: Binary): Binary {
  return (m, a, b) => m.sext(4, operation(m, a, b));
}

/** rs1 + immediate */
export function address<V>(m: Ops<V>, { rs1, imm }: Fields): V {
  return imm === 0n ? m.get(rs1) : m.add(m.get(rs1), m.constant(imm));
}
