// Loads, stores and 64-bit immediates: RFC 9669 sections 5.1, 5.2 and 5.4.
import type { Frame, Insns, LowerContext, LowerInsn, Lowering, Symbol as SymbolRef } from "@bpfkit/core";
import { REG, SP, X10, X11 } from "../abi.ts";
import type { Assembler } from "../assembler.ts";
import { emit } from "../emit.ts";
import { fromSp } from "../prologue.ts";

const {
  ldrb_uoff, ldrh_uoff, ldr_uoff, ldrsb_uoff_x, ldrsh_uoff_x, ldrsw_uoff, strb_uoff, strh_uoff, str_uoff,
  ldrb_reg, ldrh_reg, ldr_reg, ldrsb_reg_x, ldrsh_reg_x, ldrsw_reg, strb_reg, strh_reg, str_reg,
  ldarb, ldarh, ldar, stlrb, stlrh, stlr, movn, movk,
} = emit; // biome-ignore format: scaled offset, register offset, ordered

const FP = 10;
/** Extensions of an index: none, and the sign of 64 bits, which is none either. */
const LSL = 3;
const SXTX = 7;

/** Bits 3 and 4 of the opcode: 4, 2, 1 or 8 bytes. */
const sizeIndex = (code: number): number => (code >> 3) & 3;
/** By that, the logarithm of the size. */
const SCALE: Uint8Array = Uint8Array.of(2, 1, 0, 3);

/** An offset that is a field of 12 bits times the size of the access. */
const isScaled = (offset: number, scale: number): boolean =>
  offset >= 0 && offset >> scale <= 0xfff && (offset & ((1 << scale) - 1)) === 0;

type Access = (a: Assembler, rt: number, rn: number, offset: number) => void;

const LOAD: readonly Access[] = [
  (a, rt, rn, offset) => ldr_uoff(a, 0, rt, rn, offset),
  ldrh_uoff,
  ldrb_uoff,
  (a, rt, rn, offset) => ldr_uoff(a, 1, rt, rn, offset),
];
const LOAD_REG: readonly Access[] = [
  (a, rt, rn, rm) => ldr_reg(a, 0, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => ldrh_reg(a, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => ldrb_reg(a, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => ldr_reg(a, 1, rt, rn, rm, LSL, 0),
];
const LOAD_SX: readonly Access[] = [ldrsw_uoff, ldrsh_uoff_x, ldrsb_uoff_x];
const LOAD_SX_REG: readonly Access[] = [
  (a, rt, rn, rm) => ldrsw_reg(a, rt, rn, rm, SXTX, 0),
  (a, rt, rn, rm) => ldrsh_reg_x(a, rt, rn, rm, SXTX, 0),
  (a, rt, rn, rm) => ldrsb_reg_x(a, rt, rn, rm, SXTX, 0),
];
const STORE: readonly Access[] = [
  (a, rt, rn, offset) => str_uoff(a, 0, rt, rn, offset),
  strh_uoff,
  strb_uoff,
  (a, rt, rn, offset) => str_uoff(a, 1, rt, rn, offset),
];
const STORE_REG: readonly Access[] = [
  (a, rt, rn, rm) => str_reg(a, 0, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => strh_reg(a, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => strb_reg(a, rt, rn, rm, LSL, 0),
  (a, rt, rn, rm) => str_reg(a, 1, rt, rn, rm, LSL, 0),
];

/** `[r10 + offset]` is reached from sp, where offsets are not negative; what does not fit a field goes through `scratch`. */
function access(
  a: Assembler,
  near: readonly Access[],
  far: readonly Access[],
  size: number,
  rt: number,
  base: number,
  offset: number,
  frame: Frame,
  scratch: number,
): void {
  const scale = SCALE[size]!;
  const isFrame = base === FP;
  const place = isFrame ? fromSp(frame, offset) : offset;
  if (isScaled(place, scale)) near[size]!(a, rt, isFrame ? SP : REG[base]!, place >> scale);
  else {
    a.movImm(1, scratch, offset);
    far[size]!(a, rt, REG[base]!, scratch);
  }
}

const load: LowerInsn<Assembler> = (a, insns, at, { frame }) => {
  const dst = REG[insns.dst(at)]!;
  access(a, LOAD, LOAD_REG, sizeIndex(insns.code(at)), dst, insns.src(at), insns.off(at), frame, X10);
};

const loadSx: LowerInsn<Assembler> = (a, insns, at, { frame }) => {
  const dst = REG[insns.dst(at)]!;
  access(a, LOAD_SX, LOAD_SX_REG, sizeIndex(insns.code(at)), dst, insns.src(at), insns.off(at), frame, X10);
};

const store: LowerInsn<Assembler> = (a, insns, at, { frame }) => {
  const src = REG[insns.src(at)]!;
  access(a, STORE, STORE_REG, sizeIndex(insns.code(at)), src, insns.dst(at), insns.off(at), frame, X10);
};

const storeImm: LowerInsn<Assembler> = (a, insns, at, { frame }) => {
  a.movImm(1, X10, insns.imm(at));
  access(a, STORE, STORE_REG, sizeIndex(insns.code(at)), X10, insns.dst(at), insns.off(at), frame, X11);
};

/** The address in a register: ordered and atomic accesses have no offset. Clobbers x10. */
export function addressIn(a: Assembler, base: number, offset: number): number {
  if (offset === 0) return REG[base]!;
  a.addImm(1, X10, REG[base]!, offset, X10);
  return X10;
}

const loadAcquire: LowerInsn<Assembler> = (a, insns, at) => {
  const size = sizeIndex(insns.code(at));
  const dst = REG[insns.dst(at)]!;
  const base = addressIn(a, insns.src(at), insns.off(at));
  if (size === 2) ldarb(a, dst, base);
  else if (size === 1) ldarh(a, dst, base);
  else ldar(a, size & 1, dst, base);
};

const storeRelease: LowerInsn<Assembler> = (a, insns, at) => {
  const size = sizeIndex(insns.code(at));
  const src = REG[insns.src(at)]!;
  const base = addressIn(a, insns.dst(at), insns.off(at));
  if (size === 2) stlrb(a, src, base);
  else if (size === 1) stlrh(a, src, base);
  else stlr(a, size & 1, src, base);
};

const loadImm64: LowerInsn<Assembler> = (a, insns, at, context) => {
  const dst = REG[insns.dst(at)]!;
  const low = insns.imm(at);
  const high = insns.imm(at + 1);
  const source = insns.src(at);
  if (source === 0) a.movImm64(dst, high, low);
  else emitAddress(a, dst, source === 4 ? subprogOf(insns, at, context) : mapOf(source, low, high));
};

/** Three instructions for 48 bits of an address, whose others are all 0 or all 1; linking chooses between movz and movn. */
export function emitAddress(a: Assembler, dst: number, symbol: SymbolRef): void {
  movn(a, 1, dst, 0, 0);
  movk(a, 1, dst, 0, 1);
  movk(a, 1, dst, 0, 2);
  a.relocate("abs48", symbol, 12);
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
