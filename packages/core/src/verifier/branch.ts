// What a comparison tells: which way it must go, and what its operands can be on each side.
import { markEmpty, meetBits, sync } from "./deduce.ts";
import {
  isConstant,
  isConstant32,
  lowerSmax,
  lowerSmax32,
  lowerUmax,
  lowerUmax32,
  MASK,
  raiseSmin,
  raiseSmin32,
  raiseUmin,
  raiseUmin32,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
} from "./scalar.ts";
import { below, less } from "./words.ts";

/** `nset` is what holds where a jump on `set` falls through. */
export type Comparison = "eq" | "ne" | "set" | "nset" | "gt" | "ge" | "lt" | "le" | "sgt" | "sge" | "slt" | "sle";

/** What holds when the comparison does not. */
export const OPPOSITE: Readonly<Record<Comparison, Comparison>> = {
  eq: "ne", ne: "eq", set: "nset", nset: "set", gt: "le", le: "gt", ge: "lt", lt: "ge", sgt: "sle", sle: "sgt", sge: "slt", slt: "sge",
}; // biome-ignore format: pairs

/** The same with the operands exchanged. */
export const MIRRORED: Readonly<Record<Comparison, Comparison>> = {
  eq: "eq", ne: "ne", set: "set", nset: "nset", gt: "lt", lt: "gt", ge: "le", le: "ge", sgt: "slt", slt: "sgt", sge: "sle", sle: "sge",
}; // biome-ignore format: pairs

/** 1: it holds for all numbers, 0: for none, -1: it depends. */
export type Decide = (r: Int32Array, d: number, s: number) => -1 | 0 | 1;
/** Narrows both operands to what they can be where the comparison holds; {@link sync} follows. */
export type Refine = (r: Int32Array, d: number, s: number) => void;

/** How one comparison is read in one width. */
export interface BranchTransfer {
  readonly decide: Decide;
  readonly refine: Refine;
}

const decideBelow: Decide = (r, d, s) =>
  below(r[d + UMAX]!, r[d + UMAX + 1]!, r[s + UMIN]!, r[s + UMIN + 1]!)
    ? 1
    : below(r[d + UMIN]!, r[d + UMIN + 1]!, r[s + UMAX]!, r[s + UMAX + 1]!)
      ? -1
      : 0;
const decideLess: Decide = (r, d, s) =>
  less(r[d + SMAX]!, r[d + SMAX + 1]!, r[s + SMIN]!, r[s + SMIN + 1]!)
    ? 1
    : less(r[d + SMIN]!, r[d + SMIN + 1]!, r[s + SMAX]!, r[s + SMAX + 1]!)
      ? -1
      : 0;
const decideBelow32: Decide = (r, d, s) =>
  r[d + UMAX32]! >>> 0 < r[s + UMIN32]! >>> 0 ? 1 : r[d + UMIN32]! >>> 0 < r[s + UMAX32]! >>> 0 ? -1 : 0;
const decideLess32: Decide = (r, d, s) =>
  r[d + SMAX32]! < r[s + SMIN32]! ? 1 : r[d + SMIN32]! < r[s + SMAX32]! ? -1 : 0;

const decideEqual: Decide = (r, d, s) => {
  if (isConstant(r, d) && isConstant(r, s)) return r[d] === r[s] && r[d + 1] === r[s + 1] ? 1 : 0;
  if (bitsClash(r, d, s, 0) || bitsClash(r, d, s, 1)) return 0;
  return decideBelow(r, d, s) === 1 ||
    decideBelow(r, s, d) === 1 ||
    decideLess(r, d, s) === 1 ||
    decideLess(r, s, d) === 1
    ? 0
    : -1;
};
const decideEqual32: Decide = (r, d, s) => {
  if (isConstant32(r, d) && isConstant32(r, s)) return r[d] === r[s] ? 1 : 0;
  if (bitsClash(r, d, s, 0)) return 0;
  return decideBelow32(r, d, s) === 1 ||
    decideBelow32(r, s, d) === 1 ||
    decideLess32(r, d, s) === 1 ||
    decideLess32(r, s, d) === 1
    ? 0
    : -1;
};

/** A bit that is known in both and differs. */
function bitsClash(r: Int32Array, d: number, s: number, half: 0 | 1): boolean {
  return ((r[d + half]! ^ r[s + half]!) & ~(r[d + MASK + half]! | r[s + MASK + half]!)) !== 0;
}

const decideSet: Decide = (r, d, s) => {
  if (((r[d]! & r[s]!) | (r[d + 1]! & r[s + 1]!)) !== 0) return 1;
  const low = (r[d]! | r[d + MASK]!) & (r[s]! | r[s + MASK]!);
  const high = (r[d + 1]! | r[d + MASK + 1]!) & (r[s + 1]! | r[s + MASK + 1]!);
  return (low | high) === 0 ? 0 : -1;
};
const decideSet32: Decide = (r, d, s) =>
  (r[d]! & r[s]!) !== 0 ? 1 : ((r[d]! | r[d + MASK]!) & (r[s]! | r[s + MASK]!)) === 0 ? 0 : -1;

const not =
  (decide: Decide): Decide =>
  (r, d, s) => {
    const answer = decide(r, d, s);
    return answer === -1 ? -1 : answer === 1 ? 0 : 1;
  };
const swapped =
  (decide: Decide): Decide =>
  (r, d, s) =>
    decide(r, s, d);

/** Both are less than or equal to each other's ends. */
const refineBelowOrEqual: Refine = (r, d, s) => {
  lowerUmax(r, d, r[s + UMAX]!, r[s + UMAX + 1]!);
  raiseUmin(r, s, r[d + UMIN]!, r[d + UMIN + 1]!);
};
const refineLessOrEqual: Refine = (r, d, s) => {
  lowerSmax(r, d, r[s + SMAX]!, r[s + SMAX + 1]!);
  raiseSmin(r, s, r[d + SMIN]!, r[d + SMIN + 1]!);
};
const refineBelowOrEqual32: Refine = (r, d, s) => {
  lowerUmax32(r, d, r[s + UMAX32]!);
  raiseUmin32(r, s, r[d + UMIN32]!);
};
const refineLessOrEqual32: Refine = (r, d, s) => {
  lowerSmax32(r, d, r[s + SMAX32]!);
  raiseSmin32(r, s, r[d + SMIN32]!);
};

/** Strictly: one less than the greatest, one more than the least; where there is none, nothing is left. */
const refineBelow: Refine = (r, d, s) => {
  if ((r[s + UMAX]! | r[s + UMAX + 1]!) === 0 || (r[d + UMIN]! & r[d + UMIN + 1]!) === -1) return markEmpty(r, d);
  lowerUmax(r, d, r[s + UMAX]! - 1, r[s + UMAX + 1]! - (r[s + UMAX] === 0 ? 1 : 0));
  raiseUmin(r, s, r[d + UMIN]! + 1, r[d + UMIN + 1]! + (r[d + UMIN] === -1 ? 1 : 0));
};
const refineLess: Refine = (r, d, s) => {
  if (r[s + SMAX] === 0 && r[s + SMAX + 1] === -0x8000_0000) return markEmpty(r, d);
  if (r[d + SMIN] === -1 && r[d + SMIN + 1] === 0x7fff_ffff) return markEmpty(r, d);
  lowerSmax(r, d, r[s + SMAX]! - 1, r[s + SMAX + 1]! - (r[s + SMAX] === 0 ? 1 : 0));
  raiseSmin(r, s, r[d + SMIN]! + 1, r[d + SMIN + 1]! + (r[d + SMIN] === -1 ? 1 : 0));
};
const refineBelow32: Refine = (r, d, s) => {
  if (r[s + UMAX32] === 0 || r[d + UMIN32] === -1) return markEmpty(r, d);
  lowerUmax32(r, d, r[s + UMAX32]! - 1);
  raiseUmin32(r, s, r[d + UMIN32]! + 1);
};
const refineLess32: Refine = (r, d, s) => {
  if (r[s + SMAX32] === -0x8000_0000 || r[d + SMIN32] === 0x7fff_ffff) return markEmpty(r, d);
  lowerSmax32(r, d, r[s + SMAX32]! - 1);
  raiseSmin32(r, s, r[d + SMIN32]! + 1);
};

const flipped =
  (refine: Refine): Refine =>
  (r, d, s) =>
    refine(r, s, d);

const refineEqual: Refine = (r, d, s) => {
  refineBelowOrEqual(r, d, s);
  refineBelowOrEqual(r, s, d);
  refineLessOrEqual(r, d, s);
  refineLessOrEqual(r, s, d);
  refineEqual32(r, d, s);
  meetBits(r, d, r[s]!, r[s + 1]!, r[s + MASK]!, r[s + MASK + 1]!);
  meetBits(r, s, r[d]!, r[d + 1]!, r[d + MASK]!, r[d + MASK + 1]!);
};
const refineEqual32: Refine = (r, d, s) => {
  refineBelowOrEqual32(r, d, s);
  refineBelowOrEqual32(r, s, d);
  refineLessOrEqual32(r, d, s);
  refineLessOrEqual32(r, s, d);
  meetBits(r, d, r[s]!, r[d + 1]!, r[s + MASK]!, r[d + MASK + 1]!);
  meetBits(r, s, r[d]!, r[s + 1]!, r[d + MASK]!, r[s + MASK + 1]!);
};

/** A number that is not a constant: the constant goes where it is an end of a range. */
const refineUnequal: Refine = (r, d, s) => {
  if (!isConstant(r, s)) {
    if (!isConstant(r, d)) return;
    return refineUnequal(r, s, d);
  }
  const low = r[s]!;
  const high = r[s + 1]!;
  if (r[d + UMIN] === low && r[d + UMIN + 1] === high) step(r, d + UMIN, 1);
  if (r[d + UMAX] === low && r[d + UMAX + 1] === high) step(r, d + UMAX, -1);
  if (r[d + SMIN] === low && r[d + SMIN + 1] === high) step(r, d + SMIN, 1);
  if (r[d + SMAX] === low && r[d + SMAX + 1] === high) step(r, d + SMAX, -1);
};
const refineUnequal32: Refine = (r, d, s) => {
  if (!isConstant32(r, s)) {
    if (!isConstant32(r, d)) return;
    return refineUnequal32(r, s, d);
  }
  const low = r[s]!;
  if (r[d + UMIN32] === low) r[d + UMIN32] = low + 1;
  if (r[d + UMAX32] === low) r[d + UMAX32] = low - 1;
  if (r[d + SMIN32] === low) r[d + SMIN32] = low + 1;
  if (r[d + SMAX32] === low) r[d + SMAX32] = low - 1;
};

function step(r: Int32Array, at: number, by: 1 | -1): void {
  const low = r[at]!;
  r[at] = low + by;
  if (by === 1 ? low === -1 : low === 0) r[at + 1] = r[at + 1]! + by;
}

/** A single bit that is tested is set; several may be set in any way. */
const refineSet: Refine = (r, d, s) => {
  if (!isConstant(r, s)) {
    if (!isConstant(r, d)) return;
    return refineSet(r, s, d);
  }
  const low = r[s]!;
  const high = r[s + 1]!;
  const single = high === 0 ? low !== 0 && (low & (low - 1)) === 0 : low === 0 && (high & (high - 1)) === 0;
  if (single) meetBits(r, d, low, high, ~low, ~high);
};
const refineSet32: Refine = (r, d, s) => {
  if (!isConstant32(r, s)) {
    if (!isConstant32(r, d)) return;
    return refineSet32(r, s, d);
  }
  const low = r[s]!;
  if (low !== 0 && (low & (low - 1)) === 0) meetBits(r, d, low, r[d + 1]!, ~low, r[d + MASK + 1]!);
};
const refineClear: Refine = (r, d, s) => {
  if (!isConstant(r, s)) {
    if (!isConstant(r, d)) return;
    return refineClear(r, s, d);
  }
  meetBits(r, d, 0, 0, ~r[s]!, ~r[s + 1]!);
};
const refineClear32: Refine = (r, d, s) => {
  if (!isConstant32(r, s)) {
    if (!isConstant32(r, d)) return;
    return refineClear32(r, s, d);
  }
  meetBits(r, d, 0, r[d + 1]!, ~r[s]!, r[d + MASK + 1]!);
};

/** The 64-bit comparisons. Tests replace single entries to plant a mistake. */
// biome-ignore format: one row per comparison
export const BRANCH64: Readonly<Record<Comparison, BranchTransfer>> = {
  eq:   { decide: decideEqual,               refine: refineEqual },
  ne:   { decide: not(decideEqual),          refine: refineUnequal },
  set:  { decide: decideSet,                 refine: refineSet },
  nset: { decide: not(decideSet),            refine: refineClear },
  gt:   { decide: swapped(decideBelow),      refine: flipped(refineBelow) },
  ge:   { decide: not(decideBelow),          refine: flipped(refineBelowOrEqual) },
  lt:   { decide: decideBelow,               refine: refineBelow },
  le:   { decide: not(swapped(decideBelow)), refine: refineBelowOrEqual },
  sgt:  { decide: swapped(decideLess),       refine: flipped(refineLess) },
  sge:  { decide: not(decideLess),           refine: flipped(refineLessOrEqual) },
  slt:  { decide: decideLess,                refine: refineLess },
  sle:  { decide: not(swapped(decideLess)),  refine: refineLessOrEqual },
};

/** The 32-bit comparisons, which look at the low halves only. */
// biome-ignore format: one row per comparison
export const BRANCH32: Readonly<Record<Comparison, BranchTransfer>> = {
  eq:   { decide: decideEqual32,               refine: refineEqual32 },
  ne:   { decide: not(decideEqual32),          refine: refineUnequal32 },
  set:  { decide: decideSet32,                 refine: refineSet32 },
  nset: { decide: not(decideSet32),            refine: refineClear32 },
  gt:   { decide: swapped(decideBelow32),      refine: flipped(refineBelow32) },
  ge:   { decide: not(decideBelow32),          refine: flipped(refineBelowOrEqual32) },
  lt:   { decide: decideBelow32,               refine: refineBelow32 },
  le:   { decide: not(swapped(decideBelow32)), refine: refineBelowOrEqual32 },
  sgt:  { decide: swapped(decideLess32),       refine: flipped(refineLess32) },
  sge:  { decide: not(decideLess32),           refine: flipped(refineLessOrEqual32) },
  slt:  { decide: decideLess32,                refine: refineLess32 },
  sle:  { decide: not(swapped(decideLess32)),  refine: refineLessOrEqual32 },
};

/** Refines both operands and carries it to all columns. Cases that cannot be are left empty. */
export function refine(table: BranchTransfer, r: Int32Array, d: number, s: number): void {
  table.refine(r, d, s);
  sync(r, d);
  sync(r, s);
}
