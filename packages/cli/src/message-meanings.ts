// What each message of the verifier means: the first paragraph of its page. Made from docs/verifier-messages by `npm run golden`.

/** By the id of the kind, as Markdown. */
export const MEANINGS: Readonly<Record<string, string>> = {
  "argument-type":
    "The register holds one type of value and the function wants another one. After `type=` stands what the register holds, after `expected=` what would be right: `scalar` is a number, `fp` the stack, `ctx` the context, `map_ptr` a map, `map_value` a value of a map, `pkt` the packet, `mem` memory of known size, `func` a function.",
  "atomic-elsewhere":
    "Atomic instructions work on real memory that others see as well: values of maps, the stack, allocated memory. The context and the packet are none of these, since accesses to them are rewritten, or may move.",
  "budget-spent":
    "Whoever asked for the verification allowed a number of instructions, of stored states, or of milliseconds, and it was not enough for a verdict. No kernel says this.",
  "call-depth":
    "A function calls a function that calls a function, and so on, deeper than the kernel follows: 16 frames in Linux 7.2, 8 in Linux 6.12. The program itself is the first frame, and a callback is one as well.",
  "call-outside": "A call within the program leads to a slot that the program does not have.",
  "call-while-locked":
    "Between taking a spin lock and releasing it there is a call, of a helper or of a global function. What is done under a lock has to be short, and must not take another one.",
  "callback-not-static":
    "The function that a helper is to call back is a global one. Callbacks are walked together with their caller, which global functions are not.",
  "callback-return":
    "A callback of `bpf_loop`, `bpf_for_each_map_elem` and the like returns 0 to go on and 1 to stop, and this one may return something else. Callbacks of timers return 0 only, and the message then begins with `At async callback return`.",
  "combined-stack":
    "The functions of one chain of calls share 512 bytes of stack, and together they use more. Each one counts with the lowest byte that it touches, rounded up.",
  "constant-argument":
    "The helper wants a number that is known when the program is loaded, and this one is known only within bounds. (The quotation mark is the kernel's.)",
  "context-moved":
    "A constant was added to the pointer to the context, and it is used after that. Accesses to the context are rewritten by the offset that stands in the instruction, so that the register has to be what the program got.",
  "context-variable":
    "The context is accessed at an offset that is computed, so that it is not known which field is meant. The numbers show which bits of the offset are unknown.",
  "division-by-zero":
    "A division or remainder has the constant 0 as its divisor, which no value of the other operand makes right.",
  "dynptr-begun-twice":
    "The 16 bytes of a dynptr that holds something are used for something else: a store goes there, or another dynptr is set up there. What it holds could then never be given back. A place that is no place for a dynptr at all, such as one that ends above the stack, is `Dynptr has to be an uninitialized dynptr`.",
  "dynptr-not-begun":
    "A dynptr is 16 bytes on the stack that the kernel fills in, and a function is given a place where none was set up: not on this path, not any more, or at another address.",
  "dynptr-type":
    "A dynptr can be made of some kinds of memory only, and each function takes some kinds of dynptrs only. `bpf_dynptr_from_mem` wants a value of a map; functions for records of a ring buffer say `Expected a dynptr of type ringbuf as R1` of others.",
  "dynptr-written":
    "A helper is to fill memory on the stack, and in this memory lies a dynptr. Its 16 bytes are the kernel's.",
  "falls-off-the-end":
    "The last instruction of the program, or of one of its functions, lets control go on to what stands behind it, and there is nothing that belongs to the function.",
  "fill-size": "A pointer lies on the stack at that place, and a part of it is loaded.",
  "format-invalid":
    "The format of `bpf_snprintf` or the like and its arguments do not belong together: there are more conversions than arguments, or one that the helper does not know.",
  "format-not-constant":
    "The text is read when the program is verified, so that it must not change later: it has to lie in a map that neither the program nor anybody else can write, at a constant address (`R3 is not a constant address'`), with a zero at its end (`string is not zero-terminated`).",
  "frame-pointer-written":
    "r10 points to the end of the function's stack for as long as the function runs, and an instruction would change it.",
  "gpl-only":
    "The helper is one that only programs under a licence compatible with the GPL may call, and the program says that it has another one, or none. For kernel functions the message is `cannot call kernel function from non-GPL compatible program`.",
  "helper-not-for-type":
    "The helper exists, but not for programs of this type: each type has a list of its own, and some entries depend on where the program is attached, or on how the kernel was built. The number behind # is the helper's.",
  "infinite-loop":
    "The path came back to an instruction in a state that it was in before: nothing that matters has changed in between, so it would go round for ever. Both states stand behind the first line.",
  "invalid-atomic":
    "The immediate of an atomic instruction says which operation it is: add (0x00), or (0x40), and (0x50), xor (0xa0), each with or without 0x01 for the old value, exchange (0xe1) and compare-and-exchange (0xf1). This number is none of them.",
  "invalid-context-access":
    "The context of this type of program has no field at that offset, or not one of that size, or it can be read and not written. What stands in the context is fixed for each type; the kernel's own structure behind it looks different, so that every access must be one that it knows how to rewrite.",
  "invalid-map-descriptor":
    "A load of a map carries the number of an open file, and this number is no map's. The loader was to put it there; it did not, or it closed the file again.",
  "invalid-map-value-address":
    "An instruction takes the address of the value of a map by itself, as code for global variables does, and the offset is not inside the value. Of an array with several elements the same is said with any offset.",
  "invalid-may-goto":
    "The instruction may_goto takes an offset only, and its immediate has to be 0. Linux 6.12 also refuses the offset 0, which newer kernels take.",
  "invalid-register":
    "Programs have the registers r0 to r10. The field of an instruction has room for 16, and a number above 10 was found in it.",
  "invalid-shift": "A shift by a constant moves by as many bits as the register has, or more, or by a negative number.",
  "invalid-wide-load":
    "A constant of 64 bits takes two slots: the first one has the opcode 0x18 and the lower half, the second one nothing but the upper half. The second slot is missing or holds something else. `unrecognized bpf_ld_imm64 insn` is said where the source register asks for a kind of constant that does not exist.",
  "iterator-begun-twice":
    "An iterator is to be set up where there is one already, or at an address that is not a multiple of 8.",
  "iterator-not-begun":
    "A function of an iterator is given a place on the stack where there is no iterator: it was not set up on this path, was destroyed already, or something was stored over it.",
  "jump-into-wide-load":
    "A load of 64 bits has two slots, and a jump or a call leads to the second one, which is half of an instruction. The number is the slot of the load.",
  "jump-out-of-range":
    "The target of a jump is not in the function that the jump is in. The first number is the jump, the second one where it leads; both count slots of 8 bytes from 0.",
  "kernel-function-argument":
    "A kernel function has a parameter that is a pointer to a structure of the kernel, and gets a pointer to something else. The kernel then tries to take the parameter for plain memory that the program owns, which such a structure is not either, and so it says this.",
  "kernel-function-not-allowed":
    "The function is in the kernel, and programs can call it, but not programs of this type. Kernel functions are registered for types of programs, sometimes with further conditions.",
  "lock-held-at-exit":
    "The program ends on a path where it took a spin lock and has not released it. Everybody else who wants the lock would wait for ever.",
  "lock-not-for-type":
    "A program that traces, or filters for sockets, uses a map whose values have a spin lock. It may run anywhere, even inside of the code that holds the lock, and would then wait for itself. It is enough that the map has one; the program need not take it.",
  "lock-not-held":
    "A spin lock is released on a path on which none is held: it was not taken there, or was released already.",
  "lock-of-another":
    "The lock that is released is not the one that was taken. Locks are told apart by the lookup that found them: two lookups give two locks, even with the same key.",
  "lsm-license":
    "A program is attached to a hook of the security modules, and its licence is not compatible with the GPL. For this type that is asked when it is loaded, whatever it calls.",
  "managed-field":
    "The value of the map has a field that the kernel manages (a lock, a timer, a pointer, a list), and a load or store touches it as if it were plain memory.",
  "managed-field-missing":
    "A helper for locks or timers is given a value of a map, and nothing says that there is a lock or timer in it: the map has no types, or its value has no such member (`map … has no valid bpf_spin_lock`). Between the quotation marks stands the name of the map.",
  "managed-field-place":
    "The pointer leads into a value that has the lock or timer, but to another place of it. `off` is where it points, the number at the end is where the member is.",
  "map-helper":
    "The helper works on certain types of maps, or the map with certain helpers, and these two do not go together. `map_type` is the number of the type: 1 is a hash, 2 an array, 3 an array of programs, 27 a ring buffer.",
  "map-itself":
    "The program stores to where the pointer to the map leads, which is the kernel's own description of the map and not an element. That can be read at most; on Linux 6.12 not all of it, `cannot access ptr member ops …`.",
  "map-key-written":
    "A callback of `bpf_for_each_map_elem` gets pointers to the key and the value of each element, and stores into the key. The element would then be in the wrong place of the map.",
  "map-of-tail-call":
    "The second argument of `bpf_tail_call` is a map, but not an array of programs. Linux 6.12 has no words for this case, and says that it is the kernel's own fault, which it is not.",
  "map-read-forbidden":
    "The map was created for writing by programs only (`BPF_F_WRONLY_PROG`), and the program loads from a value of it.",
  "map-without-elements":
    "A helper that takes a key is used on a map whose keys have no bytes, such as a queue or a ring buffer. The kernel notices that it would read a key of size 0.",
  "map-write-forbidden":
    "The map was created for reading by programs only (`BPF_F_RDONLY_PROG`), and the program stores into a value, or calls a helper that would. Constants of a program are in such a map.",
  "misaligned-access":
    "The address of a load or store is not a multiple of its size. On the stack and in the context that is refused always, in other memory where the machine or the program's flags ask for alignment. The numbers are parts of the offset: what was added to the pointer, and the offset of the instruction.",
  "mixed-pointers":
    "One load or store is reached with a pointer of one kind on one path and of another kind on another one. Accesses to the context and to structures of the kernel are rewritten after verification, so that one instruction cannot serve both.",
  "negative-offset":
    "What was added to the pointer may be negative, and then the access lies before the memory. The other side may be checked well.",
  "no-direct-value":
    "An instruction takes the address of the value of a map by itself, and in this type of map values do not have a fixed place. Arrays of one element have.",
  "not-memory":
    "The pointer is one that the verifier knows, but it is not an address to read or write at. The name in quotation marks is its type: the end of the packet, a function, a map where the kernel has no types for it.",
  "not-verified-here":
    "The program uses something that this verifier does not follow yet, and that kernels may well accept. It does not guess: the program is rejected, and the message says what it was.",
  "null-argument":
    "An argument may be null here, and the function does not take null. The part `_or_null` in its type says that it is the result of a call that may fail and was not looked at since.",
  "null-arithmetic":
    "A pointer that may be null is moved before it is compared with 0. After that, null would be another number than 0, and the comparison would tell nothing.",
  "null-dereference":
    "The pointer is the result of a call that may fail, and nothing has ruled out yet that it is null. The name in quotation marks is what it leads to if it is not.",
  "number-as-pointer":
    "The address is a number to the verifier, and numbers lead nowhere. Either it never was a pointer that the verifier knows, as an address read from memory of the kernel, or it was one and stopped being so.",
  "object-bounds":
    "The pointer leads to a structure of the kernel whose type is known, and the access lies behind its end or before its start.",
  "object-variable-offset":
    "A structure of the kernel is read at an offset that is computed while the program runs. Which member that is, and what type the result has, has to be known before.",
  "outside-map-value":
    "For some value that the index may have here, the access lies before or behind the value of the map. `off` is the worst place that it can reach and `size` how many bytes are accessed; both together have to stay within `value_size`.",
  "outside-memory":
    "The access lies outside of memory whose size is known: a record of a ring buffer, an argument of a global function, the key of a map, a buffer of an iterator. `mem_size` is how long it is, `off` and `size` where the access would be.",
  "outside-packet":
    "The program reads or writes bytes of the packet that may not be there. How long a packet is, is not known before the program runs; what a comparison with data_end has shown to be there can be accessed, and nothing else. `r=0` is how many bytes were shown, `off` and `size` what was asked for.",
  "packet-argument":
    "An argument points into the packet, and this helper, or this type of program, does not take such pointers.",
  "packet-load-context":
    "The instructions `*(u8 *)skb[…]` take the packet from r6, which has to hold the context that the program began with.",
  "packet-load-type":
    "The old instructions that load from the packet by themselves, `*(u8 *)skb[0]`, need a socket buffer. Programs of this type do not have one.",
  "packet-load-untyped":
    "A program with functions uses the instructions that load from the packet, and came without types of its functions. Such a load may end a function in its middle with 0, so the kernel wants to know that the function returns a number.",
  "packet-load-while-locked":
    "The instructions `*(u8 *)skb[…]` end the program where the packet is too short, and a lock that is held would then stay taken.",
  "packet-write":
    "Programs of this type read packets and do not change them. The store itself, or the helper that would fill the bytes, is at fault, not its place.",
  "pointer-32-bit":
    "An operation of 32 bits works on a register that holds a pointer. It would keep the lower half of the address only.",
  "pointer-bitwise":
    "And, or and exclusive or on a pointer, as for aligning it or for keeping flags in its lower bits. The verifier follows pointers as a base and a distance, and cannot say what such a bit pattern points to.",
  "pointer-from-number": "A pointer is subtracted from a number, which is no address and no distance.",
  "pointer-no-arithmetic":
    "A pointer of this kind stays as it is. That holds for the end of the packet, for maps, for sockets and for functions: what they lead to is nothing to walk in. The name in the message is the kind.",
  "pointer-offset":
    "A pointer is moved by 2^29 or more, in either direction. No memory that a program can have is that large, and with larger numbers the sums of the verifier could overflow.",
  "pointer-operator":
    "Pointers can be moved by adding and subtracting. This is another operation (a product, a quotient, a shift), and its result would not be an address in the same memory.",
  "pointer-unbounded-math":
    "The number that is added to the pointer may be as small as numbers of 64 bits get, so that nothing at all can be said of the sum. The name in the message is what the pointer leads to.",
  "pointer-with-pointer":
    "Both operands are pointers. Of two pointers only the difference means something, and that is the only operation that is allowed.",
  "read-only-memory":
    "The memory that the pointer leads to belongs to the kernel, and the program can only read it: a socket, a structure of the kernel, the result of `bpf_dynptr_slice` or of an iterator. Of structures that are known by their type the kernel says `only read is supported`.",
  recursion:
    "A function is called from within itself, or from a function that it calls. The stack of a program is one block of fixed size that is laid out before it runs, so the calls must form a tree without circles.",
  "reference-leak":
    "A path ends, and something that was acquired on it is not given back: a socket that was looked up, a record of a ring buffer, a task, a list's element. `alloc_insn` is the call that acquired it.",
  "reference-over-packet-load":
    "The instructions `*(u8 *)skb[…]` end the program where the packet is too short, and something that was acquired would then never be released.",
  "reference-over-tail-call":
    "A tail call ends this program and starts another one, which knows nothing of what this one has acquired.",
  "release-moved":
    "Something is released through a pointer that was moved. The kernel needs the address that it gave out.",
  "release-unreferenced":
    "A function that releases is given something that the program did not acquire, or has released already. It would take a reference away that belongs to somebody else.",
  "reserved-fields":
    "An instruction has room for two registers, an offset and an immediate, and most use only some of it. What is not used has to be zero, because a later kernel may give it a meaning; here something is not. The message names the group that the instruction belongs to.",
  "return-pointer":
    "The program ends with a pointer in r0. The result of a program of this type is a number of a small range. The name in brackets is what r0 holds.",
  "return-value":
    "What the program returns decides something, and this type of program has only the values in brackets. `smin` and `smax` are the least and the greatest number that r0 may hold here; `unknown scalar value` stands for any number.",
  "section-at-exit":
    "The program ends on a path where it began a section of RCU, or one without preemption, and has not ended it.",
  "section-missing":
    "The function works on objects that RCU keeps alive, and the program may sleep, so that it is not in a section of RCU by itself.",
  "section-nested":
    "A section of RCU is begun inside of another one. Linux 6.12 does not count them, so that the first end would end both.",
  "section-not-begun": "A section is ended that was not begun on this path, or was ended already.",
  "size-negative":
    "The size that a helper is given is a signed number that may be below zero, and would be a huge one to the helper.",
  "size-unbounded": "A helper is given memory and its size, and the size may be too large for any memory.",
  "size-zero":
    "The helper wants at least one byte, and the size may be 0 here. The range in brackets is what the size may be.",
  "sleepable-map": "A program that may wait uses a map whose elements could vanish while it waits.",
  "sleepable-missing":
    "Programs of type syscall are run by a system call and may always wait. They have to say so by the flag `BPF_F_SLEEPABLE`.",
  "sleepable-type":
    "The program is loaded with the flag `BPF_F_SLEEPABLE`, and programs of this type run where nothing may wait.",
  "sleeping-call":
    "The helper may wait, for memory that has to be brought in for instance, and the program runs where nothing may wait. Either the whole program is not sleepable, or the call is inside a section of RCU (`in rcu_read_lock region`) or one without preemption (`in non-preemptible region`).",
  "socket-field":
    "The pointer leads to a view of a socket (`struct bpf_sock`, `struct bpf_tcp_sock`), and there is no field at that offset, or not of this size. Of `sock_common` only the fields are there that all sockets have.",
  "spill-size":
    "A part of a pointer is stored on the stack. The verifier keeps track of pointers there in whole only: 8 bytes at a multiple of 8.",
  "stack-pointer-returned": "A function returns an address on its own stack, which ends with the function.",
  "stack-pointer-subtraction":
    "Something is subtracted from a pointer to the stack. That is not allowed of this kind of pointer, not even for constants; adding a negative constant is.",
  "stack-pointer-to-caller":
    "A function got a pointer to the stack of its caller and stores a pointer to its own stack there. When the function returns, its stack is gone and the stored pointer would lead to other memory.",
  "stack-read":
    "The read lies outside of the function's stack, which is the 512 bytes below r10; or a helper was to read bytes there that nothing was written to.",
  "stack-unbounded": "An array on the stack is accessed at an index that nothing bounds.",
  "stack-variable-access":
    "An array on the stack is accessed at an index that is bounded, but not well enough: for some value of it the access lies outside of the stack.",
  "stack-write":
    "The program stores outside of its stack, or a helper would: the memory that it is to fill begins or ends outside of the 512 bytes below r10.",
  "subprogram-arguments":
    "A global function is called, and an argument is not what the type of its parameter says. The line above tells which register it is and what is wrong with it.",
  "subprogram-return":
    "A global function ends with a pointer in r0. Such functions are verified by themselves, and callers know only that they return a number.",
  "subprogram-types":
    "A global function has a parameter of a type that such functions cannot have. Numbers, the context and pointers to memory of known size are what the verifier can promise to the function without looking at its callers.",
  "tail-call-in-section":
    "A tail call ends this program, and the section that it is in, of RCU or without preemption, would never end.",
  "tail-call-stack":
    "A function does a tail call, and the functions above it hold 256 bytes of stack or more. Up to 33 programs may follow each other by tail calls, and each of them would keep that stack in use, since only the frame of the function that does the tail call is replaced.",
  "tail-call-untyped":
    "A function other than the main one does a tail call, and the program came without types of its functions. The kernel has to know that the function returns a number, since the program that follows will return in its place.",
  "target-not-modifiable":
    "A program of the kind fmod_ret replaces the result of its target, and this function does not allow it.",
  "target-not-sleepable":
    "A sleepable program is to be attached to a function of the kernel that may be called where nothing may wait.",
  "target-unsuitable":
    "The program names a target that exists, but that is not of the sort that programs of this type attach to. The number is that of the target in the types of the kernel that was asked. A hook of the security modules that is switched off is `points to disabled hook`.",
  "timer-map":
    "`bpf_timer_init` gets the timer and the map that it lies in, so that the map stays as long as the timer runs. This is another map.",
  "too-many-insns":
    "All paths together have more instructions than the kernel walks, one million. That says nothing about the length of the program: it is how often its instructions had to be looked at.",
  "too-many-jumps":
    "At every branch one side is walked, and the other one waits. More than 8192 are waiting here: the path has gone through that many branches without coming to an end, or to a state that was seen before.",
  "unbounded-access":
    "A number was added to the pointer that may be so large that no limit is worth computing: nothing bounds it from above, or only a number of 29 bits and more.",
  "uninitialised-register":
    "The instruction reads a register that holds nothing: on the path that led here, nothing was written to it, or a call took its value. At the start only r1 (the context) and r10 (the stack) have one.",
  "unknown-helper":
    "The kernel has no helper of this number. It came with a newer kernel, or the immediate of the call is not a number of a helper at all.",
  "unknown-opcode":
    "The first byte of an instruction says what it does, and this value means nothing to the kernel. Either the bytes are not a program at that place, or they were made for a newer instruction set than this kernel has.",
  "unreachable-insn":
    "No path through the program comes to this instruction: nothing before it goes on to it, and no jump leads there. The kernel refuses such code instead of leaving it out.",
  "untrusted-argument":
    "A kernel function takes objects only that are certainly alive during the call: arguments of the hook, and what the program has acquired. This one was read out of another object, and could be freed meanwhile. `must be referenced or trusted` is said by functions that do not even take what a section of RCU protects.",
  "verifier-bug":
    "The verifier found nothing wrong with the program, and a later step of the kernel could not carry it out. Linux 7.2 says that it is a bug of the verifier, 6.12 that it is misconfigured; there are few ways to come to this.",
};
