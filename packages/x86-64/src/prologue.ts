// How a subprogram's frame is made and left: what Linux 7.2 shows on x86-64.
import { type Frame, type FrameSlot, type LowerContext, MAY_GOTO_PASSES } from "@bpfkit/core";
import { RAX, RBP, REG, RSP } from "./abi.ts";
import type { Assembler } from "./assembler.ts";
import { DISP0, DISP8, emit, emitMem, indexed } from "./emit.ts";
import { REGS } from "./regs.ts";

const { endbr64, push_r64, pop_r64, mov_rm64_r64, sub_rm64_imm32, leave, ret, int3 } = emit;
const { nop_rm32, mov_rm64_imm32 } = emitMem;

/** Bytes behind the entry at which the five bytes begin that a call or jump can be written over. */
const SITE = 5;

/** Offset of the may_goto counter from rbp. */
export function counterOffset(frame: Frame): number {
  return -(frame.stack + 8);
}

/**
 * ```
 *   rbp + 8   return address
 *   rbp       rbp of the caller
 *             BPF stack, `stack` bytes below rbp = r10
 *             counter of may_goto
 *             rbx r13 r14 r15, those that are used
 * ```
 */
export function emitPrologue(a: Assembler, { layout, frame, subprog }: LowerContext<Assembler>): void {
  const space = frame.stack + frame.counter;
  if (layout.ibt) endbr64(a);
  a.site("entry", SITE, subprog);
  nop_rm32(a, indexed(RAX, RAX, 1) | DISP8, 0);
  nop_rm32(a, RAX | DISP0, 0); // where tail calls reach it: the counter's initialisation
  push_r64(a, RBP);
  mov_rm64_r64(a, RBP, RSP);
  if (layout.ibt) endbr64(a); // tail calls land here
  if (space > 0) sub_rm64_imm32(a, RSP, space);
  for (const register of frame.saved) push_r64(a, REG[register]!);
  if (frame.counter > 0) mov_rm64_imm32(a, RBP, counterOffset(frame), MAY_GOTO_PASSES);
}

/** Leaves the frame and returns. */
export function emitEpilogue(a: Assembler, { layout, frame }: LowerContext<Assembler>): void {
  for (let i = frame.saved.length - 1; i >= 0; i--) pop_r64(a, REG[frame.saved[i]!]!);
  leave(a);
  ret(a);
  if (layout.sls) int3(a); // nothing behind a return is run ahead of it
}

/** The picture above as data. */
export function frameSlots({ stack, counter, saved }: Frame): readonly FrameSlot[] {
  const slots: FrameSlot[] = [
    { name: "return address", offset: 8, size: 8 },
    { name: "rbp of the caller", offset: 0, size: 8 },
  ];
  if (stack > 0) slots.push({ name: "stack", offset: -stack, size: stack });
  if (counter > 0) slots.push({ name: "may_goto counter", offset: -stack - counter, size: counter });
  saved.forEach((register, i) => {
    slots.push({ name: REGS[REG[register]!]!, offset: -stack - counter - 8 * (i + 1), size: 8 });
  });
  return slots;
}
