// Calls, packet loads (which are calls) and exits: RFC 9669 sections 4.3 and 5.5. r1..r5 are where a callee expects them.
import type { LowerInsn, Lowering, Settings, Size, Symbol as SymbolRef } from "@bpfkit/core";
import { REG, X0, X1, X8, X10, X19, XZR } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emitCounterCall, emitCounterReturn } from "../counter.ts";
import { emit } from "../emit.ts";
import { emitEpilogue } from "../prologue.ts";
import { emitAddress } from "./memory.ts";

const { bl, blr, sbfm, subs_imm, csel } = emit;

/** Near, or by an address in x10 where the layout says that code may lie anywhere. */
export function emitCall(a: Assembler, symbol: SymbolRef, { layout }: { readonly layout: Settings }): void {
  if (layout.far) {
    emitAddress(a, X10, symbol);
    blr(a, X10);
    return;
  }
  bl(a, 0);
  a.relocate("call26", symbol, 4);
}

const callHelper: LowerInsn<Assembler> = (a, insns, at, context) => {
  emitCall(a, { kind: "helper", id: insns.imm(at) }, context);
  a.mov(1, X8, X0);
};

const callKfunc: LowerInsn<Assembler> = (a, insns, at, context) => {
  emitCall(a, { kind: "kfunc", index: insns.imm(at) }, context);
  a.mov(1, X8, X0);
};

const callSubprog: LowerInsn<Assembler> = (a, insns, at, context) => {
  const callee = context.structure.subprogAt(at + 1 + insns.imm(at));
  emitCounterCall(a, context, callee);
  a.bl(context.entry(callee));
  emitCounterReturn(a, context, callee);
  a.mov(1, X8, X0);
};

/** The frame is left at the end of the subprogram: its last instruction falls into that, others go there. */
const exit: LowerInsn<Assembler> = (a, _insns, at, context) => {
  if (at !== context.info.end - 1) a.b(context.epilogue);
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
  if (code >> 5 === 1) a.movImm(1, X1, imm);
  else {
    let offset = REG[insns.src(at)]!;
    if (imm !== 0) {
      a.addImm(0, X10, offset, imm, X10);
      offset = X10;
    }
    sbfm(a, 1, 1, X1, offset, 0, 31);
  }
  a.mov(1, X0, X19);
  emitCall(a, { kind: "packet-load", size: SIZES[(code >> 3) & 3]! }, context);
  subs_imm(a, 1, XZR, X0, 0, 0);
  csel(a, 1, X8, X0, XZR, CC.ge);
  a.bCond(CC.lt, context.epilogue);
};

/** The lowerings of this file. */
export const CALL_LOWERING: Pick<Lowering<Assembler>, "callHelper" | "callKfunc" | "callSubprog" | "packetLoad" | "exit"> = {
  callHelper, callKfunc, callSubprog, packetLoad, exit,
}; // biome-ignore format: as in the type
