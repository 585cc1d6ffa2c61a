// The fast door to the table: one closure per row and form, made once, that writes into a sink; Intel SDM volume 2, chapter 2.
import { type CodeSink, invariant } from "@bpfkit/core";
import type { FixedOperand, Op, OperandNames } from "./insns.ts";
import { type Operand, ROWS, type Row } from "./row.ts";

/**
 * A memory operand without its displacement, packed in one number; a base register's number alone is `[base + disp]`.
 *
 * ```
 *   13 12      11 10      9 .. 5        4 .. 0
 *   disp form  log2 scale index + 1     base, RIP or ABSOLUTE
 * ```
 * Unless the form says otherwise a displacement is always written, in one byte where it fits, else in four, as the kernel does.
 */
export type Address = number;

/** Instead of a base: the address of the next instruction, and nothing. Both take a four-byte displacement. */
export const RIP = 16;
export const ABSOLUTE = 17;

/** Forms of the displacement, added to an address: none (it has to be 0; rbp and r13 as base cannot), one byte, four bytes. */
export const DISP0: number = 1 << 12;
export const DISP8: number = 2 << 12;
export const DISP32: number = 3 << 12;

/** `[base + index * scale]`; the index is not rsp. */
export function indexed(base: number, index: number, scale: 1 | 2 | 4 | 8): Address {
  return base | ((index + 1) << 5) | ((scale === 8 ? 3 : scale >> 1) << 10);
}

type MemoryOnly = "m" | "m8" | "m16" | "m32" | "m64";
type RegisterOrMemory = "rm8" | "rm16" | "rm32" | "rm64";

/** Rows that have a form without memory operand, and rows that have one with. */
export type RegisterOp = { [K in Op]: MemoryOnly & OperandNames<K>[number] extends never ? K : never }[Op];
export type MemoryOp = {
  [K in Op]: (MemoryOnly | RegisterOrMemory) & OperandNames<K>[number] extends never ? never : K;
}[Op];

type Numbers<N extends readonly unknown[], M extends boolean> = N extends [infer Head, ...infer Tail]
  ? Head extends FixedOperand
    ? Numbers<Tail, M>
    : Head extends "imm64"
      ? [low: number, high: number, ...Numbers<Tail, M>]
      : M extends true
        ? Head extends MemoryOnly | RegisterOrMemory
          ? [address: Address, disp: number, ...Numbers<Tail, M>]
          : [number, ...Numbers<Tail, M>]
        : [number, ...Numbers<Tail, M>]
  : [];

/** Emitters by row: the sink, then a number per operand in the order of the row's text. A 64-bit immediate is two, low half first. */
export type Emit = {
  readonly [K in RegisterOp]: (sink: CodeSink, ...operands: Numbers<OperandNames<K>, false>) => void;
};

/** The same for the form with a memory operand, which takes two numbers: {@link Address} and displacement. */
export type EmitMem = {
  readonly [K in MemoryOp]: (sink: CodeSink, ...operands: Numbers<OperandNames<K>, true>) => void;
};

/** No instruction is longer. */
const MAX_LENGTH = 15;

const RSP = 4;
const RBP = 5;

type Write = (sink: CodeSink, reg: number, rm: number, vvvv: number) => void;
type WriteMem = (sink: CodeSink, reg: number, address: Address, disp: number, vvvv: number) => void;
type Closure = (sink: CodeSink, a: number, b: number, c: number, d: number) => void;

/** Prefixes, REX and opcode; leaves `sink.length` behind the opcode. `x` and `b` are the bits that extend index and base or rm. */
function opcodeWriter(
  row: Row,
): (sink: CodeSink, r: number, x: number, b: number, force: number, vvvv: number) => void {
  const { prefix, w, map, opcode } = row;
  if (row.vex) {
    const pp = prefix === 0x66 ? 1 : prefix === 0xf3 ? 2 : 3;
    return (sink, r, x, b, _force, vvvv) => {
      const { bytes, length } = sink;
      bytes[length] = 0xc4;
      bytes[length + 1] = 0xe0 ^ ((r << 7) | (x << 6) | (b << 5)) ^ map;
      bytes[length + 2] = (w << 7) | ((~vvvv & 15) << 3) | pp;
      bytes[length + 3] = opcode;
      sink.length = length + 4;
    };
  }
  const fixed = w === 1 ? 0x48 : 0;
  return (sink, r, x, b, force) => {
    const { bytes } = sink;
    let at = sink.length;
    if (prefix !== 0) bytes[at++] = prefix;
    const bits = fixed | (r << 2) | (x << 1) | b | force;
    if (bits !== 0) bytes[at++] = 0x40 | bits;
    if (map !== 0) bytes[at++] = 0x0f;
    bytes[at++] = opcode;
    sink.length = at;
  };
}

/** 0x40 where a byte operand in `number` needs a REX prefix to mean spl, bpl, sil or dil. */
function byteRex(number: number): number {
  return number >= 4 && number < 8 ? 0x40 : 0;
}

function registerWriter(row: Row): Write {
  const head = opcodeWriter(row);
  const byteReg = row.operands.some(({ place, size }) => place === "reg" && size === 1);
  const byteRm = row.operands.some(({ place, size }) => place === "rm" && size === 1);
  if (byteReg || byteRm) {
    return (sink, reg, rm, vvvv) => {
      head(sink, reg >> 3, 0, rm >> 3, (byteReg ? byteRex(reg) : 0) | (byteRm ? byteRex(rm) : 0), vvvv);
      sink.bytes[sink.length++] = 0xc0 | ((reg & 7) << 3) | (rm & 7);
    };
  }
  return (sink, reg, rm, vvvv) => {
    head(sink, reg >> 3, 0, rm >> 3, 0, vvvv);
    sink.bytes[sink.length++] = 0xc0 | ((reg & 7) << 3) | (rm & 7);
  };
}

function memoryWriter(row: Row): WriteMem {
  const head = opcodeWriter(row);
  const byteReg = row.operands.some(({ place, size }) => place === "reg" && size === 1);
  return (sink, reg, address, disp, vvvv) => {
    const force = byteReg ? byteRex(reg) : 0;
    if (address < 16 && (address & 7) !== RSP) {
      head(sink, reg >> 3, 0, address >> 3, force, vvvv);
      const { bytes } = sink;
      const short = (disp << 24) >> 24 === disp;
      bytes[sink.length++] = (short ? 0x40 : 0x80) | ((reg & 7) << 3) | (address & 7);
      if (short) bytes[sink.length++] = disp;
      else putInt(sink, disp);
    } else {
      putAddress(sink, head, reg, address, disp, force, vvvv);
    }
  };
}

function putAddress(
  sink: CodeSink,
  head: ReturnType<typeof opcodeWriter>,
  reg: number,
  address: Address,
  disp: number,
  force: number,
  vvvv: number,
): void {
  const base = address & 31;
  const index = ((address >> 5) & 31) - 1;
  const form = address & DISP32;
  head(sink, reg >> 3, index < 0 ? 0 : index >> 3, base < 16 ? base >> 3 : 0, force, vvvv);
  const { bytes } = sink;
  const field = (reg & 7) << 3;
  if (base === RIP) {
    bytes[sink.length++] = field | RBP;
    putInt(sink, disp);
    return;
  }
  const none = base === ABSOLUTE;
  const short = none || form === DISP0 ? false : form === DISP8 || (form === 0 && (disp << 24) >> 24 === disp);
  const mod = none || form === DISP0 ? 0 : short ? 0x40 : 0x80;
  if (none || index >= 0 || (base & 7) === RSP) {
    bytes[sink.length++] = mod | field | RSP;
    bytes[sink.length++] =
      (((address >> 10) & 3) << 6) | ((index < 0 ? RSP : index & 7) << 3) | (none ? RBP : base & 7);
  } else {
    bytes[sink.length++] = mod | field | (base & 7);
  }
  if (short) bytes[sink.length++] = disp;
  else if (mod === 0x80 || none) putInt(sink, disp);
}

function putInt(sink: CodeSink, value: number): void {
  const { bytes, length } = sink;
  bytes[length] = value;
  bytes[length + 1] = value >> 8;
  bytes[length + 2] = value >> 16;
  bytes[length + 3] = value >> 24;
  sink.length = length + 4;
}

function putImm(sink: CodeSink, size: number, value: number): void {
  if (size === 4) {
    putInt(sink, value);
    return;
  }
  sink.bytes[sink.length++] = value;
  if (size === 2) sink.bytes[sink.length++] = value >> 8;
}

/** The places of a row's operands that take a value, as one word: `rm,imm`. */
function shapeOf(row: Row): string {
  return row.operands
    .filter(({ place }) => place !== "fixed")
    .map(({ place }) => place)
    .join();
}

function registerForm(row: Row): Closure {
  const { immSize } = row;
  const digit = Math.max(row.digit, 0);
  const shape = shapeOf(row);
  if (!row.operands.some(({ place }) => place === "rm")) return plainForm(row, shape);
  const put = registerWriter(row);
  switch (shape) {
    case "rm":
      return (sink, rm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, digit, rm, 0);
      };
    case "rm,imm":
      return (sink, rm, imm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, digit, rm, 0);
        putImm(sink, immSize, imm);
      };
    case "rm,reg":
      return (sink, rm, reg) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, rm, 0);
      };
    case "reg,rm":
      return (sink, reg, rm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, rm, 0);
      };
    case "reg,rm,imm":
      return (sink, reg, rm, imm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, rm, 0);
        putImm(sink, immSize, imm);
      };
    case "reg,rm,vvvv":
      return (sink, reg, rm, vvvv) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, rm, vvvv);
      };
  }
  invariant(false, `an emitter for ${row.op}`);
}

/** Rows without ModRM, or with one that belongs to the opcode. */
function plainForm(row: Row, shape: string): Closure {
  const head = opcodeWriter(row);
  const { immSize, modrm } = row;
  switch (shape) {
    case "":
      return (sink) => {
        sink.ensure(MAX_LENGTH);
        head(sink, 0, 0, 0, 0, 0);
        if (modrm >= 0) sink.bytes[sink.length++] = modrm;
      };
    case "imm":
    case "rel":
      return (sink, imm) => {
        sink.ensure(MAX_LENGTH);
        head(sink, 0, 0, 0, 0, 0);
        putImm(sink, immSize, imm);
      };
    case "opcode":
      return (sink, reg) => {
        sink.ensure(MAX_LENGTH);
        head(sink, 0, 0, reg >> 3, 0, 0);
        sink.bytes[sink.length - 1]! |= reg & 7;
      };
    case "opcode,imm":
      return (sink, reg, low, high) => {
        sink.ensure(MAX_LENGTH);
        head(sink, 0, 0, reg >> 3, 0, 0);
        sink.bytes[sink.length - 1]! |= reg & 7;
        putInt(sink, low);
        if (immSize === 8) putInt(sink, high);
      };
  }
  invariant(false, `an emitter for ${row.op}`);
}

function memoryForm(row: Row): Closure {
  const { immSize } = row;
  const digit = Math.max(row.digit, 0);
  const put = memoryWriter(row);
  switch (shapeOf(row).replace("rm", "m")) {
    case "m":
      return (sink, address, disp) => {
        sink.ensure(MAX_LENGTH);
        put(sink, digit, address, disp, 0);
      };
    case "m,imm":
      return (sink, address, disp, imm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, digit, address, disp, 0);
        putImm(sink, immSize, imm);
      };
    case "m,reg":
      return (sink, address, disp, reg) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, address, disp, 0);
      };
    case "reg,m":
      return (sink, reg, address, disp) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, address, disp, 0);
      };
    case "reg,m,imm":
      return (sink, reg, address, disp, imm) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, address, disp, 0);
        putImm(sink, immSize, imm);
      };
    case "reg,m,vvvv":
      return (sink, reg, address, disp, vvvv) => {
        sink.ensure(MAX_LENGTH);
        put(sink, reg, address, disp, vvvv);
      };
  }
  invariant(false, `an emitter for ${row.op}`);
}

function formsOf(rows: readonly Row[], form: (row: Row) => Closure): Record<string, Closure> {
  return Object.fromEntries(rows.map((row) => [row.op, form(row)]));
}

const has =
  (places: readonly Operand["place"][]) =>
  (row: Row): boolean =>
    row.operands.some(({ place }) => places.includes(place));

/** `emit.add_rm64_r64(sink, rm, reg)`: operands are taken as they are, without checks. */
export const emit: Emit = formsOf(
  ROWS.filter((row) => !has(["m"])(row)),
  registerForm,
) as unknown as Emit;

/** `emitMem.add_rm64_r64(sink, base, disp, reg)`: operands are taken as they are, without checks. */
export const emitMem: EmitMem = formsOf(ROWS.filter(has(["rm", "m"])), memoryForm) as unknown as EmitMem;
