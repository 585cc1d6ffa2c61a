// Where BPF's registers live and how code is entered: the AAPCS64 calling convention with the kernel's register map.
import type { Abi } from "@bpfkit/core";
import type { Reg } from "./regs.ts";

/**
 * BPF r0..r10. r1..r5 are the argument registers of a call, so calls move nothing; r6..r9 and r10 survive calls. r0 is not where a
 * function leaves its result: calls fetch it from x0, and the epilogue puts it there.
 */
const BPF: readonly Reg[] = ["x8", "x0", "x1", "x2", "x3", "x4", "x19", "x20", "x21", "x22", "x25"];

/** As data for engines. */
export const abi: Abi<Reg> = {
  bpf: BPF,
  args: ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"],
  result: "x0",
  returned: "x0",
  stackPointer: "sp",
  stackAlign: 16,
  returnAddress: { in: "register", register: "x30" },
  // biome-ignore format: two lines
  callerSaved: [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x30",
  ],
  preserved: ["x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29"],
  frameChain: { register: "x29", returnAddress: 8, caller: 0, shortLeaves: false },
  bodyStack: 16, // x29 and x30
};

/** Register numbers. */
export const X0 = 0;
export const X1 = 1;
export const X2 = 2;
export const X8 = 8;
/** Holds the return address of the caller at a subprogram's entry; otherwise BPF's hidden register, `ax` in the kernel's words. */
export const X9 = 9;
/** Scratch of lowerings. */
export const X10 = 10;
export const X11 = 11;
export const X12 = 12;
export const X19 = 19;
export const X20 = 20;
/** BPF r10. */
export const X25 = 25;
/** Address of the count of tail calls, or the count; counter.ts. */
export const X26 = 26;
/** Frame and link. */
export const X29 = 29;
export const X30 = 30;
/** Stack pointer or zero, as the row says. */
export const SP = 31;
export const XZR = 31;

/** Register number of a BPF register. */
export const REG: Uint8Array = Uint8Array.of(X8, 0, 1, 2, 3, 4, X19, 20, 21, 22, X25, X9);
