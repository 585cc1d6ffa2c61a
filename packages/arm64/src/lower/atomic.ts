// Atomic operations: RFC 9669 section 5.3, with the instructions of FEAT_LSE or with exclusive loads and stores.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { REG, X8, X9, X11, X12, XZR } from "../abi.ts";
import type { Assembler } from "../assembler.ts";
import { emit } from "../emit.ts";
import { addressIn } from "./memory.ts";

const {
  ldadd, ldclr, ldeor, ldset, swp, cas, ldxr, stxr, stlxr, cbnz, dmb, orn_shift, add_shift, and_shift, orr_shift, eor_shift,
} = emit; // biome-ignore format: names

/** Values of the immediate. */
const ADD = 0x00;
const OR = 0x40;
const AND = 0x50;
const XOR = 0xa0;
const FETCH = 0x01;
const XCHG = 0xe1;
const CMPXCHG = 0xf1;

/** The whole inner shareable domain, loads and stores. */
const ISH = 11;

const atomic: LowerInsn<Assembler> = (a, insns, at, { features }) => {
  const w = (insns.code(at) & 0x18) !== 0 ? 1 : 0;
  const src = REG[insns.src(at)]!;
  const operation = insns.imm(at);
  const base = addressIn(a, insns.dst(at), insns.off(at));
  if (features.lse) emitLse(a, w, operation, src, base);
  else if (operation === XCHG) emitExchange(a, w, src, base);
  else if (operation === CMPXCHG) emitCompareExchange(a, w, src, base);
  else emitLoop(a, w, operation, src, base);
};

const LSE: Readonly<Record<number, typeof ldadd>> = { [ADD]: ldadd, [OR]: ldset, [AND]: ldclr, [XOR]: ldeor };

/** Those that fetch order everything around them. Clobbers x11. */
function emitLse(a: Assembler, w: 0 | 1, operation: number, src: number, base: number): void {
  if (operation === XCHG) swp(a, w, 1, 1, src, src, base);
  else if (operation === CMPXCHG) cas(a, w, 1, 1, X8, src, base);
  else {
    const fetches = operation & FETCH;
    const clears = (operation & ~FETCH) === AND;
    if (clears) orn_shift(a, w, X11, XZR, src, 0, 0);
    LSE[operation & ~FETCH]!(a, w, fetches, fetches, clears ? X11 : src, fetches ? src : XZR, base);
  }
}

const COMPUTE: Readonly<Record<number, typeof add_shift>> = {
  [ADD]: add_shift,
  [OR]: orr_shift,
  [AND]: and_shift,
  [XOR]: eor_shift,
};

/**
 * Loads, computes and stores until nobody came between. Where the register that gets the old value holds the address, the copy of it
 * that is the operand is the address, too. Clobbers x9, x11, x12.
 */
function emitLoop(a: Assembler, w: 0 | 1, operation: number, src: number, base: number): void {
  const compute = COMPUTE[operation & ~FETCH]!;
  if (operation & FETCH) {
    const address = base === src ? X9 : base;
    a.mov(base === src ? 1 : w, X9, src);
    ldxr(a, w, src, address);
    compute(a, w, X11, src, X9, 0, 0);
    stlxr(a, w, X12, X11, address);
    cbnz(a, 0, X12, -3);
    dmb(a, ISH);
  } else {
    ldxr(a, w, X11, base);
    compute(a, w, X11, X11, src, 0, 0);
    stxr(a, w, X12, X11, base);
    cbnz(a, 0, X12, -3);
  }
}

/** Clobbers x11, x12. */
function emitExchange(a: Assembler, w: 0 | 1, src: number, base: number): void {
  const address = base === src ? X11 : base;
  a.mov(base === src ? 1 : w, X11, src);
  ldxr(a, w, src, address);
  stlxr(a, w, X12, X11, address);
  cbnz(a, 0, X12, -2);
  dmb(a, ISH);
}

/** The copy of r0 stands for it where it is the address, too; where it is what is stored, memory held the same. Clobbers x11, x12. */
function emitCompareExchange(a: Assembler, w: 0 | 1, src: number, base: number): void {
  const address = base === X8 ? X11 : base;
  a.mov(base === X8 ? 1 : w, X11, X8);
  ldxr(a, w, X8, address);
  eor_shift(a, w, X12, X8, X11, 0, 0);
  cbnz(a, w, X12, 4);
  stlxr(a, w, X12, src, address);
  cbnz(a, 0, X12, -4);
  dmb(a, ISH);
}

/** The lowering of this file. */
export const ATOMIC_LOWERING: Pick<Lowering<Assembler>, "atomic"> = { atomic };
