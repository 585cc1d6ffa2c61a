// How machine code counts tail calls: the schemes that kernels have had, as data. docs/tail-calls.md states what all of them owe.

/** Name of a scheme: a value of the layout setting `tailCalls`. */
export type TailCallSchemeName = "pointer" | "write-back" | "by-value" | "pass-through" | "per-program";

/**
 * Where the count of an invocation lives and how it crosses the edges between frames. The entry of a program starts it; tail calls land
 * behind that.
 */
export interface TailCallScheme {
  readonly name: TailCallSchemeName;
  /** What a register carries across calls and tail calls: the count, the address of the one counter, or nothing. */
  readonly carries: "count" | "address" | "nothing";
  /** Whether each frame from which a tail call can happen keeps it in a slot of its own; else it stays in its register. */
  readonly slot: boolean;
  /** Whether a frame takes back what its callee counted: from what the callee returns in the register, into its slot. */
  readonly writesBack: boolean;
  /** Whether the register is put aside while code outside BPF runs. */
  readonly parks: boolean;
  /** Whether subprograms may make tail calls. */
  readonly subprogs: boolean;
  /** Whether it keeps the limit over the whole call tree. */
  readonly exact: boolean;
}

/** All schemes; a backend says which of them it has. */
export const TAIL_CALL_SCHEMES: Readonly<Record<TailCallSchemeName, TailCallScheme>> = {
  /** One counter in the entry's frame; its address goes down the call tree; Linux since 6.12. */
  pointer: scheme("pointer", { carries: "address", exact: true }),
  /** Each frame has a copy and gives it back when it returns. */
  "write-back": scheme("write-back", { carries: "count", writesBack: true, exact: true }),
  /** Each frame has a copy and nobody gives any back, so what callees count is lost (Linux 5.10 to 6.11). */
  "by-value": scheme("by-value", { carries: "count" }),
  /** One running count in a register, handed through calls and put aside only around helpers and kfuncs (proposed in 2024). */
  "pass-through": scheme("pass-through", { carries: "count", slot: false, parks: true, exact: true }),
  /** The count lies at a fixed place in the entry's frame, which tail calls reuse; no tail calls from subprograms (before Linux 5.10). */
  "per-program": scheme("per-program", { carries: "nothing", subprogs: false, exact: true }),
};

function scheme(
  name: TailCallSchemeName,
  differences: Partial<TailCallScheme> & Pick<TailCallScheme, "carries">,
): TailCallScheme {
  return { name, slot: true, writesBack: false, parks: false, subprogs: true, exact: false, ...differences };
}

/** Edges of the call tree at which code may have to see to the counter. */
export type CounterEdge =
  | "entry" // from outside, or of a subprogram: the prologue
  | "call" // before a call of a subprogram
  | "return" // behind it
  | "host-call" // before a call of a helper or kfunc
  | "host-return" // behind it
  | "tail-call" // the check, the count, and what leaves the frame
  | "exit"; // the epilogue

/** A stretch of code that is there for the counter's sake. Offsets in bytes. */
export interface CounterCode {
  readonly edge: CounterEdge;
  readonly start: number;
  readonly end: number;
  /** The subprogram it stands in. */
  readonly subprog: number;
}

/** Where the body of a subprogram finds the count, by the backend's register names. */
export type CounterPlace = (
  | { readonly in: "register"; readonly register: string }
  | { readonly in: "frame"; readonly base: string; readonly offset: number }
) & {
  /** What lies there: the count, or the address of the 8 bytes with the count. */
  readonly holds: "count" | "address";
  /** Upwards from 0 or downwards from 33. */
  readonly counts: "up" | "down";
};
