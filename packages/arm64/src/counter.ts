// Counting tail calls: what each scheme emits at each edge of the call tree, and where it keeps the count; docs/tail-calls.md.
import {
  type CounterEdge,
  type CounterPlace,
  invariant,
  type Label,
  type LowerContext,
  MAX_TAIL_CALLS,
  type TailCallSchemeName,
} from "@bpfkit/core";
import { SP, X10, X12, X26, X29, XZR } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { emit } from "./emit.ts";

const { stp_pre, ldp_post, ldr_uoff, str_uoff, ldur, stur, subs_shift, add_imm, movz } = emit;

/** Appends code. */
type Emit = (a: Assembler) => void;

/**
 * A scheme's code. Its frames have a pair of words below x29, whether or not they need both: sp is a multiple of 16. Tail calls enter a
 * program behind the pair, and find the one of the frame that they replace.
 */
interface Counter {
  /** What the words of the pair hold, for listings; nothing where a name is missing. */
  readonly low?: string;
  readonly high?: string;
  /** Whether subprograms from which no tail call can be reached have the pair, too. */
  readonly everywhere: boolean;
  /** Pushes the pair in a main program, with a count of 0, in so many instructions; in a subprogram, which takes the count over. */
  readonly start: Emit;
  readonly startLength: number;
  readonly inherit: Emit;
  /** Pops the pair; what the caller had in x26 is there again. */
  readonly end: Emit;
  /** Goes to `out` when the count is used up. Clobbers x10; x12 is kept for `count`. */
  readonly check: (a: Assembler, out: Label) => void;
  /** Counts the tail call that `check` has let pass. */
  readonly count: Emit;
  /** Before and behind the call of a subprogram from which a tail call can be reached. */
  readonly give?: Emit;
  readonly takeBack?: Emit;
  readonly place: CounterPlace;
}

/** Offset from x29 of the lower word. */
const SLOT = -16;

/** The count lies in the pair of the program that was entered from outside, and x26 points at it in all frames below. */
const POINTER: Counter = {
  low: "tail calls",
  high: "x26 of the caller",
  everywhere: true,
  start: (a) => {
    stp_pre(a, 1, XZR, X26, SP, -2);
    a.movSp(X26, SP);
  },
  startLength: 2,
  inherit: (a) => stp_pre(a, 1, X26, X26, SP, -2),
  end: (a) => ldp_post(a, 1, XZR, X26, SP, 2),
  check: (a, out) => {
    a.movImm(0, X10, MAX_TAIL_CALLS);
    ldr_uoff(a, 1, X12, X26, 0);
    checkBelow(a, X12, out);
    add_imm(a, 1, X12, X12, 1, 0);
  },
  count: (a) => str_uoff(a, 1, X12, X26, 0),
  place: { in: "register", register: "x26", holds: "address", counts: "up" },
};

/** The count is in x26, which callees give back as they found it: what they counted is lost. */
const BY_VALUE: Counter = {
  high: "x26 of the caller",
  everywhere: true,
  start: (a) => {
    stp_pre(a, 1, XZR, X26, SP, -2);
    movz(a, 1, X26, 0, 0);
  },
  startLength: 2,
  inherit: (a) => stp_pre(a, 1, XZR, X26, SP, -2),
  end: (a) => ldp_post(a, 1, XZR, X26, SP, 2),
  check: (a, out) => {
    a.movImm(0, X10, MAX_TAIL_CALLS);
    checkBelow(a, X26, out);
  },
  count: (a) => add_imm(a, 1, X26, X26, 1, 0),
  place: { in: "register", register: "x26", holds: "count", counts: "up" },
};

/**
 * Each frame has the count in its pair. x12 takes it into a callee and back, whatever program the callee has become by then; x26 is not
 * touched, for an epilogue that has to restore it could not tell whether it returns to the host or to a frame that wants the count.
 */
const WRITE_BACK: Counter = {
  low: "tail calls",
  everywhere: false,
  start: (a) => stp_pre(a, 1, XZR, XZR, SP, -2),
  startLength: 1,
  inherit: (a) => stp_pre(a, 1, X12, XZR, SP, -2),
  end: (a) => ldp_post(a, 1, X12, XZR, SP, 2),
  check: (a, out) => {
    a.movImm(0, X10, MAX_TAIL_CALLS);
    ldur(a, 1, X12, X29, SLOT);
    checkBelow(a, X12, out);
    add_imm(a, 1, X12, X12, 1, 0);
  },
  count: (a) => stur(a, 1, X12, X29, SLOT),
  give: (a) => ldur(a, 1, X12, X29, SLOT),
  takeBack: (a) => stur(a, 1, X12, X29, SLOT),
  place: { in: "frame", base: "x29", offset: SLOT, holds: "count", counts: "up" },
};

/** Goes to `out` unless a count is less than what is in x10. */
function checkBelow(a: Assembler, count: number, out: Label): void {
  subs_shift(a, 1, XZR, count, X10, 0, 0);
  a.bCond(CC.hs, out);
}

const COUNTERS: Partial<Record<TailCallSchemeName, Counter>> = {
  pointer: POINTER,
  "write-back": WRITE_BACK,
  "by-value": BY_VALUE,
};

/** The schemes of this backend, the kernel's own first. */
export const SCHEMES: readonly TailCallSchemeName[] = Object.keys(COUNTERS) as TailCallSchemeName[];

function counterOf(name: TailCallSchemeName): Counter {
  const counter = COUNTERS[name];
  invariant(counter !== undefined, `tail calls counted ${name}`);
  return counter;
}

/** Whether the frame has the pair: main programs all do, as tail calls enter them behind it. */
export function hasPair({ scheme, subprog, info }: LowerContext<Assembler>): boolean {
  return subprog === 0 || info.tailCallReachable || counterOf(scheme.name).everywhere;
}

/** Names of what the pair holds, from the lower word up. */
export function pairNames({ scheme }: LowerContext<Assembler>): readonly [string | undefined, string | undefined] {
  const { low, high } = counterOf(scheme.name);
  return [low, high];
}

/** Instructions that set the counter up in a main program. */
export function counterStartLength(name: TailCallSchemeName): number {
  return counterOf(name).startLength;
}

/** Makes the pair in a prologue, behind x29. */
export function emitCounterEntry(a: Assembler, context: LowerContext<Assembler>): void {
  if (!hasPair(context)) return;
  const { start, inherit } = counterOf(context.scheme.name);
  mark(a, "entry", context.subprog === 0 ? start : inherit);
}

/** Takes the pair off, where sp is at it. */
export function emitCounterExit(a: Assembler, context: LowerContext<Assembler>): void {
  if (hasPair(context)) mark(a, "exit", counterOf(context.scheme.name).end);
}

/** Goes to `out` when there were too many tail calls. Clobbers x10; x12 is kept for {@link emitCounterCount}. */
export function emitCounterCheck(a: Assembler, context: LowerContext<Assembler>, out: Label): void {
  const { check } = counterOf(context.scheme.name);
  mark(a, "tail-call", () => check(a, out));
}

/** Counts the tail call that has passed the check. */
export function emitCounterCount(a: Assembler, context: LowerContext<Assembler>): void {
  mark(a, "tail-call", counterOf(context.scheme.name).count);
}

/** What comes before a call of subprogram `callee`. */
export function emitCounterCall(a: Assembler, context: LowerContext<Assembler>, callee: number): void {
  const { give } = counterOf(context.scheme.name);
  if (give !== undefined && context.structure.subprogs[callee]!.tailCallReachable) mark(a, "call", give);
}

/** What comes behind it. */
export function emitCounterReturn(a: Assembler, context: LowerContext<Assembler>, callee: number): void {
  const { takeBack } = counterOf(context.scheme.name);
  if (takeBack !== undefined && context.structure.subprogs[callee]!.tailCallReachable) mark(a, "return", takeBack);
}

function mark(a: Assembler, edge: CounterEdge, code: Emit): void {
  const from = a.here();
  code(a);
  a.forCounter(edge, from);
}

/** Where the body of a subprogram finds the count. */
export function counterPlace({ scheme }: LowerContext<Assembler>): CounterPlace {
  return counterOf(scheme.name).place;
}
