// Where BPF's registers live and how code is entered: the standard calling convention with the kernel's register map.
import type { Abi } from "@bpfkit/core";
import type { Reg } from "./regs.ts";

/**
 * BPF r0..r10. r1..r5 are the argument registers of a call, so calls move nothing; r6..r9 and r10 survive calls. r0 is not where a
 * function leaves its result: programs hand it to each other in a5 and to the host in a0 as well, and fetch the host's from a0.
 */
const BPF: readonly Reg[] = ["a5", "a0", "a1", "a2", "a3", "a4", "s1", "s2", "s3", "s4", "s5"];

/** As data for engines. */
export const abi: Abi<Reg> = {
  bpf: BPF,
  args: ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"],
  result: "a0",
  returned: "a5",
  stackPointer: "sp",
  stackAlign: 16,
  returnAddress: { in: "register", register: "ra" },
  // biome-ignore format: one line
  callerSaved: ["ra", "t0", "t1", "t2", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t3", "t4", "t5", "t6"],
  preserved: ["gp", "tp", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"],
  frameChain: { register: "s0", returnAddress: -8, caller: -16, shortLeaves: true },
  bodyStack: 16, // ra and s0
};

/** Register numbers. */
export const ZERO = 0;
export const RA = 1;
export const SP = 2;
/** BPF's hidden register, `ax` in the kernel's words. */
export const T0 = 5;
/** Scratch of lowerings. */
export const T1 = 6;
export const T2 = 7;
export const S0 = 8;
export const S1 = 9;
export const A0 = 10;
export const A1 = 11;
export const A2 = 12;
export const A5 = 15;
/** Carries what counts tail calls; a register for arguments in the ABI, so code outside BPF may change it. */
export const A6 = 16;
export const S2 = 18;
export const S3 = 19;
export const S4 = 20;
export const S5 = 21;
/** Keeps a6 while code outside BPF runs, where tail calls are counted that way. */
export const S6 = 22;
export const T3 = 28;

/** Register number of a BPF register. */
export const REG: Uint8Array = Uint8Array.of(A5, 10, 11, 12, 13, 14, S1, S2, S3, S4, S5, T0);
