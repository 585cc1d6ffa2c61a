// Calls of kernel functions, by their prototypes: see spec/kfuncs.ts. Others are refused.
import { type KfuncArg, type KfuncSpec, kfuncFor } from "../spec/kfuncs.ts";
import { type CallFacts, checkContext, checkMemory, fillMemory } from "./args.ts";
import { dynptrFor, newDynptr, takenFrom } from "./dynptrs.ts";
import { iterate, passIterator } from "./iterators.ts";
import { markPrecise } from "./precision.ts";
import { acquire, release } from "./references.ts";
import { Errno, Refusal } from "./refusal.ts";
import {
  AUX,
  baseOf,
  FIXED,
  Flag,
  ID,
  REF,
  REG_WORDS,
  SCALAR,
  setPointer,
  setScalar,
  Type,
  typeName,
} from "./register.ts";
import { isConstant, SMIN, UMAX } from "./scalar.ts";
import { leaveSection } from "./special-slots.ts";
import { structName } from "./struct-names.ts";
import { inReadSection, isTrusted, leadsTo } from "./structs.ts";
import { bitsText } from "./text.ts";
import type { Verification } from "./verification.ts";
import { signed, unsigned } from "./words.ts";

const MAX_SIZE = 2 ** 29;

/** What the arguments of a call have told. */
interface KfuncFacts {
  /** The reference that came with an argument. */
  reference: number;
  /** Constant size of the memory that is given. */
  size: number;
  /** Word offsets in a frame's words: of the dynptr that was passed. */
  dynptr: { readonly words: Int32Array; readonly at: number } | undefined;
  readonly fills: CallFacts;
}

const SECTIONS: Readonly<Record<string, (v: Verification, name: string) => void>> = {
  bpf_rcu_read_lock: (v, name) => {
    if (!v.modern && v.state.rcuSections > 0) v.refuse(Errno.EINVAL, `nested rcu read lock (kernel function ${name})`);
    v.state.rcuSections++;
  },
  bpf_rcu_read_unlock: (v, name) => {
    if (v.state.rcuSections === 0) v.refuse(Errno.EINVAL, `unmatched rcu read unlock (kernel function ${name})`);
    if (--v.state.rcuSections === 0) endReadSection(v);
  },
  bpf_preempt_disable: (v) => {
    v.state.preemptSections++;
  },
  bpf_preempt_enable: (v, name) => {
    if (v.state.preemptSections === 0)
      v.refuse(Errno.EINVAL, `unmatched attempt to enable preemption (kernel function ${name})`);
    v.state.preemptSections--;
  },
};

/** A call of a kernel function at slot `i`. */
export function callKfunc(v: Verification, i: number): void {
  const name = v.program.kfuncs[v.insns.imm(i)] ?? "?";
  const spec = kfuncFor(name, v.type.name, v.modern);
  const { state } = v;
  if (state.lockId !== 0 && !name.startsWith("bpf_iter_num_"))
    v.refuse(Errno.EINVAL, "function calls are not allowed while holding a lock");
  if (spec === undefined) v.deny(`calling kernel function ${name} is not allowed`);
  if (spec.sleeps && v.program.sleepable !== true) v.deny(`program must be sleepable to call sleepable kfunc ${name}`);
  const facts: KfuncFacts = {
    reference: 0,
    size: -1,
    dynptr: undefined,
    fills: { map: 0, allocSize: -1, released: 0, releasedArg: 0, callback: -1, fills: [], key: undefined },
  };
  for (let n = 1; n <= spec.args.length; n++) checkArg(v, name, spec, n, facts, i);
  fillMemory(v, facts.fills);
  if (spec.releases && facts.reference === 0)
    v.refuse(Errno.EINVAL, `release kernel function ${name} expects refcounted PTR_TO_BTF_ID`);
  if (v.modern && spec.protected && spec.iterator === "new" && !inReadSection(v))
    v.deny(`kernel func ${name} requires RCU critical section protection`);
  SECTIONS[name]?.(v, name);
  if (spec.sleeps && state.rcuSections > 0) v.deny(`kernel func ${name} is sleepable within rcu_read_lock region`);
  if (spec.sleeps && state.preemptSections > 0)
    v.deny(`kernel func ${name} is sleepable within non-preemptible region`);
  if (spec.releases) release(v, facts.reference);
  const iterator = spec.iterator === undefined ? undefined : passIterator(v, name, spec.iterator, i);
  v.clobber();
  v.log.mark(0);
  giveResult(v, spec, facts, i);
  if (iterator !== undefined && spec.iterator === "next") iterate(v, iterator, i);
}

function checkArg(v: Verification, name: string, spec: KfuncSpec, n: number, facts: KfuncFacts, i: number): void {
  const arg = spec.args[n - 1]!;
  if (arg === "any") return;
  v.log.mark(n);
  const r = v.frame.words;
  const at = n * REG_WORDS;
  const type = r[at]!;
  if (arg === "number" || arg === "constant" || arg === "size" || arg === "constant-size") {
    if (type !== Type.SCALAR) v.refuse(Errno.EINVAL, `R${n} is not a scalar`);
    if (arg === "constant" || arg === "constant-size") checkConstant(v, n, at);
    if (arg === "constant-size") facts.size = unsigned(r[at + SCALAR]!, r[at + SCALAR + 1]!);
    if (arg === "size" || arg === "constant-size") checkSized(v, spec.args[n - 2]!, n, facts);
    return;
  }
  const label = v.modern ? `R${n}` : `arg#${n - 1}`;
  const nullable = arg.endsWith("?");
  const kind = nullable ? arg.slice(0, -1) : arg;
  const isNull = type === Type.SCALAR && isConstant(r, at + SCALAR) && (r[at + SCALAR]! | r[at + SCALAR + 1]!) === 0;
  if (isNull && nullable) return;
  const asksTrust = v.modern || spec.rcu === true || spec.releases === true || spec.trusted === true;
  if (asksTrust && !nullable && (isNull || (type & Flag.MAYBE_NULL) !== 0))
    v.deny(`Possibly NULL pointer passed to trusted ${v.modern ? label : `arg${n - 1}`}`);
  if (v.modern && spec.releases && r[at + REF] === 0)
    v.refuse(Errno.EINVAL, `release kfunc ${name} expects referenced PTR_TO_BTF_ID passed to R${n}`);
  if (r[at + REF] !== 0) facts.reference = r[at + REF]!;
  if (kind.startsWith("struct:")) {
    checkStruct(v, name, spec, n, kind.slice("struct:".length), asksTrust);
    return;
  }
  if (kind.startsWith("context:")) {
    const wanted = kind.slice("context:".length);
    if (KERNEL_CONTEXTS[v.type.name] !== BEHIND[wanted])
      v.refuse(Errno.EINVAL, `${label} pointer type STRUCT ${wanted} must point to scalar, or struct with scalar`);
  }
  switch (kind.startsWith("context:") ? "context" : kind) {
    case "context":
      if (type !== Type.CONTEXT) v.refuse(Errno.EINVAL, `${label} expected pointer to ctx, but got ${typeName(type)}`);
      checkContext(v, n, at);
      return;
    case "dynptr":
      facts.dynptr = dynptrFor(v, n);
      return;
    case "dynptr-out":
      newDynptr(v, name, n, i, facts.dynptr);
      return;
    case "iterator":
      if (baseOf(type) !== Type.STACK) v.refuse(Errno.EINVAL, `${label} expected pointer to an iterator on stack`);
      return;
    default:
  }
}

function checkConstant(v: Verification, n: number, at: number): void {
  if (!isConstant(v.frame.words, at + SCALAR)) v.refuse(Errno.EINVAL, `R${n} must be a known constant`);
  markPrecise(v, n);
}

/** A pointer to a structure of the kernel. */
function checkStruct(
  v: Verification,
  name: string,
  spec: KfuncSpec,
  n: number,
  wanted: string,
  asksTrust: boolean,
): void {
  const r = v.frame.words;
  const at = n * REG_WORDS;
  const type = r[at]!;
  const label = v.modern ? `R${n}` : `arg#${n - 1}`;
  if (baseOf(type) !== Type.BTF)
    v.refuse(Errno.EINVAL, `${label} pointer type STRUCT ${wanted} must point to scalar, or struct with scalar`);
  if (asksTrust && !isTrusted(r, at)) {
    if (spec.rcu !== true) v.refuse(Errno.EINVAL, `R${n} must be referenced or trusted`);
    if ((type & Flag.RCU) === 0) v.refuse(Errno.EINVAL, `R${n} must be a rcu pointer`);
  }
  if (!isConstant(r, at + SCALAR))
    v.deny(`variable ${typeName(type)} access var_off=${bitsText(r, at + SCALAR)} disallowed`);
  const place = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  if (place < 0) v.deny(`negative offset ${typeName(type)} ptr R${n} off=${place} disallowed`);
  if (spec.releases && place !== 0)
    v.refuse(Errno.EINVAL, `R${n} must have zero offset when passed to release func or trusted arg to kfunc`);
  // What takes or gives a reference wants the very structure, others also one that begins with it.
  const strict = spec.acquires === true || spec.releases === true;
  const given = structName(v, r[at + AUX]!);
  if (strict ? place !== 0 || given !== wanted : !leadsTo(v, r[at + AUX]!, place, wanted))
    v.refuse(
      Errno.EINVAL,
      `kernel function ${name} ${v.modern ? label : `args#${n - 1}`} expected pointer to STRUCT ${wanted} but R${n} has a pointer to STRUCT ${given}`,
    );
}

/** Memory and its size in register `n`; the function may read and write it. */
function checkSized(v: Verification, memory: KfuncArg, n: number, facts: KfuncFacts): void {
  const r = v.frame.words;
  const pointer = (n - 1) * REG_WORDS;
  const isNull = r[pointer] === Type.SCALAR && isConstant(r, pointer + SCALAR) && r[pointer + SCALAR] === 0;
  if (memory === "buffer?" && isNull) return;
  const x = n * REG_WORDS + SCALAR;
  try {
    if (r[x + SMIN + 1]! < 0) v.deny(`R${n} min value is negative, either use unsigned or 'var &= const'`);
    const size = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
    if (size >= MAX_SIZE) v.deny(`R${n} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
    checkMemory(v, n - 1, pointer, size, false, true, facts.fills);
    checkMemory(v, n - 1, pointer, size, true, true, facts.fills);
    markPrecise(v, n);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const pair = v.modern ? `R${n - 1} and R${n}` : `arg#${n - 2} arg#${n - 1}`;
    throw new Refusal(error.errno, [...error.lines, `${pair} memory, len pair leads to invalid memory access`]);
  }
}

const BEHIND: Readonly<Record<string, string>> = { __sk_buff: "sk_buff", xdp_md: "xdp_buff" };

/** The kernel's context behind a program's. */
const KERNEL_CONTEXTS: Readonly<Record<string, string>> = {
  xdp: "xdp_buff",
  socket_filter: "sk_buff",
  sched_cls: "sk_buff",
  sched_act: "sk_buff",
  cgroup_skb: "sk_buff",
  lwt_in: "sk_buff",
  lwt_out: "sk_buff",
  lwt_xmit: "sk_buff",
  lwt_seg6local: "sk_buff",
  sk_skb: "sk_buff",
  sk_msg: "sk_msg",
  sock_ops: "bpf_sock_ops_kern",
  cgroup_sock_addr: "bpf_sock_addr_kern",
  cgroup_sockopt: "bpf_sockopt_kern",
  cgroup_sysctl: "bpf_sysctl_kern",
  cgroup_sock: "sock",
  sk_reuseport: "sk_reuseport_kern",
  sk_lookup: "bpf_sk_lookup_kern",
  perf_event: "bpf_perf_event_data_kern",
  netfilter: "bpf_nf_ctx",
};

function giveResult(v: Verification, spec: KfuncSpec, facts: KfuncFacts, i: number): void {
  const r = v.frame.words;
  const { returns } = spec;
  if (returns === "void") return;
  if (returns === "integer") {
    setScalar(r, 0);
    return;
  }
  if (returns === "kernel-context") {
    const name = KERNEL_CONTEXTS[v.type.name];
    if (name === undefined) v.refuse(Errno.EOPNOTSUPP, "the kernel's context of such programs is not known here");
    setPointer(r, 0, Type.BTF | Flag.TRUSTED, v.structs.numberOf(name));
    return;
  }
  const orNull = spec.orNull ? Flag.MAYBE_NULL : 0;
  if (returns === "word") setPointer(r, 0, Type.MEMORY | Flag.READ_ONLY | orNull, 4);
  else if (returns === "slice" || returns === "read-only-slice") {
    setPointer(r, 0, Type.MEMORY | (returns === "slice" ? 0 : Flag.READ_ONLY) | orNull, facts.size);
    takenFrom(r, facts.dynptr!);
  } else {
    const held = v.modern || !spec.acquires ? Flag.TRUSTED : 0;
    setPointer(r, 0, Type.BTF | orNull | held, v.structs.numberOf(returns.slice("struct:".length)));
  }
  if (orNull !== 0) r[ID] = v.nextId();
  if (spec.acquires) {
    const id = acquire(v, i);
    if (orNull !== 0) r[ID] = id;
    r[REF] = id;
  }
}

/** The read section has ended: nobody keeps alive what was found in it. */
function endReadSection(v: Verification): void {
  v.state.each((words, at) => {
    if ((words[at]! & Flag.RCU) !== 0) words[at] = (words[at]! & ~(Flag.RCU | Flag.MAYBE_NULL)) | Flag.UNTRUSTED;
  });
  leaveSection(v);
}

/** Sections must be left before the program ends. */
export function checkSections(v: Verification): void {
  const { rcuSections, preemptSections } = v.state;
  if (preemptSections > 0) {
    const text = v.modern
      ? "BPF_EXIT instruction in main prog cannot be used inside bpf_preempt_disable-ed region"
      : `${preemptSections} bpf_preempt_enable is missing`;
    v.refuse(Errno.EINVAL, text);
  }
  if (rcuSections > 0) {
    const text = v.modern
      ? "BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region"
      : "bpf_rcu_read_unlock is missing";
    v.refuse(Errno.EINVAL, text);
  }
}
