// Bounds of what pointers may reach: map values, packets, memory of known size.
import { SMAX, SMIN, UMAX } from "./scalar.ts";
import { signed, unsigned } from "./words.ts";

/** Why an access is outside; undefined where it is inside. */
export type Outside = "negative" | "below" | "unbounded" | "above" | undefined;

/** Rules that a test can break. */
export interface Regions {
  /** Whether `size` bytes at the pointer whose offset is the scalar at `x`, moved by `off`, lie within `limit` bytes. */
  readonly within: (r: Int32Array, x: number, off: number, size: number, limit: number, sizeZero: boolean) => Outside;
  /** The same for a packet of which `range` bytes are known to be there. */
  readonly withinPacket: (r: Int32Array, x: number, off: number, size: number, range: number) => Outside;
}

/** Largest offset of a pointer. */
const MAX_OFFSET = 2 ** 29;

function isIn(off: number, size: number, limit: number, sizeZero: boolean): boolean {
  return off >= 0 && (size > 0 || (size === 0 && sizeZero)) && off + size <= limit;
}

/** As they should be. */
export const REGIONS: Regions = {
  within: (r, x, off, size, limit, sizeZero) => {
    const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
    if (min < 0 && (min === -(2 ** 63) || min + off < 0 || min + off > MAX_OFFSET)) return "negative";
    if (!isIn(min + off, size, limit, sizeZero)) return "below";
    const max = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
    if (max >= MAX_OFFSET) return "unbounded";
    return isIn(max + off, size, limit, sizeZero) ? undefined : "above";
  },
  withinPacket: (r, x, off, size, range) => {
    if (signed(r[x + SMIN]!, r[x + SMIN + 1]!) + off < 0) return "negative";
    const max = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
    return isIn(max + off, size, range, true) ? undefined : "above";
  },
};

/** Whether a signed end is the smallest there is: nothing is known below. */
export function hasNoMinimum(r: Int32Array, x: number): boolean {
  return signed(r[x + SMIN]!, r[x + SMIN + 1]!) < -(2 ** 62);
}

/** Whether a signed end is a number that fits an offset. */
export function hasNoMaximum(r: Int32Array, x: number): boolean {
  return signed(r[x + SMAX]!, r[x + SMAX + 1]!) > 2 ** 62;
}
