// Arithmetic: RFC 9669 section 4.1 and 4.2. Writing 32 bits of a register clears the rest, so nothing is left to do for BPF's 32-bit class.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { REG, X10, X11, XZR } from "../abi.ts";
import type { Assembler } from "../assembler.ts";
import { emit } from "../emit.ts";

const {
  add_shift, sub_shift, and_shift, orr_shift, eor_shift, madd, msub, udiv, sdiv, lslv, lsrv, asrv, ubfm, sbfm, rev16, rev_w, rev_x,
} = emit; // biome-ignore format: names

/** Bits 4 to 7 of the opcode. */
const ADD = 0x0;
const SUB = 0x1;
const MUL = 0x2;
const DIV = 0x3;
const OR = 0x4;
const AND = 0x5;
const LSH = 0x6;
const RSH = 0x7;
const XOR = 0xa;

/** 1 for the 64-bit class, 0 for the 32-bit one: bits 0 to 2 of the opcode are 7 or 4. */
const wide = (code: number): 0 | 1 => (code & 1) as 0 | 1;

/** The operand is a register; otherwise the immediate. */
const fromRegister = (code: number): boolean => (code & 8) !== 0;

/** By bits 4 to 7 of the opcode. */
const WITH_REGISTER: Readonly<Record<number, typeof add_shift>> = {
  [ADD]: add_shift,
  [SUB]: sub_shift,
  [OR]: orr_shift,
  [AND]: and_shift,
  [XOR]: eor_shift,
};

const alu: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  const operation = code >> 4;
  if (fromRegister(code)) {
    const src = REG[insns.src(at)]!;
    if (operation === MUL) madd(a, w, dst, dst, src, XZR);
    else WITH_REGISTER[operation]!(a, w, dst, dst, src, 0, 0);
    return;
  }
  const imm = insns.imm(at);
  if (operation === ADD) a.addImm(w, dst, dst, imm, X10);
  else if (operation === SUB) a.subImm(w, dst, dst, imm, X10);
  else if (operation === OR) a.orrImm(w, dst, imm);
  else if (operation === AND) a.andImm(w, dst, imm);
  else if (operation === XOR) a.eorImm(w, dst, imm);
  else {
    a.movImm(w, X10, imm);
    madd(a, w, dst, dst, X10, XZR);
  }
};

/**
 * The hardware gives 0 for a division by 0, and the least number divided by −1 is itself: what BPF asks for. A remainder is the dividend
 * minus what the quotient accounts for, which makes x % 0 = x of the former and 0 of the latter.
 */
const div: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  const divide = insns.off(at) === 0 ? udiv : sdiv;
  const isDiv = code >> 4 === DIV;
  let src = isDiv ? X10 : X11;
  if (fromRegister(code)) src = REG[insns.src(at)]!;
  else a.movImm(w, src, insns.imm(at));
  if (isDiv) divide(a, w, dst, dst, src);
  else {
    divide(a, w, X10, dst, src);
    msub(a, w, dst, X10, src, dst);
  }
};

const shift: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  const operation = code >> 4;
  if (fromRegister(code)) {
    (operation === LSH ? lslv : operation === RSH ? lsrv : asrv)(a, w, dst, dst, REG[insns.src(at)]!);
    return;
  }
  const top = w === 1 ? 63 : 31;
  const imm = insns.imm(at) & top;
  if (operation === LSH) ubfm(a, w, w, dst, dst, -imm & top, top - imm);
  else (operation === RSH ? ubfm : sbfm)(a, w, w, dst, dst, imm, top);
};

const neg: LowerInsn<Assembler> = (a, insns, at) => {
  const dst = REG[insns.dst(at)]!;
  sub_shift(a, wide(insns.code(at)), dst, XZR, dst, 0, 0);
};

const mov: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  if (fromRegister(code)) a.mov(wide(code), dst, REG[insns.src(at)]!);
  else a.movImm(wide(code), dst, insns.imm(at));
};

const movsx: LowerInsn<Assembler> = (a, insns, at) => {
  const w = wide(insns.code(at));
  sbfm(a, w, w, REG[insns.dst(at)]!, REG[insns.src(at)]!, 0, insns.off(at) - 1);
};

/** Opcodes: to little endian, to big endian; the third swaps always. */
const TO_LE = 0xd4;

const end: LowerInsn<Assembler> = (a, insns, at) => {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  const w = wide(code);
  switch (insns.imm(at)) {
    case 16:
      if (code !== TO_LE) rev16(a, w, dst, dst);
      ubfm(a, w, w, dst, dst, 0, 15);
      break;
    case 32:
      if (code !== TO_LE) rev_w(a, dst, dst);
      else ubfm(a, 0, 0, dst, dst, 0, 31);
      break;
    default:
      if (code !== TO_LE) rev_x(a, dst, dst);
  }
};

/** The lowerings of this file. */
export const ALU_LOWERING: Pick<Lowering<Assembler>, "alu" | "div" | "shift" | "neg" | "mov" | "movsx" | "end"> = {
  alu, div, shift, neg, mov, movsx, end,
}; // biome-ignore format: as in the type
