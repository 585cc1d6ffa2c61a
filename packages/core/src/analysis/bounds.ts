// Values of the stack depth analysis: a frame or nothing, plus a constant, plus an unknown number of so many bits. One int32 each.

/**
 * Bit 0: the value is a pointer, relative to r10. Bits 1..7: `bits`. Bits 8..31: `low`, signed. It stands for every `low + x` with
 * 0 ≤ x < 2^bits; 64 bits stand for any number at all.
 *
 * Pointers that a caller passed in r1..r5 are taken to lie far above r10, each in a region of its own: {@link regionOf}.
 */
export type Bounds = number;

const LOW_LIMIT = 1 << 22;
const ANY_BITS = 64;
const SATURATED = 48;
const SMALL = 16;

/** Any number that has nothing to do with r10. */
export const UNKNOWN: Bounds = ANY_BITS << 1;
/** A pointer into the stack, nobody knows where. */
export const SOMEWHERE: Bounds = UNKNOWN | 1;
/** r10 itself. */
export const FRAME: Bounds = 1;

/** Bytes between the places where arguments are taken to point, as a power of two. */
const REGION = 19;

/** What a caller passed in register `arg`, 1 to 5. */
export function argument(arg: number): Bounds {
  return make(1, arg << REGION, 0);
}

/** The register in which a pointer came in; 0 for the subprogram's own frame, for lost pointers and for numbers. */
export function regionOf(value: Bounds): number {
  return isPointer(value) && isKnown(value) ? (lowOf(value) + (1 << (REGION - 1))) >> REGION : 0;
}

/** How far below the place where it came in, or below r10, a pointer with a known place may be; negative above it. */
export function belowOf(value: Bounds): number {
  return (regionOf(value) << REGION) - lowOf(value);
}

/** Kernel limit of a frame, in bytes. */
export const MAX_STACK = 512;

function make(pointer: number, low: number, bits: number): Bounds {
  if (bits > 63 || low <= -LOW_LIMIT || low >= LOW_LIMIT || (pointer === 1 && low < -MAX_STACK))
    return UNKNOWN | pointer;
  return (low << 8) | (bits << 1) | pointer;
}

export function isPointer(value: Bounds): boolean {
  return (value & 1) === 1;
}

export function isKnown(value: Bounds): boolean {
  return bitsOf(value) !== ANY_BITS;
}

/** Least value (relative to r10 for pointers), where {@link isKnown}. */
export function lowOf(value: Bounds): number {
  return value >> 8;
}

export function bitsOf(value: Bounds): number {
  return (value >>> 1) & 0x7f;
}

export function isExact(value: Bounds): boolean {
  return bitsOf(value) === 0;
}

export function constant(value: number): Bounds {
  if (value > -LOW_LIMIT && value < LOW_LIMIT) return make(0, value, 0);
  return value < 0 ? UNKNOWN : make(0, 0, widthOf(value));
}

/** A number of 0 to `bits` bits. */
export function unsigned(bits: number): Bounds {
  return make(0, 0, bits);
}

/** Bits that hold a number from 0 up. */
function widthOf(value: number): number {
  return value < 0x1_0000_0000 ? 32 - Math.clz32(value) : 32 + (32 - Math.clz32(value / 0x1_0000_0000));
}

/** Bits that hold every value of a number; 64 when it can be negative. */
export function totalBits(value: Bounds): number {
  const low = lowOf(value);
  const bits = bitsOf(value);
  if (isPointer(value) || bits === ANY_BITS || low < 0) return ANY_BITS;
  if (bits === 0) return widthOf(low);
  if (low === 0) return bits;
  return bits < 31 ? widthOf(low + 2 ** bits - 1) : bits + 1;
}

export function add(a: Bounds, b: Bounds): Bounds {
  const pointer = (a | b) & 1;
  if (!isKnown(a) || !isKnown(b) || (a & b & 1) === 1) return UNKNOWN | pointer;
  return make(pointer, lowOf(a) + lowOf(b), sumBits(bitsOf(a), bitsOf(b)));
}

/** Bits of a sum. A counter that small steps have brought to 2^48 is taken to stay there: no run lasts long enough to overflow it. */
function sumBits(x: number, y: number): number {
  const greater = Math.max(x, y);
  const lesser = Math.min(x, y);
  return lesser === 0 || (greater >= SATURATED && lesser <= SMALL) ? greater : greater + 1;
}

export function sub(a: Bounds, b: Bounds): Bounds {
  if (isPointer(b)) return UNKNOWN; // the distance of two pointers
  const [x, y] = [bitsOf(a), bitsOf(b)];
  if (!isKnown(a) || y > 20) return UNKNOWN | (a & 1);
  return make(a & 1, lowOf(a) - lowOf(b) - (2 ** y - 1), y === 0 ? x : Math.max(x, y) + 1);
}

/** Both; a number that may also be a pointer counts as the pointer. */
export function join(a: Bounds, b: Bounds): Bounds {
  if (a === b) return a;
  if (((a ^ b) & 1) === 1) return isPointer(a) ? a : b;
  if (!isKnown(a) || !isKnown(b)) return UNKNOWN | (a & 1);
  const low = Math.min(lowOf(a), lowOf(b));
  const [x, y] = [bitsOf(a), bitsOf(b)];
  if (x > 30 || y > 30) return make(a & 1, low, sumBits(Math.max(x, y), lowOf(a) === lowOf(b) ? 0 : SMALL));
  return make(a & 1, low, widthOf(Math.max(lowOf(a) + 2 ** x, lowOf(b) + 2 ** y) - 1 - low));
}

/** A value above both that leaves few steps to the top; `next` is `join(previous, …)`. */
export function widen(previous: Bounds, next: Bounds): Bounds {
  if (next === previous || !isKnown(next)) return next;
  if (isPointer(previous) !== isPointer(next)) return next;
  if (lowOf(next) < lowOf(previous)) return UNKNOWN | (next & 1);
  return make(next & 1, lowOf(next), bitsOf(next) <= 31 ? 31 : bitsOf(next) <= SATURATED ? SATURATED : ANY_BITS);
}

/** What is left of a number known to be at most `limit` when taken as unsigned. */
export function atMost(value: Bounds, limit: number): Bounds {
  if (isPointer(value)) return value;
  if (!isKnown(value) || lowOf(value) < 0) return make(0, 0, widthOf(limit));
  const bits = widthOf(Math.max(0, limit - lowOf(value)));
  return bits < bitsOf(value) ? make(0, lowOf(value), bits) : value;
}

/** The low 32 bits of a value. */
export function truncate(value: Bounds): Bounds {
  if (isPointer(value)) return SOMEWHERE;
  return totalBits(value) <= 32 ? value : unsigned(32);
}

/** The low `size` bytes of a value, sign-extended. */
export function signExtend(value: Bounds, size: number): Bounds {
  if (isPointer(value)) return SOMEWHERE;
  return totalBits(value) < 8 * size ? value : make(0, -(2 ** (8 * size - 1)), 8 * size);
}

/** The result of a binary operation by its BPF name (`add`, `lsh`, …) in 64 bits. */
export function binary(operation: string, a: Bounds, b: Bounds): Bounds {
  const pointer = (a | b) & 1;
  switch (operation) {
    case "add":
      return add(a, b);
    case "sub":
      return sub(a, b);
    case "and":
      return and(a, b);
    case "or":
    case "xor":
      return pointer === 1 ? SOMEWHERE : unsigned(Math.max(totalBits(a), totalBits(b)));
    case "mul":
      if (pointer === 1) return SOMEWHERE;
      if (isExact(a) && isExact(b)) return constant(lowOf(a) * lowOf(b));
      return unsigned(totalBits(a) + totalBits(b));
    case "lsh":
      if (pointer === 1) return SOMEWHERE;
      return isExact(b) ? unsigned(totalBits(a) + (lowOf(b) & 63)) : UNKNOWN;
    case "rsh":
      if (pointer === 1) return SOMEWHERE;
      return unsigned(isExact(b) ? Math.max(0, totalBits(a) - (lowOf(b) & 63)) : totalBits(a));
    case "arsh":
      if (pointer === 1) return SOMEWHERE;
      return totalBits(a) > 63 ? UNKNOWN : binary("rsh", a, b);
    case "div":
      return pointer === 1 ? SOMEWHERE : unsigned(totalBits(a));
    case "mod":
      if (pointer === 1) return SOMEWHERE;
      return unsigned(isExact(b) && lowOf(b) > 0 ? Math.min(totalBits(a), totalBits(b)) : totalBits(a));
    default:
      return UNKNOWN | pointer;
  }
}

/** Masks make numbers small, and round pointers down: r10 is a multiple of 8, of an argument nobody knows. */
function and(a: Bounds, b: Bounds): Bounds {
  if (isPointer(a) || isPointer(b)) {
    const low = lowOf(b);
    return isPointer(a) &&
      regionOf(a) === 0 &&
      !isPointer(b) &&
      isKnown(a) &&
      isExact(b) &&
      (low === -8 || low === -4 || low === -2)
      ? make(1, lowOf(a) & low, bitsOf(a))
      : SOMEWHERE;
  }
  return unsigned(Math.min(totalBits(a), totalBits(b)));
}
