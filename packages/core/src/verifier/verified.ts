// The verifier for callers to whom a rejection is a failure.
import { BpfError } from "../errors.ts";
import type { Program, VerifiedProgram } from "../program.ts";
import { type VerifyOptions, verify } from "./verify.ts";

/**
 * {@link verify} for a program that is to be accepted: what it gives can be compiled and loaded.
 *
 * @throws {BpfError} `rejected` with the verifier's reason and the instruction; `limit` where a budget was spent; what `verify` throws
 * @example
 * ```ts
 * import { assemble, verified } from "@bpfkit/core";
 * console.log(verified(assemble("r0 = 0\nexit", { type: "xdp" })).basis); // verified, by the rules of 7.2
 * ```
 */
export function verified(program: Program, options: VerifyOptions = {}): VerifiedProgram {
  const result = verify(program, options);
  if (result.ok) return result.program;
  const at = result.insn === undefined ? {} : { insn: result.insn };
  throw new BpfError(result.budget === undefined ? "rejected" : "limit", `${program.name}: ${result.reason}`, at);
}
