// Ranges of divisions and remainders by a constant; any other divisor leaves nothing known.
import { sync } from "./deduce.ts";
import {
  isConstant,
  isConstant32,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setConstant,
  setUnbounded32,
  setUnknown,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
  zeroExtend,
} from "./scalar.ts";
import { bigOf, out } from "./words.ts";

type Division = "div" | "sdiv" | "mod" | "smod";

/** d = d op s, 64 bits: x / 0 is 0, x % 0 is x. */
export function divide(operation: Division): (r: Int32Array, d: number, s: number) => void {
  const signed = operation[0] === "s";
  const [least, most] = signed ? [SMIN, SMAX] : [UMIN, UMAX];
  return (r, d, s) => {
    if (!isConstant(r, s)) {
      setUnknown(r, d);
      return;
    }
    const divisor = bigOf(r[s]!, r[s + 1]!);
    const ends = rangeOf(
      operation,
      bigOf(r[d + least]!, r[d + least + 1]!),
      bigOf(r[d + most]!, r[d + most + 1]!),
      divisor,
      64,
    );
    if (ends === "same") return;
    setUnknown(r, d);
    if (ends === "full") return;
    store(r, d + least, ends[0]);
    store(r, d + most, ends[1]);
    sync(r, d);
  };
}

/** The same on the low 32 bits. */
export function divide32(operation: Division): (r: Int32Array, d: number, s: number) => void {
  const signed = operation[0] === "s";
  const [least, most] = signed ? [SMIN32, SMAX32] : [UMIN32, UMAX32];
  return (r, d, s) => {
    if (!isConstant32(r, s)) {
      setUnknown(r, d);
      return;
    }
    const ends = rangeOf(operation, bigOf(r[d + least]!, 0), bigOf(r[d + most]!, 0), bigOf(r[s]!, 0), 32);
    if (ends === "same") {
      zeroExtend(r, d);
      sync(r, d);
      return;
    }
    setUnknown(r, d);
    setUnbounded32(r, d);
    if (ends !== "full") {
      r[d + least] = Number(BigInt.asIntN(32, ends[0]));
      r[d + most] = Number(BigInt.asIntN(32, ends[1]));
      if (ends[0] === ends[1]) setConstant(r, d, r[d + least]!, 0);
    }
    zeroExtend(r, d);
    sync(r, d);
  };
}

function store(r: Int32Array, at: number, value: bigint): void {
  r[at] = Number(BigInt.asIntN(32, value));
  r[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
  out[0] = r[at]!;
}

/** Ends of the result; `same` where the operand stays as it is, `full` where nothing is known. Bits are unsigned numbers. */
function rangeOf(
  operation: Division,
  least: bigint,
  most: bigint,
  divisor: bigint,
  width: number,
): readonly [bigint, bigint] | "same" | "full" {
  const isMod = operation === "mod" || operation === "smod";
  if (divisor === 0n) return isMod ? "same" : [0n, 0n];
  if (operation === "div") return [least / divisor, most / divisor];
  if (operation === "mod") return most < divisor ? "same" : [0n, divisor - 1n];
  const [low, high, by] = [least, most, divisor].map((value) => BigInt.asIntN(width, value)) as [
    bigint,
    bigint,
    bigint,
  ];
  if (operation === "sdiv") {
    if (by === -1n && low === -(1n << BigInt(width - 1))) return "full";
    return by > 0n ? [low / by, high / by] : [high / by, low / by];
  }
  const limit = (by < 0n ? -by : by) - 1n;
  if (low >= -limit && high <= limit) return "same";
  const bottom = low >= 0n ? 0n : low < -limit ? -limit : low;
  const top = high <= 0n ? 0n : high > limit ? limit : high;
  return [bottom, top];
}
