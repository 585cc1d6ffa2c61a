// Calls, packet loads (which are calls) and exits: RFC 9669 sections 4.3 and 5.5. r1..r5 are where a callee expects them.
import type { LowerContext, LowerGuard, LowerInsn, Lowering, Size, Symbol as SymbolRef } from "@bpfkit/core";
import { RAX, RBX, RDI, REG, RSI } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emitHandOn, emitTakeBack } from "../counter.ts";
import { emit } from "../emit.ts";
import { emitEpilogue } from "../prologue.ts";

const { call_rel32, mov_rm64_r64, mov_rm64_imm32, movsxd_r64_rm32, add_rm32_imm32, xor_rm32_r32, test_rm64_r64 } = emit;

function emitCall(a: Assembler, symbol: SymbolRef): void {
  call_rel32(a, 0);
  a.relocate("rel32", symbol, 4);
}

const callHelper: LowerInsn<Assembler> = (a, insns, at) => emitCall(a, { kind: "helper", id: insns.imm(at) });

const callKfunc: LowerInsn<Assembler> = (a, insns, at) => emitCall(a, { kind: "kfunc", index: insns.imm(at) });

const callSubprog: LowerInsn<Assembler> = (a, insns, at, context) => {
  const callee = context.structure.subprogAt(at + 1 + insns.imm(at));
  emitHandOn(a, context);
  a.call(context.entry(callee));
  emitTakeBack(a, context, callee);
};

/** The first exit leaves the frame; later ones go there. */
const exit: LowerInsn<Assembler> = (a, _insns, _at, context) => leave(a, context);

function leave(a: Assembler, context: LowerContext<Assembler>): void {
  if (a.isBound(context.epilogue)) a.jmp(context.epilogue);
  else {
    a.bind(context.epilogue);
    emitEpilogue(a, context);
  }
}

/** Bits 3 and 4 of the opcode. */
const SIZES: readonly Size[] = [4, 2, 1, 8];

/** Calls the host with the context (r6) and the signed offset; a negative result means outside the packet, which ends the frame with 0. */
const packetLoad: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const imm = insns.imm(at);
  if (code >> 5 === 1) mov_rm64_imm32(a, RSI, imm);
  else {
    const src = REG[insns.src(at)]!;
    if (imm === 0) movsxd_r64_rm32(a, RSI, src);
    else {
      mov_rm64_r64(a, RSI, src);
      add_rm32_imm32(a, RSI, imm);
      movsxd_r64_rm32(a, RSI, RSI);
    }
  }
  mov_rm64_r64(a, RDI, RBX);
  emitCall(a, { kind: "packet-load", size: SIZES[(code >> 3) & 3]! });
  test_rm64_r64(a, RAX, RAX);
  const outside = a.label();
  context.outOfLine(guardPacket, at, outside, context.epilogue);
  a.jcc(CC.s, outside);
};

const guardPacket: LowerGuard<Assembler> = (a, _insns, _at, context) => {
  xor_rm32_r32(a, RAX, RAX);
  leave(a, context);
};

/** The lowerings of this file. */
export const CALL_LOWERING: Pick<Lowering<Assembler>, "callHelper" | "callKfunc" | "callSubprog" | "packetLoad" | "exit"> = {
  callHelper, callKfunc, callSubprog, packetLoad, exit,
}; // biome-ignore format: as in the type
