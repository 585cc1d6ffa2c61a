// Loads, stores and 64-bit immediates: RFC 9669 sections 5.1, 5.2 and 5.4.
import type { Insns, LowerContext, LowerInsn, Lowering, Symbol as SymbolRef } from "@bpfkit/core";
import { REG, T1, T2, ZERO } from "../abi.ts";
import { type Assembler, fits12, upperOf } from "../assembler.ts";
import { emit } from "../emit.ts";

const { lbu, lhu, lwu, lb, lh, sb, sh, fence } = emit;

/** Bits 3 and 4 of the opcode: 4, 2, 1 or 8 bytes. */
const WORD = 0;
const HALF = 1;
const BYTE = 2;
const sizeIndex = (code: number): number => (code >> 3) & 3;

/** Sets of accesses that a fence orders. */
const R = 2;
const W = 1;
const RW = 3;

/** The base of an access whose offset needs more than 12 bits: `scratch` is `base` and the offset without its low part. */
function baseOf(a: Assembler, base: number, off: number, scratch: number): number {
  if (fits12(off)) return base;
  a.lui(scratch, upperOf(off));
  a.add(scratch, scratch, base);
  return scratch;
}

/** What an access adds to {@link baseOf}. */
const lowOf = (off: number): number => (off << 20) >> 20;

function emitLoad(a: Assembler, insns: Insns, at: number): void {
  const off = insns.off(at);
  const dst = REG[insns.dst(at)]!;
  const base = baseOf(a, REG[insns.src(at)]!, off, T1);
  switch (sizeIndex(insns.code(at))) {
    case BYTE:
      lbu(a, dst, lowOf(off), base);
      break;
    case HALF:
      lhu(a, dst, lowOf(off), base);
      break;
    case WORD:
      lwu(a, dst, lowOf(off), base);
      break;
    default:
      a.ld(dst, lowOf(off), base);
  }
}

const load: LowerInsn<Assembler> = (a, insns, at) => emitLoad(a, insns, at);

const loadAcquire: LowerInsn<Assembler> = (a, insns, at) => {
  emitLoad(a, insns, at);
  fence(a, R, RW);
};

const loadSx: LowerInsn<Assembler> = (a, insns, at) => {
  const off = insns.off(at);
  const dst = REG[insns.dst(at)]!;
  const base = baseOf(a, REG[insns.src(at)]!, off, T1);
  const size = sizeIndex(insns.code(at));
  if (size === WORD) a.lw(dst, lowOf(off), base);
  else (size === HALF ? lh : lb)(a, dst, lowOf(off), base);
};

function emitStore(a: Assembler, insns: Insns, at: number, value: number): void {
  const off = insns.off(at);
  const base = baseOf(a, REG[insns.dst(at)]!, off, T2);
  switch (sizeIndex(insns.code(at))) {
    case BYTE:
      sb(a, value, lowOf(off), base);
      break;
    case HALF:
      sh(a, value, lowOf(off), base);
      break;
    case WORD:
      a.sw(value, lowOf(off), base);
      break;
    default:
      a.sd(value, lowOf(off), base);
  }
}

const store: LowerInsn<Assembler> = (a, insns, at) => emitStore(a, insns, at, REG[insns.src(at)]!);

const storeRelease: LowerInsn<Assembler> = (a, insns, at) => {
  fence(a, RW, W);
  emitStore(a, insns, at, REG[insns.src(at)]!);
};

const storeImm: LowerInsn<Assembler> = (a, insns, at) => {
  const imm = insns.imm(at);
  if (imm !== 0) a.li(T1, imm);
  emitStore(a, insns, at, imm === 0 ? ZERO : T1);
};

const loadImm64: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  const low = insns.imm(at);
  const high = insns.imm(at + 1);
  const source = insns.src(at);
  if (source === 4) {
    // A callback's address: a pair of fixed size, counted from here.
    emit.auipc(a, dst, 0);
    emit.addi(a, dst, dst, 0);
    a.relocate("pcrel", subprogOf(insns, at, context), 8);
  } else if (source !== 0) emitAddress(a, dst, mapOf(source, low, high));
  else if (high === low >> 31) a.li(dst, low);
  else a.liWide(dst, (BigInt(high) << 32n) | BigInt(low >>> 0));
};

/** An address of 64 bits, of which linking fills in four parts: 20 bytes with C, as the kernel takes for most of its addresses. */
function emitAddress(a: Assembler, dst: number, symbol: SymbolRef): void {
  emit.lui(a, dst, 0);
  emit.addiw(a, dst, dst, 0);
  emit.lui(a, T1, 0);
  emit.addiw(a, T1, T1, 0);
  a.relocate("abs64", symbol, 16);
  a.slli(dst, dst, 32);
  a.add(dst, dst, T1);
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
> = { load, loadSx, loadAcquire, store, storeImm, storeRelease, loadImm64 };
