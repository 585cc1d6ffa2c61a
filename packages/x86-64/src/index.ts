// The public surface of @bpfkit/x86-64: explicit names, grouped by the file that defines them.

// insns.ts
export { type FixedOperand, INSNS, type Op, type OperandNames } from "./insns.ts";

// regs.ts
export { type Flag, REGS, type Reg } from "./regs.ts";

// encode.ts
export { encode, type Mem, type OperandsOf, type OperandValue } from "./encode.ts";

// decode.ts
export { decode, type Insn, operandsOf } from "./decode.ts";

// row.ts
export { type Operand, type Place, ROWS, type Row } from "./row.ts";

// print.ts
export { disassemble, printInsn } from "./print.ts";

// semantics.ts
export { SEMANTICS, undefinedFlags } from "./semantics.ts";
export type { Fields, Meaning } from "./meaning/operands.ts";

// cpu.ts
export { createCpu, fieldsOf, X86Cpu } from "./cpu.ts";

// backend.ts
export { x86_64 } from "./backend.ts";
