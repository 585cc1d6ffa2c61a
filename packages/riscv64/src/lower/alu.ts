// Arithmetic: RFC 9669 section 4.1 and 4.2. Every result of 32 bits ends zero-extended, unless the next instruction drops the upper half.
import { Fact, type Insns, type LowerContext, type LowerInsn, type Lowering } from "@bpfkit/core";
import { REG, T1, T2, ZERO } from "../abi.ts";
import { type Assembler, fits12 } from "../assembler.ts";
import { emit } from "../emit.ts";
import { dropsUpperHalf, isTopClear, isUpperUnused } from "./upper-half.ts";

const {
  mul, mulw, div, divw, divu, divuw, rem, remw, remu, remuw, sll, sllw, slliw, srl, srlw, srliw, sra, sraw, sraiw, sltu, ori, xori, rev8,
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

/** 1 for the 64-bit class, 0 for the 32-bit one: bits 0 to 2 of the opcode are 7 or 4. */
const wide = (code: number): 0 | 1 => (code & 1) as 0 | 1;

/** The operand is a register; otherwise the immediate. */
const fromRegister = (code: number): boolean => (code & 8) !== 0;

/** Clears the upper half of a 32-bit result in `reg`, where anybody can see it. */
function emitZext(a: Assembler, insns: Insns, at: number, context: LowerContext<Assembler>, reg: number): void {
  if (isUpperUnused(context, at)) return;
  if (dropsUpperHalf(insns, at, context)) context.shareNext();
  else if (isTopClear(context, at)) a.sextW(reg, reg);
  else a.zextW(reg, reg);
}

/** The same where the sign of the 32-bit result is extended in `reg` already. */
function emitZextOfSigned(a: Assembler, insns: Insns, at: number, context: LowerContext<Assembler>, reg: number): void {
  if (!isTopClear(context, at)) emitZext(a, insns, at, context, reg);
}

/** Sums of 32 bits come from 64-bit instructions, which are shorter, unless extending the sign of one spares what would follow. */
const alu: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  const isSum = code >> 4 === ADD || code >> 4 === SUB;
  const asWord = !wide(code) && isSum && isTopClear(context, at) && !isUpperUnused(context, at);
  const zext = asWord || code >> 4 === MUL ? emitZextOfSigned : emitZext;
  if (fromRegister(code)) {
    emitRegister(a, code, dst, REG[insns.src(at)]!, asWord);
    if (!wide(code)) zext(a, insns, at, context, dst);
    return;
  }
  const imm = insns.imm(at);
  emitImmediate(a, code, dst, imm, asWord);
  if (!wide(code) && !(code >> 4 === AND && imm >= 0)) zext(a, insns, at, context, dst);
};

function emitRegister(a: Assembler, code: number, dst: number, src: number, asWord: boolean): void {
  switch (code >> 4) {
    case ADD:
      if (asWord) a.addw(dst, dst, src);
      else a.add(dst, dst, src);
      break;
    case SUB:
      if (asWord) a.subw(dst, dst, src);
      else a.sub(dst, dst, src);
      break;
    case MUL:
      (wide(code) ? mul : mulw)(a, dst, dst, src);
      break;
    case OR:
      a.or(dst, dst, src);
      break;
    case AND:
      a.and(dst, dst, src);
      break;
    default:
      a.xor(dst, dst, src);
  }
}

/** Immediates of 12 bits where the hardware has them, else by way of t1. */
function emitImmediate(a: Assembler, code: number, dst: number, imm: number, asWord: boolean): void {
  const operation = code >> 4;
  if (operation === ADD && fits12(imm)) addImmediate(a, dst, imm, asWord);
  else if (operation === SUB && fits12(-imm)) addImmediate(a, dst, -imm, asWord);
  else if (operation === AND && fits12(imm)) a.andi(dst, dst, imm);
  else if (operation === AND && imm === 0xffff) a.zextH(dst, dst);
  else if (operation === OR && fits12(imm)) ori(a, dst, dst, imm);
  else if (operation > LSH && fits12(imm)) xori(a, dst, dst, imm);
  else {
    a.li(T1, imm);
    emitRegister(a, code, dst, T1, asWord);
  }
}

function addImmediate(a: Assembler, dst: number, imm: number, asWord: boolean): void {
  if (asWord) a.addiw(dst, dst, imm);
  else a.addi(dst, dst, imm);
}

const mov: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const dst = REG[insns.dst(at)]!;
  if (!fromRegister(code)) {
    const imm = insns.imm(at);
    a.li(dst, imm);
    if (!wide(code) && imm < 0) emitZext(a, insns, at, context, dst);
    return;
  }
  const src = REG[insns.src(at)]!;
  if (!wide(code) && !isUpperUnused(context, at)) {
    if (isTopClear(context, at)) a.sextW(dst, src);
    else a.zextW(dst, src);
  } else if (dst !== src) a.mv(dst, src);
};

const movsx: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  const src = REG[insns.src(at)]!;
  const off = insns.off(at);
  if (off === 32) a.sextW(dst, src);
  else if (off === 16) a.sextH(dst, src);
  else a.sextB(dst, src);
  if (!wide(insns.code(at))) emitZextOfSigned(a, insns, at, context, dst);
};

const neg: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  a.sub(dst, ZERO, dst);
  if (!wide(insns.code(at))) emitZext(a, insns, at, context, dst);
};

const shift: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const w = wide(code);
  const dst = REG[insns.dst(at)]!;
  if (fromRegister(code)) {
    const src = REG[insns.src(at)]!;
    if (code >> 4 === LSH) (w ? sll : sllw)(a, dst, dst, src);
    else if (code >> 4 === RSH) (w ? srl : srlw)(a, dst, dst, src);
    else (w ? sra : sraw)(a, dst, dst, src);
    if (!w) emitZextOfSigned(a, insns, at, context, dst);
    return;
  }
  const imm = insns.imm(at) & (w ? 63 : 31);
  if (imm === 0) {
    if (!w) emitZext(a, insns, at, context, dst);
    return;
  }
  if (code >> 4 === LSH && !w && isTopClear(context, at) && !isUpperUnused(context, at)) {
    slliw(a, dst, dst, imm);
    return;
  }
  if (code >> 4 === LSH) a.slli(dst, dst, imm);
  else if (code >> 4 === RSH) {
    if (w) a.srli(dst, dst, imm);
    else srliw(a, dst, dst, imm);
  } else if (w) a.srai(dst, dst, imm);
  else sraiw(a, dst, dst, imm);
  if (!w && code >> 4 === LSH) emitZext(a, insns, at, context, dst);
  else if (!w && code >> 4 !== RSH) emitZextOfSigned(a, insns, at, context, dst);
};

const end: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  const bits = insns.imm(at);
  if (insns.code(at) === 0xd4) {
    if (bits === 16) a.zextH(dst, dst);
    else if (bits === 32) emitZext(a, insns, at, context, dst);
  } else if (context.features.zbb) {
    rev8(a, dst, dst);
    if (bits < 64) a.srli(dst, dst, 64 - bits);
  } else emitSwap(a, dst, bits / 8);
};

/** One byte after the other from the low end of `dst` to the low end of t2. Clobbers t1, t2. */
function emitSwap(a: Assembler, dst: number, bytes: number): void {
  a.andi(T2, dst, 0xff);
  for (let i = 1; i < bytes; i++) {
    a.slli(T2, T2, 8);
    a.srli(dst, dst, 8);
    if (i === 7) a.mv(T1, dst);
    else a.andi(T1, dst, 0xff);
    a.add(T2, T2, T1);
  }
  a.mv(dst, T2);
}

/** Quotient, remainder; each unsigned, signed; each in 32 and 64 bits. */
const QUOTIENT = [
  [divuw, divu],
  [divw, div],
] as const;
const REMAINDER = [
  [remuw, remu],
  [remw, rem],
] as const;

/** The hardware's remainders are BPF's, and so are its signed quotients by −1; a quotient by 0 is all ones instead of 0. */
const div_: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const w = wide(code);
  const signed = insns.off(at) !== 0 ? 1 : 0;
  const isDiv = code >> 4 === DIV;
  const dst = REG[insns.dst(at)]!;
  const operation = (isDiv ? QUOTIENT : REMAINDER)[signed]![w];
  if (!fromRegister(code)) {
    const imm = insns.imm(at);
    if (imm === 0) {
      if (isDiv) a.li(dst, 0);
      else if (!w) emitZext(a, insns, at, context, dst);
      return;
    }
    a.li(T1, imm);
    operation(a, dst, dst, T1);
    if (!w && !hasClearTop(imm, signed, isDiv)) emitZextOfSigned(a, insns, at, context, dst);
    return;
  }
  const src = REG[insns.src(at)]!;
  if (dst === src) emitBySelf(a, w, dst, isDiv);
  else {
    operation(a, dst, dst, src);
    const guarded = isDiv && (context.facts.flags[at]! & Fact.DIVISOR_NONZERO) === 0;
    if (!w && guarded && !isTopClear(context, at)) a.zextW(dst, dst);
    else if (!w && !guarded) emitZextOfSigned(a, insns, at, context, dst);
    if (!guarded) return;
    if (!w) a.sextW(T1, src);
    a.liIfZero(w ? src : T1, dst, 0);
  }
};

/** x / x is 1, or 0 where x is; x % x is 0. */
function emitBySelf(a: Assembler, w: 0 | 1, dst: number, isDiv: boolean): void {
  if (!isDiv) a.li(dst, 0);
  else {
    if (!w) a.sextW(dst, dst);
    sltu(a, dst, ZERO, dst);
  }
}

/** Whether bit 31 of an unsigned result by this constant is 0, so that its sign-extension is the zero-extension. */
function hasClearTop(imm: number, signed: number, isDiv: boolean): boolean {
  if (signed) return false;
  return isDiv ? imm !== 1 : imm > 0 || imm === -0x8000_0000;
}

/** The lowerings of this file. */
export const ALU_LOWERING: Pick<Lowering<Assembler>, "alu" | "div" | "shift" | "neg" | "mov" | "movsx" | "end"> = {
  alu, div: div_, shift, neg, mov, movsx, end,
}; // biome-ignore format: as in the type
