// An emulated RV64 processor; RISC-V Unprivileged ISA manual.
import { type CpuOptions, type CpuParts, type DecodedInsn, EmulatedCpu, type Memory } from "@bpfkit/core";
import { decode, expand, type Insn } from "./decode.ts";
import type { BaseOp } from "./insns.ts";
import type { Fields } from "./meaning/operands.ts";
import { REGISTER_COUNT, type Reg, regNumber, SINK } from "./regs.ts";
import { SEMANTICS } from "./semantics.ts";

/** The fields of an instruction at `address`, for its meaning; of a compressed one those of what it stands for. */
export function fieldsOf(insn: Insn, address: bigint): Fields {
  const { operands } = expand(insn);
  const { rd = 0, rs1 = 0, rs2 = 0, pred = 0, succ = 0 } = operands;
  const imm = BigInt(operands.imm ?? operands.shamt ?? 0);
  return {
    rd: rd === 0 ? SINK : rd,
    rs1,
    rs2,
    imm: BigInt.asUintN(64, imm),
    target: BigInt.asUintN(64, address + imm),
    next: BigInt.asUintN(64, address + BigInt(insn.length)),
    pred,
    succ,
  };
}

function decodeAt(bytes: Uint8Array, pc: bigint): DecodedInsn<Fields> | undefined {
  const insn = decode(bytes);
  if (insn === undefined) return undefined;
  return { meaning: SEMANTICS[expand(insn).row.op as BaseOp], fields: fieldsOf(insn, pc), length: insn.length };
}

const PARTS: CpuParts<Reg, Fields> = {
  registerNumber: regNumber,
  stackPointer: "sp",
  registers: REGISTER_COUNT,
  unit: 2,
  longest: 4,
  decode: decodeAt,
};

/** A CPU whose x0 is 0 whatever is written there. */
export class RiscvCpu extends EmulatedCpu<Reg, Fields> {
  constructor(memory: Memory, options: CpuOptions & { readonly checked?: boolean } = {}) {
    super(PARTS, memory, options);
  }

  override set(register: Reg, value: bigint): void {
    if (register !== "zero") super.set(register, value);
  }
}

/** A processor over guest memory, with every register 0. */
export function createCpu(memory: Memory, options: CpuOptions = {}): RiscvCpu {
  return new RiscvCpu(memory, options);
}
