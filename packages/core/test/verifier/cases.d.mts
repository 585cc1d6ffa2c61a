// What cases.mjs exports; it is JavaScript so that the tools can import it without a build.
import type { Program } from "@bpfkit/core";

/** What a kernel said. */
export interface Expected {
  readonly verdict: "accept" | "reject";
  /** Of a refusal, positive. */
  readonly errno?: number;
  /** Of a refusal: the last line of the log of level 1 before its statistics, addresses masked. */
  readonly log?: string;
  /** Instructions that the verifier walked over; left out where it did not get that far. */
  readonly processed?: number;
}

/** A subprogram's type: a global one takes any state, the others only need it for callbacks. */
export interface FunctionType {
  readonly global?: boolean;
  readonly args?: readonly string[];
  readonly returns?: string;
}

/** One program and its verdicts. */
export interface Case {
  readonly subject: string;
  readonly name: string;
  readonly type: string;
  readonly attach?: string;
  /** The kernel function that a tracing program is for. */
  readonly target?: string;
  readonly license: string;
  readonly sleepable?: boolean;
  readonly frags?: boolean;
  readonly alignment?: "strict" | "any";
  readonly functions: Readonly<Record<string, FunctionType>>;
  readonly kfuncs: readonly string[];
  readonly asm: string;
  readonly program: Program;
  /** By kernel. */
  readonly expected: Readonly<Record<string, Expected>>;
}

export const KERNELS: readonly string[];
export function readCases(text: string): Case[];
