// Where BPF's registers live and how code is entered: the System V calling convention with the kernel's register map.
import type { Abi } from "@bpfkit/core";
import type { Reg } from "./regs.ts";

/** BPF r0..r10. r1..r5 are the argument registers of a call, so calls move nothing; r6..r9 survive calls; r10 is the frame. */
const BPF: readonly Reg[] = ["rax", "rdi", "rsi", "rdx", "rcx", "r8", "rbx", "r13", "r14", "r15", "rbp"];

/** As data for engines. */
export const abi: Abi<Reg> = {
  bpf: BPF,
  args: ["rdi", "rsi", "rdx", "rcx", "r8", "r9"],
  result: "rax",
  returned: "rax",
  stackPointer: "rsp",
  stackAlign: 16,
  returnAddress: { in: "stack" },
  callerSaved: ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"],
  preserved: ["rbx", "rbp", "r12", "r13", "r14", "r15"],
  frameChain: { register: "rbp", returnAddress: 8, caller: 0, shortLeaves: false },
  bodyStack: 24, // return address into the function, rbp, return address of the function
};

/** Register numbers; Intel SDM volume 2, table 2-2. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const R8 = 8;
/** BPF's hidden register, `ax` in the kernel's words. */
export const R10 = 10;
/** Scratch of lowerings. */
export const R11 = 11;
export const R13 = 13;
export const R14 = 14;
export const R15 = 15;

/** Register number of a BPF register. */
export const REG: Uint8Array = Uint8Array.of(RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP, R10);
