// Register names and numbers; RISC-V ABIs specification, "Integer Register Convention".
import { BpfError } from "@bpfkit/core";

/** The integer registers by number, under their ABI names. */
// biome-ignore format: eight a line
export const REGS = [
  "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2",
  "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
  "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7",
  "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
] as const;

/** An integer register, by its ABI name. */
export type Reg = (typeof REGS)[number];

const NUMBERS: ReadonlyMap<string, number> = new Map(REGS.map((name, number) => [name, number]));

/** Number of a register. @throws {BpfError} `argument` */
export function regNumber(name: Reg): number {
  const number = NUMBERS.get(name);
  if (number === undefined)
    throw new BpfError("argument", `no register ${JSON.stringify(name)}`, { expected: REGS.join(" ") });
  return number;
}

/** Where writes to x0 go: nothing reads it, and x0 itself is never written. */
export const SINK = 32;

/** Registers of the machine: x0 to x31 and the sink. */
export const REGISTER_COUNT = 33;
