// The checked door to the table; bytes in the order in which the Intel SDM draws them, volume 2, section 2.1.
import { BpfError } from "@bpfkit/core";
import type { FixedOperand, Op, OperandNames } from "./insns.ts";
import { type Reg, regNumber } from "./regs.ts";
import { type Operand, type Row, rowOf } from "./row.ts";

/** A memory operand: `[base + index * scale + disp]`; without base and index, `[disp]`. */
export interface Mem {
  readonly base?: Reg | "rip";
  /** Not rsp. */
  readonly index?: Exclude<Reg, "rsp">;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly disp?: number;
  /** Bytes of the displacement; unless told one byte where it fits, else four, never none. Rip and no base always take four. */
  readonly dispSize?: 0 | 1 | 4;
}

/** What is given for an operand of that name. */
export type OperandValue<N> = N extends "imm64"
  ? bigint
  : N extends `imm${string}` | `rel${string}`
    ? number
    : N extends `rm${string}`
      ? Reg | Mem
      : N extends "m" | `m${number}`
        ? Mem
        : Reg;

/** The values of a row's operands by their names in the row: `{ rm64: "rax", imm8: 1 }`. */
export type OperandsOf<K extends Op> = {
  readonly [N in Exclude<OperandNames<K>[number], FixedOperand>]: OperandValue<N>;
};

type AnyValue = Reg | Mem | number | bigint;

const LIMITS: Readonly<Record<number, readonly [bigint, bigint]>> = {
  1: [-(1n << 7n), 1n << 8n],
  2: [-(1n << 15n), 1n << 16n],
  4: [-(1n << 31n), 1n << 32n],
  8: [-(1n << 63n), 1n << 64n],
};

/**
 * Encodes one instruction. A 32-bit immediate may be given signed or unsigned, except where the row extends its sign.
 *
 * @throws {BpfError} `argument` names an operand that is missing, unknown or cannot be written; `out-of-range` one that does not fit
 *
 * @example
 * ```ts
 * import { encode } from "@bpfkit/x86-64";
 * encode("add_rm64_imm8", { rm64: { base: "rbp", disp: -8 }, imm8: 1 }); // 48 83 45 f8 01
 * ```
 */
export function encode<K extends Op>(op: K, operands: OperandsOf<K>): Uint8Array {
  const row = rowOf(op);
  if (row === undefined) throw new BpfError("argument", `no instruction ${op} in the x86-64 table`);
  return encodeRow(row, operands as Readonly<Record<string, AnyValue>>);
}

function encodeRow(row: Row, values: Readonly<Record<string, AnyValue>>): Uint8Array {
  const fields = { reg: Math.max(row.digit, 0), rm: undefined as Reg | Mem | undefined, vvvv: 0, imm: 0n };
  let opcode = row.opcode;
  let rexB = 0;
  let needsRex = false;
  for (const operand of row.operands) {
    if (operand.place === "fixed") continue;
    const value = values[operand.name];
    if (value === undefined) throw new BpfError("argument", `${row.op} without a value for ${operand.name}`);
    if (operand.size === 1 && typeof value === "string" && isHighByte(regNumber(value))) needsRex = true;
    switch (operand.place) {
      case "reg":
        fields.reg = registerOf(row, operand, value);
        break;
      case "vvvv":
        fields.vvvv = registerOf(row, operand, value);
        break;
      case "opcode": {
        const number = registerOf(row, operand, value);
        opcode |= number & 7;
        rexB = number >> 3;
        break;
      }
      case "rm":
      case "m":
        fields.rm = operandOf(row, operand, value);
        break;
      default:
        fields.imm = immediateOf(row, operand, value);
    }
  }
  const modrm = fields.rm === undefined ? undefined : drawModrm(row, fields.reg, fields.rm);
  if (modrm !== undefined) rexB = modrm.b;
  const bytes: number[] = [];
  if (row.vex) {
    const pp = [0x66, 0xf3, 0xf2].indexOf(row.prefix) + 1;
    bytes.push(0xc4, ((1 - (fields.reg >> 3)) << 7) | ((1 - (modrm?.x ?? 0)) << 6) | ((1 - rexB) << 5) | row.map);
    bytes.push((row.w << 7) | ((15 - fields.vvvv) << 3) | pp, opcode);
  } else {
    const rex = (row.w << 3) | ((fields.reg >> 3) << 2) | ((modrm?.x ?? 0) << 1) | rexB;
    if (row.prefix !== 0) bytes.push(row.prefix);
    if (rex !== 0 || needsRex) bytes.push(0x40 | rex);
    if (row.map === 1) bytes.push(0x0f);
    bytes.push(opcode);
  }
  if (row.modrm >= 0) bytes.push(row.modrm);
  if (modrm !== undefined) bytes.push(...modrm.bytes);
  bytes.push(...littleEndian(fields.imm, row.immSize));
  return Uint8Array.from(bytes);
}

/** ModRM, SIB and displacement, and the bits that REX or VEX adds to index and base. */
function drawModrm(
  row: Row,
  reg: number,
  rm: Reg | Mem,
): { readonly bytes: readonly number[]; readonly x: number; readonly b: number } {
  const field = (reg & 7) << 3;
  if (typeof rm === "string") {
    const number = regNumber(rm);
    return { bytes: [0xc0 | field | (number & 7)], x: 0, b: number >> 3 };
  }
  const { base, index, scale = 1, disp = 0 } = rm;
  if (!Number.isInteger(disp) || disp < -(2 ** 31) || disp >= 2 ** 31) {
    throw new BpfError("out-of-range", `displacement ${disp} of ${row.op}`, { expected: "a signed 32-bit number" });
  }
  if (base === "rip") {
    if (index !== undefined) throw new BpfError("argument", `${row.op} with rip and an index`);
    return { bytes: [field | 5, ...littleEndian(BigInt(disp), 4)], x: 0, b: 0 };
  }
  const indexNumber = index === undefined ? undefined : regNumber(index);
  if (indexNumber === 4) throw new BpfError("argument", `${row.op} with rsp as index`);
  const log2 = [1, 2, 4, 8].indexOf(scale);
  if (log2 < 0) throw new BpfError("argument", `${row.op} with scale ${scale}`, { expected: "1, 2, 4 or 8" });
  const sib = (baseField: number): number => (log2 << 6) | (((indexNumber ?? 4) & 7) << 3) | baseField;
  const x = (indexNumber ?? 0) >> 3;
  if (base === undefined) return { bytes: [field | 4, sib(5), ...littleEndian(BigInt(disp), 4)], x, b: 0 };
  const baseNumber = regNumber(base);
  const dispSize = dispSizeOf(row, rm, baseNumber);
  const mod = dispSize === 0 ? 0 : dispSize === 1 ? 0x40 : 0x80;
  const needsSib = indexNumber !== undefined || (baseNumber & 7) === 4;
  const head = needsSib ? [mod | field | 4, sib(baseNumber & 7)] : [mod | field | (baseNumber & 7)];
  return { bytes: [...head, ...littleEndian(BigInt(disp), dispSize)], x, b: baseNumber >> 3 };
}

function dispSizeOf(row: Row, { base, disp = 0, dispSize }: Mem, baseNumber: number): 0 | 1 | 4 {
  const isByte = disp >= -128 && disp < 128;
  if (dispSize === undefined) return isByte ? 1 : 4;
  if (dispSize === 0 && (baseNumber & 7) === 5)
    throw new BpfError("argument", `${row.op} with base ${base} and no displacement`);
  if ((dispSize === 0 && disp !== 0) || (dispSize === 1 && !isByte)) {
    throw new BpfError("out-of-range", `displacement ${disp} of ${row.op} in ${dispSize} bytes`);
  }
  return dispSize;
}

function isHighByte(number: number): boolean {
  return number >= 4 && number < 8;
}

function registerOf(row: Row, { name }: Operand, value: AnyValue): number {
  if (typeof value !== "string") throw new BpfError("argument", `${name} of ${row.op}`, { expected: "a register" });
  return regNumber(value);
}

function operandOf(row: Row, { name, place }: Operand, value: AnyValue): Reg | Mem {
  if (typeof value === "object" || (typeof value === "string" && place === "rm")) return value;
  throw new BpfError("argument", `${name} of ${row.op}`, {
    expected: place === "m" ? "a memory operand" : "a register or a memory operand",
  });
}

/** Signed numbers of the field's size; unsigned ones too unless their sign would be extended into something else. */
function immediateOf(row: Row, { name, size }: Operand, value: AnyValue): bigint {
  if (typeof value !== "bigint" && (typeof value !== "number" || !Number.isInteger(value))) {
    throw new BpfError("argument", `${name} of ${row.op}`, { expected: "a whole number" });
  }
  const [low, high] = LIMITS[size]!;
  const top = row.immExtends ? high / 2n : high;
  if (value < low || value >= top) {
    throw new BpfError("out-of-range", `${name} ${value} of ${row.op}`, { expected: `${low}..${top - 1n}` });
  }
  return BigInt(value);
}

function littleEndian(value: bigint, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
