// Program structure without a verifier: subprograms, call graph, jump targets, reachability and stack depth. Linear in the program.
import type { Program } from "../program.ts";

/** What is known of one subprogram from its shape alone. */
export interface SubprogInfo {
  readonly name: string;
  /** Slot indices: first instruction, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** Subprograms it calls (indices), in order of first call; and those it passes to helpers as callbacks. */
  readonly calls: readonly number[];
  readonly callbacks: readonly number[];
  /** Bytes below r10 that it can touch, from accesses through r10 and what is computed from it; 512 where that cannot be told. Multiple of 8. */
  readonly stackDepth: number;
  /** Bit `i` is set when register `i` is read or written anywhere in it. */
  readonly registers: number;
  /** Whether it calls anything: helper, kfunc or subprogram. */
  readonly hasCalls: boolean;
  readonly hasTailCall: boolean;
  /** A tail call can happen while a frame of it is on the stack, its own or in what it calls. */
  readonly tailCallReachable: boolean;
  readonly hasMayGoto: boolean;
}

/** Bits of {@link Structure.marks}. */
export const Mark: { readonly START: 1; readonly TARGET: 2; readonly REACHABLE: 4; readonly SUBPROG: 8 } = { START: 1, TARGET: 2, REACHABLE: 4, SUBPROG: 8 };

/** The result of {@link structureOf}. */
export interface Structure {
  readonly subprogs: readonly SubprogInfo[];
  /** Per slot: an instruction starts here (not a second slot), it is jumped to, it can be reached, a subprogram starts here. */
  readonly marks: Uint8Array;
  /** Index of the subprogram that holds a slot. O(log subprograms). */
  subprogAt(index: number): number;
}

/** Placeholder until the analysis lands. */
export function structureOf(_program: Program): Structure {
  throw new Error("not built yet");
}
