// How a run can end: the emulated program's fate is a value, not an exception.

/** Why a trap happened. */
export type TrapCause =
  | "illegal" // not an instruction, or one this machine does not have
  | "breakpoint"
  | "load"
  | "store"
  | "fetch"
  | "divide"
  | "call" // a call or jump to what cannot be called
  | "stack"; // frames nested deeper than the stack

/** A run that cannot go on. */
export interface Trap {
  readonly kind: "trap";
  readonly cause: TrapCause;
  /** Address of the instruction (machine code), or its slot index (interpreter). */
  readonly pc: bigint;
  /** Address and bytes of the access, where the cause is one. */
  readonly address?: bigint;
  readonly size?: number;
  /** What is there, in words: the nearest allocation and its owner. */
  readonly detail?: string;
}

/** How a run ended. `budget` means it can be continued. */
export type Stop = { readonly kind: "returned"; readonly value: bigint } | { readonly kind: "budget" } | Trap;
