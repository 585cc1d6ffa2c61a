// Loads, stores and 64-bit immediates: RFC 9669 sections 5.1, 5.2 and 5.4. A displacement takes a byte where it fits, and always one.
import type { Insns, LowerContext, LowerInsn, Lowering, Symbol as SymbolRef } from "@bpfkit/core";
import { REG } from "../abi.ts";
import type { Assembler } from "../assembler.ts";
import { emit, emitMem } from "../emit.ts";
import { emitMovImm32 } from "./alu.ts";

const { mov_r64_imm64, mov_rm64_imm32 } = emit;
const {
  movzx_r64_rm8, movzx_r64_rm16, mov_r32_rm32, mov_r64_rm64, movsx_r64_rm8, movsx_r64_rm16, movsxd_r64_rm32,
  mov_rm8_r8, mov_rm16_r16, mov_rm32_r32, mov_rm64_r64, mov_rm8_imm8, mov_rm16_imm16, mov_rm32_imm32, mov_rm64_imm32: mov_m64_imm32,
} = emitMem; // biome-ignore format: loads, then stores

/** Bits 3 and 4 of the opcode: 4, 2, 1 or 8 bytes. */
const sizeIndex = (code: number): number => (code >> 3) & 3;

const LOAD = [mov_r32_rm32, movzx_r64_rm16, movzx_r64_rm8, mov_r64_rm64] as const;
const LOAD_SX = [movsxd_r64_rm32, movsx_r64_rm16, movsx_r64_rm8] as const;
const STORE = [mov_rm32_r32, mov_rm16_r16, mov_rm8_r8, mov_rm64_r64] as const;
const STORE_IMM = [mov_rm32_imm32, mov_rm16_imm16, mov_rm8_imm8, mov_m64_imm32] as const;

/** Also load-acquire: no load passes a load, nor a store an earlier load. */
const load: LowerInsn<Assembler> = (a, insns, at) => {
  LOAD[sizeIndex(insns.code(at))]!(a, REG[insns.dst(at)]!, REG[insns.src(at)]!, insns.off(at));
};

const loadSx: LowerInsn<Assembler> = (a, insns, at) => {
  LOAD_SX[sizeIndex(insns.code(at))]!(a, REG[insns.dst(at)]!, REG[insns.src(at)]!, insns.off(at));
};

/** Also store-release: no store passes an earlier access. */
const store: LowerInsn<Assembler> = (a, insns, at) => {
  STORE[sizeIndex(insns.code(at))]!(a, REG[insns.dst(at)]!, insns.off(at), REG[insns.src(at)]!);
};

const storeImm: LowerInsn<Assembler> = (a, insns, at) => {
  STORE_IMM[sizeIndex(insns.code(at))]!(a, REG[insns.dst(at)]!, insns.off(at), insns.imm(at));
};

const loadImm64: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  const low = insns.imm(at);
  const high = insns.imm(at + 1);
  const source = insns.src(at);
  if (source === 4) {
    // A callback's address: 7 bytes as in the kernel, whose code lies where 32 signed bits reach.
    mov_rm64_imm32(a, dst, 0);
    a.relocate("abs32s", subprogOf(insns, at, context), 4);
  } else if (source !== 0) {
    mov_r64_imm64(a, dst, 0, 0);
    a.relocate("abs64", mapOf(source, low, high), 8);
  } else emitMovImm64(a, dst, low, high);
};

/** `dst` = the two signed halves, in the shortest of three forms. */
export function emitMovImm64(a: Assembler, dst: number, low: number, high: number): void {
  if (high === 0) emitMovImm32(a, dst, low);
  else if (high === -1 && low < 0) mov_rm64_imm32(a, dst, low);
  else mov_r64_imm64(a, dst, low, high);
}

function subprogOf(insns: Insns, at: number, { structure }: LowerContext<Assembler>): SymbolRef {
  return { kind: "subprog", index: structure.subprogAt(at + 1 + insns.imm(at)) };
}

/** Sources 1 and 2 hold file descriptors in an object not loaded yet; here they are indices like 5 and 6. */
function mapOf(source: number, index: number, offset: number): SymbolRef {
  return source === 1 || source === 5 ? { kind: "map", index } : { kind: "map-value", index, offset };
}

/** The lowerings of this file. */
export const MEMORY_LOWERING: Pick<
  Lowering<Assembler>,
  "load" | "loadSx" | "loadAcquire" | "store" | "storeImm" | "storeRelease" | "loadImm64"
> = { load, loadSx, loadAcquire: load, store, storeImm, storeRelease: store, loadImm64 };
