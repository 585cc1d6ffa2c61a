// Messages about the stack.
import type { MessageKind } from "./kind.ts";

export const STACK: readonly MessageKind[] = [
  {
    id: "stack-read",
    class: "stack",
    title: "A read lies outside of the stack, or finds nothing there",
    pattern:
      /^(invalid read from stack R\d+ off=-?\d+ size=\d+|invalid (indirect )?read from stack (R\d+ )?off -?\d+\+\d+ size \d+)$/,
    suggestion: "Read between r10-512 and r10, and only what was written there on every path.",
  },
  {
    id: "stack-write",
    class: "stack",
    title: "A write lies outside of the stack",
    pattern: /^(invalid write to stack|invalid indirect access to stack) R\d+ off=-?\d+ size=\d+$/,
    suggestion: "Keep within the 512 bytes below r10; a buffer that a helper fills has to be as long as the size says.",
  },
  {
    id: "stack-variable-access",
    class: "stack",
    title: "An access at an unknown place may lie outside of the stack",
    pattern:
      /^invalid variable-offset (write to|read from|indirect access to) stack R\d+ var_off=.+ (off=-?\d+ )?size=\d+$/,
    suggestion: "Bound the index, so that the access lies in the array for every value it may have.",
  },
  {
    id: "stack-unbounded",
    class: "stack",
    title: "Nothing bounds where an access to the stack lies",
    pattern: /^invalid unbounded variable-offset (write to|read from|indirect access to) stack R\d+$/,
    suggestion: "Compare the index with the length of the array, or mask it, before it is added to the pointer.",
  },
  {
    id: "spill-size",
    class: "stack",
    title: "A part of a pointer is stored over one that lies on the stack",
    pattern: /^invalid size of register spill$/,
    suggestion: "Store pointers whole, in 8 bytes at a multiple of 8.",
  },
  {
    id: "fill-size",
    class: "stack",
    title: "A part of a pointer is loaded from the stack",
    pattern: /^invalid size of register fill$/,
    suggestion: "Load 8 bytes from where the pointer was stored.",
  },
  {
    id: "stack-pointer-to-caller",
    class: "stack",
    title: "A pointer to the own stack is stored in the stack of the caller",
    pattern: /^cannot spill pointers to stack into stack frame of the caller$/,
    suggestion: "Store the value instead of its address, or let the caller own the memory.",
  },
  {
    id: "stack-pointer-returned",
    class: "stack",
    title: "A function returns a pointer to its own stack",
    pattern: /^cannot return stack pointer to the caller$/,
    suggestion: "Return the value, or fill memory that the caller passes.",
  },
  {
    id: "combined-stack",
    class: "stack",
    title: "Functions that call each other need more than 512 bytes of stack together",
    pattern: /^combined stack size of \d+ calls is \d+\. Too large$/,
    suggestion: "Move large buffers to a per-CPU array, or make the functions of the chain share one.",
  },
  {
    id: "tail-call-stack",
    class: "stack",
    title: "A function with a tail call is called with too much stack in use",
    pattern: /^tail_calls are not allowed when call stack of previous frames is \d+ bytes\. Too large$/,
    suggestion:
      "Do tail calls from the main function, or use less than 256 bytes of stack above the function that does them.",
  },
];
