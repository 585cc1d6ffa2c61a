// Messages about what has to be given back: references, locks, sections; and about results.
import type { MessageKind } from "./kind.ts";

export const REFERENCES: readonly MessageKind[] = [
  {
    id: "reference-leak",
    class: "reference",
    title: "A reference is not released on some path",
    pattern:
      /^(BPF_EXIT instruction in main prog would lead to reference leak|Unreleased reference id=\d+ alloc_insn=\d+)$/,
    suggestion:
      "Release it on every path where it is not null: sockets by bpf_sk_release, records by submit or discard.",
  },
  {
    id: "reference-over-tail-call",
    class: "reference",
    title: "A tail call with a reference that is not released",
    pattern: /^tail_call would lead to reference leak$/,
    suggestion: "Release the reference before the tail call.",
  },
  {
    id: "reference-over-packet-load",
    class: "reference",
    title: "A legacy load from the packet with a reference that is not released",
    pattern: /^BPF_LD_\[ABS\|IND\] (would lead to reference leak|cannot be mixed with socket references)$/,
    suggestion: "Release the reference first: such a load ends the program where the packet is too short.",
  },
  {
    id: "release-unreferenced",
    class: "reference",
    title: "Something is released that was not acquired",
    pattern:
      /^(release (helper|kfunc) \w+ expects referenced PTR_TO_BTF_ID passed to R\d+|release kernel function \w+ expects refcounted PTR_TO_BTF_ID|R\d+ must be referenced when passed to release function|func \w+#\d+ reference has not been acquired before|arg \d+ is an unacquired reference)$/,
    suggestion: "Release what the acquiring function returned, once; after that the pointer is gone.",
  },
  {
    id: "release-moved",
    class: "reference",
    title: "A pointer was moved before it is released or passed on",
    pattern:
      /^(R\d+ must have zero offset when passed to release func or trusted arg to kfunc|variable (?!ctx )\w+ access var_off=.+ disallowed|negative offset \w+ ptr R\d+ off=-?\d+ disallowed|dereference of modified (?!ctx )\w+ ptr R\d+ off=-?\d+ disallowed)$/,
    suggestion: "Keep the pointer that was returned and pass that one.",
  },
  {
    id: "lock-held-at-exit",
    class: "lock",
    title: "The program ends with a spin lock taken",
    pattern:
      /^(BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region|bpf_spin_unlock is missing)$/,
    suggestion: "Unlock on every path before exit.",
  },
  {
    id: "lock-not-held",
    class: "lock",
    title: "A spin lock is released that was not taken",
    pattern: /^bpf_spin_unlock without taking a lock$/,
    suggestion: "Call bpf_spin_lock on every path that leads to the unlock.",
  },
  {
    id: "lock-of-another",
    class: "lock",
    title: "Another spin lock is released than was taken",
    pattern: /^bpf_spin_unlock of different lock$/,
    suggestion: "Unlock through the pointer that was locked; two lookups give two pointers, also of one element.",
  },
  {
    id: "call-while-locked",
    class: "lock",
    title: "A call while a spin lock is held",
    pattern: /^function calls are not allowed while holding a lock$/,
    suggestion: "Call before the lock is taken or after it is released, and do only loads and stores in between.",
  },
  {
    id: "lock-not-for-type",
    class: "lock",
    title: "This type of program cannot use spin locks or timers",
    pattern: /^(socket filter|tracing) progs cannot use bpf_(spin_lock|timer) yet$/,
    suggestion: "Use atomic instructions or a per-CPU map instead.",
  },
  {
    id: "packet-load-while-locked",
    class: "lock",
    title: "A legacy load from the packet while a spin lock is held",
    pattern: /^BPF_LD_\[ABS\|IND\] cannot be used inside bpf_spin_lock-ed region$/,
    suggestion: "Load before the lock is taken.",
  },
  {
    id: "section-at-exit",
    class: "lock",
    title: "The program ends inside a section of RCU or without preemption",
    pattern:
      /^(BPF_EXIT instruction in main prog cannot be used inside bpf_(rcu_read_lock|preempt_disable)-ed region|bpf_rcu_read_unlock is missing|\d+ bpf_preempt_enable is missing)$/,
    suggestion: "End the section on every path before exit.",
  },
  {
    id: "section-not-begun",
    class: "lock",
    title: "A section is ended that was not begun",
    pattern: /^unmatched (rcu read unlock|attempt to enable preemption) \(kernel function \w+\)$/,
    suggestion: "Begin the section on every path that leads here, and end it once.",
  },
  {
    id: "section-nested",
    class: "lock",
    title: "A section of RCU inside another one",
    pattern: /^nested rcu read lock \(kernel function \w+\)$/,
    suggestion: "Keep one section around both, or build for a kernel that nests them.",
  },
  {
    id: "tail-call-in-section",
    class: "lock",
    title: "A tail call inside a section",
    pattern: /^tail_call cannot be used inside bpf_(spin_lock|rcu_read_lock|preempt_disable)-ed region$/,
    suggestion: "End the section before the tail call.",
  },
  {
    id: "return-value",
    class: "return",
    title: "The program may return a value that its type does not allow",
    pattern: /^At program exit the register R0 has .+ should have been in \[-?\d+, -?\d+\]$/,
    suggestion: "Set r0 to a value of the range on every path, or compare it before exit.",
  },
  {
    id: "return-pointer",
    class: "return",
    title: "The program returns a pointer",
    pattern: /^(At program exit the register R0 is not a known value \(\w+\)|R0 leaks addr as return value)$/,
    suggestion: "Return a number.",
  },
  {
    id: "subprogram-return",
    class: "return",
    title: "A global function returns a pointer",
    pattern: /^At subprogram exit the register R0 is not a scalar value \(\w+\)$/,
    suggestion: "Return a number, or make the function static.",
  },
  {
    id: "callback-return",
    class: "return",
    title: "A callback may return a value that it must not",
    pattern:
      /^(At (async )?callback return the register R0 (has .+ should have been in \[-?\d+, -?\d+\]|is not a known value \(\w+\))|R0 not a scalar value)$/,
    suggestion: "Return 0 to go on or 1 to stop; callbacks of timers return 0.",
  },
];
