// Program structure without a verifier: subprograms, call graph, jump targets, reachability and stack depth. Linear in the program.
import { kindOf, opAt, registersOf } from "../isa/decode.ts";
import type { Insns } from "../isa/insns.ts";
import type { InsnKind } from "../isa/opcodes.ts";
import { subprogsOf, targetOf } from "../isa/targets.ts";
import type { Program } from "../program.ts";
import { stackDepthsOf } from "./stack-depths.ts";

/** What is known of one subprogram from its shape alone. */
export interface SubprogInfo {
  readonly name: string;
  /** Slot indices: first instruction, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** Subprograms it calls (indices), in order of first call; and those it passes to helpers as callbacks. */
  readonly calls: readonly number[];
  readonly callbacks: readonly number[];
  /**
   * Bytes below r10 that are touched, by it or by what it calls, through r10 and what is computed from it; 512 where that cannot be
   * told. Multiple of 8.
   */
  readonly stackDepth: number;
  /** Bit `i` is set when register `i` is read or written anywhere in it. */
  readonly registers: number;
  /** Whether it calls anything: helper, kfunc or subprogram. */
  readonly hasCalls: boolean;
  /** Whether it calls a helper or kfunc, or loads from packets, which is such a call. */
  readonly hasHostCalls: boolean;
  readonly hasTailCall: boolean;
  /** A tail call can happen while a frame of it is on the stack, its own or in what it calls. */
  readonly tailCallReachable: boolean;
  readonly hasMayGoto: boolean;
}

/** Bits of {@link Structure.marks}. */
export const Mark: { readonly START: 1; readonly TARGET: 2; readonly REACHABLE: 4; readonly SUBPROG: 8 } = {
  START: 1,
  TARGET: 2,
  REACHABLE: 4,
  SUBPROG: 8,
};

/** The result of {@link structureOf}. */
export interface Structure {
  readonly subprogs: readonly SubprogInfo[];
  /** Per slot: an instruction starts here (not a second slot), it is jumped to, it can be reached, a subprogram starts here. */
  readonly marks: Uint8Array;
  /** Instruction visits that the analysis took: linear in the program. */
  readonly work: number;
  /** Index of the subprogram that holds a slot. O(log subprograms). */
  subprogAt(index: number): number;
}

/** Calls that leave BPF. */
const HOST_CALLS: ReadonlySet<InsnKind> = new Set<InsnKind>(["callHelper", "callKfunc", "packetLoad"]);
/** All that come back; a tail call does not. */
const CALLS: ReadonlySet<InsnKind> = new Set<InsnKind>([...HOST_CALLS, "callSubprog", "callx"]);

/**
 * Finds subprograms, call graph, jump targets, reachability and stack depths. It looks at shape alone and accepts anything: targets
 * outside the program are passed over, slots that no row describes end a path. Time and memory are linear in the program.
 */
export function structureOf(program: Program): Structure {
  const { insns } = program;
  const subprogs = subprogsOf(insns, program.subprogs);
  const starts = Uint32Array.from(subprogs, ({ start }) => start);
  const subprogAt = (index: number): number => lastAtOrBefore(starts, index);
  const marks = new Uint8Array(insns.length);
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    marks[i]! |= Mark.START;
    const op = opAt(insns, i);
    const target = op < 0 ? undefined : targetOf(insns, i, op);
    if (target === undefined || target < 0 || target >= insns.length) continue;
    const kind = kindOf(op);
    if (kind !== "callSubprog" && kind !== "loadImm64") marks[target]! |= Mark.TARGET;
  }
  for (const start of starts) marks[start]! |= Mark.SUBPROG;
  let work = insns.length + reach(insns, marks);

  const ranges = subprogs.map(({ name, start }, index) => {
    const end = starts[index + 1] ?? insns.length;
    work += end - start;
    return { name, start, end, ...shapeOf(insns, start, end, subprogAt) };
  });
  const callbacks = new Set(ranges.flatMap((range) => range.callbacks));
  const depths = stackDepthsOf(insns, starts, marks, subprogAt, callbacks);
  work += depths.work;
  const shapes = ranges.map((range, index) => ({ ...range, stackDepth: depths.bytes[index]! }));
  const tailCallReachable = reachesTailCall(shapes);
  return {
    subprogs: shapes.map((shape, index) => ({ ...shape, tailCallReachable: tailCallReachable[index] === 1 })),
    marks,
    work,
    subprogAt,
  };
}

type Shape = Omit<SubprogInfo, "tailCallReachable">;

function shapeOf(
  insns: Insns,
  start: number,
  end: number,
  subprogAt: (index: number) => number,
): Omit<Shape, "name" | "start" | "end" | "stackDepth"> {
  const calls = new Set<number>();
  const callbacks = new Set<number>();
  let registers = 0;
  let hasCalls = false;
  let hasHostCalls = false;
  let hasTailCall = false;
  let hasMayGoto = false;
  for (let i = start; i < end; i += insns.width(i)) {
    const op = opAt(insns, i);
    if (op < 0) continue;
    const kind = kindOf(op);
    registers |= registersOf(insns, i, op);
    hasCalls ||= CALLS.has(kind);
    hasHostCalls ||= HOST_CALLS.has(kind);
    hasTailCall ||= kind === "tailCall";
    hasMayGoto ||= kind === "mayGoto";
    if (kind !== "callSubprog" && kind !== "loadImm64") continue;
    const target = targetOf(insns, i, op);
    if (target !== undefined && target >= 0 && target < insns.length)
      (kind === "callSubprog" ? calls : callbacks).add(subprogAt(target));
  }
  return { calls: [...calls], callbacks: [...callbacks], registers, hasCalls, hasHostCalls, hasTailCall, hasMayGoto };
}

/** Marks what can be reached from slot 0 through jumps, calls and callback loads; gives the number of visits. */
function reach(insns: Insns, marks: Uint8Array): number {
  const pending: number[] = insns.length > 0 ? [0] : [];
  let visits = 0;
  let anywhere = false;
  for (let from = pending.pop(); from !== undefined; from = pending.pop()) {
    for (let i = from; i < insns.length && (marks[i]! & Mark.REACHABLE) === 0; i += insns.width(i)) {
      visits++;
      marks[i]! |= Mark.REACHABLE;
      const op = opAt(insns, i);
      if (op < 0) break;
      const target = targetOf(insns, i, op);
      if (target !== undefined && target >= 0 && target < insns.length) pending.push(target);
      const kind = kindOf(op);
      // Where gotox goes is in a jump table that nothing here reads, so everything counts as reachable from it.
      if (kind === "gotox" && !anywhere) {
        anywhere = true;
        for (let slot = 0; slot < insns.length; slot += insns.width(slot)) pending.push(slot);
      }
      if (kind === "jump" || kind === "gotox" || kind === "exit") break;
    }
  }
  return visits;
}

/** Per subprogram 1 when it, or what it calls, makes a tail call: backwards over the call graph. */
function reachesTailCall(shapes: readonly Shape[]): Uint8Array {
  const callers: number[][] = shapes.map(() => []);
  for (const [caller, { calls, callbacks }] of shapes.entries()) {
    for (const callee of calls) callers[callee]!.push(caller);
    for (const callee of callbacks) callers[callee]!.push(caller);
  }
  const found = Uint8Array.from(shapes, ({ hasTailCall }) => Number(hasTailCall));
  const pending = shapes.flatMap(({ hasTailCall }, index) => (hasTailCall ? [index] : []));
  for (let callee = pending.pop(); callee !== undefined; callee = pending.pop()) {
    for (const caller of callers[callee]!) {
      if (found[caller] === 0) {
        found[caller] = 1;
        pending.push(caller);
      }
    }
  }
  return found;
}

function lastAtOrBefore(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
