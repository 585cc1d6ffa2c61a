// Messages about the shape of a program: what is found before any path is walked, and operands that no path can make right.
import type { MessageKind } from "./kind.ts";

export const STRUCTURE: readonly MessageKind[] = [
  {
    id: "unknown-opcode",
    class: "structure",
    title: "An instruction has an opcode that the kernel does not know",
    pattern: /^unknown opcode [0-9a-f]{2}$/,
    suggestion:
      "Compile for the instruction set of the kernel, with a lower -mcpu, or correct the bytes of the instruction.",
  },
  {
    id: "reserved-fields",
    class: "structure",
    title: "A field that an instruction does not use is not zero",
    pattern: /^BPF_\S+ uses reserved fields$/,
    suggestion: "Set the registers, the offset and the immediate that the instruction does not use to 0.",
  },
  {
    id: "invalid-register",
    class: "structure",
    title: "An instruction names a register above r10",
    pattern: /^R\d+ is invalid$/,
    suggestion: "Use r0 to r10; the register after them belongs to the kernel.",
  },
  {
    id: "invalid-atomic",
    class: "structure",
    title: "An atomic instruction has an operation or a size that does not exist",
    pattern: /^(BPF_ATOMIC uses invalid atomic opcode [0-9a-f]+|invalid atomic operand size)$/,
    suggestion:
      "Use the operations add, or, and, xor, xchg and cmpxchg on 4 or 8 bytes; load-acquire and store-release need a newer kernel.",
  },
  {
    id: "invalid-wide-load",
    class: "structure",
    title: "A load of 64 bits is not whole, or of an unknown kind",
    pattern: /^(invalid|unrecognized) bpf_ld_imm64 insn$/,
    suggestion: "Keep both slots of the instruction together, with nothing but the upper immediate in the second one.",
  },
  {
    id: "invalid-map-descriptor",
    class: "structure",
    title: "A load of a map names no map",
    pattern: /^fd -?\d+ is not pointing to valid bpf_map$/,
    suggestion: "Create the map and put its file descriptor into the instruction, or let the loader relocate it.",
  },
  {
    id: "jump-out-of-range",
    class: "structure",
    title: "A jump leads out of its function",
    pattern: /^jump out of range from insn \d+ to -?\d+$/,
    suggestion:
      "Let the jump lead to an instruction of the same function; leave a function by exit and enter one by a call.",
  },
  {
    id: "jump-into-wide-load",
    class: "structure",
    title: "A jump leads into the second slot of a load of 64 bits",
    pattern: /^jump into the middle of ldimm64 insn \d+$/,
    suggestion: "Count a load of 64 bits as two slots when computing the offset of a jump.",
  },
  {
    id: "unreachable-insn",
    class: "structure",
    title: "Nothing leads to an instruction",
    pattern: /^unreachable insn \d+$/,
    suggestion: "Remove the instruction, or the jump that always leads around it.",
  },
  {
    id: "falls-off-the-end",
    class: "structure",
    title: "A function does not end in an exit or a jump",
    pattern: /^last insn is not an exit or jmp$/,
    suggestion: "End the function with exit, or with a jump back to code that reaches one.",
  },
  {
    id: "invalid-may-goto",
    class: "structure",
    title: "A may_goto has an operand that it must not have",
    pattern: /^invalid may_goto (imm -?\d+|off -?\d+ imm -?\d+)$/,
    suggestion: "Leave the immediate of may_goto 0, and let it lead to another place than the next instruction.",
  },
  {
    id: "call-outside",
    class: "structure",
    title: "A call leads out of the program",
    pattern: /^call to invalid destination$/,
    suggestion: "Let the call name a function of the program; link the objects that hold it together.",
  },
  {
    id: "recursion",
    class: "structure",
    title: "A function calls itself, by itself or through others",
    pattern: /^recursive call from .+\(\) to .+\(\)$/,
    suggestion: "Write a loop with a bound instead, or keep what is still to do in an array on the stack.",
  },
  {
    id: "division-by-zero",
    class: "structure",
    title: "A division by the constant 0",
    pattern: /^div by zero$/,
    suggestion: "Divide by another constant; a register may hold 0, and the result is 0 then.",
  },
  {
    id: "invalid-shift",
    class: "structure",
    title: "A shift by more bits than there are",
    pattern: /^invalid shift -?\d+$/,
    suggestion: "Shift by 0 to 63, or by 0 to 31 where the operation is of 32 bits.",
  },
  {
    id: "frame-pointer-written",
    class: "structure",
    title: "The frame pointer is written",
    pattern: /^frame pointer is read only$/,
    suggestion: "Copy r10 to another register and compute there.",
  },
];
