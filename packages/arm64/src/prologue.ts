// How a subprogram's frame is made and left: what Linux 7.2 shows on arm64.
import {
  type Frame,
  type FrameSlot,
  type LowerContext,
  type LowerGuard,
  MAY_GOTO_PASSES,
  type Settings,
  type TailCallSchemeName,
} from "@bpfkit/core";
import { REG, SP, X0, X8, X9, X10, X25, X29, X30, XZR } from "./abi.ts";
import type { Assembler } from "./assembler.ts";
import { counterStartLength, emitCounterEntry, emitCounterExit, hasPair, pairNames } from "./counter.ts";
import { emit } from "./emit.ts";
import { emitFarJump, SITE } from "./poke.ts";
import { REGS } from "./regs.ts";

const { nop, bti, paciasp, autiasp, stp_pre, ldp_post, add_imm, sub_imm, movz, ret } = emit;

/** Targets of `bti`: jumps, and jumps and calls. */
const J = 2;
const JC = 3;
const EXIT = 0x95;

/** Bytes below r10: the BPF stack and the counter of may_goto. */
function spaceOf({ stack, counter }: Frame): number {
  return (stack + counter + 15) & -16;
}

/** Offset from sp of what lies at `r10 + offset`. */
export function fromSp(frame: Frame, offset: number): number {
  return spaceOf(frame) + offset;
}

/** Offset from sp of the may_goto counter. */
export function counterOffset(frame: Frame): number {
  return fromSp(frame, -(frame.stack + 8));
}

/** The registers that are kept, in pairs from the top down; the last one may be alone. */
function keptBy({ saved, usesR10 }: Frame): number[] {
  const kept = saved.map((register) => REG[register]!);
  if (usesR10) kept.push(X25);
  return kept;
}

/**
 * ```
 *   x29 + 8   x30
 *   x29       x29 of the caller
 *             two words of the counter of tail calls; with a pointer these are
 *               x26 of the caller
 *               tail calls so far, where x26 points; in a subprogram x26 again, and its count is the caller's
 *             x19 x20 x21 x22 x25, those that are used, in pairs
 *   x25       = r10
 *             BPF stack, `stack` bytes
 *             counter of may_goto
 *   sp
 * ```
 */
export function emitPrologue(a: Assembler, context: LowerContext<Assembler>): void {
  const { layout, frame, subprog, info, program } = context;
  if (layout.bti) bti(a, JC);
  a.mov(1, X9, X30);
  a.site("entry", SITE, subprog);
  nop(a);
  if (layout.pac) paciasp(a);
  stp_pre(a, 1, X29, X30, SP, -2);
  a.movSp(X29, SP);
  emitCounterEntry(a, context);
  if (subprog === 0) {
    a.land();
    if (layout.bti) bti(a, J);
  }
  const kept = keptBy(frame);
  for (let i = 0; i < kept.length; i += 2) stp_pre(a, 1, kept[i]!, kept[i + 1] ?? XZR, SP, -2);
  if (frame.usesR10) a.movSp(X25, SP);
  const space = spaceOf(frame);
  if (space > 0) sub_imm(a, 1, SP, SP, space, 0);
  if (frame.counter > 0) {
    movz(a, 1, X10, MAY_GOTO_PASSES >> 16, 1);
    a.storeSlot(X10, counterOffset(frame), X9);
  }
  const last = info.end - 1;
  if (program.insns.code(last) !== EXIT) context.outOfLine(epilogueBehind, last, context.epilogue, context.epilogue);
}

/** Bytes of a main program's prologue before what its own frame needs: tail calls land there. */
export function landing({ bti: isMarked, pac, tailCalls }: Settings): number {
  return 4 * (Number(isMarked) + Number(pac) + 4 + counterStartLength(tailCalls as TailCallSchemeName));
}

/** Where no exit is last, those before it find the way out behind the subprogram. */
const epilogueBehind: LowerGuard<Assembler> = (a, _insns, _at, context) => emitEpilogue(a, context);

/** Leaves what the frame has below the counter: what a tail call leaves. */
export function emitUnwind(a: Assembler, frame: Frame): void {
  const space = spaceOf(frame);
  if (space > 0) add_imm(a, 1, SP, SP, space, 0);
  const kept = keptBy(frame);
  for (let i = (kept.length - 1) & -2; i >= 0; i -= 2) ldp_post(a, 1, kept[i]!, kept[i + 1] ?? XZR, SP, 2);
}

/** Leaves the frame and returns. Behind that is the far jump of the entry. */
export function emitEpilogue(a: Assembler, context: LowerContext<Assembler>): void {
  const { layout } = context;
  emitUnwind(a, context.frame);
  emitCounterExit(a, context);
  ldp_post(a, 1, X29, X30, SP, 2);
  a.mov(1, X0, X8);
  if (layout.pac) autiasp(a);
  ret(a, X30);
  const entry = a.sites.findLastIndex(({ kind }) => kind === "entry");
  emitFarJump(a, layout, context.entry(0), entry);
}

/** The picture above as data, relative to x25. */
export function frameSlots(context: LowerContext<Assembler>): readonly FrameSlot[] {
  const { frame } = context;
  const kept = keptBy(frame);
  const top = 16 * ((kept.length + 1) >> 1);
  const link = hasPair(context) ? top + 16 : top;
  const slots: FrameSlot[] = [
    { name: "return address", offset: link + 8, size: 8 },
    { name: "x29 of the caller", offset: link, size: 8 },
  ];
  const [low, high] = hasPair(context) ? pairNames(context) : [];
  if (high !== undefined) slots.push({ name: high, offset: top + 8, size: 8 });
  if (low !== undefined) slots.push({ name: low, offset: top, size: 8 });
  kept.forEach((register, i) => {
    slots.push({ name: REGS[register]!, offset: top - 16 * ((i >> 1) + 1) + 8 * (i & 1), size: 8 });
  });
  if (frame.stack > 0) slots.push({ name: "stack", offset: -frame.stack, size: frame.stack });
  if (frame.counter > 0) slots.push({ name: "may_goto counter", offset: -frame.stack - 8, size: 8 });
  return slots;
}
