// Arithmetic: RFC 9669 section 4.1 and 4.2.
import { Fact, type Insns, type LowerGuard, type LowerInsn, type Lowering } from "@bpfkit/core";
import { R10, R11, RAX, RCX, RDX, REG } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emit, emitMem } from "../emit.ts";

const {
  add_rm32_r32, add_rm64_r64, add_rm32_imm8, add_rm64_imm8, add_rm32_imm32, add_rm64_imm32, add_eax_imm32, add_rax_imm32,
  sub_rm32_r32, sub_rm64_r64, sub_rm32_imm8, sub_rm64_imm8, sub_rm32_imm32, sub_rm64_imm32, sub_eax_imm32, sub_rax_imm32,
  or_rm32_r32, or_rm64_r64, or_rm32_imm8, or_rm64_imm8, or_rm32_imm32, or_rm64_imm32, or_eax_imm32, or_rax_imm32,
  and_rm32_r32, and_rm64_r64, and_rm32_imm8, and_rm64_imm8, and_rm32_imm32, and_rm64_imm32, and_eax_imm32, and_rax_imm32,
  xor_rm32_r32, xor_rm64_r64, xor_rm32_imm8, xor_rm64_imm8, xor_rm32_imm32, xor_rm64_imm32, xor_eax_imm32, xor_rax_imm32,
  imul_r32_rm32, imul_r64_rm64, imul_r32_rm32_imm8, imul_r64_rm64_imm8, imul_r32_rm32_imm32, imul_r64_rm64_imm32,
  shl_rm32_1, shl_rm64_1, shl_rm32_imm8, shl_rm64_imm8, shl_rm32_cl, shl_rm64_cl, shlx_r32a_rm32_r32b, shlx_r64a_rm64_r64b,
  shr_rm32_1, shr_rm64_1, shr_rm32_imm8, shr_rm64_imm8, shr_rm32_cl, shr_rm64_cl, shrx_r32a_rm32_r32b, shrx_r64a_rm64_r64b,
  sar_rm32_1, sar_rm64_1, sar_rm32_imm8, sar_rm64_imm8, sar_rm32_cl, sar_rm64_cl, sarx_r32a_rm32_r32b, sarx_r64a_rm64_r64b,
  neg_rm32, neg_rm64, mov_rm32_r32, mov_rm64_r64, mov_r32_imm32, mov_rm64_imm32, push_r64, pop_r64,
  movzx_r32_rm16, movsx_r32_rm8, movsx_r32_rm16, movsx_r64_rm8, movsx_r64_rm16, movsxd_r64_rm32, ror_rm16_imm8, bswap_r32, bswap_r64,
  div_rm32, div_rm64, idiv_rm32, idiv_rm64, cdq, cqo, cmp_rm32_imm8, cmp_rm64_imm8, test_rm32_r32, test_rm64_r64,
} = emit; // biome-ignore format: one line per instruction family

/** Emitters of one operation in 32 and 64 bits. */
interface Forms {
  readonly reg: readonly [typeof add_rm32_r32, typeof add_rm64_r64];
  readonly imm8: readonly [typeof add_rm32_imm8, typeof add_rm64_imm8];
  readonly imm32: readonly [typeof add_rm32_imm32, typeof add_rm64_imm32];
  readonly rax: readonly [typeof add_eax_imm32, typeof add_rax_imm32];
}

/** By bits 4 to 7 of the opcode. */
// biome-ignore format: one row per operation
const ALU: Readonly<Record<number, Forms>> = {
  0: { reg: [add_rm32_r32, add_rm64_r64], imm8: [add_rm32_imm8, add_rm64_imm8], imm32: [add_rm32_imm32, add_rm64_imm32], rax: [add_eax_imm32, add_rax_imm32] },
  1: { reg: [sub_rm32_r32, sub_rm64_r64], imm8: [sub_rm32_imm8, sub_rm64_imm8], imm32: [sub_rm32_imm32, sub_rm64_imm32], rax: [sub_eax_imm32, sub_rax_imm32] },
  4: { reg: [or_rm32_r32, or_rm64_r64],   imm8: [or_rm32_imm8, or_rm64_imm8],   imm32: [or_rm32_imm32, or_rm64_imm32],   rax: [or_eax_imm32, or_rax_imm32] },
  5: { reg: [and_rm32_r32, and_rm64_r64], imm8: [and_rm32_imm8, and_rm64_imm8], imm32: [and_rm32_imm32, and_rm64_imm32], rax: [and_eax_imm32, and_rax_imm32] },
  10: { reg: [xor_rm32_r32, xor_rm64_r64], imm8: [xor_rm32_imm8, xor_rm64_imm8], imm32: [xor_rm32_imm32, xor_rm64_imm32], rax: [xor_eax_imm32, xor_rax_imm32] },
};

/** By bits 4 to 7 of the opcode: left, right, arithmetic right. */
// biome-ignore format: one row per operation
const SHIFT = {
  6: { one: [shl_rm32_1, shl_rm64_1], imm8: [shl_rm32_imm8, shl_rm64_imm8], cl: [shl_rm32_cl, shl_rm64_cl], x: [shlx_r32a_rm32_r32b, shlx_r64a_rm64_r64b] },
  7: { one: [shr_rm32_1, shr_rm64_1], imm8: [shr_rm32_imm8, shr_rm64_imm8], cl: [shr_rm32_cl, shr_rm64_cl], x: [shrx_r32a_rm32_r32b, shrx_r64a_rm64_r64b] },
  12: { one: [sar_rm32_1, sar_rm64_1], imm8: [sar_rm32_imm8, sar_rm64_imm8], cl: [sar_rm32_cl, sar_rm64_cl], x: [sarx_r32a_rm32_r32b, sarx_r64a_rm64_r64b] },
} as const;

/** 1 for the 64-bit class, 0 for the 32-bit one: bits 0 to 2 of the opcode are 7 or 4. */
const wide = (code: number): 0 | 1 => (code & 1) as 0 | 1;

/** The operand is a register; otherwise the immediate. */
const fromRegister = (code: number): boolean => (code & 8) !== 0;

const fitsImm8 = (imm: number): boolean => (imm << 24) >> 24 === imm;

/** Puts a 32-bit immediate into a register and clears its upper half. */
export function emitMovImm32(a: Assembler, reg: number, imm: number): void {
  if (imm === 0) xor_rm32_r32(a, reg, reg);
  else mov_r32_imm32(a, reg, imm);
}

const alu: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  if (code >> 4 === 0x2) {
    multiply(a, insns, at, w, dst);
    return;
  }
  const forms = ALU[code >> 4]!;
  if (fromRegister(code)) {
    forms.reg[w](a, dst, REG[insns.src(at)]!);
    return;
  }
  const imm = insns.imm(at);
  if (fitsImm8(imm)) forms.imm8[w](a, dst, imm);
  else if (dst === RAX) forms.rax[w](a, imm);
  else forms.imm32[w](a, dst, imm);
};

function multiply(a: Assembler, insns: Insns, at: number, w: 0 | 1, dst: number): void {
  if (fromRegister(insns.code(at))) {
    if (w) imul_r64_rm64(a, dst, REG[insns.src(at)]!);
    else imul_r32_rm32(a, dst, REG[insns.src(at)]!);
    return;
  }
  const imm = insns.imm(at);
  if (fitsImm8(imm)) {
    if (w) imul_r64_rm64_imm8(a, dst, dst, imm);
    else imul_r32_rm32_imm8(a, dst, dst, imm);
  } else if (w) imul_r64_rm64_imm32(a, dst, dst, imm);
  else imul_r32_rm32_imm32(a, dst, dst, imm);
}

const mov: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  if (fromRegister(code)) {
    const src = REG[insns.src(at)]!;
    if (!wide(code)) mov_rm32_r32(a, dst, src);
    else if (dst !== src) mov_rm64_r64(a, dst, src);
    return;
  }
  const imm = insns.imm(at);
  if (wide(code) && imm < 0) mov_rm64_imm32(a, dst, imm);
  else emitMovImm32(a, dst, imm);
};

const movsx: LowerInsn<Assembler> = (a, insns, at) => {
  const w = wide(insns.code(at));
  const dst = REG[insns.dst(at)]!;
  const src = REG[insns.src(at)]!;
  const off = insns.off(at);
  if (off === 32) movsxd_r64_rm32(a, dst, src);
  else if (off === 16) (w ? movsx_r64_rm16 : movsx_r32_rm16)(a, dst, src);
  else (w ? movsx_r64_rm8 : movsx_r32_rm8)(a, dst, src);
};

const neg: LowerInsn<Assembler> = (a, insns, at) => {
  (wide(insns.code(at)) ? neg_rm64 : neg_rm32)(a, REG[insns.dst(at)]!);
};

const shift: LowerInsn<Assembler> = (a, insns, at, { features }) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  const forms = SHIFT[(code >> 4) as keyof typeof SHIFT];
  if (!fromRegister(code)) {
    const imm = insns.imm(at);
    if (imm === 1) forms.one[w](a, dst);
    else forms.imm8[w](a, dst, imm);
    return;
  }
  const src = REG[insns.src(at)]!;
  if (src === RCX) forms.cl[w](a, dst);
  else if (features.bmi2) forms.x[w](a, dst, dst, src);
  else if (dst === RCX) {
    mov_rm64_r64(a, R11, RCX);
    mov_rm64_r64(a, RCX, src);
    forms.cl[w](a, R11);
    mov_rm64_r64(a, RCX, R11);
  } else {
    push_r64(a, RCX);
    mov_rm64_r64(a, RCX, src);
    forms.cl[w](a, dst);
    pop_r64(a, RCX);
  }
};

const end: LowerInsn<Assembler> = (a, insns, at) => {
  const dst = REG[insns.dst(at)]!;
  const bits = insns.imm(at);
  const swap = insns.code(at) !== 0xd4;
  if (bits === 16) {
    if (swap) ror_rm16_imm8(a, dst, 8);
    movzx_r32_rm16(a, dst, dst);
  } else if (bits === 32) {
    if (swap) bswap_r32(a, dst);
    else mov_rm32_r32(a, dst, dst);
  } else if (swap) bswap_r64(a, dst);
};

/** Bits 4 to 7 of the opcode of a division; the other one is the remainder. */
const DIV = 0x3;

/**
 * rax and rdx are the dividend's and the result's place: what else is in them is pushed. A divisor that lies there, or is an
 * immediate, moves to r11. Where the hardware traps, or BPF has a result of its own, a guard behind the subprogram does the work.
 */
const div: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  if (!fromRegister(code)) {
    if (divideByConstant(a, insns, at, w, dst)) return;
    emitDivision(a, insns, at, w, dst, R11);
    return;
  }
  const src = REG[insns.src(at)]!;
  const back = a.label();
  const signed = insns.off(at) !== 0;
  const harmless = signed ? Fact.DIVISOR_NONZERO | Fact.DIVISOR_NOT_MINUS_ONE : Fact.DIVISOR_NONZERO;
  if ((context.facts.flags[at]! & harmless) === harmless) {
    emitDivision(a, insns, at, w, dst, src === RAX || src === RDX ? R11 : src);
    return;
  }
  if (signed) {
    const next = src === R10 ? R11 : R10;
    (w ? lea_r64_m : lea_r32_m)(a, next, src, 1);
    (w ? cmp_rm64_imm8 : cmp_rm32_imm8)(a, next, 1);
    const guard = a.label();
    context.outOfLine(guardSigned, at, guard, back);
    a.jcc(CC.be, guard);
  } else {
    (w ? test_rm64_r64 : test_rm32_r32)(a, src, src);
    if (w && code >> 4 !== DIV) a.jcc(CC.e, back);
    else {
      const guard = a.label();
      context.outOfLine(guardZero, at, guard, back);
      a.jcc(CC.e, guard);
    }
  }
  emitDivision(a, insns, at, w, dst, src === RAX || src === RDX ? R11 : src);
  a.bind(back);
};

const { lea_r32_m, lea_r64_m } = emitMem;

/** The divisions by 0 and −1, which the hardware refuses. */
function divideByConstant(a: Assembler, insns: Insns, at: number, w: 0 | 1, dst: number): boolean {
  const imm = insns.imm(at);
  const isDiv = insns.code(at) >> 4 === DIV;
  if (imm === 0) {
    if (isDiv) xor_rm32_r32(a, dst, dst);
    else if (!w) mov_rm32_r32(a, dst, dst);
    return true;
  }
  if (imm !== -1 || insns.off(at) === 0) return false;
  if (isDiv) (w ? neg_rm64 : neg_rm32)(a, dst);
  else xor_rm32_r32(a, dst, dst);
  return true;
}

/** `divisor` is r11 where the instruction's own operand cannot stay in its place; it is moved there after the pushes. */
function emitDivision(a: Assembler, insns: Insns, at: number, w: 0 | 1, dst: number, divisor: number): void {
  const code = insns.code(at);
  const signed = insns.off(at) !== 0;
  if (dst !== RAX) push_r64(a, RAX);
  if (dst !== RDX) push_r64(a, RDX);
  if (divisor === R11) {
    if (fromRegister(code)) mov_rm64_r64(a, R11, REG[insns.src(at)]!);
    else mov_rm64_imm32(a, R11, insns.imm(at));
  }
  if (dst !== RAX) (w ? mov_rm64_r64 : mov_rm32_r32)(a, RAX, dst);
  if (signed) {
    (w ? cqo : cdq)(a);
    (w ? idiv_rm64 : idiv_rm32)(a, divisor);
  } else {
    xor_rm32_r32(a, RDX, RDX);
    (w ? div_rm64 : div_rm32)(a, divisor);
  }
  const result = code >> 4 === DIV ? RAX : RDX;
  if (dst !== result) (w ? mov_rm64_r64 : mov_rm32_r32)(a, dst, result);
  if (dst !== RDX) pop_r64(a, RDX);
  if (dst !== RAX) pop_r64(a, RAX);
}

/** x / 0 = 0; x % 0 = x, cut to 32 bits (in 64 bits nothing is to do). */
const guardZero: LowerGuard<Assembler> = (a, insns, at, _context, back) => {
  const dst = REG[insns.dst(at)]!;
  if (insns.code(at) >> 4 === DIV) xor_rm32_r32(a, dst, dst);
  else mov_rm32_r32(a, dst, dst);
  a.jmp(back);
};

/** Entered with the flags of `divisor + 1` compared with 1: equal for 0, below for −1. x / −1 = −x; x % −1 = 0. */
const guardSigned: LowerGuard<Assembler> = (a, insns, at, _context, back) => {
  const w = wide(insns.code(at));
  const dst = REG[insns.dst(at)]!;
  if (insns.code(at) >> 4 === DIV) {
    const minus = a.label();
    a.jcc(CC.ne, minus);
    xor_rm32_r32(a, dst, dst);
    a.bind(minus);
    (w ? neg_rm64 : neg_rm32)(a, dst);
  } else {
    if (!w) mov_rm32_r32(a, dst, dst);
    a.jcc(CC.e, back);
    xor_rm32_r32(a, dst, dst);
  }
  a.jmp(back);
};

/** The lowerings of this file. */
export const ALU_LOWERING: Pick<Lowering<Assembler>, "alu" | "div" | "shift" | "neg" | "mov" | "movsx" | "end"> = {
  alu, div, shift, neg, mov, movsx, end,
}; // biome-ignore format: as in the type
