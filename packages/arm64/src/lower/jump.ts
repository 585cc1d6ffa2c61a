// Jumps within a subprogram: RFC 9669 section 4.3, and may_goto.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { REG, X10, X11, XZR } from "../abi.ts";
import { type Assembler, CC, fitsAdd } from "../assembler.ts";
import { emit } from "../emit.ts";
import { bitmaskFields } from "../encode.ts";
import { counterOffset } from "../prologue.ts";

const { subs_shift, subs_imm, adds_imm, ands_shift, ands_imm, sub_imm } = emit;

const JSET = 0x4;

/** Condition by bits 4 to 7 of the opcode. */
const CONDITION: Uint8Array = new Uint8Array(16);
CONDITION[0x1] = CC.eq;
CONDITION[0x2] = CC.hi;
CONDITION[0x3] = CC.hs;
CONDITION[JSET] = CC.ne;
CONDITION[0x5] = CC.ne;
CONDITION[0x6] = CC.gt;
CONDITION[0x7] = CC.ge;
CONDITION[0xa] = CC.lo;
CONDITION[0xb] = CC.ls;
CONDITION[0xc] = CC.lt;
CONDITION[0xd] = CC.le;

const jumpIf: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const w = (code & 7) === 5 ? 1 : 0;
  const test = code >> 4 === JSET;
  const dst = REG[insns.dst(at)]!;
  if ((code & 8) !== 0) (test ? ands_shift : subs_shift)(a, w, XZR, dst, REG[insns.src(at)]!, 0, 0);
  else if (test) testImm(a, w, dst, insns.imm(at));
  else compareImm(a, w, dst, insns.imm(at));
  a.bCond(CONDITION[code >> 4]!, context.label(at + 1 + insns.off(at)));
};

/** Clobbers x10 where the number is no immediate. */
function testImm(a: Assembler, w: number, dst: number, imm: number): void {
  const fields = bitmaskFields(w === 1 ? imm >> 31 : imm, imm);
  if (fields >= 0) ands_imm(a, w, fields >> 12, (fields >> 6) & 63, fields & 63, XZR, dst);
  else {
    a.movImm(w, X10, imm);
    ands_shift(a, w, XZR, dst, X10, 0, 0);
  }
}

/** Compares with a number, or adds what it lacks to 0. Clobbers x10 where neither is an immediate. */
function compareImm(a: Assembler, w: number, dst: number, imm: number): void {
  if (fitsAdd(imm)) a.withImm(subs_imm, w, XZR, dst, imm);
  else if (fitsAdd(-imm)) a.withImm(adds_imm, w, XZR, dst, -imm);
  else {
    a.movImm(w, X10, imm);
    subs_shift(a, w, XZR, dst, X10, 0, 0);
  }
}

const jump: LowerInsn<Assembler> = (a, insns, at, context) => {
  a.b(context.label(at + 1 + (insns.code(at) === 0x06 ? insns.imm(at) : insns.off(at))));
};

/** Jumps when the frame's counter is used up, else counts. */
const mayGoto: LowerInsn<Assembler> = (a, insns, at, context) => {
  const offset = counterOffset(context.frame);
  a.loadSlot(X10, offset);
  a.cbz(X10, context.label(at + 1 + insns.off(at)));
  sub_imm(a, 1, X10, X10, 1, 0);
  a.storeSlot(X10, offset, X11);
};

/** The lowerings of this file. */
export const JUMP_LOWERING: Pick<Lowering<Assembler>, "jumpIf" | "jump" | "mayGoto"> = { jumpIf, jump, mayGoto };
