// Messages about dynptrs, and about arguments of kernel functions.
import type { MessageKind } from "./kind.ts";

export const OBJECTS: readonly MessageKind[] = [
  {
    id: "dynptr-not-begun",
    class: "memory",
    title: "A dynptr is used before it is set up",
    pattern: /^Expected an initialized dynptr as (R\d+|arg #\d+)$/,
    suggestion: "Set the dynptr up first, on every path, and use the same 16 bytes of stack that were given then.",
  },
  {
    id: "dynptr-begun-twice",
    class: "memory",
    title: "A dynptr is set up where there is one",
    pattern: /^(Dynptr has to be an uninitialized dynptr|cannot overwrite referenced dynptr)$/,
    suggestion:
      "Submit or discard the first dynptr before its place is used again, and give 16 bytes of stack at a multiple of 8.",
  },
  {
    id: "dynptr-written",
    class: "memory",
    title: "The bytes of a dynptr itself are written",
    pattern: /^potential write to dynptr at off=-?\d+ disallowed$/,
    suggestion: "Let the data go to other memory than the 16 bytes of the dynptr.",
  },
  {
    id: "dynptr-type",
    class: "memory",
    title: "A dynptr is of another sort than the function wants, or of memory that has none",
    pattern:
      /^(Expected a dynptr of type \w+ as (R\d+|arg #\d+)|(R\d+|arg ?#\d+) expected pointer to stack or const struct bpf_dynptr|Unsupported reg type \w+ for bpf_dynptr_from_mem data|cannot pass in .+ at an offset=-?\d+|.+ has to be at a constant offset)$/,
    suggestion:
      "Pass the address of a dynptr that the right function has set up: a record of a ring buffer, a packet, or a map value.",
  },
  {
    id: "kernel-function-argument",
    class: "call",
    title: "An argument of a kernel function has another type than its parameter",
    pattern:
      /^((R\d+|arg#\d+) pointer type STRUCT \w+ must point to scalar, or struct with scalar|kernel function \w+ (R\d+|args#\d+) expected pointer to STRUCT \w+ but R\d+ has a pointer to .+|(R\d+|arg#\d+) expected pointer to (ctx, but got \w+|an iterator on stack)|R\d+ is of type \w+ but \w+ is expected|(R\d+|arg#\d+).* memory, len pair leads to invalid memory access)$/,
    suggestion:
      "Compare the parameters of the function with the registers before the call: structures have to be of the very type that it names.",
  },
  {
    id: "untrusted-argument",
    class: "call",
    title: "A kernel function wants a pointer that is known to be alive",
    pattern: /^R\d+ must be (referenced or trusted|a rcu pointer)$/,
    suggestion:
      "Pass an argument of the hook, or acquire the object first; what is read out of another object may be gone already.",
  },
  {
    id: "section-missing",
    class: "lock",
    title: "A kernel function wants to be called inside of a section of RCU",
    pattern: /^(kernel func \w+ requires RCU critical section protection|expected an RCU CS when using \w+)$/,
    suggestion:
      "Call bpf_rcu_read_lock before it and bpf_rcu_read_unlock after the last use; programs that do not sleep need neither.",
  },
];
