// The riscv64 backend: its parts put together.
import { type Backend, type BackendParts, BpfError, defineBackend, invariant } from "@bpfkit/core";
import { abi } from "./abi.ts";
import { Assembler, BRANCHES, upperOf, writeBranch } from "./assembler.ts";
import { counterPlace, landing, SCHEMES } from "./counter.ts";
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
import { emitPrologue, frameSlots } from "./prologue.ts";
import type { Reg } from "./regs.ts";
import { TRAMPOLINE } from "./trampoline.ts";

/** What the backend is made of; apart from it, so that tests can change one part. */
export const parts: BackendParts<Reg, Assembler> = {
  arch: "riscv64",
  abi,
  capabilities: {
    layout: { shortBranches: false, nearCalls: false, tailCalls: "write-back", directTailCalls: false },
    features: { c: true, zba: true, zbb: true, zacas: false },
    fetchUnit: 2,
    tailCallSchemes: SCHEMES,
  },
  assembler: () => new Assembler(),
  lowering: {
    ...ALU_LOWERING,
    ...MEMORY_LOWERING,
    ...JUMP_LOWERING,
    ...CALL_LOWERING,
    ...ATOMIC_LOWERING,
    ...TAIL_CALL_LOWERING,
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
  trampoline: TRAMPOLINE,
};

/**
 * Compiles BPF to RV64 machine code as Linux 7.2 does, and runs it on an emulated CPU.
 *
 * Layout: `shortBranches` uses the compressed jumps and branches, `nearCalls` calls subprograms by `jal` where it reaches,
 * `tailCalls` says how tail calls are counted, `directTailCalls` makes those jumps to be rewritten whose slot is known. Features:
 * `c` (compressed instructions), `zba` and `zbb` (address generation, byte reversal and extensions), `zacas` (compare and swap).
 *
 * @example
 * ```ts
 * import { assemble, formatListing, verified } from "@bpfkit/core";
 * import { riscv64 } from "@bpfkit/riscv64";
 * const image = riscv64.compile(verified(assemble("r0 = 0\nexit")));
 * console.log(formatListing(riscv64.disassemble(image.code)));
 * ```
 */
export const riscv64: Backend<Reg> = defineBackend(parts);

/**
 * `call` and `pcrel`: the distance from the field, in an `auipc` and the immediate of the instruction behind it. `abs64`: the upper and
 * then the lower 32 bits, each in a `lui` and the `addiw` behind it.
 */
function relocate(code: Uint8Array, offset: number, kind: string, address: bigint, value: bigint): void {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  if (kind === "abs64") {
    const low = Number(BigInt.asIntN(32, value));
    writePair(view, offset, Number(BigInt.asIntN(32, (value - BigInt(low)) >> 32n)));
    writePair(view, offset + 8, low);
    return;
  }
  invariant(kind === "call" || kind === "pcrel", `relocation ${kind}`);
  const distance = BigInt.asIntN(64, value - (address + BigInt(offset)));
  if (BigInt.asIntN(32, distance + 0x800n) !== distance + 0x800n) {
    const what = kind === "call" ? "call of" : "address";
    throw new BpfError("out-of-range", `${what} 0x${value.toString(16)} from code at 0x${address.toString(16)}`, {
      offset,
      expected: "a distance of 32 signed bits",
    });
  }
  writePair(view, offset, Number(distance));
}

/** The 20 bits of the first instruction, and the 12 of the second. */
function writePair(view: DataView, offset: number, value: number): void {
  const upper = upperOf(value);
  view.setInt32(offset, view.getInt32(offset, true) | upper, true);
  view.setInt32(offset + 4, view.getInt32(offset + 4, true) | ((value - upper) << 20), true);
}
