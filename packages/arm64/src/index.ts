// The public surface of @bpfkit/arm64: explicit names, grouped by the file that defines them.

// insns.ts
export { INSNS, type Op, type OperandsOf } from "./insns.ts";

// regs.ts
export { type Flag, REGS, type Reg } from "./regs.ts";

// encode.ts
export { encode } from "./encode.ts";

// decode.ts
export { decode, type Insn } from "./decode.ts";

// row.ts
export { ROWS, type Row, type Values } from "./row.ts";

// print.ts
export { disassemble, printInsn } from "./print.ts";

// semantics.ts
export { SEMANTICS } from "./semantics.ts";
export type { Fields, Meaning } from "./meaning/operands.ts";

// cpu.ts
export { Arm64Cpu, createCpu, fieldsOf } from "./cpu.ts";

// backend.ts
export { arm64 } from "./backend.ts";
