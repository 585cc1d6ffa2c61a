// The x86-64 backend: its parts put together.
import { type Backend, type BackendParts, BpfError, defineBackend, invariant } from "@bpfkit/core";
import { abi } from "./abi.ts";
import { Assembler, BRANCHES, writeBranch, writeInt } from "./assembler.ts";
import { counterPlace } from "./counter.ts";
import { createCpu } from "./cpu.ts";
import { ALU_LOWERING } from "./lower/alu.ts";
import { ATOMIC_LOWERING } from "./lower/atomic.ts";
import { CALL_LOWERING } from "./lower/call.ts";
import { JUMP_LOWERING } from "./lower/jump.ts";
import { MEMORY_LOWERING } from "./lower/memory.ts";
import { checkIndirectJumps, TAIL_CALL_LOWERING } from "./lower/tail-call.ts";
import { displacement, poke } from "./poke.ts";
import { pokeMany } from "./poke-many.ts";
import { disassemble } from "./print.ts";
import { adjustFrame, emitPrologue, frameSlots, landing } from "./prologue.ts";
import type { Reg } from "./regs.ts";
import { trampoline } from "./trampoline.ts";

/** What the backend is made of; apart from it, so that tests can change one part. */
export const parts: BackendParts<Reg, Assembler> = {
  arch: "x86-64",
  abi,
  capabilities: {
    layout: {
      ibt: true,
      sls: true,
      indirectJumps: "plain",
      tailCalls: "pointer",
      directTailCalls: true,
      saveAll: false,
    },
    features: { bmi2: true },
    fetchUnit: 1,
    tailCallSchemes: ["pointer", "write-back", "by-value", "per-program"],
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
  frame: adjustFrame,
  frameSlots,
  landing(layout) {
    checkIndirectJumps(layout);
    return landing(layout);
  },
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
 * Compiles BPF to x86-64 as Linux 7.2 does, and runs it on an emulated CPU.
 *
 * Layout: `ibt` puts `endbr64` where indirect branches may land, `sls` puts `int3` behind returns and jumps through a register;
 * `indirectJumps` is how tail calls jump through rcx: `plain`, `lfence`, or `retpoline`. `tailCalls` is how they are counted,
 * `directTailCalls` makes those with a known array and slot jumps that are rewritten when the slot changes. `saveAll` saves all four
 * callee-saved registers in every frame, as before Linux 5.10. Features: `bmi2` shifts by a register
 * without rcx.
 *
 * @example
 * ```ts
 * import { assemble, formatListing, verified } from "@bpfkit/core";
 * import { x86_64 } from "@bpfkit/x86-64";
 * const image = x86_64.compile(verified(assemble("r0 = 0\nexit")));
 * console.log(formatListing(x86_64.disassemble(image.code)));
 * ```
 */
export const x86_64: Backend<Reg> = defineBackend(parts);

/** `rel32`: the distance from behind the field. `abs32s`: 32 bits that the CPU extends. `abs64`: all of it. */
function relocate(code: Uint8Array, offset: number, kind: string, address: bigint, value: bigint): void {
  if (kind === "abs64") {
    writeInt(code, offset, Number(value & 0xffff_ffffn));
    writeInt(code, offset + 4, Number(value >> 32n));
    return;
  }
  invariant(kind === "rel32" || kind === "abs32s", `relocation ${kind}`);
  const field = displacement(kind === "rel32" ? address + BigInt(offset + 4) : 0n, value);
  if (field === undefined) {
    const what = kind === "rel32" ? `call of 0x${value.toString(16)} from` : `address 0x${value.toString(16)} in`;
    throw new BpfError("out-of-range", `${what} code at 0x${address.toString(16)}`, {
      offset,
      expected: "32 signed bits",
    });
  }
  writeInt(code, offset, field);
}
