// What programs may do with the memory that r1 points to at entry: a context's fields, and the rule that judges an access.
import type { AttachTypeName } from "./attach-types.ts";

/**
 * What a load of a context field gives. `scalar`: a number. `packet`, `packet-end`, `packet-meta`: the start of the packet (or of a
 * socket option's value), its end, the start of its metadata. `socket`: a full socket; `sock-common`: a socket of any state; `flow-keys`:
 * struct bpf_flow_keys; `tp-buffer`: memory of a writable tracepoint. `btf:NAME`: a pointer to that kernel structure, which can be
 * trusted. A question mark: can be null.
 */
export type ContextValue =
  | "scalar"
  | "packet"
  | "packet-end"
  | "packet-meta"
  | "socket"
  | "socket?"
  | "sock-common?"
  | "flow-keys"
  | "tp-buffer"
  | "btf:nf_hook_state"
  | "btf:sk_buff";

/**
 * Widths of accesses, as a set: the sum of the widths in bytes. 7 is 1, 2 and 4 bytes; 0 is none.
 */
export type Widths = number;

/**
 * A field of a context, or a part of one with rules of its own. An access of `width` bytes is fine where its offset in the context is a multiple of `width`, it lies
 * within a field, and `width` is among the field's widths for reading or writing.
 */
export interface ContextFieldSpec {
  readonly name: string;
  /** In bytes, from the start of the context. */
  readonly offset: number;
  /** In bytes; arrays are one field. */
  readonly size: number;
  readonly read: Widths;
  readonly write: Widths;
  /** What a load gives. */
  readonly as: ContextValue;
  /** Attach types that may read it; all, where left out. */
  readonly readBy?: readonly AttachTypeName[];
  /** Attach types that may write it; all, where left out. */
  readonly writeBy?: readonly AttachTypeName[];
}

/** A context: fields in the order of their offsets. */
export interface ContextSpec {
  /** The structure's name in the UAPI, or what is there instead, in words. */
  readonly struct: string;
  /** In bytes. */
  readonly size: number;
  /**
   * The context is an array of 64-bit words whose types the attach target's BTF tells (tracing, lsm, struct_ops; an extension has the
   * context of what it extends). `fields` is empty then.
   */
  readonly typed: boolean;
  readonly fields: readonly ContextFieldSpec[];
}

/**
 * The field that an access hits, when the access is allowed; undefined when it is not. Costs one walk over the fields.
 *
 * @param attachType - the program's, where it has one
 */
export function contextFieldAt(
  context: ContextSpec,
  attachType: AttachTypeName | undefined,
  offset: number,
  width: number,
  write: boolean,
): ContextFieldSpec | undefined {
  if (offset % width !== 0) return undefined;
  return context.fields.find((field) => {
    if (offset < field.offset || offset + width > field.offset + field.size) return false;
    if (((write ? field.write : field.read) & width) === 0) return false;
    const by = write ? field.writeBy : field.readBy;
    return by === undefined || (attachType !== undefined && by.includes(attachType));
  });
}
