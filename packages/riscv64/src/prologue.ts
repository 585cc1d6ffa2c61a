// How a subprogram's frame is made and left: what Linux 7.2 shows on riscv64, and for tail calls what followed it.
import { type FrameSlot, type LowerContext, type LowerGuard, MAY_GOTO_PASSES } from "@bpfkit/core";
import { A0, A5, A6, RA, S0, S5, S6, SP, T0 } from "./abi.ts";
import type { Assembler } from "./assembler.ts";
import { emitCounterGiveBack, emitCounterKeep, emitCounterStart } from "./counter.ts";
import { mayGotoOffset, shapeOf } from "./frame.ts";
import { SITE } from "./poke.ts";
import { REGS } from "./regs.ts";

const EXIT = 0x95;

/**
 * ```
 *             sp of the caller
 *             16 bytes for the count of tail calls, where a6 points at it
 *   s0
 *   s0 - 8    ra, where it calls anything
 *             s0 of the caller
 *             s1 s2 s3 s4, those that are used, and s5, where r10 or anything below it is
 *             a6, where the count of tail calls has a slot; s6, where a6 is put aside
 *             up to 8 bytes of nothing
 *   s5        = r10
 *             BPF stack, `stack` bytes
 *             counter of may_goto
 *   sp
 * ```
 */
export function emitPrologue(a: Assembler, context: LowerContext<Assembler>): void {
  const { frame, subprog, features, layout, info, program } = context;
  const { space, kept, total, above } = shapeOf(context);
  a.choose(features, layout);
  a.site("entry", SITE, subprog);
  a.nop();
  a.nop();
  emitCounterStart(a, context);
  if (subprog === 0) a.land();
  a.addi(SP, SP, -(subprog === 0 ? total : total + above));
  kept.forEach((register, i) => {
    const offset = total - 8 * (i + 1);
    if (isForCounter(register)) emitCounterKeep(a, register, offset);
    else a.sd(register, offset, SP);
  });
  a.addi(S0, SP, total);
  if (kept.includes(S5)) a.addi(S5, SP, space);
  if (frame.counter > 0) {
    a.li(T0, MAY_GOTO_PASSES);
    a.sd(T0, mayGotoOffset(frame), S5);
  }
  const last = info.end - 1;
  if (program.insns.code(last) !== EXIT) context.outOfLine(epilogueBehind, last, context.epilogue, context.epilogue);
}

const isForCounter = (register: number): boolean => register === A6 || register === S6;

/** Where no exit is last, those before it find the way out behind the subprogram. */
const epilogueBehind: LowerGuard<Assembler> = (a, _insns, _at, context) => emitEpilogue(a, context);

/** Leaves the frame and returns. The host takes 32 bits in a0, another subprogram all of a5. */
export function emitEpilogue(a: Assembler, context: LowerContext<Assembler>): void {
  const { total, above } = shapeOf(context);
  emitRestore(a, context, "exit");
  a.addi(SP, SP, total + above);
  a.sextW(A0, A5);
  a.ret();
}

/** Leaves the frame for a program that is entered where tail calls land. */
export function emitUnwind(a: Assembler, context: LowerContext<Assembler>): void {
  emitRestore(a, context, "tail-call");
  a.addi(SP, SP, shapeOf(context).total);
}

function emitRestore(a: Assembler, context: LowerContext<Assembler>, edge: "exit" | "tail-call"): void {
  const { kept, total } = shapeOf(context);
  kept.forEach((register, i) => {
    const offset = total - 8 * (i + 1);
    if (isForCounter(register)) emitCounterGiveBack(a, context, register, offset, edge);
    else a.ld(register, offset, SP);
  });
}

/** The picture above as data, relative to s5. */
export function frameSlots(context: LowerContext<Assembler>): readonly FrameSlot[] {
  const { frame, scheme } = context;
  const { space, kept, total, above } = shapeOf(context);
  const slots: FrameSlot[] = [];
  if (above > 0) slots.push({ name: "room for the count of tail calls", offset: total - space, size: above });
  for (const [i, register] of kept.entries())
    slots.push({ name: nameOf(register, scheme.carries), offset: total - space - 8 * (i + 1), size: 8 });
  if (frame.stack > 0) slots.push({ name: "stack", offset: -frame.stack, size: frame.stack });
  if (frame.counter > 0) slots.push({ name: "may_goto counter", offset: mayGotoOffset(frame), size: 8 });
  return slots;
}

function nameOf(register: number, carries: string): string {
  switch (register) {
    case RA:
      return "return address";
    case S0:
      return "s0 of the caller";
    case A6:
      return carries === "address" ? "address of the count of tail calls" : "tail calls left";
    default:
      return REGS[register]!;
  }
}
