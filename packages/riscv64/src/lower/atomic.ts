// Atomic operations: RFC 9669 section 5.3.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { A5, REG, T1, T2, T3, ZERO } from "../abi.ts";
import { type Assembler, fits12 } from "../assembler.ts";
import { emit } from "../emit.ts";
import { isUpperUnused } from "./upper-half.ts";

const {
  amoadd_w, amoadd_d, amoor_w, amoor_d, amoand_w, amoand_d, amoxor_w, amoxor_d, amoswap_w, amoswap_d, amocas_w, amocas_d,
  lr_w, lr_d, sc_w, sc_d, bne, fence,
} = emit; // biome-ignore format: names

/** By the immediate without the bit that asks for the old value, in 32 and 64 bits. */
const AMO: Readonly<Record<number, readonly [typeof amoadd_w, typeof amoadd_d]>> = {
  0: [amoadd_w, amoadd_d],
  64: [amoor_w, amoor_d],
  80: [amoand_w, amoand_d],
  160: [amoxor_w, amoxor_d],
  224: [amoswap_w, amoswap_d],
};
const FETCH = 0x01;
const CMPXCHG = 0xf1;
const RW = 3;

/** Operations without a result order nothing, those with one everything. Clobbers t1, t2, t3. */
const atomic: LowerInsn<Assembler> = (a, insns, at, context) => {
  const wide = (insns.code(at) & 0x18) !== 0 ? 1 : 0;
  const src = REG[insns.src(at)]!;
  const imm = insns.imm(at);
  const base = emitAddress(a, REG[insns.dst(at)]!, insns.off(at), imm === CMPXCHG);
  if (imm === CMPXCHG) {
    if (context.features.zacas) (wide ? amocas_d : amocas_w)(a, 1, 1, A5, src, base);
    else emitCompareExchange(a, wide, src, base);
    if (!wide && !isUpperUnused(context, at)) a.zextW(A5, A5);
    return;
  }
  const operation = AMO[imm & ~FETCH]![wide];
  if ((imm & FETCH) === 0) operation(a, 0, 0, ZERO, src, base);
  else {
    operation(a, 1, 1, src, src, base);
    if (!wide && !isUpperUnused(context, at)) a.zextW(src, src);
  }
};

/** The register that holds the whole address; r0, where it is compared and loaded, cannot. */
function emitAddress(a: Assembler, base: number, off: number, changesR0: boolean): number {
  if (off === 0 && !(changesR0 && base === A5)) return base;
  if (fits12(off)) a.addi(T1, base, off);
  else {
    a.li(T1, off);
    a.add(T1, T1, base);
  }
  return T1;
}

/** Loads and stores until nobody came between, or memory differs from r0. */
function emitCompareExchange(a: Assembler, wide: number, src: number, base: number): void {
  if (wide) a.mv(T2, A5);
  else a.sextW(T2, A5);
  (wide ? lr_d : lr_w)(a, 0, 0, A5, base);
  bne(a, T2, A5, 16);
  (wide ? sc_d : sc_w)(a, 0, 1, T3, src, base);
  bne(a, T3, ZERO, -12);
  fence(a, RW, RW);
}

/** The lowering of this file. */
export const ATOMIC_LOWERING: Pick<Lowering<Assembler>, "atomic"> = { atomic };
