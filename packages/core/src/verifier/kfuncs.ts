// Calls of kernel functions: the few whose rules are here. Others are refused.
import { isGplCompatible } from "./license.ts";
import { Errno } from "./refusal.ts";
import type { Verification } from "./verification.ts";

/** What a kernel function does to the path; its name is for messages. */
type Kfunc = (v: Verification, name: string) => void;

const KFUNCS: Readonly<Record<string, Kfunc>> = {
  bpf_rcu_read_lock: (v, name) => {
    if (!v.modern && v.state.rcuSections > 0) v.refuse(Errno.EINVAL, `nested rcu read lock (kernel function ${name})`);
    v.state.rcuSections++;
  },
  bpf_rcu_read_unlock: (v, name) => {
    if (v.state.rcuSections === 0) v.refuse(Errno.EINVAL, `unmatched rcu read unlock (kernel function ${name})`);
    v.state.rcuSections--;
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

/** A call of a kernel function at slot `i`; none of those that are known takes or gives anything. */
export function callKfunc(v: Verification, i: number): void {
  const name = v.program.kfuncs[v.insns.imm(i)] ?? "?";
  if (!isGplCompatible(v.program.license))
    v.refuse(Errno.EINVAL, "cannot call kernel function from non-GPL compatible program");
  const kfunc = Object.hasOwn(KFUNCS, name) ? KFUNCS[name] : undefined;
  if (kfunc === undefined) v.refuse(Errno.EACCES, `calling kernel function ${name} is not allowed`);
  if (v.state.lockId !== 0) v.refuse(Errno.EINVAL, "function calls are not allowed while holding a lock");
  kfunc(v, name);
  v.clobber();
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
