// Counting tail calls: what each scheme emits at each edge of the call tree, and where it keeps the count; docs/tail-calls.md.
import {
  type CounterEdge,
  type CounterPlace,
  type Label,
  type LowerContext,
  MAX_TAIL_CALLS,
  type Settings,
  type TailCallSchemeName,
} from "@bpfkit/core";
import { A6, S6, SP, T1, T3, ZERO } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { emit } from "./emit.ts";
import { hasSlot, parks, slotOf } from "./frame.ts";
import { SITE } from "./poke.ts";

type Context = LowerContext<Assembler>;

/**
 * The schemes of this backend, the kernel's own first. All but one have the number of tail calls that are left in a6:
 *
 * - `write-back`: each frame from which a tail call can be reached has it in a slot, loads it before calls and takes it back behind them.
 *   So do main programs that call anything, for the sake of whoever waits where they return to.
 * - `by-value`: the same, but what callees count is lost. A tail call hands a6 on without a detour through the slot.
 * - `pass-through`: there are no slots. a6 goes through calls, and waits in s6 while a helper, a kfunc or a subprogram runs that does not
 *   keep it.
 * - `pointer`: a6 is the address of a word with the count, which the entry makes above its frame and tail calls leave where it is.
 */
export const SCHEMES: readonly TailCallSchemeName[] = ["write-back", "pointer", "by-value", "pass-through"];

/** Bytes of the words behind the entry site that begin a count: tail calls land behind those. */
const START = 4;
const START_POINTER = 12;

/** Bytes behind a program's entry at which tail calls enter it. */
export function landing({ tailCalls }: Settings): number {
  return SITE + (tailCalls === "pointer" ? START_POINTER : START);
}

/**
 * Begins a count, in words of four bytes each so that every program is entered at the same distance. Every function does that but
 * subprograms that go on with their caller's count; those that no tail call can be reached from would not have to.
 */
export function emitCounterStart(a: Assembler, { scheme, subprog, info }: Context): void {
  const from = a.here();
  if (scheme.carries === "address") {
    if (subprog > 0) return;
    emit.addi(a, SP, SP, -16);
    if (info.tailCallReachable) {
      emit.sd(a, ZERO, 0, SP);
      emit.addi(a, A6, SP, 0);
    } else {
      a.nop();
      a.nop();
    }
  } else if (subprog === 0 || !info.tailCallReachable) emit.addi(a, A6, ZERO, MAX_TAIL_CALLS);
  a.forCounter("entry", from);
}

/** Stores one of the registers that a frame keeps for the counter: a6 or s6. */
export function emitCounterKeep(a: Assembler, register: number, offset: number): void {
  mark(a, "entry", () => a.sd(register, offset, SP));
}

/** What the end of a frame does with such a register: a6 goes back to the caller with what is left, s6 is the caller's. */
export function emitCounterGiveBack(
  a: Assembler,
  { scheme }: Context,
  register: number,
  offset: number,
  edge: CounterEdge,
): void {
  if (register === S6 || scheme.writesBack) mark(a, edge, () => a.ld(register, offset, SP));
}

/** Goes to `out` when the count is used up. Clobbers t1; a6 and t3 are kept for {@link emitCounterCount}. */
export function emitCounterCheck(a: Assembler, context: Context, out: Label): void {
  const { scheme } = context;
  mark(a, "tail-call", () => {
    if (scheme.slot) a.ld(A6, slotOf(context), SP);
    if (scheme.carries === "address") {
      a.ld(T3, 0, A6);
      a.li(T1, MAX_TAIL_CALLS);
      a.b(CC.geu, T3, T1, out);
    } else if (scheme.slot) {
      a.addi(A6, A6, -1);
      a.b(CC.lt, A6, ZERO, out);
    } else a.b(CC.eq, A6, ZERO, out);
  });
}

/** Counts the tail call that has passed the check, and is certain to happen. */
export function emitCounterCount(a: Assembler, context: Context): void {
  const { scheme } = context;
  mark(a, "tail-call", () => {
    if (scheme.carries === "address") {
      a.addi(T3, T3, 1);
      a.sd(T3, 0, A6);
    } else if (scheme.writesBack) a.sd(A6, slotOf(context), SP);
    else if (!scheme.slot) a.addi(A6, A6, -1);
  });
}

/** What comes before a call of subprogram `callee`. */
export function emitCounterCall(a: Assembler, context: Context, callee: number): void {
  const counts = context.structure.subprogs[callee]!.tailCallReachable;
  if (counts && hasSlot(context)) mark(a, "call", () => a.ld(A6, slotOf(context), SP));
  else if (!counts && parks(context)) mark(a, "call", () => a.mv(S6, A6));
}

/** What comes behind it. */
export function emitCounterReturn(a: Assembler, context: Context, callee: number): void {
  const counts = context.structure.subprogs[callee]!.tailCallReachable;
  if (counts && context.scheme.writesBack) mark(a, "return", () => a.sd(A6, slotOf(context), SP));
  else if (!counts && parks(context)) mark(a, "return", () => a.mv(A6, S6));
}

/** What comes before a call of a helper or kfunc, and behind it. */
export function emitCounterHostCall(a: Assembler, context: Context): void {
  if (parks(context)) mark(a, "host-call", () => a.mv(S6, A6));
}

export function emitCounterHostReturn(a: Assembler, context: Context): void {
  if (parks(context)) mark(a, "host-return", () => a.mv(A6, S6));
}

function mark(a: Assembler, edge: CounterEdge, code: () => void): void {
  const from = a.here();
  code();
  a.forCounter(edge, from);
}

/** Where the body of a subprogram finds the count. */
export function counterPlace(context: Context): CounterPlace {
  const { scheme } = context;
  if (!scheme.slot) return { in: "register", register: "a6", holds: "count", counts: "down" };
  const place = { in: "frame", base: "sp", offset: slotOf(context) } as const;
  return scheme.carries === "address"
    ? { ...place, holds: "address", counts: "up" }
    : { ...place, holds: "count", counts: "down" };
}
