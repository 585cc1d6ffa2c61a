// Tail calls: RFC 9669 has none; what Linux 7.2 shows on arm64. Whatever fails goes on behind them, with the frame as it was.
import { Fact, type Label, type LowerContext, type LowerInsn, type Lowering, PROG, PROG_ARRAY } from "@bpfkit/core";
import { X1, X2, X10, X11, XZR } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emitCounterCheck, emitCounterCount } from "../counter.ts";
import { emit } from "../emit.ts";
import { emitFarJump, SITE } from "../poke.ts";
import { emitUnwind } from "../prologue.ts";

const { ldr_reg, subs_shift, add_shift, add_imm, ubfm, br, nop } = emit;

/** Extension of an index: none. */
const LSL = 3;

const tailCall: LowerInsn<Assembler> = (a, _insns, at, context) => {
  const out = a.label();
  if (context.isDirect(at)) emitDirect(a, at, context, out);
  else emitIndirect(a, context, out, (context.facts.flags[at]! & Fact.INDEX_IN_RANGE) !== 0);
  a.bind(out);
};

/**
 * The context is in x0, the array in x1 and the index in w2. A tail call counts once its slot is known to hold a program. The pair of x29
 * and x30 and the counter's stay where they are, and the program in x11 is entered behind those.
 */
function emitIndirect(a: Assembler, context: LowerContext<Assembler>, out: Label, isInRange: boolean): void {
  if (!isInRange) {
    a.movImm(0, X10, PROG_ARRAY.maxEntries);
    ldr_reg(a, 0, X10, X1, X10, LSL, 0);
    a.mov(0, X2, X2);
    subs_shift(a, 0, XZR, X2, X10, 0, 0);
    a.bCond(CC.hs, out);
  }
  emitCounterCheck(a, context, out);
  a.movImm(0, X10, PROG_ARRAY.programs);
  add_shift(a, 1, X10, X1, X10, 0, 0);
  ubfm(a, 1, 1, X11, X2, 61, 60); // lsl #3
  ldr_reg(a, 1, X11, X10, X11, LSL, 0);
  a.cbz(X11, out);
  emitCounterCount(a, context);
  emitUnwind(a, context.frame);
  a.movImm(0, X10, PROG.entry);
  ldr_reg(a, 1, X10, X11, X10, LSL, 0);
  add_imm(a, 1, X10, X10, context.landing, 0);
  br(a, X10);
}

/** The same where array and index are known: a jump past the rest while the slot is empty, and a jump to its program while it is not. */
function emitDirect(a: Assembler, at: number, context: LowerContext<Assembler>, out: Label): void {
  emitCounterCheck(a, context, out);
  a.site("bypass", SITE, context.subprog, at);
  a.b(out);
  emitCounterCount(a, context);
  emitUnwind(a, context.frame);
  const target = a.site("target", SITE, context.subprog, at);
  nop(a);
  if (context.layout.far)
    context.outOfLine(() => emitFarJump(a, context.layout, context.entry(0), target), at, a.label(), out);
}

/** The lowering of this file. */
export const TAIL_CALL_LOWERING: Pick<Lowering<Assembler>, "tailCall"> = { tailCall };
