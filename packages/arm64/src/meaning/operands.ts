// What meanings are made of: the fields of an instruction and ways to read and write its registers.
import type { Ops } from "@bpfkit/core";
import { ZR } from "../regs.ts";

/** What a meaning knows about its instruction: everything that decoding tells, with constants of 64 bits. */
export interface Fields {
  /** Register numbers; 31 is sp, and `ZR` stands for the zero register and for no register at all. */
  readonly rd: number;
  readonly rn: number;
  readonly rm: number;
  readonly ra: number;
  readonly rt: number;
  readonly rt2: number;
  readonly rs: number;
  /** Bytes that `sf` chooses. */
  readonly size: 4 | 8;
  /** The immediate as the instruction means it: shifted, scaled, a bitmask, or the address it stands for. */
  readonly imm: bigint;
  /** Kind of shift, or extension as in the field `option`. */
  readonly kind: number;
  /** Bits of a shift. */
  readonly amount: number;
  /** Fields of a bitfield move; of a test, the bit. */
  readonly immr: number;
  readonly imms: number;
  readonly cond: number;
  readonly nzcv: number;
  /** Address of the instruction behind this one. */
  readonly next: bigint;
}

/** What an instruction does, in any reading. */
export type Meaning = <V>(m: Ops<V>, f: Fields) => void;

/** Bytes of what most instructions work on. */
export type Width = 4 | 8;

/** Gives an operand, zero-extended from `size`. */
export type Source = <V>(m: Ops<V>, f: Fields, size: Width) => V;

export const ONES = 0xffff_ffff_ffff_ffffn;

export function read<V>(m: Ops<V>, reg: number, size: Width): V {
  if (reg === ZR) return m.constant(0n);
  return size === 4 ? m.zext(4, m.get(reg)) : m.get(reg);
}

/** A write of 32 bits clears the upper half. */
export function write<V>(m: Ops<V>, reg: number, size: Width, value: V): void {
  if (reg !== ZR) m.set(reg, size === 4 ? m.zext(4, value) : value);
}

export const imm: Source = (m, f) => m.constant(f.imm);
export const rm: Source = (m, f, size) => read(m, f.rm, size);

/** The register, shifted by a constant. */
export const shifted: Source = (m, f, size) => {
  const value = read(m, f.rm, size);
  return f.amount === 0 ? value : shiftBy(m, f.kind, size, value, m.constant(BigInt(f.amount)));
};

/** The register, extended from the bytes that the option names, then shifted left. */
export const extended: Source = (m, f, size) => {
  const value = extend(m, f.kind, read(m, f.rm, 8));
  const moved = f.amount === 0 ? value : m.shl(value, m.constant(BigInt(f.amount)));
  return size === 4 ? m.zext(4, moved) : moved;
};

const EXTENDED = [1, 2, 4, 8] as const;

/** Arm ARM, ExtendReg: bit 2 of the option is the sign, the rest the size. */
export function extend<V>(m: Ops<V>, option: number, value: V): V {
  const size = EXTENDED[option & 3]!;
  return option < 4 ? m.zext(size, value) : m.sext(size, value);
}

/** Shifts left, right, arithmetically right or around, by a count that is taken modulo the width. */
export function shiftBy<V>(m: Ops<V>, kind: number, size: Width, value: V, count: V): V {
  const by = size === 4 ? m.and(count, m.constant(31n)) : count;
  switch (kind) {
    case 0:
      return cut(m, size, m.shl(value, by));
    case 1:
      return m.shr(value, by);
    case 2:
      return cut(m, size, m.sar(m.sext(size, value), by));
    default:
      return rotateRight(m, size, value, by);
  }
}

function rotateRight<V>(m: Ops<V>, size: Width, value: V, by: V): V {
  if (size === 4) return m.zext(4, m.shr(m.or(value, m.shl(value, m.constant(32n))), by));
  return m.or(m.shr(value, by), m.shl(value, m.sub(m.constant(64n), by)));
}

export function cut<V>(m: Ops<V>, size: Width, value: V): V {
  return size === 4 ? m.zext(4, value) : value;
}

export function not<V>(m: Ops<V>, value: V): V {
  return m.xor(value, m.constant(ONES));
}
