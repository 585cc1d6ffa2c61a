// Jumps within a subprogram: RFC 9669 section 4.3, and may_goto.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { RBP, REG } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emit, emitMem } from "../emit.ts";
import { counterOffset } from "../prologue.ts";

const {
  cmp_rm32_r32, cmp_rm64_r64, cmp_rm32_imm8, cmp_rm64_imm8, cmp_rm32_imm32, cmp_rm64_imm32,
  test_rm32_r32, test_rm64_r64, test_rm32_imm32, test_rm64_imm32,
} = emit; // biome-ignore format: compare, then test
const { cmp_rm64_imm8: cmp_m64_imm8, sub_rm64_imm8: sub_m64_imm8 } = emitMem;

const JSET = 0x4;

/** Condition by bits 4 to 7 of the opcode. */
const CONDITION: Uint8Array = new Uint8Array(16);
CONDITION[0x1] = CC.e;
CONDITION[0x2] = CC.a;
CONDITION[0x3] = CC.ae;
CONDITION[JSET] = CC.ne;
CONDITION[0x5] = CC.ne;
CONDITION[0x6] = CC.g;
CONDITION[0x7] = CC.ge;
CONDITION[0xa] = CC.b;
CONDITION[0xb] = CC.be;
CONDITION[0xc] = CC.l;
CONDITION[0xd] = CC.le;

const jumpIf: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const wide = (code & 7) === 5;
  const test = code >> 4 === JSET;
  const dst = REG[insns.dst(at)]!;
  if ((code & 8) !== 0) {
    const src = REG[insns.src(at)]!;
    if (test) (wide ? test_rm64_r64 : test_rm32_r32)(a, dst, src);
    else (wide ? cmp_rm64_r64 : cmp_rm32_r32)(a, dst, src);
  } else {
    const imm = insns.imm(at);
    if (test) (wide ? test_rm64_imm32 : test_rm32_imm32)(a, dst, imm);
    else if (imm === 0) (wide ? test_rm64_r64 : test_rm32_r32)(a, dst, dst);
    else if ((imm << 24) >> 24 === imm) (wide ? cmp_rm64_imm8 : cmp_rm32_imm8)(a, dst, imm);
    else (wide ? cmp_rm64_imm32 : cmp_rm32_imm32)(a, dst, imm);
  }
  a.jcc(CONDITION[code >> 4]!, context.label(at + 1 + insns.off(at)));
};

const jump: LowerInsn<Assembler> = (a, insns, at, context) => {
  a.jmp(context.label(at + 1 + (insns.code(at) === 0x06 ? insns.imm(at) : insns.off(at))));
};

/** Jumps when the frame's counter is used up, else counts. */
const mayGoto: LowerInsn<Assembler> = (a, insns, at, context) => {
  const offset = counterOffset(context.frame);
  cmp_m64_imm8(a, RBP, offset, 0);
  a.jcc(CC.e, context.label(at + 1 + insns.off(at)));
  sub_m64_imm8(a, RBP, offset, 1);
};

/** The lowerings of this file. */
export const JUMP_LOWERING: Pick<Lowering<Assembler>, "jumpIf" | "jump" | "mayGoto"> = { jumpIf, jump, mayGoto };
