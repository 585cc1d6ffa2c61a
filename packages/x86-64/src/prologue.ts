// How a subprogram's frame is made and left: what Linux 7.2 shows on x86-64.
import {
  BpfError,
  type Frame,
  type FrameSlot,
  type LowerContext,
  MAY_GOTO_PASSES,
  type Settings,
  type SubprogInfo,
} from "@bpfkit/core";
import { RAX, RBP, REG, RSP } from "./abi.ts";
import type { Assembler } from "./assembler.ts";
import { counterSlots, emitHandBack, emitKeep, emitLeaveSlots, emitStart, reusesFrame } from "./counter.ts";
import { DISP8, emit, emitMem, indexed } from "./emit.ts";
import { REGS } from "./regs.ts";

const { endbr64, push_r64, pop_r64, mov_rm64_r64, sub_rm64_imm32, add_rm64_imm32, leave, ret, int3 } = emit;
const { nop_rm32, mov_rm64_imm32 } = emitMem;

/** Bytes of a site that a call or jump can be written over. */
export const SITE = 5;

/** Bytes of stack that a program has whose frame other programs take over. */
const WHOLE_STACK = 512;

/** Nothing, in the size of a call or jump. */
export function nop5(a: Assembler): void {
  nop_rm32(a, indexed(RAX, RAX, 1) | DISP8, 0);
}

/** Offset of the may_goto counter from rbp. */
export function counterOffset(frame: Frame): number {
  return -(frame.stack + 8);
}

/** Bytes behind an entry at which tail calls land: rbp is set up, and where frames are taken over the whole frame is. */
export function landing({ ibt, tailCalls }: Settings): number {
  return (ibt ? 4 : 0) + (tailCalls === "per-program" ? 25 : 12);
}

/**
 * The frame that the layout asks for. Before Linux 5.10 every frame saved all four registers, and one that other programs take over has
 * room for each of them.
 *
 * @throws {BpfError} `unsupported` for a program that does not fit into a frame that it may have to take over
 */
export function adjustFrame(frame: Frame, info: SubprogInfo, { tailCalls, saveAll }: Settings): Frame {
  const reuses = tailCalls === "per-program";
  const saved = reuses || saveAll ? [6, 7, 8, 9] : frame.saved;
  if (!reuses || info.start > 0) return { ...frame, saved };
  if (frame.stack + frame.counter > WHOLE_STACK) {
    throw new BpfError(
      "unsupported",
      `${frame.stack} bytes of stack and may_goto with tail calls counted per-program`,
      {
        expected: `at most ${WHOLE_STACK} bytes with the counter of may_goto`,
      },
    );
  }
  return { ...frame, saved, stack: info.hasTailCall ? WHOLE_STACK - frame.counter : frame.stack };
}

/**
 * ```
 *   rbp + 8   return address
 *   rbp       rbp of the caller          <- tail calls land with this much
 *             BPF stack, `stack` bytes below rbp = r10
 *             counter of may_goto
 *             count of tail calls, or its address, where a tail call can be reached:
 *               pointer                  the count, or its address; then its address
 *               write-back, by-value     the count
 *             rbx r13 r14 r15, those that are used
 *               per-program              the count; tail calls land with all of this
 * ```
 */
export function emitPrologue(a: Assembler, context: LowerContext<Assembler>): void {
  const { layout, frame, subprog } = context;
  const space = frame.stack + frame.counter;
  const reuses = reusesFrame(context);
  if (layout.ibt) endbr64(a);
  a.site("entry", SITE, subprog);
  nop5(a);
  if (!reuses) emitStart(a, context);
  push_r64(a, RBP);
  mov_rm64_r64(a, RBP, RSP);
  if (reuses) {
    sub_rm64_imm32(a, RSP, space);
    for (const register of frame.saved) push_r64(a, REG[register]!);
    emitKeep(a, context);
    land(a, context);
  } else {
    land(a, context);
    if (space > 0) sub_rm64_imm32(a, RSP, space);
    emitKeep(a, context);
    for (const register of frame.saved) push_r64(a, REG[register]!);
  }
  if (frame.counter > 0) mov_rm64_imm32(a, RBP, counterOffset(frame), MAY_GOTO_PASSES);
}

/** As in the kernel, subprograms have the second `endbr64`, too. */
function land(a: Assembler, { layout, subprog }: LowerContext<Assembler>): void {
  if (subprog === 0) a.land();
  if (layout.ibt) endbr64(a);
}

/** Leaves the frame and returns. */
export function emitEpilogue(a: Assembler, context: LowerContext<Assembler>): void {
  emitHandBack(a, context);
  popSaved(a, context.frame);
  leave(a);
  ret(a);
  if (context.layout.sls) int3(a); // nothing behind a return is run ahead of it
}

/** Leaves the frame as far as the next program wants it. */
export function emitUnwind(a: Assembler, context: LowerContext<Assembler>): void {
  if (reusesFrame(context)) return;
  const space = context.frame.stack + context.frame.counter;
  popSaved(a, context.frame);
  emitLeaveSlots(a, context);
  if (space > 0) add_rm64_imm32(a, RSP, space);
}

function popSaved(a: Assembler, { saved }: Frame): void {
  for (let i = saved.length - 1; i >= 0; i--) pop_r64(a, REG[saved[i]!]!);
}

/** The picture above as data. */
export function frameSlots(context: LowerContext<Assembler>): readonly FrameSlot[] {
  const { stack, counter, saved } = context.frame;
  const slots: FrameSlot[] = [
    { name: "return address", offset: 8, size: 8 },
    { name: "rbp of the caller", offset: 0, size: 8 },
  ];
  if (stack > 0) slots.push({ name: "stack", offset: -stack, size: stack });
  if (counter > 0) slots.push({ name: "may_goto counter", offset: -stack - counter, size: counter });
  const counted = counterSlots(context);
  const top = -stack - counter - (reusesFrame(context) ? 0 : 8 * counted.length);
  const pushed = saved.map((register, i) => ({ name: REGS[REG[register]!]!, offset: top - 8 * (i + 1), size: 8 }));
  return [...slots, ...(reusesFrame(context) ? [...pushed, ...counted] : [...counted, ...pushed])];
}
