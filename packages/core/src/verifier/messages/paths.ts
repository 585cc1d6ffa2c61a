// Messages about loops, limits, and what the program as a whole must be.
import type { MessageKind } from "./kind.ts";

export const PATHS: readonly MessageKind[] = [
  {
    id: "infinite-loop",
    class: "loop",
    title: "A loop comes back to the state it was in",
    pattern: /^(infinite loop detected at insn \d+|old state:.*)$/,
    suggestion: "Count in the loop and compare the counter with a constant, or use may_goto, bpf_loop or an iterator.",
  },
  {
    id: "iterator-not-begun",
    class: "loop",
    title: "An iterator is used before it is set up",
    pattern: /^expected an initialized iter_\w+ as (R\d+|arg #\d+)$/,
    suggestion: "Call the function that begins the iterator first, and its destroy function once.",
  },
  {
    id: "iterator-begun-twice",
    class: "loop",
    title: "An iterator is set up where there is one",
    pattern: /^expected uninitialized iter_\w+ as (R\d+|arg #\d+)$/,
    suggestion: "Destroy the first iterator before another one is set up in the same place.",
  },
  {
    id: "call-depth",
    class: "limit",
    title: "Too many functions are inside of each other",
    pattern: /^the call stack of \d+ frames is too deep( !)?$/,
    suggestion: "Inline some of the functions, or continue in another program by a tail call.",
  },
  {
    id: "too-many-jumps",
    class: "limit",
    title: "Too many branches wait to be walked",
    pattern: /^The sequence of \d+ jumps is too complex\.$/,
    suggestion: "Make the function shorter, split it into global functions, or replace unrolled code by a loop.",
  },
  {
    id: "too-many-insns",
    class: "limit",
    title: "More instructions were processed than the kernel walks",
    pattern: /^BPF program is too large\. Processed \d+ insn$/,
    suggestion: "Bound loops lower, use bpf_loop, may_goto or an iterator, or split the program into global functions.",
  },
  {
    id: "budget-spent",
    class: "limit",
    title: "The budget that the caller gave was used up",
    pattern: /^the budget of \d+ (instructions|stored states|ms) is used up$/,
    suggestion: "Give a larger budget; the program is neither accepted nor rejected.",
  },
  {
    id: "not-verified-here",
    class: "limit",
    title: "This verifier does not know the feature yet",
    pattern: /^(.+ (is|are) not (verified here yet|known here)|the map inside of the map is not known)$/,
    suggestion: "Ask a kernel: this says nothing about its verdict.",
  },
  {
    id: "verifier-bug",
    class: "limit",
    title: "The kernel trips over itself",
    pattern: /^(verifier bug: .+|bpf verifier is misconfigured)$/,
    suggestion:
      "Write the access or the call in another way, and look for a fix of the kernel: the program is not what is wrong.",
  },
  {
    id: "sleepable-type",
    class: "program",
    title: "Programs of this type cannot sleep",
    pattern:
      /^(Program of this type cannot be sleepable|Only fentry\/fexit\/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable)$/,
    suggestion: "Leave out the flag (the .s in the name of the section), or use a type that can sleep.",
  },
  {
    id: "sleepable-missing",
    class: "program",
    title: "Programs of this type have to be sleepable",
    pattern: /^Syscall programs can only be sleepable$/,
    suggestion: "Set the flag BPF_F_SLEEPABLE; libbpf does it for the section syscall.",
  },
  {
    id: "sleepable-map",
    class: "program",
    title: "A sleepable program uses a map that it cannot use",
    pattern: /^Sleepable programs can only use array, hash, ringbuf and local storage maps$/,
    suggestion: "Use one of the types of map that are named, or a program that does not sleep.",
  },
  {
    id: "target-not-sleepable",
    class: "program",
    title: "The target of a sleepable program must not sleep",
    pattern: /^\w+ is not sleepable$/,
    suggestion: "Attach to a function that may sleep, or leave out the flag.",
  },
  {
    id: "target-unsuitable",
    class: "program",
    title: "The target is nothing that this kind of program attaches to",
    pattern:
      /^(attach_btf_id \d+ points to (wrong type name|disabled hook) \w+|Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!)$/,
    suggestion:
      "Name a target of the right sort: a hook for lsm, a raw tracepoint for tp_btf, a function for fentry and fexit.",
  },
  {
    id: "target-not-modifiable",
    class: "program",
    title: "The result of the target cannot be changed",
    pattern: /^\w+\(\) is not modifiable$/,
    suggestion: "Use fentry or fexit, or a function that is marked for error injection or as a hook.",
  },
  {
    id: "lsm-license",
    class: "program",
    title: "Programs of security hooks need a GPL compatible licence",
    pattern: /^LSM programs must have a GPL compatible license$/,
    suggestion: 'Declare a compatible licence in the section "license".',
  },
];
