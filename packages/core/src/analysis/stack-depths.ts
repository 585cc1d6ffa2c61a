// Stack depths of all subprograms: what each touches below its own r10, and what those it calls touch through pointers into its frame.
import type { Insns } from "../isa/insns.ts";
import { MAX_STACK } from "./bounds.ts";
import { type StackUse, stackUseOf } from "./stack-depth.ts";

/** Depths in bytes, multiples of 8. */
export interface StackDepths {
  readonly bytes: readonly number[];
  /** Instruction visits: linear in the program, since a subprogram is read again only when another argument turns out to be a pointer. */
  readonly work: number;
}

/** A subprogram; `starts.length` stands for whatever helpers call back. */
type Node = number;

/**
 * Depths of the subprograms that begin at `starts`. `callbacks` are those whose address is taken: any of them may be called by any
 * helper that calls back.
 */
export function stackDepthsOf(
  insns: Insns,
  starts: Uint32Array,
  marks: Uint8Array,
  subprogAt: (index: number) => number,
  callbacks: Iterable<number>,
): StackDepths {
  const anyCallback: Node = starts.length;
  const nodeOf = (callee: number): Node => (callee < 0 ? anyCallback : callee);
  const called = [...callbacks];
  const uses: StackUse[] = [];
  let work = 0;

  // Downwards: which arguments are pointers into a caller's frame.
  const pointers = new Uint8Array(starts.length + 1);
  const pending = Array.from(starts, (_, subprog) => subprog).reverse();
  const isPending = new Uint8Array(starts.length).fill(1);
  const give = (node: Node, arg: number): void => {
    const bit = 1 << arg;
    if ((pointers[node]! & bit) !== 0) return;
    pointers[node]! |= bit;
    if (node === anyCallback) for (const callback of called) give(callback, arg);
    else if (isPending[node] === 0) {
      isPending[node] = 1;
      pending.push(node);
    }
  };
  for (let subprog = pending.pop(); subprog !== undefined; subprog = pending.pop()) {
    isPending[subprog] = 0;
    const range = { start: starts[subprog]!, end: starts[subprog + 1] ?? insns.length };
    const use = stackUseOf(insns, range, marks, subprogAt, pointers[subprog]!);
    uses[subprog] = use;
    work += use.work;
    for (const { callee, arg } of use.passed) give(nodeOf(callee), arg);
  }

  // Upwards: how far below such a pointer is touched, by the subprogram that gets it and by those it hands it on to.
  const below = uses.map((use) => use.below);
  below.push(new Int32Array(6));
  const callers: { readonly caller: Node; readonly arg: number; readonly from: number; readonly below: number }[][] =
    below.map(() => []);
  for (const [caller, { passed }] of uses.entries()) {
    for (const { callee, arg, from, below: lowest } of passed) {
      callers[nodeOf(callee)]!.push({ caller, arg, from, below: lowest });
    }
  }
  for (const callback of called) {
    for (let arg = 1; arg <= 5; arg++) callers[callback]!.push({ caller: anyCallback, arg, from: arg, below: 0 });
  }
  const changed = below.map((_, node) => node);
  for (let callee = changed.pop(); callee !== undefined; callee = changed.pop()) {
    for (const { caller, arg, from, below: lowest } of callers[callee]!) {
      work++;
      // In steps of eight bytes, so that a recursion is soon at its limit.
      const reached = Math.min(MAX_STACK, (lowest + below[callee]![arg]! + 7) & -8);
      if (reached <= below[caller]![from]!) continue;
      below[caller]![from] = reached;
      changed.push(caller);
    }
  }
  return { bytes: uses.map((_, subprog) => (below[subprog]![0]! + 7) & -8), work };
}
