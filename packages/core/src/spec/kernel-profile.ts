// A kernel version as the verifier sees it: limits, and what differs from the tables, which are those of Linux 7.2.
import type { AttachTypeName } from "./attach-types.ts";
import { type ContextFieldSpec, type ContextSpec, contextFieldAt } from "./context-fields.ts";
import type { Limits } from "./limits.ts";
import type { ProgramTypeName } from "./program-type-names.ts";
import type { ProgramTypeSpec } from "./program-types.ts";

/** A kernel version. */
export interface KernelProfile {
  /** `7.2`, `6.12`. */
  readonly version: string;
  readonly limits: Limits;
  /** Bytes of the registers that kprobe and perf_event programs see (struct pt_regs). */
  readonly registersBytes: number;
  /** A subprogram of a program that can be entered again on the same CPU may have its stack elsewhere, so that chains of calls count less. */
  readonly privateStacks: boolean;
  /** Contexts that differ. */
  readonly contexts: { readonly [T in ProgramTypeName]?: ContextSpec };
}

/** The context of a program type in a kernel version. */
export function contextOf(profile: KernelProfile, type: ProgramTypeSpec): ContextSpec {
  return profile.contexts[type.name] ?? type.context;
}

/** The field that an access to the context hits, when it is allowed; undefined when it is not. */
export function contextAccess(
  profile: KernelProfile,
  type: ProgramTypeSpec,
  attachType: AttachTypeName | undefined,
  offset: number,
  width: number,
  write: boolean,
): ContextFieldSpec | undefined {
  return contextFieldAt(contextOf(profile, type), attachType, offset, width, write);
}
