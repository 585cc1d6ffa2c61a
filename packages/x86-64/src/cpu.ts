// An emulated x86-64 processor: decoding for it, and its flags; Intel SDM volume 1, chapter 3 (64-bit mode).
import { type CpuOptions, type CpuParts, type DecodedInsn, EmulatedCpu, type Memory } from "@bpfkit/core";
import { decode, type Insn } from "./decode.ts";
import type { Fields } from "./meaning/operands.ts";
import { FLAGS, type Flag, REGISTER_COUNT, type Reg, regNumber } from "./regs.ts";
import { SEMANTICS } from "./semantics.ts";

const MAX_LENGTH = 15;
const RIP = 16;
const FIRST_FLAG = FLAGS.CF;

/** Bits of the flags in RFLAGS; bit 1 is always set. */
const RFLAGS: readonly (readonly [Flag, bigint])[] = [
  ["CF", 0n],
  ["PF", 2n],
  ["AF", 4n],
  ["ZF", 6n],
  ["SF", 7n],
  ["OF", 11n],
];

/** The fields of an instruction at `address`, for its meaning. */
export function fieldsOf(insn: Insn, address: bigint): Fields {
  const { row, length, base, reg, rm, vvvv, index, scale } = insn;
  const next = address + BigInt(length);
  const isBranch = row.operands[0]?.place === "rel";
  const width = 8 * (row.operands[0]?.size || 8);
  return {
    reg,
    rm,
    vvvv,
    base: base === RIP ? -1 : base,
    index,
    scale,
    disp: BigInt.asUintN(64, BigInt(insn.disp) + (base === RIP ? next : 0n)),
    imm: isBranch
      ? BigInt.asUintN(64, next + insn.imm)
      : BigInt.asUintN(row.mnemonic === "push" ? 64 : width, insn.imm),
    next,
  };
}

function decodeAt(bytes: Uint8Array, pc: bigint): DecodedInsn<Fields> | undefined {
  const insn = decode(bytes);
  return insn && { meaning: SEMANTICS[insn.row.op], fields: fieldsOf(insn, pc), length: insn.length };
}

const PARTS: CpuParts<Reg, Fields> = {
  registerNumber: regNumber,
  stackPointer: "rsp",
  registers: REGISTER_COUNT,
  firstLazy: FIRST_FLAG,
  unit: 1,
  longest: MAX_LENGTH,
  decode: decodeAt,
};

/** A CPU whose flags can be seen too. */
export class X86Cpu extends EmulatedCpu<Reg, Fields> {
  constructor(memory: Memory, options: CpuOptions & { readonly checked?: boolean } = {}) {
    super(PARTS, memory, options);
  }

  /** RFLAGS, of which the six status flags can be set. */
  get flags(): bigint {
    return RFLAGS.reduce((word, [flag, bit]) => word | (this.machine.get(FLAGS[flag]) << bit), 2n);
  }

  set flags(word: bigint) {
    const run = this.machine;
    for (const [flag, bit] of RFLAGS) run.set(FLAGS[flag], (word >> bit) & 1n);
    const less = run.get(FLAGS.SF) ^ run.get(FLAGS.OF);
    run.set(FLAGS.LT, less);
    run.set(FLAGS.BE, run.get(FLAGS.CF) | run.get(FLAGS.ZF));
    run.set(FLAGS.LE, run.get(FLAGS.ZF) | less);
  }
}

/** A processor over guest memory, with every register 0. */
export function createCpu(memory: Memory, options?: CpuOptions): X86Cpu {
  return new X86Cpu(memory, options);
}
