// A kernel version as the verifier sees it: limits, and what differs from the tables, which are those of Linux 7.2.
import type { MapTypeName } from "../isa/maps.ts";
import { ATTACH_TYPES, type AttachTypeName } from "./attach-types.ts";
import { type ContextFieldSpec, type ContextSpec, contextFieldAt } from "./context-fields.ts";
import type { HelperName } from "./helper-names.ts";
import { helpersOf } from "./helper-sets.ts";
import type { Limits } from "./limits.ts";
import type { MapPointers } from "./map-structs.ts";
import type { ProgramTypeName } from "./program-type-names.ts";
import type { ProgramTypeSpec, ReturnRange } from "./program-types.ts";

/** Helpers that some program types lack. */
export interface HelperGap {
  readonly types: readonly ProgramTypeName[];
  readonly attachTypes?: readonly AttachTypeName[];
  readonly helpers: readonly HelperName[];
}

/** A kernel version. */
export interface KernelProfile {
  /** `7.2`, `6.12`. */
  readonly version: string;
  readonly limits: Limits;
  /** Bytes of the registers that kprobe and perf_event programs see (struct pt_regs). */
  readonly registersBytes: number;
  /**
   * Types of programs whose subprograms may have stacks of their own, so that a chain of calls counts as its deepest subprogram does.
   * Iterators (`trace_iter`) do not.
   */
  readonly privateStacks: readonly ProgramTypeName[];
  /** Pointers into the packet are worth nothing after a tail call that failed. */
  readonly tailCallsChangePacket: boolean;
  /** Attach types with this number or a higher one are not known yet. */
  readonly attachTypes: number;
  /** Map types with this number or a higher one are not known yet. */
  readonly mapTypes: number;
  /** Map types that programs which may sleep cannot use yet. */
  readonly sleeplessMaps: readonly MapTypeName[];
  /** Helpers that program types do not have yet; `attachTypes` where it is only with some. */
  readonly lacks: readonly HelperGap[];
  /** Where a map, read as a structure, holds pointers. */
  readonly mapPointers: MapPointers;
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

/** The helpers that a program may call in a kernel version, by name; licence and sleep are the helpers' own affair. */
export function allowedHelpers(
  profile: KernelProfile,
  type: ProgramTypeName,
  attachType: AttachTypeName | undefined,
): ReadonlySet<HelperName> {
  const allowed = new Set(helpersOf(type, attachType));
  for (const { types, attachTypes, helpers } of profile.lacks) {
    if (!types.includes(type)) continue;
    if (attachTypes !== undefined && (attachType === undefined || !attachTypes.includes(attachType))) continue;
    for (const name of helpers) allowed.delete(name);
  }
  return allowed;
}

/**
 * What r0 has to be at a program's end; undefined: anything. Of lsm and struct_ops programs, and of tracing programs that change a
 * function's result, the target's BTF decides.
 */
export function returnRange(
  profile: KernelProfile,
  type: ProgramTypeSpec,
  attachType: AttachTypeName | undefined,
): ReturnRange | undefined {
  const known = attachType !== undefined && ATTACH_TYPES[attachType] < profile.attachTypes;
  return (known ? type.returnsBy?.[attachType] : undefined) ?? type.returns;
}
