// Messages about calls of helpers, kernel functions and functions of the program, and about maps.
import type { MessageKind } from "./kind.ts";

export const CALLS: readonly MessageKind[] = [
  {
    id: "helper-not-for-type",
    class: "call",
    title: "This type of program does not have the helper",
    pattern: /^program of this type cannot use helper \w+#\d+$/,
    suggestion:
      "Use a helper that the program type has, or another type of program; the page of the helper says which.",
  },
  {
    id: "unknown-helper",
    class: "call",
    title: "There is no helper of this number",
    pattern: /^invalid func \w+#-?\d+$/,
    suggestion: "Take the number from the kernel's header, and compile for a kernel that has the helper.",
  },
  {
    id: "gpl-only",
    class: "call",
    title: "Only programs under a GPL compatible licence can call the function",
    pattern:
      /^(cannot call (GPL-restricted function|kernel function)|Cannot access kernel 'struct \w+') from non-GPL compatible program$/,
    suggestion: 'Declare a compatible licence in the section "license", or do without the function.',
  },
  {
    id: "kernel-function-not-allowed",
    class: "call",
    title: "This program cannot call the kernel function",
    pattern: /^calling kernel function \w+ is not allowed$/,
    suggestion: "Call it from a type of program that it is registered for, or find a helper that does the same.",
  },
  {
    id: "argument-type",
    class: "call",
    title: "An argument has another type than the function wants",
    pattern:
      /^(R\d+ type=\w+(?<!_or_null) expected=.+|R\d+ is not a scalar|invalid map_ptr to access map->(key|value))$/,
    suggestion:
      "Pass what the function wants in that register: compare its signature with the registers before the call.",
  },
  {
    id: "null-argument",
    class: "null",
    title: "An argument may be null",
    pattern:
      /^(R\d+ type=\w+_or_null expected=.+|Possibly NULL pointer passed to trusted (R|arg)\d+|arg#\d+ is expected to be non-NULL)$/,
    suggestion: "Compare the pointer with 0 first, and call the function where it is not 0.",
  },
  {
    id: "constant-argument",
    class: "call",
    title: "An argument has to be a constant",
    pattern: /^(R\d+ is not a known constant'|R\d+ must be a known constant)$/,
    suggestion: "Pass a constant; where several sizes are needed, branch and call with a constant in each branch.",
  },
  {
    id: "format-not-constant",
    class: "call",
    title: "A text does not lie in a read-only map",
    pattern: /^(R\d+ does not point to a readonly map'|R\d+ is not a constant address'|string is not zero-terminated)$/,
    suggestion:
      "Make the text a constant of the program (static const char), so that it lies in .rodata, and end it with a zero.",
  },
  {
    id: "format-invalid",
    class: "call",
    title: "A format does not fit its arguments",
    pattern: /^Invalid format string$/,
    suggestion:
      "Give as many arguments as the format has conversions, 8 bytes each, and use the conversions that the helper knows.",
  },
  {
    id: "sleeping-call",
    class: "call",
    title: "A helper that may sleep is called where nothing may sleep",
    pattern:
      /^(sleepable helper \w+#\d+ in (non-sleepable prog|rcu_read_lock region|non-preemptible region)|helper call might sleep in a non-sleepable prog|program must be sleepable to call sleepable kfunc \w+|kernel func \w+ is sleepable within (rcu_read_lock|non-preemptible) region)$/,
    suggestion: "Call it in a sleepable program and outside of sections, or use the helper that does not sleep.",
  },
  {
    id: "subprogram-arguments",
    class: "call",
    title: "A global function is called with arguments that it does not take",
    pattern: /^Caller passes invalid args into func#\d+ \('.*'\)$/,
    suggestion: "Pass what the types of its parameters say; the line above tells which argument it is.",
  },
  {
    id: "subprogram-types",
    class: "call",
    title: "A global function has a parameter that it cannot have",
    pattern: /^Arg#\d+ type .* in .*\(\) is not supported yet\.$/,
    suggestion:
      "Let global functions take numbers, the context and pointers to memory of known size; make others static.",
  },
  {
    id: "callback-not-static",
    class: "call",
    title: "A callback is a global function",
    pattern: /^callback function not static$/,
    suggestion: "Declare the callback static.",
  },
  {
    id: "tail-call-untyped",
    class: "call",
    title: "A tail call in a function that has no types",
    pattern: /^tail_call is not allowed in subprogs without BTF$/,
    suggestion:
      "Compile with -g, so that the object has the types of its functions, or do the tail call in the main function.",
  },
  {
    id: "invalid-map-value-address",
    class: "map",
    title: "The address of a value of a map lies outside of it, or the map has several",
    pattern: /^invalid access to map value pointer, value_size=\d+ off=\d+$/,
    suggestion: "Take addresses of values of arrays with one element only, at offsets within the value.",
  },
  {
    id: "no-direct-value",
    class: "map",
    title: "Values of this type of map have no address of their own",
    pattern: /^no direct value access support for this map type$/,
    suggestion: "Look the value up, or use an array of one element.",
  },
  {
    id: "map-helper",
    class: "map",
    title: "The helper does not work on this type of map",
    pattern:
      /^(cannot pass map_type \d+ into func \w+#\d+|callback function not allowed for map|invalid arg_type for sockmap\/sockhash)$/,
    suggestion: "Use the helper that the type of map has, or a map of another type.",
  },
  {
    id: "map-without-elements",
    class: "map",
    title: "The map has no keys or no values that a helper could use",
    pattern: /^invalid zero-sized read$/,
    suggestion:
      "Use the helpers of that type of map: push, pop and peek for queues, reserve and output for ring buffers.",
  },
  {
    id: "map-of-tail-call",
    class: "map",
    title: "A tail call through a map that holds no programs",
    pattern: /^(expected prog array map for tail call|kernel subsystem misconfigured verifier)$/,
    suggestion: "Use a map of the type BPF_MAP_TYPE_PROG_ARRAY on every path to the call.",
  },
  {
    id: "map-write-forbidden",
    class: "map",
    title: "The map cannot be written by programs",
    pattern: /^write into map forbidden(, value_size=\d+ off=-?\d+ size=-?\d+)?$/,
    suggestion:
      "Do not create the map with BPF_F_RDONLY_PROG, or write to another map; constants in .rodata stay as they are.",
  },
  {
    id: "map-read-forbidden",
    class: "map",
    title: "The map cannot be read by programs",
    pattern: /^read from map forbidden(, value_size=\d+ off=-?\d+ size=-?\d+)?$/,
    suggestion: "Do not create the map with BPF_F_WRONLY_PROG, or read from another map.",
  },
  {
    id: "map-key-written",
    class: "map",
    title: "The key of a map's element is written",
    pattern: /^write to change key R\d+ not allowed$/,
    suggestion: "Copy the key to the stack; delete the element and add another one to change its key.",
  },
  {
    id: "map-itself",
    class: "map",
    title: "The map itself is accessed, and not a value of it",
    pattern:
      /^(only read from \w+ is supported|cannot access ptr member \w+ with moff \d+ in struct \w+ with off -?\d+ size \d+)$/,
    suggestion: "Look an element up and use the pointer that the helper returns.",
  },
  {
    id: "managed-field",
    class: "map",
    title: "A field that the kernel manages is accessed like memory",
    pattern: /^bpf_\w+ cannot be accessed directly by load\/store$/,
    suggestion:
      "Leave locks, timers and the like to their helpers, and access the other fields of the value by themselves.",
  },
  {
    id: "managed-field-missing",
    class: "map",
    title: "The map's types show no such field",
    pattern: /^map '.*' (has to have BTF in order to use|has no valid) \w+$/,
    suggestion:
      'Declare the value as a structure with that field in a map with types (SEC(".maps")), and compile with -g.',
  },
  {
    id: "managed-field-place",
    class: "map",
    title: "The argument does not point to the field that it has to be",
    pattern:
      /^(off -?\d+ doesn't point to 'struct \w+' that is at \d+|R\d+ doesn't have constant offset\. \w+ has to be at the constant offset)$/,
    suggestion: "Pass the address of that field of the value, at its constant offset.",
  },
  {
    id: "timer-map",
    class: "map",
    title: "A timer is set up with another map than it lies in",
    pattern: /^timer pointer in R1 map_uid=\d+ doesn't match map pointer in R2 map_uid=\d+$/,
    suggestion: "Pass the map whose value holds the timer.",
  },
];
