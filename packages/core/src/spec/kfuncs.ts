// Kernel functions that programs can call: prototypes, what they ask for and do, and which programs may call them. Facts of Linux 7.2 and
// 6.12; the permissions are measured.
import type { ProgramTypeName } from "./program-type-names.ts";

/**
 * What a kernel function takes.
 *
 * - `number`, `constant`: a number; one that is known
 * - `any`: whatever is there
 * - `context`: the program's own; with a name, one of that type
 * - `struct:S`: a pointer to that structure of the kernel, held or trusted; with a question mark: can be null
 * - `iterator`: a place on the stack for the iterator of the function's name
 * - `dynptr`: one that was made; `dynptr-out`: where to make one
 * - `memory`: memory, read and written, whose size is the next argument: a `size`, or a `constant-size`; `buffer?` the same, can be null
 * - `memory:N`: memory of N bytes
 * - `string`: a constant string in a read-only map
 * - `map`
 */
export type KfuncArg =
  | "number"
  | "constant"
  | "any"
  | "context"
  | `context:${"__sk_buff" | "xdp_md"}`
  | `struct:${string}`
  | "iterator"
  | "dynptr"
  | "dynptr-out"
  | "memory"
  | "buffer?"
  | "size"
  | "constant-size"
  | `memory:${number}`
  | "string"
  | "map";

/** What r0 holds afterwards. `word`: a pointer to a number that can be read; `slice`: memory of the constant size. */
export type KfuncResult =
  | "void"
  | "integer"
  | "word"
  | "slice"
  | "read-only-slice"
  | "kernel-context"
  | `struct:${string}`;

/** Who may call: all programs, those of the generic set, … */
export type KfuncUsers = "all" | "generic" | "packets" | "xdp" | "lsm" | "masks";

export interface KfuncSpec {
  readonly args: readonly KfuncArg[];
  readonly returns: KfuncResult;
  readonly users: KfuncUsers;
  /** The result is a reference, which the program has to give back. */
  readonly acquires?: true;
  /** The first argument is a reference, which it gives back. */
  readonly releases?: true;
  /** The result can be null. */
  readonly orNull?: true;
  /** Structures may also be ones that are valid until the read section ends. */
  readonly rcu?: true;
  /** 6.12, too, wants pointers that are held or trusted, as it does of `rcu` and `releases`; newer kernels always do. */
  readonly trusted?: true;
  readonly sleeps?: true;
  /** Only within a read section, which programs that do not sleep always are in. */
  readonly protected?: true;
  /** What it does with the iterator in its first argument. */
  readonly iterator?: "new" | "next" | "destroy";
  /** Not in 6.12. */
  readonly modern?: true;
}

/** An iterator: its name in messages, and the 8-byte slots that it takes. */
export interface IteratorSpec {
  readonly name: string;
  readonly slots: number;
  /** What `next` points to. */
  readonly gives: KfuncResult;
  readonly args: readonly KfuncArg[];
  readonly protected?: true;
  readonly modern?: true;
}

/** Iterators whose three functions are `bpf_iter_NAME_new`, `_next` and `_destroy`. */
export const ITERATORS: readonly IteratorSpec[] = [
  { name: "num", slots: 1, gives: "word", args: ["number", "number"] },
  { name: "bits", slots: 2, gives: "word", args: ["any", "number"] },
  { name: "task", slots: 3, gives: "struct:task_struct", args: ["struct:task_struct?", "number"], protected: true },
  {
    name: "css",
    slots: 3,
    gives: "struct:cgroup_subsys_state",
    args: ["struct:cgroup_subsys_state", "number"],
    protected: true,
  },
  { name: "css_task", slots: 1, gives: "struct:task_struct", args: ["struct:cgroup_subsys_state", "number"] },
  { name: "task_vma", slots: 1, gives: "struct:vm_area_struct", args: ["struct:task_struct", "number"] },
  { name: "kmem_cache", slots: 1, gives: "struct:kmem_cache", args: [], modern: true },
];

const section = { args: [], returns: "void", users: "all" } as const;
const OBJECTS: Readonly<Record<string, KfuncSpec>> = {
  bpf_task_acquire: {
    args: ["struct:task_struct"],
    returns: "struct:task_struct",
    users: "generic",
    acquires: true,
    orNull: true,
    rcu: true,
  },
  bpf_task_release: { args: ["struct:task_struct"], returns: "void", users: "generic", releases: true },
  bpf_task_from_pid: {
    args: ["number"],
    returns: "struct:task_struct",
    users: "generic",
    acquires: true,
    orNull: true,
  },
  bpf_task_from_vpid: {
    args: ["number"],
    returns: "struct:task_struct",
    users: "generic",
    acquires: true,
    orNull: true,
    modern: true,
  },
  bpf_cgroup_acquire: {
    args: ["struct:cgroup"],
    returns: "struct:cgroup",
    users: "generic",
    acquires: true,
    orNull: true,
    rcu: true,
  },
  bpf_cgroup_release: { args: ["struct:cgroup"], returns: "void", users: "generic", releases: true },
  bpf_cgroup_from_id: { args: ["number"], returns: "struct:cgroup", users: "generic", acquires: true, orNull: true },
  bpf_cgroup_ancestor: {
    args: ["struct:cgroup", "number"],
    returns: "struct:cgroup",
    users: "generic",
    acquires: true,
    orNull: true,
    rcu: true,
  },
  bpf_task_under_cgroup: {
    args: ["struct:task_struct", "struct:cgroup"],
    returns: "integer",
    users: "generic",
    rcu: true,
  },
  bpf_task_get_cgroup1: {
    args: ["struct:task_struct", "number"],
    returns: "struct:cgroup",
    users: "generic",
    acquires: true,
    orNull: true,
    rcu: true,
  },
  bpf_cpumask_create: { args: [], returns: "struct:bpf_cpumask", users: "masks", acquires: true, orNull: true },
  bpf_cpumask_acquire: {
    args: ["struct:bpf_cpumask"],
    returns: "struct:bpf_cpumask",
    users: "masks",
    acquires: true,
    trusted: true,
  },
  bpf_cpumask_release: { args: ["struct:bpf_cpumask"], returns: "void", users: "masks", releases: true },
  bpf_cpumask_set_cpu: { args: ["number", "struct:bpf_cpumask"], returns: "void", users: "masks", rcu: true },
  bpf_cpumask_clear_cpu: { args: ["number", "struct:bpf_cpumask"], returns: "void", users: "masks", rcu: true },
  bpf_cpumask_setall: { args: ["struct:bpf_cpumask"], returns: "void", users: "masks", rcu: true },
  bpf_cpumask_test_cpu: { args: ["number", "struct:cpumask"], returns: "integer", users: "masks", rcu: true },
  bpf_cpumask_first: { args: ["struct:cpumask"], returns: "integer", users: "masks", rcu: true },
  bpf_cpumask_weight: { args: ["struct:cpumask"], returns: "integer", users: "masks", rcu: true },
  bpf_get_task_exe_file: {
    args: ["struct:task_struct"],
    returns: "struct:file",
    users: "lsm",
    acquires: true,
    orNull: true,
    trusted: true,
  },
  bpf_put_file: { args: ["struct:file"], returns: "void", users: "lsm", releases: true },
  bpf_path_d_path: { args: ["struct:path", "memory", "size"], returns: "integer", users: "lsm", trusted: true },
};

const DYNPTRS: Readonly<Record<string, KfuncSpec>> = {
  bpf_dynptr_from_skb: { args: ["context:__sk_buff", "number", "dynptr-out"], returns: "integer", users: "packets" },
  bpf_dynptr_from_xdp: { args: ["context:xdp_md", "number", "dynptr-out"], returns: "integer", users: "xdp" },
  bpf_dynptr_slice: {
    args: ["dynptr", "number", "buffer?", "constant-size"],
    returns: "read-only-slice",
    users: "all",
    orNull: true,
  },
  bpf_dynptr_slice_rdwr: {
    args: ["dynptr", "number", "buffer?", "constant-size"],
    returns: "slice",
    users: "all",
    orNull: true,
  },
  bpf_dynptr_adjust: { args: ["dynptr", "number", "number"], returns: "integer", users: "all" },
  bpf_dynptr_is_null: { args: ["dynptr"], returns: "integer", users: "all" },
  bpf_dynptr_is_rdonly: { args: ["dynptr"], returns: "integer", users: "all" },
  bpf_dynptr_size: { args: ["dynptr"], returns: "integer", users: "all" },
  bpf_dynptr_clone: { args: ["dynptr", "dynptr-out"], returns: "integer", users: "all" },
};

const OTHERS: Readonly<Record<string, KfuncSpec>> = {
  bpf_rcu_read_lock: section,
  bpf_rcu_read_unlock: section,
  bpf_preempt_disable: section,
  bpf_preempt_enable: section,
  bpf_cast_to_kern_ctx: { args: ["context"], returns: "kernel-context", users: "all" },
  bpf_copy_from_user_str: {
    args: ["memory", "size", "any", "number"],
    returns: "integer",
    users: "all",
    sleeps: true,
  },
  bpf_strcmp: { args: ["any", "any"], returns: "integer", users: "all", modern: true },
  bpf_strlen: { args: ["any"], returns: "integer", users: "all", modern: true },
  bpf_strstr: { args: ["any", "any"], returns: "integer", users: "all", modern: true },
};

function iteratorFunctions(): Record<string, KfuncSpec> {
  const functions: Record<string, KfuncSpec> = {};
  for (const { name, gives, args, protected: inSection, modern } of ITERATORS) {
    const some = {
      users: "all",
      ...(modern ? { modern } : {}),
      ...(inSection ? { protected: inSection } : {}),
    } as const;
    functions[`bpf_iter_${name}_new`] = { args: ["iterator", ...args], returns: "integer", iterator: "new", ...some };
    functions[`bpf_iter_${name}_next`] = {
      args: ["iterator"],
      returns: gives,
      iterator: "next",
      orNull: true,
      ...some,
    };
    functions[`bpf_iter_${name}_destroy`] = { args: ["iterator"], returns: "void", iterator: "destroy", ...some };
  }
  return functions;
}

/** Kernel functions by name. */
export const KFUNCS: Readonly<Record<string, KfuncSpec>> = {
  ...OTHERS,
  ...OBJECTS,
  ...DYNPTRS,
  ...iteratorFunctions(),
};

const TRACERS = ["tracepoint", "perf_event", "tracing", "lsm", "raw_tracepoint"] as const;
const CGROUPS = [
  "cgroup_skb",
  "cgroup_sock",
  "cgroup_device",
  "cgroup_sock_addr",
  "cgroup_sysctl",
  "cgroup_sockopt",
] as const;
const USERS: Readonly<Record<Exclude<KfuncUsers, "all">, ReadonlySet<ProgramTypeName>>> = {
  generic: new Set(["sched_cls", "xdp", "struct_ops", "syscall", "sock_ops", ...TRACERS, ...CGROUPS]),
  packets: new Set([
    ...["socket_filter", "sched_cls", "sched_act", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local"],
    ...["sk_skb", "sock_ops", "netfilter", ...TRACERS, ...CGROUPS],
  ] as ProgramTypeName[]),
  xdp: new Set(["xdp"]),
  lsm: new Set(["lsm"]),
  masks: new Set(["struct_ops", "syscall", ...TRACERS]),
};
/** Types that 6.12 gives nothing but what all may call. */
const MODERN_USERS: ReadonlySet<ProgramTypeName> = new Set(["sock_ops", "raw_tracepoint"]);

/** A kernel function that programs of a type may call; undefined where they may not. */
export function kfuncFor(name: string, type: ProgramTypeName, modern: boolean): KfuncSpec | undefined {
  const spec = Object.hasOwn(KFUNCS, name) ? KFUNCS[name] : undefined;
  if (spec === undefined || (spec.modern === true && !modern)) return undefined;
  if (spec.users === "all") return spec;
  return USERS[spec.users].has(type) && (modern || !MODERN_USERS.has(type)) ? spec : undefined;
}
