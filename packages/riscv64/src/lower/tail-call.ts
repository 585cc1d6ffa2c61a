// Tail calls: RFC 9669 has none; Linux' code since they may stand in subprograms. What fails goes on behind them, with the frame as it was.
import { Fact, type Label, type LowerContext, type LowerInsn, type Lowering, PROG, PROG_ARRAY } from "@bpfkit/core";
import { A1, A2, T1, T2, T3, ZERO } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emitCounterCheck, emitCounterCount } from "../counter.ts";
import { emit } from "../emit.ts";
import { NEAR_SITE, SITE } from "../poke.ts";
import { emitUnwind } from "../prologue.ts";

const tailCall: LowerInsn<Assembler> = (a, _insns, at, context) => {
  const out = a.label();
  if (context.isDirect(at)) emitDirect(a, at, context, out);
  else emitIndirect(a, context, out, (context.facts.flags[at]! & Fact.INDEX_IN_RANGE) !== 0);
  a.bind(out);
};

/** The context is in a0, the array in a1, the index in a2. A tail call counts once its slot is known to hold a program. */
function emitIndirect(a: Assembler, context: LowerContext<Assembler>, out: Label, isInRange: boolean): void {
  if (!isInRange) {
    a.zextW(A2, A2);
    emit.lwu(a, T1, PROG_ARRAY.maxEntries, A1);
    a.b(CC.geu, A2, T1, out);
  }
  emitCounterCheck(a, context, out);
  a.sh3add(T2, A2, A1);
  a.ld(T2, PROG_ARRAY.programs, T2);
  a.b(CC.eq, T2, ZERO, out);
  emitCounterCount(a, context);
  a.ld(T3, PROG.entry, T2);
  emitUnwind(a, context);
  emit.jalr(a, ZERO, context.landing, T3);
}

/** The same where array and index are known: a jump past the rest while the slot is empty, and a jump to its program while it is not. */
function emitDirect(a: Assembler, at: number, context: LowerContext<Assembler>, out: Label): void {
  emitCounterCheck(a, context, out);
  a.site("bypass", NEAR_SITE, context.subprog, at);
  a.jal(out);
  emitCounterCount(a, context);
  emitUnwind(a, context);
  a.site("target", SITE, context.subprog, at);
  a.nop();
  a.nop();
}

/** The lowering of this file. */
export const TAIL_CALL_LOWERING: Pick<Lowering<Assembler>, "tailCall"> = { tailCall };
