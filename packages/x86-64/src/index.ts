// The public surface of @bpfkit/x86-64: explicit names, grouped by the file that defines them.

// insns.ts
export { type FixedOperand, INSNS, type Op, type OperandNames } from "./insns.ts";

// regs.ts
export { type Flag, REGS, type Reg } from "./regs.ts";
