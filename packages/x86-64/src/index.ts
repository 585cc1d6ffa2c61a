// The public surface of @bpfkit/x86-64: explicit names, grouped by the file that defines them.

// insns.ts
export { type FixedOperand, INSNS, type Op, type OperandNames } from "./insns.ts";

// regs.ts
export { type Flag, REGS, type Reg } from "./regs.ts";

// encode.ts
export { encode, type Mem, type OperandsOf } from "./encode.ts";

// decode.ts
export { decode, type Insn, operandsOf } from "./decode.ts";

// row.ts
export type { Operand, Place, Row } from "./row.ts";

// print.ts
export { disassemble, printInsn } from "./print.ts";

// backend.ts
export { x86_64 } from "./backend.ts";
