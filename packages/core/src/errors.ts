// The one error type of the library, and the check for mistakes of our own.

/** What went wrong, for programs; the message says it for people. */
export type ErrorCode =
  | "argument" // a value the call does not accept
  | "syntax" // text that does not parse
  | "malformed" // bytes that do not parse
  | "structure" // a program that cannot run on any engine: a jump to nowhere, a two-slot load cut in half
  | "rejected" // a program that the verifier does not accept
  | "unsupported" // valid, named, and not built yet
  | "unknown-symbol" // a helper, kfunc, map or subprogram nobody supplies
  | "out-of-range" // a distance or size that does not fit its field
  | "limit" // a counted budget or a kernel limit is used up
  | "divergence" // two engines disagree
  | "internal"; // our mistake

/** Where it happened and what was expected; only what applies is set. */
export interface ErrorDetails {
  /** Byte offset in the input. */
  readonly offset?: number;
  /** Instruction index (slots of 8 bytes). */
  readonly insn?: number;
  /** Place in a list that was given, from 0, and the name of the function that stands there. */
  readonly index?: number;
  readonly function?: string;
  /** Line and column in a text, both from 1. */
  readonly line?: number;
  readonly column?: number;
  /** What would have been accepted. */
  readonly expected?: string;
  /** A listing with a caret under the culprit. */
  readonly listing?: string;
  /** How to go on. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * A caller's mistake (or, with code `internal`, ours). Nothing was changed by the call that throws it.
 *
 * @example
 * ```ts
 * import { assemble, BpfError } from "@bpfkit/core";
 * try {
 *   assemble("r0 = r99");
 * } catch (error) {
 *   if (error instanceof BpfError) console.log(error.code, error.details.line); // syntax 1
 * }
 * ```
 */
export class BpfError extends Error {
  override readonly name: string = "BpfError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message + explain(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }
}

/** Throws an `internal` error when `condition` does not hold: it marks what only a bug of ours can break. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) {
    throw new BpfError("internal", `${what} does not hold`, {
      hint: "this is a bug in bpfkit; a report with the input is welcome",
    });
  }
}

function explain({ expected, listing, hint }: ErrorDetails): string {
  return `${expected === undefined ? "" : `, expected ${expected}`}${listing === undefined ? "" : `\n\n${listing}`}${hint === undefined ? "" : `\n\n${hint}`}`;
}
