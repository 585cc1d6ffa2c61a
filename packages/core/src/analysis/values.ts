// Values of the fact analysis: a pointer into something at an offset, a small number, a number that is not 0, or anything.
import { PointerKind } from "./facts.ts";

/**
 * Three numbers. `tag`: kind in bits 0..3 ({@link PointerKind}, or a kind below), bit 4: the offset is known, from bit 5 on 1 + the index
 * of a map. `low` and `high`: the offset twice, or the bounds of a range, which lie in 0..2^31-1 or are one signed constant.
 */
export interface Value {
  readonly tag: number;
  readonly low: number;
  readonly high: number;
}

export const Kind = { ANY: 0, MAP_VALUE_OR_NULL: 6, RANGE: 7, NONZERO: 8, NONZERO32: 9 } as const;
const OFFSET_KNOWN = 16;
const MAX = 0x7fff_ffff;

export const ANY: Value = { tag: Kind.ANY, low: 0, high: 0 };
/** Not 0 in 64 bits; not 0 in the low 32 bits. */
export const NONZERO: Value = { tag: Kind.NONZERO, low: 0, high: 0 };
export const NONZERO32: Value = { tag: Kind.NONZERO32, low: 0, high: 0 };

export function kindOfValue({ tag }: Value): number {
  return tag & 15;
}

export function range(low: number, high: number): Value {
  return low >= 0 && high <= MAX ? { tag: Kind.RANGE, low, high } : ANY;
}

export function constant(value: number): Value {
  return { tag: Kind.RANGE, low: value, high: value };
}

/** A pointer; `offset` is left out where it is not known. `map` is 1 + an index, or 0. */
export function pointer(kind: number, offset: number | undefined, map = 0): Value {
  const known = offset !== undefined && offset > -0x2000_0000 && offset < 0x2000_0000;
  return {
    tag: kind | (known ? OFFSET_KNOWN : 0) | (map << 5),
    low: known ? offset : 0,
    high: known ? offset : 0,
  };
}

export function isPointer({ tag }: Value): boolean {
  const kind = tag & 15;
  return kind !== Kind.ANY && kind <= PointerKind.PACKET;
}

export function offsetOf({ tag, low }: Value): number | undefined {
  return (tag & OFFSET_KNOWN) !== 0 ? low : undefined;
}

/** 1 + the index of the map that a value belongs to; 0 for none. */
export function mapOf({ tag }: Value): number {
  return tag >>> 5;
}

export function isRange({ tag }: Value): boolean {
  return (tag & 15) === Kind.RANGE;
}

export function isConstant(value: Value): boolean {
  return isRange(value) && value.low === value.high;
}

/** Whether a value is not 0, in its low 32 bits or in all 64. */
export function isNonzero(value: Value, wide: boolean): boolean {
  const kind = value.tag & 15;
  if (kind === Kind.RANGE) return value.low > 0 || value.high < 0;
  if (kind === Kind.NONZERO32) return true;
  return wide && (kind === Kind.NONZERO || (isPointer(value) && offsetOf(value) !== undefined));
}

function isEqual(a: Value, b: Value): boolean {
  return a.tag === b.tag && a.low === b.low && a.high === b.high;
}

/** What holds of both; `wide` gives up on bounds, so that few steps lead to the top. */
export function join(a: Value, b: Value, wide: boolean): Value {
  if (isEqual(a, b)) return a;
  if (isPointer(a) && kindOfValue(a) === kindOfValue(b) && mapOf(a) === mapOf(b)) {
    return pointer(kindOfValue(a), undefined, mapOf(a));
  }
  if (isRange(a) && isRange(b) && a.low >= 0 && b.low >= 0) {
    const low = Math.min(a.low, b.low);
    const high = Math.max(a.high, b.high);
    if (!wide) return range(low, high);
    return range(low > 0 ? 1 : 0, high <= 0xff ? 0xff : high <= 0xffff ? 0xffff : MAX);
  }
  if (isNonzero(a, false) && isNonzero(b, false)) return NONZERO32;
  const numbers = !isPointer(a) && !isPointer(b);
  if (numbers && isNonzero(a, true) && isNonzero(b, true)) return NONZERO;
  return ANY;
}

/** The result of an operation by its BPF name. */
export function binary(operation: string, a: Value, b: Value, wide: boolean): Value {
  if (isPointer(a) || isPointer(b)) return wide ? moved(operation, a, b) : ANY;
  const [x, y] = [isRange(a) && a.low >= 0, isRange(b) && b.low >= 0];
  const k = isConstant(b) ? b.low : undefined;
  const bits = wide ? 64 : 32;
  switch (operation) {
    case "add":
      if (isConstant(a) && k !== undefined && a.low + k >= (wide ? -MAX : 0) && a.low + k <= MAX)
        return constant(a.low + k);
      return x && y ? range(a.low + b.low, a.high + b.high) : ANY;
    case "sub":
      if (isConstant(a) && k !== undefined && a.low - k >= (wide ? -MAX : 0) && a.low - k <= MAX)
        return constant(a.low - k);
      return x && y && a.low >= b.high ? range(a.low - b.high, a.high - b.low) : ANY;
    case "mul":
      return x && y ? range(a.low * b.low, a.high * b.high) : ANY;
    case "and":
      return x || y ? range(0, Math.min(x ? a.high : MAX, y ? b.high : MAX)) : ANY;
    case "or":
      if (x && y) return range(Math.max(a.low, b.low), 2 ** (32 - Math.clz32(a.high | b.high)) - 1);
      return isNonzero(a, false) || isNonzero(b, false) ? NONZERO32 : ANY;
    case "xor":
      return x && y ? range(0, 2 ** (32 - Math.clz32(a.high | b.high)) - 1) : ANY;
    case "lsh":
      return x && k !== undefined && k >= 0 && k < bits ? range(a.low * 2 ** k, a.high * 2 ** k) : ANY;
    case "rsh":
      if (k === undefined || k < 0 || k >= bits) return ANY;
      if (x) return range(Math.floor(a.low / 2 ** k), Math.floor(a.high / 2 ** k));
      return bits - k <= 31 ? range(0, 2 ** (bits - k) - 1) : ANY;
    case "div":
      return x && k !== undefined && k > 0 ? range(Math.floor(a.low / k), Math.floor(a.high / k)) : ANY;
    case "mod":
      return k !== undefined && k > 0 ? range(0, x ? Math.min(a.high, k - 1) : k - 1) : ANY;
    default:
      return ANY;
  }
}

/** A pointer plus or minus a number still belongs to what it points into. */
function moved(operation: string, a: Value, b: Value): Value {
  if (isPointer(a) && isPointer(b)) return ANY;
  const [base, by] = isPointer(a) ? [a, b] : [b, a];
  if (operation !== "add" && !(operation === "sub" && base === a)) return ANY;
  const offset = offsetOf(base);
  const distance = isConstant(by) ? by.low : undefined;
  const to =
    offset === undefined || distance === undefined
      ? undefined
      : operation === "add"
        ? offset + distance
        : offset - distance;
  return pointer(kindOfValue(base), to, mapOf(base));
}

/** What a 32-bit move or load of a value leaves: its low 32 bits. */
export function lowHalf(value: Value): Value {
  if (isRange(value)) return value.low >= 0 ? value : NONZERO32;
  return kindOfValue(value) === Kind.NONZERO32 ? value : ANY;
}

/** 1 when a comparison by its BPF name (`eq`, `sgt`, …) always holds, -1 when it never does, 0 when that is open. */
export function decide(comparison: string, value: Value, against: Value, wide: boolean): -1 | 0 | 1 {
  if (!isConstant(against)) return 0;
  const k = against.low;
  if (k === 0 && isNonzero(value, wide)) {
    if (comparison === "eq" || comparison === "le") return -1;
    if (comparison === "ne" || comparison === "gt") return 1;
  }
  if (!isRange(value)) return 0;
  const { low, high } = value;
  if (comparison === "set") return low !== high ? (k === 0 ? -1 : 0) : (low & k) !== 0 ? 1 : -1;
  const unsigned = !comparison.startsWith("s") && comparison !== "eq" && comparison !== "ne";
  const [l, h, c] = unsigned ? [low >>> 0, high >>> 0, k >>> 0] : [low, high, k];
  switch (unsigned ? comparison : comparison.replace(/^s/, "")) {
    case "eq":
      return l === h && l === c ? 1 : c < l || c > h ? -1 : 0;
    case "ne":
      return l === h && l === c ? -1 : c < l || c > h ? 1 : 0;
    case "gt":
      return l > c ? 1 : h <= c ? -1 : 0;
    case "ge":
      return l >= c ? 1 : h < c ? -1 : 0;
    case "lt":
      return h < c ? 1 : l >= c ? -1 : 0;
    case "le":
      return h <= c ? 1 : l > c ? -1 : 0;
    default:
      return 0;
  }
}

const NEGATED: Readonly<Record<string, string>> = { eq: "ne", ne: "eq", gt: "le", le: "gt", lt: "ge", ge: "lt" };

/** What is known of a value where its comparison with a constant held, or did not. */
export function refine(comparison: string, value: Value, against: Value, wide: boolean, holds: boolean): Value {
  const relation = holds ? comparison : NEGATED[comparison];
  if (!isConstant(against) || relation === undefined) return value;
  const k = against.low;
  if (kindOfValue(value) === Kind.MAP_VALUE_OR_NULL) {
    if (k !== 0 || !wide) return value;
    return relation === "eq"
      ? constant(0)
      : relation === "ne"
        ? pointer(PointerKind.MAP_VALUE, 0, mapOf(value))
        : value;
  }
  if (isPointer(value)) return value;
  const bounded = isRange(value) && value.low >= 0;
  const nonzero = (): Value => {
    if (bounded) return value.low === 0 && value.high > 0 ? range(1, value.high) : value;
    return isNonzero(value, false) ? value : wide ? (isRange(value) ? value : NONZERO) : NONZERO32;
  };
  switch (relation) {
    case "eq":
      return wide || bounded ? constant(k) : value;
    case "ne":
      return k === 0 ? nonzero() : value;
    case "gt":
    case "ge": {
      const least = relation === "gt" ? k + 1 : k;
      if (k < 0 || least <= 0) return value;
      return bounded && value.high >= least ? range(Math.max(value.low, least), value.high) : nonzero();
    }
    case "lt":
    case "le": {
      const most = relation === "lt" ? k - 1 : k;
      if (k < 0 || most < 0 || isConstant(value)) return value;
      if (bounded) return most >= value.low ? range(value.low, Math.min(value.high, most)) : value;
      return wide ? range(isNonzero(value, true) ? Math.min(1, most) : 0, most) : value;
    }
    default:
      return value;
  }
}
