// How instructions set the flags: Intel SDM volume 1, section 3.4.3 and appendix A; volume 2 for each instruction.
import type { Ops, Size } from "@bpfkit/core";
import { FLAGS } from "../regs.ts";

const { CF, PF, AF, ZF, SF, OF, LT, BE, LE } = FLAGS;

/** All flags, ghosts included. */
export const ALL_FLAGS: readonly number[] = [CF, PF, AF, ZF, SF, OF, LT, BE, LE];
const ROTATE_FLAGS: readonly number[] = [CF, OF, LT, BE, LE];

export function not<V>(m: Ops<V>, bit: V): V {
  return m.xor(bit, m.constant(1n));
}

/** Bit `index` of `a`. */
export function bitAt<V>(m: Ops<V>, a: V, index: number): V {
  return m.and(m.shr(a, m.constant(BigInt(index))), m.constant(1n));
}

export function topBit<V>(m: Ops<V>, size: Size, a: V): V {
  return bitAt(m, a, 8 * size - 1);
}

function parity<V>(m: Ops<V>, a: V): V {
  const four = m.xor(a, m.shr(a, m.constant(4n)));
  const two = m.xor(four, m.shr(four, m.constant(2n)));
  return not(m, m.and(m.xor(two, m.shr(two, m.constant(1n))), m.constant(1n)));
}

/** The flags that are the same function of every result, and the ghosts by their definition; `flag` gives the others. */
function general<V>(m: Ops<V>, size: Size, result: V, reg: number, flag: (reg: number) => V): V {
  switch (reg) {
    case ZF:
      return m.eq(result, m.constant(0n));
    case SF:
      return topBit(m, size, result);
    case PF:
      return parity(m, result);
    case LT:
      return m.xor(topBit(m, size, result), flag(OF));
    case BE:
      return m.or(flag(CF), m.eq(result, m.constant(0n)));
    case LE:
      return m.or(m.eq(result, m.constant(0n)), flag(LT));
    default:
      return m.constant(0n);
  }
}

/** After `result = a + b`; all three zero-extended from `size`. */
export function addFlags<V>(m: Ops<V>, size: Size, a: V, b: V, result: V): void {
  const flag = (reg: number): V => {
    switch (reg) {
      case CF:
        return m.ult(result, a);
      case OF:
        return topBit(m, size, m.and(m.xor(a, result), m.xor(b, result)));
      case AF:
        return bitAt(m, m.xor(m.xor(a, b), result), 4);
      default:
        return general(m, size, result, reg, flag);
    }
  };
  m.setLazy(ALL_FLAGS, flag);
}

/** After `result = a - b`; all three zero-extended from `size`. */
export function subFlags<V>(m: Ops<V>, size: Size, a: V, b: V, result: V): void {
  const flag = (reg: number): V => {
    switch (reg) {
      case CF:
        return m.ult(a, b);
      case OF:
        return topBit(m, size, m.and(m.xor(a, b), m.xor(a, result)));
      case AF:
        return bitAt(m, m.xor(m.xor(a, b), result), 4);
      case LT:
        return m.slt(m.sext(size, a), m.sext(size, b));
      case BE:
        return not(m, m.ult(b, a));
      case LE:
        return not(m, m.slt(m.sext(size, b), m.sext(size, a)));
      default:
        return general(m, size, result, reg, flag);
    }
  };
  m.setLazy(ALL_FLAGS, flag);
}

/** After and, or, xor and test. AF is undefined. */
export function logicFlags<V>(m: Ops<V>, size: Size, _a: V, _b: V, result: V): void {
  const flag = (reg: number): V => (reg === LT ? topBit(m, size, result) : general(m, size, result, reg, flag));
  m.setLazy(ALL_FLAGS, flag);
}

/** After a multiplication: CF and OF say that the product does not fit. SF, ZF, AF and PF are undefined. */
export function mulFlags<V>(m: Ops<V>, size: Size, result: V, overflow: V): void {
  const flag = (reg: number): V => (reg === CF || reg === OF ? overflow : general(m, size, result, reg, flag));
  m.setLazy(ALL_FLAGS, flag);
}

/** After a division: all flags are undefined, and consistent with their ghosts. */
export function divFlags<V>(m: Ops<V>, size: Size, quotient: V): void {
  logicFlags(m, size, quotient, quotient, quotient);
}

/** A count that is known when the instruction is decoded, or one that a register holds. */
export type Count<V> = { readonly known: bigint } | { readonly value: V; readonly isZero: V };

/** After a shift: `carry` and `overflow` hold for counts other than 0, which leaves all flags. AF is undefined, OF beyond count 1. */
export function shiftFlags<V>(
  m: Ops<V>,
  size: Size,
  count: Count<V>,
  result: V,
  carry: () => V,
  overflow: () => V,
): void {
  const flag = (reg: number): V => {
    if (reg === CF) return carry();
    return reg === OF ? overflow() : general(m, size, result, reg, flag);
  };
  setUnlessZero(m, ALL_FLAGS, count, flag);
}

/** After a rotation: only CF and OF, and the ghosts that depend on them. OF is undefined beyond count 1. */
export function rotateFlags<V>(m: Ops<V>, count: Count<V>, carry: () => V, overflow: () => V): void {
  if ("known" in count && count.known === 0n) return;
  const sign = m.get(SF);
  const zero = m.get(ZF);
  const flag = (reg: number): V => {
    switch (reg) {
      case CF:
        return carry();
      case OF:
        return overflow();
      case LT:
        return m.xor(sign, overflow());
      case BE:
        return m.or(carry(), zero);
      default:
        return m.or(zero, m.xor(sign, overflow()));
    }
  };
  setUnlessZero(m, ROTATE_FLAGS, count, flag);
}

function setUnlessZero<V>(m: Ops<V>, regs: readonly number[], count: Count<V>, flag: (reg: number) => V): void {
  if ("known" in count) {
    if (count.known !== 0n) m.setLazy(regs, flag);
    return;
  }
  const before = new Map(regs.map((reg) => [reg, m.get(reg)]));
  m.setLazy(regs, (reg) => m.select(count.isZero, before.get(reg) as V, flag(reg)));
}

/** Conditions by the low four bits of Jcc, SETcc and CMOVcc: an even one is a flag, the odd one behind it its opposite. */
const CONDITIONS: readonly number[] = [OF, CF, ZF, BE, SF, PF, LT, LE];

export function condition<V>(m: Ops<V>, code: number): V {
  const flag = m.get(CONDITIONS[code >> 1]!);
  return (code & 1) === 0 ? flag : not(m, flag);
}
