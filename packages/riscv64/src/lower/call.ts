// Calls, packet loads (which are calls) and exits: RFC 9669 sections 4.3 and 5.5. r1..r5 are where a callee expects them.
import type { LowerContext, LowerGuard, LowerInsn, Lowering, Size, Symbol as SymbolRef } from "@bpfkit/core";
import { A0, A1, A5, RA, REG, S1, T1, ZERO } from "../abi.ts";
import { type Assembler, CC, fits12 } from "../assembler.ts";
import { emitCounterCall, emitCounterHostCall, emitCounterHostReturn, emitCounterReturn } from "../counter.ts";
import { emit } from "../emit.ts";
import { emitEpilogue } from "../prologue.ts";

/** Calls the host, which leaves its result in a0. */
function emitCall(a: Assembler, context: LowerContext<Assembler>, symbol: SymbolRef): void {
  emitCounterHostCall(a, context);
  emit.auipc(a, T1, 0);
  emit.jalr(a, RA, 0, T1);
  a.relocate("call", symbol, 8);
  emitCounterHostReturn(a, context);
  a.mv(A5, A0);
}

const callHelper: LowerInsn<Assembler> = (a, insns, at, context) =>
  emitCall(a, context, { kind: "helper", id: insns.imm(at) });

const callKfunc: LowerInsn<Assembler> = (a, insns, at, context) =>
  emitCall(a, context, { kind: "kfunc", index: insns.imm(at) });

const callSubprog: LowerInsn<Assembler> = (a, insns, at, context) => {
  const callee = context.structure.subprogAt(at + 1 + insns.imm(at));
  emitCounterCall(a, context, callee);
  a.call(context.entry(callee));
  emitCounterReturn(a, context, callee);
};

/** The last exit leaves the frame; earlier ones go there. */
const exit: LowerInsn<Assembler> = (a, _insns, at, context) => {
  if (at !== context.info.end - 1) a.j(context.epilogue);
  else {
    a.bind(context.epilogue);
    emitEpilogue(a, context);
  }
};

/** Bits 3 and 4 of the opcode. */
const SIZES: readonly Size[] = [4, 2, 1, 8];

/** Calls the host with the context (r6) and the signed offset; a negative result means outside the packet, which ends the frame with 0. */
const packetLoad: LowerInsn<Assembler> = (a, insns, at, context) => {
  const code = insns.code(at);
  const imm = insns.imm(at);
  if (code >> 5 === 1) a.li(A1, imm);
  else {
    const src = REG[insns.src(at)]!;
    if (fits12(imm)) a.addiw(A1, src, imm);
    else {
      a.li(T1, imm);
      emit.addw(a, A1, src, T1);
    }
  }
  a.mv(A0, S1);
  emitCall(a, context, { kind: "packet-load", size: SIZES[(code >> 3) & 3]! });
  const outside = a.label();
  context.outOfLine(guardPacket, at, outside, context.epilogue);
  a.b(CC.lt, A5, ZERO, outside);
};

const guardPacket: LowerGuard<Assembler> = (a, _insns, _at, _context, epilogue) => {
  a.li(A5, 0);
  a.j(epilogue);
};

/** The lowerings of this file. */
export const CALL_LOWERING: Pick<Lowering<Assembler>, "callHelper" | "callKfunc" | "callSubprog" | "packetLoad" | "exit"> = {
  callHelper, callKfunc, callSubprog, packetLoad, exit,
}; // biome-ignore format: as in the type
