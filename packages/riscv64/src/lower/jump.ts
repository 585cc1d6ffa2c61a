// Jumps within a subprogram: RFC 9669 section 4.3, and may_goto.
import type { Insns, LowerInsn, Lowering } from "@bpfkit/core";
import { REG, S5, T0, T1, T2, ZERO } from "../abi.ts";
import { type Assembler, CC, fits12 } from "../assembler.ts";
import { emit } from "../emit.ts";
import { mayGotoOffset } from "../frame.ts";

const { subw, and, andi } = emit;

/** Bits 4 to 7 of the opcode. */
const JEQ = 0x1;
const JSET = 0x4;
const JNE = 0x5;

/** Condition by bits 4 to 7 of the opcode; those that the hardware lacks exchange their operands. */
const CONDITION: Uint8Array = new Uint8Array(16);
const EXCHANGED: Uint8Array = new Uint8Array(16);
CONDITION[JEQ] = CC.eq;
CONDITION[JNE] = CC.ne;
for (const [operation, condition, exchanged] of [
  [0x2, CC.ltu, 1],
  [0x3, CC.geu, 0],
  [0x6, CC.lt, 1],
  [0x7, CC.ge, 0],
  [0xa, CC.ltu, 0],
  [0xb, CC.geu, 1],
  [0xc, CC.lt, 0],
  [0xd, CC.ge, 1],
] as const) {
  CONDITION[operation] = condition;
  EXCHANGED[operation] = exchanged;
}

const jumpIf: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const operation = code >> 4;
  const target = context.label(at + 1 + insns.off(at));
  if (operation === JSET) {
    emitAnd(a, insns, at);
    a.b(CC.ne, T1, ZERO, target);
    return;
  }
  const wide = (code & 7) === 5;
  const isEquality = operation === JEQ || operation === JNE;
  if (!wide && isEquality && emitDifference(a, insns, at)) {
    a.b(CONDITION[operation]!, T1, ZERO, target);
    return;
  }
  let left = REG[insns.dst(at)]!;
  let right = operandOf(a, insns, at, wide);
  if (!wide) {
    a.sextW(T2, left);
    left = T2;
  }
  if (EXCHANGED[operation]) [left, right] = [right, left];
  a.b(CONDITION[operation]!, left, right, target);
};

/** The register with the second operand, its sign extended from 32 bits in a 32-bit comparison: that keeps every order. Clobbers t1. */
function operandOf(a: Assembler, insns: Insns, at: number, wide: boolean): number {
  if ((insns.code(at) & 8) !== 0) {
    const src = REG[insns.src(at)]!;
    if (wide) return src;
    a.sextW(T1, src);
    return T1;
  }
  const imm = insns.imm(at);
  if (imm === 0) return ZERO;
  a.li(T1, imm);
  return T1;
}

/** t1 = 0 where the lower halves are equal; false where comparing copies takes no more. */
function emitDifference(a: Assembler, insns: Insns, at: number): boolean {
  const dst = REG[insns.dst(at)]!;
  if ((insns.code(at) & 8) !== 0) {
    subw(a, T1, dst, REG[insns.src(at)]!);
    return true;
  }
  const imm = insns.imm(at);
  if (imm === 0 || !fits12(-imm)) return false;
  emit.addiw(a, T1, dst, -imm);
  return true;
}

/** t1 = both operands' common bits, as far as the comparison sees them. */
function emitAnd(a: Assembler, insns: Insns, at: number): void {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  const narrow = (code & 7) !== 5;
  if ((code & 8) !== 0) {
    and(a, T1, dst, REG[insns.src(at)]!);
    if (narrow) a.sextW(T1, T1);
    return;
  }
  const imm = insns.imm(at);
  if (fits12(imm)) andi(a, T1, dst, imm);
  else {
    a.li(T1, imm);
    and(a, T1, T1, dst);
  }
  if (narrow && imm < 0) a.sextW(T1, T1);
}

const jump: LowerInsn<Assembler> = (a, insns, at, context) => {
  a.j(context.label(at + 1 + (insns.code(at) === 0x06 ? insns.imm(at) : insns.off(at))));
};

/** Jumps when the frame's counter is used up, else counts. */
const mayGoto: LowerInsn<Assembler> = (a, insns, at, context) => {
  const offset = mayGotoOffset(context.frame);
  a.ld(T0, offset, S5);
  a.b(CC.eq, T0, ZERO, context.label(at + 1 + insns.off(at)));
  a.addi(T0, T0, -1);
  a.sd(T0, offset, S5);
};

/** The lowerings of this file. */
export const JUMP_LOWERING: Pick<Lowering<Assembler>, "jumpIf" | "jump" | "mayGoto"> = { jumpIf, jump, mayGoto };
