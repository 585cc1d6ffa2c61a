// How a subprogram's frame is made and left: what Linux 7.2 shows on riscv64.
import { type Frame, type FrameSlot, type LowerContext, type LowerGuard, MAY_GOTO_PASSES } from "@bpfkit/core";
import { A0, A5, A6, RA, REG, S0, S5, SP, T0, ZERO } from "./abi.ts";
import type { Assembler } from "./assembler.ts";
import { emit } from "./emit.ts";
import { REGS } from "./regs.ts";

/** Bytes at the entry that a call or jump can be written over. */
const SITE = 8;
/** Tail calls that may happen below one entry from outside. */
const TAIL_CALLS = 33;
const EXIT = 0x95;

/** Offset of the may_goto counter from s5. */
export function counterOffset(frame: Frame): number {
  return -(frame.stack + 8);
}

/** What the subprogram's own memory takes, and the registers that are kept above it, from the top down. */
function shapeOf({ stack, counter, saved, usesR10, hasCalls }: Frame): {
  space: number;
  kept: number[];
  total: number;
} {
  const space = (stack + counter + 15) & -16;
  const kept = hasCalls ? [RA, S0] : [S0];
  for (const register of saved) kept.push(REG[register]!);
  if (usesR10 || space > 0) kept.push(S5);
  return { space, kept, total: space + ((8 * kept.length + 15) & -16) };
}

/**
 * ```
 *   s0        sp of the caller
 *   s0 - 8    ra, where it calls anything
 *             s0 of the caller
 *             s1 s2 s3 s4, those that are used, and s5, where r10 or anything below it is
 *             up to 8 bytes of nothing
 *   s5        = r10
 *             BPF stack, `stack` bytes
 *             counter of may_goto
 *   sp
 * ```
 */
export function emitPrologue(a: Assembler, context: LowerContext<Assembler>): void {
  const { frame, subprog, features, layout, info, program } = context;
  const { space, kept, total } = shapeOf(frame);
  a.choose(features, layout);
  a.site("entry", SITE, subprog);
  emit.addi(a, ZERO, ZERO, 0);
  emit.addi(a, ZERO, ZERO, 0);
  emit.addi(a, A6, ZERO, TAIL_CALLS); // tail calls land behind this
  a.addi(SP, SP, -total);
  for (let i = 0; i < kept.length; i++) a.sd(kept[i]!, total - 8 * (i + 1), SP);
  a.addi(S0, SP, total);
  if (kept.at(-1) === S5) a.addi(S5, SP, space);
  if (frame.counter > 0) {
    a.li(T0, MAY_GOTO_PASSES);
    a.sd(T0, counterOffset(frame), S5);
  }
  const last = info.end - 1;
  if (program.insns.code(last) !== EXIT) context.outOfLine(epilogueBehind, last, context.epilogue, context.epilogue);
}

/** Where no exit is last, those before it find the way out behind the subprogram. */
const epilogueBehind: LowerGuard<Assembler> = (a, _insns, _at, context) => emitEpilogue(a, context);

/** Leaves the frame and returns. The host takes 32 bits in a0, another subprogram all of a5. */
export function emitEpilogue(a: Assembler, { frame }: LowerContext<Assembler>): void {
  const { kept, total } = shapeOf(frame);
  for (let i = 0; i < kept.length; i++) a.ld(kept[i]!, total - 8 * (i + 1), SP);
  a.addi(SP, SP, total);
  a.sextW(A0, A5);
  a.ret();
}

/** The picture above as data, relative to s5. */
export function frameSlots(frame: Frame): readonly FrameSlot[] {
  const { space, kept, total } = shapeOf(frame);
  const slots: FrameSlot[] = kept.map((register, i) => ({
    name: register === RA ? "return address" : register === S0 ? "s0 of the caller" : REGS[register]!,
    offset: total - space - 8 * (i + 1),
    size: 8,
  }));
  if (frame.stack > 0) slots.push({ name: "stack", offset: -frame.stack, size: frame.stack });
  if (frame.counter > 0) slots.push({ name: "may_goto counter", offset: counterOffset(frame), size: 8 });
  return slots;
}
