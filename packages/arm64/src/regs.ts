// Register names and numbers, general purpose and flags; Arm ARM (DDI 0487) section B1.2.
import { BpfError } from "@bpfkit/core";

/** The general-purpose registers by number, and behind them the stack pointer; a row says which part of one it uses. */
// biome-ignore format: three lines
export const REGS = [
  "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
  "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",
] as const;

/** A general-purpose register or the stack pointer, by its 64-bit name. */
export type Reg = (typeof REGS)[number];

/** Number 31 in a field that does not mean sp: reads as 0, and writes are lost. */
export const ZR = -1;

/** Number of the stack pointer. */
export const SP = 31;

/** How a listing writes number 0 to 31 of a field in 4 or 8 bytes. */
export function regName(number: number, size: 4 | 8, isSp = false): string {
  if (number === 31) return isSp ? (size === 4 ? "wsp" : "sp") : size === 4 ? "wzr" : "xzr";
  return `${size === 4 ? "w" : "x"}${number}`;
}

const NUMBERS: ReadonlyMap<string, number> = new Map(REGS.map((name, number) => [name, number]));

/** Number of a register. @throws {BpfError} `argument` */
export function regNumber(name: Reg): number {
  const number = NUMBERS.get(name);
  if (number === undefined) {
    throw new BpfError("argument", `no register ${JSON.stringify(name)}`, { expected: REGS.join(" ") });
  }
  return number;
}

/**
 * The flags as registers of the machine, behind the general ones. The last three are ghosts, functions of the real ones that
 * comparisons can state directly: LS is ¬C∨Z, LT is N≠V, LE is Z∨LT.
 */
export const FLAGS: {
  readonly N: 32;
  readonly Z: 33;
  readonly C: 34;
  readonly V: 35;
  readonly LS: 36;
  readonly LT: 37;
  readonly LE: 38;
} = { N: 32, Z: 33, C: 34, V: 35, LS: 36, LT: 37, LE: 38 };

/** A flag the manual knows; the ghosts are ours. */
export type Flag = "N" | "Z" | "C" | "V";

/** Registers of the machine: general purpose, sp and flags. */
export const REGISTER_COUNT = 39;

/** Conditions by their number in instructions; section C1.2.4. */
// biome-ignore format: one line
export const CONDITIONS: readonly string[] = [
  "eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv",
];
