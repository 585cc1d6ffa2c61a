// Messages about loads and stores.
import type { MessageKind } from "./kind.ts";

export const MEMORY: readonly MessageKind[] = [
  {
    id: "uninitialised-register",
    class: "uninitialised",
    title: "A register is read that nothing was written to",
    pattern: /^R\d+ !read_ok$/,
    suggestion: "Give the register a value on every path that leads here; a call leaves nothing in r1 to r5.",
  },
  {
    id: "null-dereference",
    class: "null",
    title: "A pointer that may be null is followed",
    pattern: /^R\d+ invalid mem access '\w+_or_null'$/,
    suggestion: "Compare the pointer with 0 first, and follow it only where it is not 0.",
  },
  {
    id: "number-as-pointer",
    class: "memory",
    title: "A number is used as a pointer",
    pattern: /^R\d+ invalid mem access 'scalar'$/,
    suggestion:
      "Find out where the register stopped being a pointer; read memory of the kernel by bpf_probe_read_kernel or through types.",
  },
  {
    id: "outside-packet",
    class: "packet",
    title: "An access to the packet lies outside of what was checked",
    pattern:
      /^(R\d+ offset is outside of the packet|invalid access to packet, .*\nR\d+ m(in|ax) value is outside of the allowed memory range)$/,
    suggestion: "Compare data plus the end of the access with data_end first, and leave where it is greater.",
  },
  {
    id: "outside-map-value",
    class: "memory",
    title: "An access lies outside of the value of a map",
    pattern: /^invalid access to map value, .*\nR\d+ m(in|ax) value is outside of the allowed memory range$/,
    suggestion:
      "Bound the index before it is added, so that it plus the size of the access is at most the size of the value.",
  },
  {
    id: "outside-memory",
    class: "memory",
    title: "An access lies outside of the memory that the pointer leads to",
    pattern: /^R\d+ m(in|ax) value is outside of the allowed memory range$/,
    suggestion: "Bound what is added to the pointer, so that the whole access lies inside of the memory.",
  },
  {
    id: "unbounded-access",
    class: "memory",
    title: "Nothing bounds the offset of an access from above",
    pattern: /^R\d+ unbounded memory access, make sure to bounds check any such access$/,
    suggestion: "Compare the offset with a constant, or mask it, before it is added to the pointer.",
  },
  {
    id: "negative-offset",
    class: "memory",
    title: "The offset of an access may be negative",
    pattern: /^R\d+ min value is negative, either use unsigned index or do a if \(index >=0\) check\.$/,
    suggestion: "Use an unsigned type for the index, or compare it with 0 as a signed number first.",
  },
  {
    id: "invalid-context-access",
    class: "context",
    title: "The context has no such field, or it cannot be used this way",
    pattern: /^invalid bpf_context access off=-?\d+ size=-?\d+$/,
    suggestion:
      "Use fields that the type of the program has, with their own size, and write only to those that can be written.",
  },
];
