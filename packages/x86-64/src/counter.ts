// How tail calls are counted: what each scheme emits on each edge of the call tree, and where the count lies in a frame.
import {
  type CounterPlace,
  type FrameSlot,
  type Label,
  type LowerContext,
  MAX_TAIL_CALLS,
  type TailCallScheme,
} from "@bpfkit/core";
import { R11, RAX, RBP, RBX, RSP } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { DISP0, DISP32, emit, emitMem } from "./emit.ts";

const { xor_rm64_r64, add_rm64_imm8, cmp_rm64_imm8, mov_rm64_r64, push_r64, push_imm8, pop_r64, ja_rel8, jmp_rel8 } =
  emit;
const {
  nop_rm32,
  mov_r64_rm64,
  mov_rm64_r64: mov_m64_r64,
  cmp_rm64_imm8: cmp_m64_imm8,
  add_rm64_imm8: add_m64_imm8,
} = emitMem;

/** What a frame needs for one way of carrying the count. Every function appends; rax carries across edges, and is free elsewhere. */
interface Carrier {
  /** The slots of a frame that keeps the count, downwards from its BPF stack. */
  readonly slots: (subprog: number) => readonly string[];
  /** Puts what rax carries into the slots: rsp is at the lower end of the BPF stack, and afterwards at that of the slots. */
  readonly keep: (a: Assembler, subprog: number) => void;
  /** Loads what is in the slot at rbp + `slot`, and goes `out` when all tail calls are used up. */
  readonly check: (a: Assembler, slot: number, out: Label) => void;
  /** Counts one more, with rax as `check` left it. */
  readonly count: (a: Assembler, slot: number) => void;
  /** Takes the slots off the stack, so that rax carries what the next program has to know. */
  readonly leave: (a: Assembler) => void;
}

function checkValue(a: Assembler, slot: number, out: Label): void {
  mov_r64_rm64(a, RAX, RBP | DISP32, slot);
  cmp_rm64_imm8(a, RAX, MAX_TAIL_CALLS);
  a.jcc(CC.ae, out);
}

function countValue(a: Assembler, slot: number): void {
  add_rm64_imm8(a, RAX, 1);
  mov_m64_r64(a, RBP | DISP32, slot, RAX);
}

const CARRIERS: Readonly<Record<TailCallScheme["carries"], Carrier>> = {
  /**
   * A value up to the limit is a count: it starts a counter, whose address rax carries from then on. A larger one is the address of a
   * counter further up; the slot above it is filled, too, so that all frames are left alike.
   */
  address: {
    slots: (subprog) => [
      subprog === 0 ? "tail calls, or their address" : "address of tail calls",
      "address of tail calls",
    ],
    keep(a, subprog) {
      if (subprog === 0) {
        cmp_rm64_imm8(a, RAX, MAX_TAIL_CALLS);
        ja_rel8(a, 6);
        push_r64(a, RAX);
        mov_rm64_r64(a, RAX, RSP);
        jmp_rel8(a, 1);
      }
      push_r64(a, RAX);
      push_r64(a, RAX);
    },
    check(a, slot, out) {
      mov_r64_rm64(a, RAX, RBP | DISP32, slot);
      cmp_m64_imm8(a, RAX | DISP0, 0, MAX_TAIL_CALLS);
      a.jcc(CC.ae, out);
    },
    count: (a) => add_m64_imm8(a, RAX | DISP0, 0, 1),
    leave(a) {
      pop_r64(a, RAX);
      pop_r64(a, RAX); // a counter that ends with its frame goes on as a value
    },
  },
  count: {
    slots: () => ["tail calls"],
    keep: (a) => push_r64(a, RAX),
    check: checkValue,
    count: countValue,
    leave: (a) => pop_r64(a, RAX),
  },
  /** The slot is the lowest of a frame that the next program takes over. */
  nothing: {
    slots: () => ["tail calls"],
    keep: (a) => push_imm8(a, 0),
    check: checkValue,
    count: countValue,
    leave() {},
  },
};

/** Whether tail calls take over the frame of who makes them, so that all programs' frames are alike. */
export function reusesFrame({ scheme, subprog }: LowerContext<Assembler>): boolean {
  return scheme.carries === "nothing" && subprog === 0;
}

/**
 * Whether a frame has slots. One from which a tail call can happen has; and where frames hand the count back, that of every program: a
 * subprogram's tail call may lead to it, and the subprogram's caller waits for the count.
 */
function keepsCount(context: LowerContext<Assembler>): boolean {
  const { scheme, subprog, info } = context;
  return (
    reusesFrame(context) ||
    (scheme.carries !== "nothing" && (info.tailCallReachable || (scheme.writesBack && subprog === 0)))
  );
}

/** Bytes of the frame above the slots. */
function above(context: LowerContext<Assembler>): number {
  const { frame } = context;
  return frame.stack + frame.counter + (reusesFrame(context) ? 8 * frame.saved.length : 0);
}

/** Place of the lowest slot relative to rbp: what the frame looks at. */
function slotOf(context: LowerContext<Assembler>): number {
  return -above(context) - 8 * CARRIERS[context.scheme.carries].slots(context.subprog).length;
}

/** The three bytes ahead of where tail calls land: the count starts, where there is one. */
export function emitStart(a: Assembler, { subprog, info }: LowerContext<Assembler>): void {
  const from = a.here();
  if (subprog === 0 && info.tailCallReachable) {
    xor_rm64_r64(a, RAX, RAX);
    a.forCounter("entry", from);
  } else nop_rm32(a, RAX | DISP0, 0);
}

/** Puts the count into the frame. */
export function emitKeep(a: Assembler, context: LowerContext<Assembler>): void {
  if (!keepsCount(context)) return;
  const from = a.here();
  CARRIERS[context.scheme.carries].keep(a, context.subprog);
  a.forCounter("entry", from);
}

/** Before a call of a subprogram: rax carries the count to it. */
export function emitHandOn(a: Assembler, context: LowerContext<Assembler>): void {
  if (context.scheme.carries === "nothing" || !context.info.tailCallReachable) return;
  const from = a.here();
  mov_r64_rm64(a, RAX, RBP | DISP32, slotOf(context));
  a.forCounter("call", from);
}

/** Behind the call of subprogram `callee`: what it counted comes back in r11. */
export function emitTakeBack(a: Assembler, context: LowerContext<Assembler>, callee: number): void {
  if (!context.scheme.writesBack || !context.structure.subprogs[callee]!.tailCallReachable) return;
  const from = a.here();
  mov_m64_r64(a, RBP | DISP32, slotOf(context), R11);
  a.forCounter("return", from);
}

/** Goes `out` when no tail call is left. */
export function emitCheck(a: Assembler, context: LowerContext<Assembler>, out: Label): void {
  const from = a.here();
  CARRIERS[context.scheme.carries].check(a, slotOf(context), out);
  a.forCounter("tail-call", from);
}

/** Counts the tail call that is certain now. */
export function emitCount(a: Assembler, context: LowerContext<Assembler>): void {
  const from = a.here();
  CARRIERS[context.scheme.carries].count(a, slotOf(context));
  a.forCounter("tail-call", from);
}

/** Takes the slots off the stack for a tail call. */
export function emitLeaveSlots(a: Assembler, context: LowerContext<Assembler>): void {
  const from = a.here();
  CARRIERS[context.scheme.carries].leave(a);
  a.forCounter("tail-call", from);
}

/** First thing of the epilogue: the count goes to who waits for it, and a slot on top of the saved registers off the stack. */
export function emitHandBack(a: Assembler, context: LowerContext<Assembler>): void {
  const from = a.here();
  if (reusesFrame(context)) pop_r64(a, RBX);
  else if (context.scheme.writesBack && keepsCount(context)) mov_r64_rm64(a, R11, RBP | DISP32, slotOf(context));
  a.forCounter("exit", from);
}

/** The slots of a frame, for listings. */
export function counterSlots(context: LowerContext<Assembler>): readonly FrameSlot[] {
  if (!keepsCount(context)) return [];
  const names = CARRIERS[context.scheme.carries].slots(context.subprog);
  return names.map((name, i) => ({ name, offset: -above(context) - 8 * (i + 1), size: 8 }));
}

/** Where the body of a subprogram finds the count. */
export function counterPlace(context: LowerContext<Assembler>): CounterPlace {
  const holds = context.scheme.carries === "address" ? "address" : "count";
  return { in: "frame", base: "rbp", offset: slotOf(context), holds, counts: "up" };
}
