// Messages about computing with pointers.
import type { MessageKind } from "./kind.ts";

export const POINTERS: readonly MessageKind[] = [
  {
    id: "pointer-32-bit",
    class: "pointer",
    title: "An operation of 32 bits on a pointer",
    pattern: /^R\d+ 32-bit pointer arithmetic prohibited$/,
    suggestion: "Compute with pointers in 64 bits; do not cast them to int.",
  },
  {
    id: "pointer-bitwise",
    class: "pointer",
    title: "A bitwise operation on a pointer",
    pattern: /^R\d+ bitwise operator \S+ on pointer prohibited$/,
    suggestion: "Mask the number before it is added to the pointer.",
  },
  {
    id: "pointer-operator",
    class: "pointer",
    title: "An operation on a pointer that is neither + nor -",
    pattern: /^R\d+ pointer arithmetic with \S+ operator prohibited$/,
    suggestion: "Add to pointers and subtract from them, nothing else; compute the offset as a number first.",
  },
  {
    id: "pointer-with-pointer",
    class: "pointer",
    title: "An operation of two pointers",
    pattern: /^R\d+ pointer \S+ pointer prohibited$/,
    suggestion: "Add numbers to pointers; of two pointers only the difference can be computed.",
  },
  {
    id: "pointer-no-arithmetic",
    class: "pointer",
    title: "A pointer of this kind cannot be moved",
    pattern: /^R\d+ pointer arithmetic on \w+ prohibited$/,
    suggestion: "Leave the pointer as it is; move pointers to packet, stack or map values instead.",
  },
  {
    id: "null-arithmetic",
    class: "null",
    title: "A pointer that may be null is moved",
    pattern: /^R\d+ pointer arithmetic on \w+ prohibited, null-check it first$/,
    suggestion: "Compare the pointer with 0 first, and move it where it is not 0.",
  },
  {
    id: "stack-pointer-subtraction",
    class: "pointer",
    title: "A register is subtracted from a pointer to the stack",
    pattern: /^R\d+ subtraction from stack pointer prohibited$/,
    suggestion: "Begin at the lowest address of the array and add a number that is not negative.",
  },
  {
    id: "pointer-from-number",
    class: "pointer",
    title: "A pointer is subtracted from a number",
    pattern: /^R\d+ tried to subtract pointer from scalar$/,
    suggestion: "Exchange the operands: a number is subtracted from a pointer.",
  },
  {
    id: "pointer-unbounded-math",
    class: "pointer",
    title: "An unbounded number is added to a pointer",
    pattern: /^math between \w+ pointer and register with unbounded min value is not allowed$/,
    suggestion: "Compare the number with its bounds, or mask it, before it is added.",
  },
  {
    id: "pointer-offset",
    class: "pointer",
    title: "A pointer is moved too far",
    pattern:
      /^(math between \w+ pointer and -?\d+ is not allowed|\w+ pointer offset -?\d+ is not allowed|value -?\d+ makes \w+ pointer be out of bounds)$/,
    suggestion: "Keep offsets below 2^29; check the number before it is added, not the pointer afterwards.",
  },
];
