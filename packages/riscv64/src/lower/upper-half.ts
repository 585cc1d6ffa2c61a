// When nobody sees the upper half of a register: a 32-bit result followed by an instruction that replaces it or clears it itself.
import { Fact, type Insns, type LowerContext, Mark } from "@bpfkit/core";

/** Low three bits of the opcode. */
const LDX = 1;
const ALU32 = 4;
const ALU64 = 7;
/** Bits 4 to 7 of the opcode. */
const MOV = 0xb;
const END = 0xd;
const LDDW = 0x18;
/** Modes of a load: bits 5 to 7 of the opcode. */
const MEM = 3;
const MEM_SX = 4;

/** Whether it is known that nobody reads the upper half of what the instruction at `at` writes. */
export function isUpperUnused({ facts }: Pick<LowerContext<unknown>, "facts">, at: number): boolean {
  return (facts.flags[at]! & Fact.UPPER_UNUSED) !== 0;
}

/** Whether the result of 32 bits that the instruction at `at` writes is the same with its sign extended as with zeros above it. */
export function isTopClear({ facts }: Pick<LowerContext<unknown>, "facts">, at: number): boolean {
  return (facts.flags[at]! & Fact.TOP_CLEAR) !== 0;
}

/**
 * Whether the instruction behind the one at `at` reads at most the low half of that one's destination and sets all of it, and is
 * reached only from it.
 */
export function dropsUpperHalf(
  insns: Insns,
  at: number,
  { info, structure }: Pick<LowerContext<unknown>, "info" | "structure">,
): boolean {
  const next = at + 1;
  if (next >= info.end || (structure.marks[next]! & (Mark.TARGET | Mark.SUBPROG)) !== 0) return false;
  const dst = insns.dst(at);
  if (insns.dst(next) !== dst) return false;
  const code = insns.code(next);
  const fromRegister = (code & 8) !== 0;
  switch (code & 7) {
    case ALU32:
      return code >> 4 !== END || insns.imm(next) !== 64;
    case ALU64:
      if (code >> 4 !== MOV) return false;
      return !fromRegister || insns.src(next) !== dst || insns.off(next) !== 0;
    case LDX:
      return (code >> 5 === MEM || code >> 5 === MEM_SX) && insns.src(next) !== dst;
    default:
      return code === LDDW;
  }
}
