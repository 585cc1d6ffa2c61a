// One instruction on the run reading, with the rule of parallel assignment enforced and every register in sight.
import { Access, type Allocation, Memory, Run } from "@bpfkit/core";
import { fieldsOf } from "../src/cpu.ts";
import { decodeWord } from "../src/decode.ts";
import { FLAGS, type Flag, REGISTER_COUNT, REGS, type Reg, regNumber } from "../src/regs.ts";
import { type Row, rowOf, type Values } from "../src/row.ts";
import { SEMANTICS } from "../src/semantics.ts";
import { encodeValues } from "./arbitrary.ts";

export const PC = 0x4000n;
export type Flags = Partial<Record<Flag, bigint>>;

const memory: Memory = new Memory({ sizes: { host: 65536, text: 65536, stack: 65536, data: 65536 } });
export const BLOCK: Allocation = memory.allocate("data", 256, "block", Access.READ | Access.WRITE);

const run = new Run({ memory, registers: REGISTER_COUNT, firstLazy: FLAGS.N, checked: true });

export interface Outcome {
  readonly get: (reg: Reg) => bigint;
  readonly flag: (flag: keyof typeof FLAGS) => bigint;
  /** Where it goes on. */
  readonly pc: bigint;
  readonly memory: Memory;
}

/** Runs one instruction; a trap is thrown. Memory keeps its contents between calls, and block bytes not given are 0. */
export function step(
  op: Row["op"],
  values: Values,
  {
    regs = {},
    flags = {},
    block = [],
  }: { regs?: Partial<Record<Reg, bigint>>; flags?: Flags; block?: readonly number[] } = {},
): Outcome {
  memory.view(BLOCK.address, 256).fill(0).set(block);
  run.begin();
  for (const reg of REGS) run.set(regNumber(reg), BigInt.asUintN(64, regs[reg] ?? 0n));
  const real = { N: 0n, Z: 0n, C: 0n, V: 0n, ...flags };
  const LT = real.N ^ real.V;
  for (const [flag, value] of Object.entries({ ...real, LS: (real.C ^ 1n) | real.Z, LT, LE: real.Z | LT })) {
    run.set(FLAGS[flag as keyof typeof FLAGS], value);
  }
  const insn = decodeWord(encodeValues(rowOf(op)!, values))!;
  const fields = fieldsOf(insn, PC);
  run.begin();
  SEMANTICS[op](run, fields);
  const pc = run.target ?? fields.next;
  run.begin();
  const after = Array.from({ length: REGISTER_COUNT }, (_, reg) => run.get(reg));
  return { get: (reg) => after[regNumber(reg)]!, flag: (flag) => after[FLAGS[flag]]!, pc, memory };
}
