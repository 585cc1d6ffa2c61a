// The public surface of @bpfkit/riscv64: explicit names, grouped by the file that defines them.

// insns.ts
export { type BaseOp, type Bits, type CompressedOp, INSNS, type Op } from "./insns.ts";

// regs.ts
export { REGS, type Reg } from "./regs.ts";

// encode.ts
export { encode, type OperandsOf } from "./encode.ts";

// decode.ts
export { decode, expand, type Insn, operandsOf } from "./decode.ts";

// row.ts
export { ROWS, type Row } from "./row.ts";

// print.ts
export { disassemble, printInsn } from "./print.ts";

// semantics.ts
export { SEMANTICS } from "./semantics.ts";
export type { Fields, Meaning } from "./meaning/operands.ts";

// cpu.ts
export { createCpu, fieldsOf, RiscvCpu } from "./cpu.ts";

// backend.ts
export { riscv64 } from "./backend.ts";
