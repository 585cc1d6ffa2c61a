// How instructions set and read the flags: Arm ARM (DDI 0487) section C1.2.4 and the pseudocode AddWithCarry.
import type { Ops } from "@bpfkit/core";
import { FLAGS } from "../regs.ts";
import type { Width } from "./operands.ts";

const { N, Z, C, V: OVERFLOW, LS, LT, LE } = FLAGS;

/** All flags, ghosts included. */
export const ALL_FLAGS: readonly number[] = [N, Z, C, OVERFLOW, LS, LT, LE];

/** Gives the value of one flag. */
type FlagOf<T> = (reg: number) => T;

export function opposite<T>(m: Ops<T>, bit: T): T {
  return m.xor(bit, m.constant(1n));
}

export function topBit<T>(m: Ops<T>, size: Width, a: T): T {
  return m.and(m.shr(a, m.constant(size === 4 ? 31n : 63n)), m.constant(1n));
}

/** The flags that are the same function of every result, and the ghosts by their definition; `flag` gives the others. */
function general<T>(m: Ops<T>, size: Width, result: T, reg: number, flag: FlagOf<T>): T {
  switch (reg) {
    case N:
      return topBit(m, size, result);
    case Z:
      return m.eq(result, m.constant(0n));
    case LS:
      return m.or(opposite(m, flag(C)), m.eq(result, m.constant(0n)));
    case LT:
      return m.xor(topBit(m, size, result), flag(OVERFLOW));
    case LE:
      return m.or(m.eq(result, m.constant(0n)), flag(LT));
    default:
      return m.constant(0n);
  }
}

/** After `result = a + b`; all three zero-extended from `size`. */
export function addFlags<T>(m: Ops<T>, size: Width, a: T, b: T, result: T): FlagOf<T> {
  const flag: FlagOf<T> = (reg) => {
    switch (reg) {
      case C:
        return m.ult(result, a);
      case OVERFLOW:
        return topBit(m, size, m.and(m.xor(a, result), m.xor(b, result)));
      default:
        return general(m, size, result, reg, flag);
    }
  };
  return flag;
}

/** After `result = a - b`; all three zero-extended from `size`. C says that nothing was borrowed. */
export function subFlags<T>(m: Ops<T>, size: Width, a: T, b: T, result: T): FlagOf<T> {
  const flag: FlagOf<T> = (reg) => {
    switch (reg) {
      case C:
        return opposite(m, m.ult(a, b));
      case OVERFLOW:
        return topBit(m, size, m.and(m.xor(a, b), m.xor(a, result)));
      case LS:
        return opposite(m, m.ult(b, a));
      case LT:
        return m.slt(m.sext(size, a), m.sext(size, b));
      case LE:
        return opposite(m, m.slt(m.sext(size, b), m.sext(size, a)));
      default:
        return general(m, size, result, reg, flag);
    }
  };
  return flag;
}

/** After a logical operation, which clears C and V. */
export function logicFlags<T>(m: Ops<T>, size: Width, _a: T, _b: T, result: T): FlagOf<T> {
  const flag: FlagOf<T> = (reg) => general(m, size, result, reg, flag);
  return flag;
}

/** The flags as the four bits of an immediate. */
export function immediateFlags<T>(m: Ops<T>, nzcv: number): FlagOf<T> {
  const bit = (index: number): number => (nzcv >> index) & 1;
  const [n, z, c, v] = [bit(3), bit(2), bit(1), bit(0)] as [number, number, number, number];
  const values: Readonly<Record<number, number>> = {
    [N]: n,
    [Z]: z,
    [C]: c,
    [OVERFLOW]: v,
    [LS]: (c ^ 1) | z,
    [LT]: n ^ v,
    [LE]: z | (n ^ v),
  };
  return (reg) => m.constant(BigInt(values[reg]!));
}

/** Conditions by half of their number: the even one of a pair is the flag, or here its opposite; the odd one the other. */
const CONDITIONS: readonly (readonly [flag: number, even: boolean])[] = [
  [Z, true], [C, true], [N, true], [OVERFLOW, true], [LS, false], [LT, false], [LE, false],
]; // biome-ignore format: in order

/** 1 where the condition holds; the last two always do. */
export function condition<T>(m: Ops<T>, cond: number): T {
  const entry = CONDITIONS[cond >> 1];
  if (entry === undefined) return m.constant(1n);
  const [flag, even] = entry;
  return ((cond & 1) === 0) === even ? m.get(flag) : opposite(m, m.get(flag));
}
