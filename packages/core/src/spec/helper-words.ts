// The words that describe a helper: what its arguments are, what it gives back, what it does besides.
import type { HelperName } from "./helper-names.ts";
import type { ProgramTypeName } from "./program-type-names.ts";

/** Kernel structures that helpers take or give pointers to. */
export type BtfStruct =
  | "any"
  | "bpf_perf_event_data_kern"
  | "cgroup"
  | "file"
  | "inode"
  | "linux_binprm"
  | "mptcp_sock"
  | "path"
  | "pt_regs"
  | "seq_file"
  | "sk_buff"
  | "sock"
  | "socket"
  | "task_struct"
  | "tcp6_sock"
  | "tcp_request_sock"
  | "tcp_sock"
  | "tcp_timewait_sock"
  | "udp6_sock"
  | "unix_sock"
  | "xdp_buff";

/**
 * What a helper takes as an argument. A question mark: a null pointer will do.
 *
 * - `any`: a number, or anything at all; `number`: a number and no pointer
 * - `context`: the pointer that the program got, as it was
 * - `map`; `key`, `value`: memory of that map's key or value size, read; `value-out`: written, need not be initialised
 * - `in`, `out`, `inout`: memory, read, written or both (`out` need not be initialised, the others must); its length is the next
 *   argument, a `size` (1 or more) or a `size0` (0 or more). `in:N`, `out:N`, `inout:N`: memory of N bytes, without a length
 * - `map-memory`: memory within a map's value, read and written; its length is the next argument
 * - `alloc-size`: a constant, the size of the memory given back
 * - `string`: a constant string in a read-only map, with its zero byte
 * - `callback`: a subprogram; `stack?`: what it gets passed, stack memory or 0
 * - `spin-lock`, `timer`: the address of such a structure in a map's value; `kptr`: of a field that holds a kernel pointer
 * - `record`: memory that was reserved in a ring buffer, from its start
 * - `dynptr`: an initialised dynptr on the stack; `dynptr-out`: where to make one
 * - `socket`: a full socket; `sock-common`: one of any state; `btf-sock`: one of any state, also as a pointer with BTF type
 * - `percpu`: a per-CPU variable's address
 * - `btf:S`: a pointer to the kernel structure S
 */
export type HelperArg =
  | "any"
  | "number"
  | "context"
  | "context?"
  | "map"
  | "key"
  | "value"
  | "value?"
  | "value-out"
  | "in"
  | "in?"
  | "out"
  | "out?"
  | "inout"
  | "size"
  | "size0"
  | "in:4"
  | "in:8"
  | "in:20"
  | "in:40"
  | "out:4"
  | "out:8"
  | "inout:4"
  | "inout:8"
  | "map-memory"
  | "alloc-size"
  | "string"
  | "callback"
  | "stack?"
  | "spin-lock"
  | "timer"
  | "kptr"
  | "record"
  | "dynptr"
  | "dynptr-out"
  | "socket"
  | "socket?"
  | "sock-common"
  | "btf-sock"
  | "btf-sock?"
  | "percpu"
  | `btf:${BtfStruct}`
  | `btf:${BtfStruct}?`;

/**
 * What r0 holds after a helper. A question mark: can be a null pointer. `map-value`: of the map in the first argument; `memory`: of the
 * size in the `alloc-size` argument; `kptr`: what the field held; `percpu`: the variable of a CPU; the others as in {@link HelperArg}.
 */
export type HelperResult =
  | "integer"
  | "void"
  | "map-value"
  | "map-value?"
  | "memory?"
  | "record?"
  | "kptr?"
  | "percpu"
  | "percpu?"
  | "socket?"
  | "sock-common?"
  | "tcp-sock?"
  | `btf:${BtfStruct}`
  | `btf:${BtfStruct}?`;

/** What a helper does besides, and who may call it. */
export interface HelperEffects {
  /** What it gives back, or the dynptr that it makes, is a reference, which the program has to release. */
  readonly acquires?: true;
  /** Number of the argument, from 1, whose reference it releases. */
  readonly releases?: 1 | 2;
  /** Only for programs with a licence that is compatible with the GPL. */
  readonly gpl?: true;
  /** May sleep: only for programs that may. */
  readonly sleeps?: true;
  /** May move or change the packet: pointers into it are worth nothing afterwards. */
  readonly changesPacket?: true;
  /** The result is an error number, or a number up to what this argument holds, from 1. */
  readonly resultUpTo?: 2 | 3;
}

/** Other arguments in programs of some types. */
export interface HelperVariant {
  readonly types: readonly ProgramTypeName[];
  readonly args: readonly HelperArg[];
}

/** One helper: its interface to programs. */
export interface HelperSpec extends HelperEffects {
  readonly id: number;
  /** As in the UAPI, without `bpf_`; `unspec` is number 0. */
  readonly name: HelperName | "unspec";
  /** Arguments r1, r2, … */
  readonly args: readonly HelperArg[];
  readonly returns: HelperResult;
  readonly variants?: readonly HelperVariant[];
}

/** Arguments of a helper in programs of a type. */
export function helperArgs(spec: HelperSpec, type: ProgramTypeName): readonly HelperArg[] {
  return spec.variants?.find(({ types }) => types.includes(type))?.args ?? spec.args;
}

/** Whether a helper may write memory through an argument, or keep its address. */
export function mayWrite(arg: HelperArg): boolean {
  return !HARMLESS.has(arg);
}

const HARMLESS: ReadonlySet<HelperArg> = new Set<HelperArg>([
  "any",
  "number",
  "context",
  "context?",
  "map",
  "key",
  "value",
  "value?",
  "in",
  "in?",
  "in:4",
  "in:8",
  "in:20",
  "in:40",
  "size",
  "size0",
  "alloc-size",
  "string",
]);
