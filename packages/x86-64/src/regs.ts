// Register names and numbers, general purpose and flags; Intel SDM volume 1, section 3.4.
import { BpfError } from "@bpfkit/core";

/** The general-purpose registers by hardware number; a row says which part of one it uses. */
// biome-ignore format: one line
export const REGS = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;

/** A general-purpose register, by its 64-bit name. */
export type Reg = (typeof REGS)[number];

const LOW: readonly string[] = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];
const WORD: readonly string[] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];

/** How a listing writes the low `size` bytes of register `number`. */
export function regName(number: number, size: 1 | 2 | 4 | 8): string {
  if (size === 8) return REGS[number]!;
  if (number >= 8) return `r${number}${size === 4 ? "d" : size === 2 ? "w" : "b"}`;
  if (size === 4) return `e${WORD[number]}`;
  return size === 2 ? WORD[number]! : LOW[number]!;
}

const NUMBERS: ReadonlyMap<string, number> = new Map(REGS.map((name, number) => [name, number]));

/** Hardware number of a register. @throws {BpfError} `argument` */
export function regNumber(name: Reg): number {
  const number = NUMBERS.get(name);
  if (number === undefined)
    throw new BpfError("argument", `no register ${JSON.stringify(name)}`, { expected: REGS.join(" ") });
  return number;
}

/**
 * The flags as registers of the machine, behind the 16 general ones. The last three are ghosts, functions of the real ones that
 * comparisons can state directly: LT is SF≠OF, BE is CF∨ZF, LE is ZF∨LT.
 */
export const FLAGS: {
  readonly CF: 16;
  readonly PF: 17;
  readonly AF: 18;
  readonly ZF: 19;
  readonly SF: 20;
  readonly OF: 21;
  readonly LT: 22;
  readonly BE: 23;
  readonly LE: 24;
} = { CF: 16, PF: 17, AF: 18, ZF: 19, SF: 20, OF: 21, LT: 22, BE: 23, LE: 24 };

/** A flag the manual knows; the ghosts are ours. */
export type Flag = "CF" | "PF" | "AF" | "ZF" | "SF" | "OF";

/** Registers of the machine: general purpose and flags. */
export const REGISTER_COUNT = 25;
