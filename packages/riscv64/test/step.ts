// One instruction on the run reading, with the rule of parallel assignment enforced and every register in sight.
import { Access, type Allocation, Memory, Run } from "@bpfkit/core";
import { fieldsOf } from "../src/cpu.ts";
import { decode, expand } from "../src/decode.ts";
import type { BaseOp } from "../src/insns.ts";
import { REGISTER_COUNT, REGS, type Reg, regNumber } from "../src/regs.ts";
import { type Row, rowOf } from "../src/row.ts";
import { SEMANTICS } from "../src/semantics.ts";
import { encodeValues, type Values } from "./arbitrary.ts";

export const PC = 0x4000n;

const memory: Memory = new Memory({ sizes: { host: 65536, text: 65536, stack: 65536, data: 65536 } });
export const BLOCK: Allocation = memory.allocate("data", 256, "block", Access.READ | Access.WRITE);

const run = new Run({ memory, registers: REGISTER_COUNT, checked: true });

export interface Outcome {
  readonly get: (reg: Reg) => bigint;
  /** Where it goes on. */
  readonly pc: bigint;
  readonly memory: Memory;
}

/** Runs one instruction; a trap is thrown. Memory keeps its contents between calls, and block bytes not given are 0. */
export function step(
  op: Row["op"],
  values: Values,
  { regs = {}, block = [] }: { regs?: Partial<Record<Reg, bigint>>; block?: readonly number[] } = {},
): Outcome {
  memory.view(BLOCK.address, 256).fill(0).set(block);
  run.begin();
  for (const reg of REGS) run.set(regNumber(reg), reg === "zero" ? 0n : BigInt.asUintN(64, regs[reg] ?? 0n));
  const insn = decode(encodeValues(rowOf(op)!, values))!;
  const fields = fieldsOf(insn, PC);
  run.begin();
  SEMANTICS[expand(insn).row.op as BaseOp](run, fields);
  const pc = run.target ?? fields.next;
  run.begin();
  const after = Array.from({ length: REGISTER_COUNT }, (_, reg) => run.get(reg));
  return { get: (reg) => after[regNumber(reg)]!, pc, memory };
}
