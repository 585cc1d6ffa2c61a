// Division of a double-width dividend, which hardware has and the vocabulary has not: Intel SDM volume 2, DIV and IDIV.
import type { Ops } from "@bpfkit/core";
import { not } from "./flags.ts";

const LOW = 0xffff_ffffn;

/** Quotient and remainder. */
export interface Quotient<V> {
  readonly quotient: V;
  readonly remainder: V;
}

/**
 * `high:low / divisor`, unsigned, for `high < divisor`; anything else gives nonsense, so callers trap it. Schoolbook division
 * with 32-bit digits (Knuth, TAOCP volume 2, 4.3.1, algorithm D): two quotient digits, each estimated by a 64-bit division
 * and lowered at most twice.
 */
export function divide128<V>(m: Ops<V>, high: V, low: V, divisor: V): Quotient<V> {
  const { shift, value } = normalise(m, divisor);
  const top = m.or(m.shl(high, shift), m.shr(m.shr(low, m.constant(1n)), m.sub(m.constant(63n), shift)));
  const rest = m.shl(low, shift);
  const first = digit(m, top, m.shr(rest, m.constant(32n)), value);
  const second = digit(m, first.remainder, m.and(rest, m.constant(LOW)), value);
  return {
    quotient: m.add(m.shl(first.quotient, m.constant(32n)), second.quotient),
    remainder: m.shr(second.remainder, shift),
  };
}

/** The value shifted left until its top bit is set, and by how much. */
function normalise<V>(m: Ops<V>, divisor: V): { readonly shift: V; readonly value: V } {
  let value = divisor;
  let shift = m.constant(0n);
  for (const step of [32n, 16n, 8n, 4n, 2n, 1n]) {
    const isSmall = m.ult(value, m.constant(1n << (64n - step)));
    value = m.select(isSmall, m.shl(value, m.constant(step)), value);
    shift = m.add(shift, m.select(isSmall, m.constant(step), m.constant(0n)));
  }
  return { shift, value };
}

/** One digit of the quotient: `(top * 2³² + next) / divisor` for a normalised divisor greater than `top`. */
function digit<V>(m: Ops<V>, top: V, next: V, divisor: V): Quotient<V> {
  const base = m.constant(1n << 32n);
  const upper = m.shr(divisor, m.constant(32n));
  const lower = m.and(divisor, m.constant(LOW));
  let quotient = m.udiv(top, upper);
  let left = m.sub(top, m.mul(quotient, upper));
  for (let i = 0; i < 2; i++) {
    const estimate = m.add(m.shl(left, m.constant(32n)), next);
    const isHigh = m.or(not(m, m.ult(quotient, base)), m.ult(estimate, m.mul(quotient, lower)));
    const tooHigh = m.and(m.ult(left, base), isHigh);
    quotient = m.sub(quotient, tooHigh);
    left = m.add(left, m.select(tooHigh, upper, m.constant(0n)));
  }
  const remainder = m.sub(m.add(m.shl(top, m.constant(32n)), next), m.mul(quotient, divisor));
  return { quotient, remainder };
}

/** The same with signs; `overflows` tells that the quotient does not fit (or there is none), and then the rest is nonsense. */
export function divideSigned128<V>(m: Ops<V>, high: V, low: V, divisor: V): Quotient<V> & { readonly overflows: V } {
  const zero = m.constant(0n);
  const isNegative = m.slt(high, zero);
  const isOpposite = m.xor(isNegative, m.slt(divisor, zero));
  const negated = m.add(m.xor(high, m.constant(0xffff_ffff_ffff_ffffn)), m.eq(low, zero));
  const highPart = m.select(isNegative, negated, high);
  const lowPart = m.select(isNegative, m.sub(zero, low), low);
  const size = m.select(m.slt(divisor, zero), m.sub(zero, divisor), divisor);
  const { quotient, remainder } = divide128(m, highPart, lowPart, size);
  const largest = m.sub(m.constant(1n << 63n), not(m, isOpposite));
  return {
    quotient: m.select(isOpposite, m.sub(zero, quotient), quotient),
    remainder: m.select(isNegative, m.sub(zero, remainder), remainder),
    overflows: m.or(not(m, m.ult(highPart, size)), m.ult(largest, quotient)),
  };
}
