// An emulated arm64 processor: core's run loop over this table; Arm ARM (DDI 0487) chapter B1 (application level).
import { type CpuOptions, type DecodedInsn, EmulatedCpu, type Memory } from "@bpfkit/core";
import { decode, type Insn } from "./decode.ts";
import type { Fields } from "./meaning/operands.ts";
import { FLAGS, type Flag, REGISTER_COUNT, type Reg, regNumber, ZR } from "./regs.ts";
import { bitmaskOf, sizeOf } from "./row.ts";
import { SEMANTICS } from "./semantics.ts";

/** Bits of the flags in NZCV. */
const NZCV: readonly (readonly [Flag, bigint])[] = [
  ["N", 31n],
  ["Z", 30n],
  ["C", 29n],
  ["V", 28n],
];

/** The fields of an instruction at `address`, for its meaning. */
export function fieldsOf(insn: Insn, address: bigint): Fields {
  const { row, values } = insn;
  const reg = (name: string): number => {
    const number = values[name];
    return number === undefined || (number === 31 && !row.sp.has(name)) ? ZR : number;
  };
  const size = sizeOf(values);
  const { shift, option, extend, imm6, imm3, hw, s, bit, domain } = values;
  return {
    rd: reg("rd"),
    rn: reg("rn"),
    rm: reg("rm"),
    ra: reg("ra"),
    rt: reg("rt"),
    rt2: reg("rt2"),
    rs: reg("rs"),
    size,
    imm: BigInt.asUintN(64, immediateOf(insn, size, address)),
    kind: shift ?? option ?? extend ?? 0,
    amount:
      imm6 ?? imm3 ?? (hw === undefined ? undefined : 16 * hw) ?? bit ?? domain ?? (s === 1 ? indexShift(insn) : 0),
    immr: values.immr ?? 0,
    imms: values.imms ?? 0,
    cond: values.cond ?? 0,
    nzcv: values.nzcv ?? 0,
    next: address + 4n,
  };
}

/** How far an index is shifted: to the size of the access. */
function indexShift({ row, word }: Insn): number {
  return row.op.endsWith("_reg") || row.op.includes("_reg_") ? word >>> 30 : 0;
}

const SCALE = /#(\d+|size)\*[us]?imm/;
const RELATIVE = /simm(14|19|21|26)/;

function immediateOf({ row, values }: Insn, size: 4 | 8, address: bigint): bigint {
  const { n, immr, imms, hw, imm16, sh, imm12, imm5 } = values;
  if (n !== undefined && row.asm.includes("#bitmask")) {
    const mask = bitmaskOf(n, immr!, imms!)!;
    return size === 4 ? BigInt.asUintN(32, mask) : mask;
  }
  if (hw !== undefined) {
    const shifted = BigInt(imm16!) << BigInt(16 * hw);
    return row.op === "movn" ? BigInt.asUintN(8 * size, ~shifted) : shifted;
  }
  if (sh !== undefined) return BigInt(imm12!) << BigInt(12 * sh);
  const scale = SCALE.exec(row.asm)?.[1];
  const factor = scale === undefined ? 1n : scale === "size" ? BigInt(size) : BigInt(scale);
  const value =
    imm12 ??
    imm5 ??
    values.simm7 ??
    values.simm9 ??
    values.simm14 ??
    values.simm19 ??
    values.simm21 ??
    values.simm26 ??
    0;
  const from = RELATIVE.test(row.asm) ? (row.op === "adrp" ? address & ~0xfffn : address) : 0n;
  return from + BigInt(value) * factor;
}

function decodeAt(bytes: Uint8Array, pc: bigint): DecodedInsn<Fields> | undefined {
  const insn = decode(bytes);
  return insn && { meaning: SEMANTICS[insn.row.op], fields: fieldsOf(insn, pc), length: 4 };
}

/** A CPU whose flags can be seen too. */
export class Arm64Cpu extends EmulatedCpu<Reg, Fields> {
  constructor(memory: Memory, options: CpuOptions & { readonly checked?: boolean } = {}) {
    super(
      {
        registerNumber: regNumber,
        stackPointer: "sp",
        registers: REGISTER_COUNT,
        firstLazy: FLAGS.N,
        unit: 4,
        longest: 4,
        decode: decodeAt,
      },
      memory,
      options,
    );
  }

  /** NZCV in bits 31 to 28. */
  get flags(): bigint {
    return NZCV.reduce((word, [flag, bit]) => word | (this.machine.get(FLAGS[flag]) << bit), 0n);
  }

  set flags(word: bigint) {
    const { machine } = this;
    for (const [flag, bit] of NZCV) machine.set(FLAGS[flag], (word >> bit) & 1n);
    const less = machine.get(FLAGS.N) ^ machine.get(FLAGS.V);
    machine.set(FLAGS.LS, (machine.get(FLAGS.C) ^ 1n) | machine.get(FLAGS.Z));
    machine.set(FLAGS.LT, less);
    machine.set(FLAGS.LE, machine.get(FLAGS.Z) | less);
  }
}

/** A processor over guest memory, with every register 0. */
export function createCpu(memory: Memory, options: CpuOptions = {}): Arm64Cpu {
  return new Arm64Cpu(memory, options);
}
