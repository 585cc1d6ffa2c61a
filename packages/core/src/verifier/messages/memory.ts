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
    pattern: /^R\d+ invalid mem access '\w+_or_null_?'$/,
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
    pattern: /^R\d+ (m(in|ax) value is outside of the allowed memory range|invalid .+ buffer (access|offset): off=.+)$/,
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
    id: "not-memory",
    class: "memory",
    title: "A pointer is followed that does not lead to memory",
    pattern:
      /^R\d+ invalid mem access '(?!scalar')\w+(?<!_or_null_?)'$|^R\d+ is ptr_\w* access (user|percpu) memory: off=-?\d+$/,
    suggestion:
      "Read and write through the pointer that the memory has; the end of a packet, a map and a function are no memory.",
  },
  {
    id: "size-unbounded",
    class: "memory",
    title: "Nothing bounds the size that a helper is given",
    pattern: /^R\d+ unbounded memory access, use 'var &= const' or 'if \(var < const\)'$/,
    suggestion: "Compare the size with a constant, or mask it, on the path to the call.",
  },
  {
    id: "size-negative",
    class: "memory",
    title: "The size that a helper is given may be negative",
    pattern: /^R\d+ min value is negative, either use unsigned or 'var &= const'$/,
    suggestion: "Keep the size in an unsigned type of 64 bits, or mask it, before it is compared with its upper bound.",
  },
  {
    id: "size-zero",
    class: "memory",
    title: "The size that a helper is given may be 0",
    pattern: /^R\d+ invalid zero-sized read: u64=\[\d+,\d+\]$/,
    suggestion: "Leave the call out where the size is 0, or let it be at least 1.",
  },
  {
    id: "misaligned-access",
    class: "memory",
    title: "An access is not aligned to its size",
    pattern: /^misaligned (\w+ )?access off .+ size \d+$/,
    suggestion: "Access the memory at a multiple of the size, or byte by byte; the stack wants this always.",
  },
  {
    id: "read-only-memory",
    class: "memory",
    title: "A write to memory that can only be read",
    pattern:
      /^(R\d+ cannot write into \w+( at off=-?\d+ size=\d+)?|only read is supported|no write support to \w+ at off -?\d+|\w+\(\) may write into memory pointed by R\d+ type=\w+)$/,
    suggestion:
      "Copy what is there to the stack or to a map, and change the copy; fields of the kernel change through helpers.",
  },
  {
    id: "socket-field",
    class: "memory",
    title: "A socket has no such field, or not of this size",
    pattern: /^R\d+ invalid \w+ access off=-?\d+ size=\d+$/,
    suggestion:
      "Read fields of struct bpf_sock or bpf_tcp_sock in their own size; get the full socket first where only the common part is known.",
  },
  {
    id: "object-bounds",
    class: "memory",
    title: "An access lies outside of a structure of the kernel",
    pattern:
      /^(access beyond struct \w+ at off -?\d+ size \d+|R\d+ is \w+ invalid negative access: off=-?\d+|access beyond the end of member .+ \(mend:\d+\) in struct \w+ with off -?\d+ size \d+|struct \w+ doesn't have field at offset -?\d+)$/,
    suggestion:
      "Read members by their names through the type of the structure, and let relocations find their offsets.",
  },
  {
    id: "object-variable-offset",
    class: "memory",
    title: "A structure of the kernel is read at an offset that is not constant",
    pattern: /^R\d+ is ptr_\w* invalid variable offset: off=-?\d+, var_off=.+$/,
    suggestion: "Read a member at a constant offset; for an element of an array use bpf_probe_read_kernel.",
  },
  {
    id: "atomic-elsewhere",
    class: "memory",
    title: "An atomic instruction on memory that has none",
    pattern: /^BPF_ATOMIC (stores into|loads from) R\d+ \w+ is not allowed$/,
    suggestion:
      "Use atomic instructions on map values, the stack and allocated memory; load and store plainly elsewhere.",
  },
  {
    id: "mixed-pointers",
    class: "memory",
    title: "One instruction works on pointers of different kinds",
    pattern: /^same insn cannot be used with different pointers$/,
    suggestion: "Load or store in each branch by itself, so that the compiler does not join the two.",
  },
  {
    id: "packet-write",
    class: "packet",
    title: "This type of program cannot write to the packet",
    pattern: /^cannot write into packet$/,
    suggestion:
      "Write in a program whose type allows it (xdp, sched_cls), or by bpf_skb_store_bytes where there is that helper.",
  },
  {
    id: "packet-argument",
    class: "packet",
    title: "This type of program cannot pass the packet to a helper",
    pattern: /^helper access to the packet is not allowed$/,
    suggestion: "Copy the bytes to the stack first and pass those.",
  },
  {
    id: "packet-load-type",
    class: "packet",
    title: "This type of program has no legacy loads from the packet",
    pattern: /^BPF_LD_\[ABS\|IND\] instructions not allowed for this program type$/,
    suggestion: "Read the packet through data and data_end, or by bpf_skb_load_bytes.",
  },
  {
    id: "packet-load-context",
    class: "packet",
    title: "A legacy load from the packet finds no context in r6",
    pattern: /^at the time of BPF_LD_ABS\|IND R6 != pointer to skb$/,
    suggestion: "Copy r1 to r6 at the start of the program and leave it there.",
  },
  {
    id: "packet-load-untyped",
    class: "packet",
    title: "A legacy load from the packet in a program with functions that have no types",
    pattern: /^LD_ABS is not allowed in subprogs without BTF$/,
    suggestion: "Compile with -g, so that the object has the types of its functions.",
  },
];
