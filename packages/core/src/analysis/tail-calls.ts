// What a program's tail calls lead through, where that is known before it runs, and whether its shape allows them at all.
import { BpfError } from "../errors.ts";
import { kindOf, opAt } from "../isa/decode.ts";
import { MAP_TYPES } from "../isa/maps.ts";
import { MAX_TAIL_CALLS } from "../machine/prog-array.ts";
import type { VerifiedProgram } from "../program.ts";
import { MAX_CALL_FRAMES } from "../spec/limits.ts";
import { Fact } from "./facts.ts";
import { inferFacts } from "./infer-facts.ts";

/** A tail call in a program. */
export interface TailCallSite {
  /** Slot of the instruction. */
  readonly insn: number;
  readonly subprog: number;
  /** Index in `program.maps` of the prog array, where it is always the same. */
  readonly map: number | undefined;
  /** The slot of the array, where it is always the same and the array has it. */
  readonly key: number | undefined;
}

/** The tail calls of a program in order, reachable or not. O(slots); facts are inferred where the program has none and makes any tail call. */
export function tailCallsOf(verified: VerifiedProgram): readonly TailCallSite[] {
  const { program, structure } = verified;
  if (!structure.subprogs.some(({ hasTailCall }) => hasTailCall)) return [];
  const facts = verified.facts ?? inferFacts(verified);
  const { insns, maps } = program;
  const sites: TailCallSite[] = [];
  for (const [subprog, { start, end, hasTailCall }] of structure.subprogs.entries()) {
    for (let insn = start; hasTailCall && insn < end; insn += insns.width(insn)) {
      const op = opAt(insns, insn);
      if (op < 0 || kindOf(op) !== "tailCall") continue;
      const index = (facts.map[insn] ?? 0) - 1;
      const spec = maps[index];
      const isArray = spec?.type === MAP_TYPES.prog_array;
      const isKnown = ((facts.flags[insn] ?? 0) & Fact.INDEX_KNOWN) !== 0;
      const key = facts.index[insn]! >>> 0;
      sites.push({
        insn,
        subprog,
        map: isArray ? index : undefined,
        key: isArray && isKnown && key < spec.maxEntries ? key : undefined,
      });
    }
  }
  return sites;
}

/**
 * Callbacks are entered from outside BPF, where nobody hands the count of tail calls on.
 *
 * @throws {BpfError} `unsupported` when a tail call can happen below a callback; Linux refuses such programs, too
 */
export function checkTailCalls({ program, structure }: VerifiedProgram): void {
  const { subprogs } = structure;
  for (const { callbacks } of subprogs) {
    const callback = callbacks.find((index) => subprogs[index]!.tailCallReachable);
    if (callback === undefined) continue;
    throw new BpfError("unsupported", `a tail call within callback ${subprogs[callback]!.name} of '${program.name}'`, {
      insn: subprogs[callback]!.start,
      hint: "a helper calls it, and the count of tail calls does not pass through helpers",
    });
  }
}

/** Bytes of frames above a subprogram that makes tail calls: Linux refuses as many, or more. */
export const MAX_STACK_ABOVE_TAIL_CALL: 256 = 256;

/** Bytes that frames are counted in multiples of, as the kernel does when programs are compiled; a subprogram without stack takes none. */
const FRAME_STEP = 16;

/** A way down the call graph. */
export interface CallChain {
  /** Subprograms from the main one down. */
  readonly subprogs: readonly number[];
  /** Bytes of all their frames but the last one's. */
  readonly bytesAbove: number;
}

/** What the frames of one program can take. */
export interface TailCallStack {
  /** Per subprogram that makes tail calls, in order: the way to it with the most bytes above it. */
  readonly tailCalls: readonly CallChain[];
  /** The most frames, and bytes of frames, above a subprogram that makes tail calls. */
  readonly framesAbove: number;
  readonly bytesAbove: number;
  /** The most frames, and bytes of frames, on any way down. */
  readonly frames: number;
  readonly bytes: number;
}

/**
 * Stack of a program with regard to tail calls, by its structure alone. Ways longer than {@link MAX_CALL_FRAMES} frames are left out: no engine runs them.
 * O({@link MAX_CALL_FRAMES} × calls in the call graph)
 */
export function tailCallStackOf({ structure: { subprogs } }: VerifiedProgram): TailCallStack {
  const frames = subprogs.map(({ stackDepth }) => Math.ceil(stackDepth / FRAME_STEP) * FRAME_STEP);
  // Per length of the way, and per subprogram at its end: bytes above, and who calls it there.
  let above: (number | undefined)[] = [0];
  const levels: { readonly above: (number | undefined)[]; readonly callers: number[] }[] = [{ above, callers: [] }];
  while (levels.length < MAX_CALL_FRAMES) {
    const next: (number | undefined)[] = [];
    const callers: number[] = [];
    for (const [caller, bytes] of above.entries()) {
      if (bytes === undefined) continue;
      for (const callee of subprogs[caller]!.calls) {
        const below = bytes + frames[caller]!;
        if (below <= (next[callee] ?? -1)) continue;
        next[callee] = below;
        callers[callee] = caller;
      }
    }
    if (callers.length === 0) break;
    above = next;
    levels.push({ above, callers });
  }
  const chainTo = (subprog: number): CallChain => {
    let level = -1;
    for (const [i, { above: bytes }] of levels.entries()) {
      if (bytes[subprog] !== undefined && (level < 0 || bytes[subprog] > levels[level]!.above[subprog]!)) level = i;
    }
    const path = [subprog];
    for (let i = level; i > 0; i--) path.unshift(levels[i]!.callers[path[0]!]!);
    return { subprogs: path, bytesAbove: levels[level]!.above[subprog]! };
  };
  const tailCalls: CallChain[] = [];
  let framesAbove = 0;
  let bytes = 0;
  for (const [level, { above: here }] of levels.entries()) {
    for (const [subprog, bytesAbove] of here.entries()) {
      if (bytesAbove === undefined) continue;
      bytes = Math.max(bytes, bytesAbove + frames[subprog]!);
      if (subprogs[subprog]!.hasTailCall) framesAbove = level;
    }
  }
  for (const [subprog, { hasTailCall }] of subprogs.entries()) {
    if (hasTailCall && levels.some(({ above: here }) => here[subprog] !== undefined)) tailCalls.push(chainTo(subprog));
  }
  const bytesAbove = Math.max(0, ...tailCalls.map((chain) => chain.bytesAbove));
  return { tailCalls, framesAbove, bytesAbove, frames: levels.length, bytes };
}

/** The most that programs which tail-call one another can take, whatever their slots hold. */
export interface TailCallWorstCase {
  readonly frames: number;
  /** Bytes of BPF frames, not of what machine code puts between them. */
  readonly bytes: number;
}

/**
 * Each tail call leaves the frames above its subprogram in place and gives its own to the main subprogram of another program; after 33 of
 * them the last program may go down as far as it can.
 */
export function worstTailCallStack(stacks: readonly TailCallStack[]): TailCallWorstCase {
  const most = (part: "framesAbove" | "bytesAbove" | "frames" | "bytes"): number =>
    Math.max(0, ...stacks.map((stack) => stack[part]));
  return {
    frames: MAX_TAIL_CALLS * most("framesAbove") + most("frames"),
    bytes: MAX_TAIL_CALLS * most("bytesAbove") + most("bytes"),
  };
}

/** @throws {BpfError} `argument` (EACCES) where a tail call happens below too many bytes of frames, as Linux refuses them */
export function checkTailCallStack(verified: VerifiedProgram): void {
  const { structure, program } = verified;
  if (!structure.subprogs.some(({ hasTailCall }) => hasTailCall)) return;
  for (const { subprogs, bytesAbove } of tailCallStackOf(verified).tailCalls) {
    if (bytesAbove < MAX_STACK_ABOVE_TAIL_CALL) continue;
    const names = subprogs.map((index) => structure.subprogs[index]!.name).join(" → ");
    throw new BpfError(
      "argument",
      `tail_calls are not allowed when call stack of previous frames is ${bytesAbove} bytes (EACCES), in '${program.name}'`,
      {
        insn: structure.subprogs[subprogs.at(-1)!]!.start,
        expected: `less than ${MAX_STACK_ABOVE_TAIL_CALL} bytes above ${structure.subprogs[subprogs.at(-1)!]!.name}`,
        hint: `the frames are those of ${names}, in steps of ${FRAME_STEP} bytes; ${MAX_TAIL_CALLS} tail calls may leave as many of each`,
      },
    );
  }
}
