// The arm64 backend: its parts put together.
import { type Backend, type BackendParts, BpfError, defineBackend, invariant } from "@bpfkit/core";
import { abi } from "./abi.ts";
import { Assembler, BL_WORD, BRANCHES, branch26, reach26, writeBranch, writeWord } from "./assembler.ts";
import { counterPlace, SCHEMES } from "./counter.ts";
import { createCpu } from "./cpu.ts";
import { ALU_LOWERING } from "./lower/alu.ts";
import { ATOMIC_LOWERING } from "./lower/atomic.ts";
import { CALL_LOWERING } from "./lower/call.ts";
import { JUMP_LOWERING } from "./lower/jump.ts";
import { MEMORY_LOWERING } from "./lower/memory.ts";
import { TAIL_CALL_LOWERING } from "./lower/tail-call.ts";
import { poke } from "./poke.ts";
import { pokeMany } from "./poke-many.ts";
import { disassemble } from "./print.ts";
import { emitPrologue, frameSlots, landing } from "./prologue.ts";
import type { Reg } from "./regs.ts";
import { trampoline } from "./trampoline.ts";

/** What the backend is made of; apart from it, so that tests can change one part. */
export const parts: BackendParts<Reg, Assembler> = {
  arch: "arm64",
  abi,
  capabilities: {
    layout: { pac: true, bti: false, far: false, tailCalls: "pointer", directTailCalls: false },
    features: { lse: true },
    fetchUnit: 4,
    tailCallSchemes: SCHEMES,
  },
  assembler: () => new Assembler(),
  lowering: {
    ...ALU_LOWERING,
    ...MEMORY_LOWERING,
    ...JUMP_LOWERING,
    ...CALL_LOWERING,
    ...TAIL_CALL_LOWERING,
    ...ATOMIC_LOWERING,
  },
  prologue: emitPrologue,
  frameSlots,
  landing,
  counterPlace,
  branches: BRANCHES,
  writeBranch,
  relocate,
  disassemble,
  poke,
  pokeMany,
  createCpu,
  trampoline,
};

/**
 * Compiles BPF to arm64 as Linux 7.2 does, and runs it on an emulated CPU.
 *
 * Layout: `pac` signs return addresses, `bti` marks where indirect branches may land. `far` is for code that may lie more than 128 MiB away
 * from what it leads to: it calls functions by their whole address, and patch sites have slots for addresses of their targets (the kernel
 * keeps the slot of an entry behind the code of every program, which images here have with `far` alone). `tailCalls` is how tail calls are counted: `pointer` as Linux since 6.12, which has a
 * counter in every frame, whether tail calls can be reached from it or not; `by-value` as before; or `write-back`. `directTailCalls` makes
 * patch sites of those whose array and slot are known, which the kernel does not on arm64. Features: `lse` uses the atomic instructions of FEAT_LSE.
 *
 * @example
 * ```ts
 * import { arm64 } from "@bpfkit/arm64";
 * import { assemble, formatListing, verified } from "@bpfkit/core";
 * const image = arm64.compile(verified(assemble("r0 = 0\nexit")));
 * console.log(formatListing(arm64.disassemble(image.code)));
 * ```
 */
export const arm64: Backend<Reg> = defineBackend(parts);

/** Opcode of movz in place of movn's, and the fields of 16 bits. */
const MOVZ_BIT = 0x4000_0000;
const IMM16 = 0xffff << 5;

/** `call26`: the distance from a `bl` in words. `abs48`: an address in a movn and two movk. */
function relocate(code: Uint8Array, offset: number, kind: string, address: bigint, value: bigint): void {
  if (kind === "abs48") {
    relocateAddress(code, offset, address, value);
    return;
  }
  invariant(kind === "call26", `relocation ${kind}`);
  const distance = reach26(address + BigInt(offset), value);
  if (distance === undefined) {
    throw outOfRange(`call of 0x${value.toString(16)} from`, address, offset, "a multiple of 4 within 128 MiB");
  }
  writeWord(code, offset, BL_WORD | branch26(distance));
}

function relocateAddress(code: Uint8Array, offset: number, address: bigint, value: bigint): void {
  const top = value >> 48n;
  if (top !== 0n && top !== 0xffffn) {
    throw outOfRange(`address 0x${value.toString(16)} in`, address, offset, "48 bits, the rest all 0 or all 1");
  }
  const part = (index: number): number => Number((value >> BigInt(16 * index)) & 0xffffn);
  const patch = (index: number, imm: number, bits: number): void => {
    const at = offset + 4 * index;
    const word = code[at]! | (code[at + 1]! << 8) | (code[at + 2]! << 16) | (code[at + 3]! << 24);
    writeWord(code, at, (word & ~IMM16) | (imm << 5) | bits);
  };
  if (top === 0n) patch(0, part(0), MOVZ_BIT);
  else patch(0, part(0) ^ 0xffff, 0);
  patch(1, part(1), 0);
  patch(2, part(2), 0);
}

function outOfRange(what: string, address: bigint, offset: number, expected: string): BpfError {
  return new BpfError("out-of-range", `${what} code at 0x${address.toString(16)}`, { offset, expected });
}
