// A kernel's types as the verifier asks for them: structures with their members, and what a typed program is attached to. Plain data; the
// object package makes it from BTF.
import type { ReturnRange } from "./program-types.ts";

/** What a member, an argument or a result is. `to` and `struct` are keys of {@link KernelTypes}. */
export type KernelType =
  | { readonly kind: "number"; readonly size: number; readonly signed?: boolean }
  /** A pointer to a structure; `tag` is what its type tag says of the address. */
  | {
      readonly kind: "pointer";
      readonly to: string;
      readonly tag?: "user" | "percpu" | "rcu";
      /** Of an argument: can be null. */
      readonly nullable?: boolean;
    }
  /** A pointer to something else: bytes, numbers, pointers, functions. */
  | { readonly kind: "address" }
  | { readonly kind: "struct"; readonly struct: string }
  | { readonly kind: "array"; readonly count: number; readonly of: KernelType }
  /** Of an argument of an iterator: memory of a map's key or value. */
  | { readonly kind: "buffer"; readonly readOnly: boolean; readonly nullable: boolean };

export interface KernelMember {
  /** Empty for members without a name. */
  readonly name: string;
  /** In bits from the start of the structure. */
  readonly bit: number;
  /** Width of a bit field, in bits. */
  readonly bits?: number;
  readonly type: KernelType;
}

/** A structure or union, members in the order of their offsets. */
export interface KernelStruct {
  /** Empty where it has none. */
  readonly name: string;
  readonly union?: boolean;
  /** In bytes. */
  readonly size: number;
  readonly members: readonly KernelMember[];
}

/** Structures by key: their name, or something else for those that have none or share it. */
export interface KernelTypes {
  /** Undefined: nothing is known of it. */
  struct(key: string): KernelStruct | undefined;
}

/** What a tracing, security or struct_ops program is attached to. */
export interface AttachTarget {
  /** As messages name it: `do_exit`, `bpf_lsm_file_open`, `sched_switch`, `ssthresh`. */
  readonly name: string;
  /** Those that the program sees: without the first one of a raw tracepoint. */
  readonly args: readonly KernelType[];
  /** Left out where there is none. */
  readonly result?: KernelType;
  /** Its result can be changed (`modify_return`); not told: it can. */
  readonly modifiable?: boolean;
  /** It may be attached to by programs that sleep; not told: it may. */
  readonly sleepable?: boolean;
  /** It is the entry of a system call: from Linux 7 on these can be changed and slept in whatever the other two say. */
  readonly systemCall?: boolean;
  /** What a security hook may return; anything where left out. */
  readonly returns?: ReturnRange;
  /** Structures that are passed may be gone already (security hooks that free something). */
  readonly untrusted?: boolean;
  /** Why nothing can be attached here, as the kernel words it. */
  readonly refusal?: string;
}
