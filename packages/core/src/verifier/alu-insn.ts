// Arithmetic, moves and casts of registers.
import type { AluOperation } from "./alu.ts";
import { sync } from "./deduce.ts";
import { movePointer, signOf } from "./pointer.ts";
import { markPrecise } from "./precision.ts";
import { Errno } from "./refusal.ts";
import {
  DELTA,
  FIXED,
  ID,
  isPointer,
  LINK,
  SCALAR,
  setNumber,
  setPointer,
  setScalar,
  Type,
  unlink,
} from "./register.ts";
import type { Row } from "./rows.ts";
import { isConstant, SMIN, SMIN32, setConstant, setUnbounded, UMAX, UMAX32, zeroExtend } from "./scalar.ts";
import { SCRATCH, SCRATCH2 } from "./state.ts";
import type { Verification } from "./verification.ts";

/** How DELTA is to be read: not at all, as 64 bits, as 32 bits. */
export const Link = { NONE: 0, WIDE: 1, NARROW: 2 } as const;

/** Operations that Linux 6.12 does not follow. */
const FORGOTTEN: ReadonlySet<string> = new Set(["div", "sdiv", "mod", "smod"]);

/** One instruction of a kind that computes. */
export function compute(v: Verification, i: number, row: Row): void {
  switch (row.kind) {
    case "mov":
      move(v, i, row);
      return;
    case "movsx":
      moveExtended(v, i, row);
      return;
    case "neg": {
      const at = v.read(v.insns.dst(i));
      v.write(v.insns.dst(i));
      const r = v.frame.words;
      if (isPointer(r[at]!) || !v.modern) {
        setScalar(r, at);
        return;
      }
      v.tables.alu.neg[row.wide ? "wide" : "narrow"](r, at + SCALAR, SCRATCH2 + SCALAR);
      unlink(r, at);
      return;
    }
    case "end":
      swap(v, i, row);
      return;
    default:
      operate(v, i, row);
      return;
  }
}

function move(v: Verification, i: number, row: Row): void {
  const dst = v.insns.dst(i);
  const r = v.frame.words;
  if (row.immediate) {
    const imm = v.insns.imm(i);
    setNumber(r, v.write(dst), imm, row.wide ? imm >> 31 : 0);
    return;
  }
  const src = v.read(v.insns.src(i));
  const at = v.write(dst);
  if (row.wide) {
    if (r[src] === Type.SCALAR) shareId(v, src);
    if (at !== src) v.copy(at, src);
    return;
  }
  if (isPointer(r[src]!)) {
    setScalar(r, at);
    v.tables.casts.zeroExtend(r, at + SCALAR);
    return;
  }
  const fits = r[src + SCALAR + UMAX + 1] === 0;
  if (fits) shareId(v, src);
  if (at !== src) v.copy(at, src);
  if (!fits) unlink(r, at);
  v.tables.casts.truncate(r, at + SCALAR, 4);
}

/** A number that is copied gets an id, so that what is learnt of one holds for the other. */
function shareId(v: Verification, at: number): void {
  const r = v.frame.words;
  if (isConstant(r, at + SCALAR)) return;
  if (r[at + LINK] !== Link.NONE) return;
  if (r[at + ID] === 0) r[at + ID] = v.nextId();
}

function moveExtended(v: Verification, i: number, row: Row): void {
  const src = v.read(v.insns.src(i));
  const at = v.write(v.insns.dst(i));
  const r = v.frame.words;
  const bytes = v.insns.off(i) >> 3;
  if (isPointer(r[src]!)) {
    setScalar(r, at);
    if (!row.wide) v.tables.casts.zeroExtend(r, at + SCALAR);
    return;
  }
  const s = src + SCALAR;
  const limit = 2 ** (8 * bytes - 1);
  const same = r[s + UMAX + 1] === 0 && r[s + UMAX]! >>> 0 < limit;
  if (same) shareId(v, src);
  if (at !== src) v.copy(at, src);
  if (same) return;
  unlink(r, at);
  v.tables.casts.signExtend(r, at + SCALAR, bytes, row.wide);
}

function swap(v: Verification, i: number, row: Row): void {
  const at = v.read(v.insns.dst(i));
  v.write(v.insns.dst(i));
  const r = v.frame.words;
  if (isPointer(r[at]!) || !v.modern) {
    setScalar(r, at);
    return;
  }
  unlink(r, at);
  v.tables.casts.swapBytes(r, at + SCALAR, 8 * row.bytes, row.operation !== "le");
}

function operate(v: Verification, i: number, row: Row): void {
  const { insns } = v;
  const dst = insns.dst(i);
  const r = v.frame.words;
  let src: number;
  if (row.immediate) {
    const imm = insns.imm(i);
    if (row.kind === "div" && imm === 0) v.refuse(Errno.EINVAL, "div by zero");
    if (row.kind === "shift" && (imm < 0 || imm >= (row.wide ? 64 : 32)))
      v.refuse(Errno.EINVAL, `invalid shift ${imm}`);
    setNumber(r, SCRATCH, imm, imm >> 31);
    src = SCRATCH;
  } else {
    src = v.read(insns.src(i));
  }
  const at = v.read(dst);
  v.write(dst);
  const { operation } = row;
  if (isPointer(r[at]!)) {
    if (isPointer(r[src]!)) {
      if (operation === "sub") {
        setScalar(r, at);
        return;
      }
      v.deny(`R${dst} pointer ${signOf(operation)} pointer prohibited`);
    }
    if (!row.immediate) markPrecise(v, insns.src(i));
    movePointer(v, dst, at, at, src, operation, row.wide);
    return;
  }
  if (isPointer(r[src]!)) {
    markPrecise(v, dst);
    movePointer(v, dst, at, src, at, operation, row.wide);
    return;
  }
  if (!v.modern && FORGOTTEN.has(operation)) {
    setScalar(r, at);
    return;
  }
  const link = linkAfter(r, at, src, row, dst !== insns.src(i) || row.immediate, v.modern);
  const id = r[at + ID]!;
  const delta = r[at + DELTA]!;
  const imm = link === Link.NONE ? 0 : operation === "sub" ? -r[src + SCALAR]! : r[src + SCALAR]!;
  const row2 = v.tables.alu[operation as AluOperation];
  v.copy(SCRATCH2, src);
  const forgets = !v.modern && operation === "mul" && isLargeProduct(r, at + SCALAR, SCRATCH2 + SCALAR, row.wide);
  row2[row.wide ? "wide" : "narrow"](r, at + SCALAR, SCRATCH2 + SCALAR);
  if (forgets) forgetRanges(r, at + SCALAR, row.wide);
  unlink(r, at);
  if (link === Link.NONE) return;
  r[at + ID] = id;
  r[at + DELTA] = delta + imm;
  r[at + LINK] = link;
}

/** Linux 6.12 gives up on products of numbers that are negative, or have more than half the bits. */
function isLargeProduct(r: Int32Array, a: number, b: number, wide: boolean): boolean {
  if (wide) return r[a + SMIN + 1]! < 0 || r[b + SMIN + 1]! < 0 || r[a + UMAX + 1] !== 0 || r[b + UMAX + 1] !== 0;
  return r[a + SMIN32]! < 0 || r[b + SMIN32]! < 0 || r[a + UMAX32]! >>> 16 !== 0 || r[b + UMAX32]! >>> 16 !== 0;
}

function forgetRanges(r: Int32Array, x: number, wide: boolean): void {
  if (isConstant(r, x)) return;
  setUnbounded(r, x);
  if (!wide) zeroExtend(r, x);
  sync(r, x);
}

/** Whether the result stays a fixed distance from the numbers that share its id. */
function linkAfter(r: Int32Array, at: number, src: number, row: Row, others: boolean, modern: boolean): number {
  if (r[at + ID] === 0 || !others) return Link.NONE;
  if (row.operation !== "add" && !(row.operation === "sub" && modern)) return Link.NONE;
  const s = src + SCALAR;
  if (!modern && (!row.wide || r[s + 1] !== 0)) return Link.NONE;
  if (!isConstant(r, s) || r[s + 1] !== r[s]! >> 31 || r[s] === -0x8000_0000) return Link.NONE;
  const link = row.wide ? Link.WIDE : Link.NARROW;
  if (r[at + LINK] !== Link.NONE) {
    if (!modern || r[at + LINK] !== link) return Link.NONE;
    const sum = r[at + DELTA]! + (row.operation === "sub" ? -r[s]! : r[s]!);
    if (sum > 0x7fff_ffff || sum < -0x7fff_ffff) return Link.NONE;
  }
  return link;
}

/** A two-slot load. */
export function loadImmediate(v: Verification, i: number): void {
  const { insns } = v;
  const src = insns.src(i);
  const at = v.write(insns.dst(i));
  const r = v.frame.words;
  const low = insns.imm(i);
  const high = insns.imm(i + 1);
  switch (src) {
    case 0:
      setNumber(r, at, low, high);
      return;
    case 4:
      checkCallback(v, v.structure.subprogAt(i + 1 + low));
      setPointer(r, at, Type.FUNCTION, v.structure.subprogAt(i + 1 + low));
      return;
    case 1:
    case 5:
      setPointer(r, at, Type.MAP, low + 1);
      return;
    case 2:
    case 6:
      setPointer(r, at, Type.MAP_VALUE, low + 1);
      setOffset(v, at, high);
      return;
    default:
      setScalar(r, at);
  }
}

/** Only a subprogram that is walked where it is called can be called back. */
function checkCallback(v: Verification, subprog: number): void {
  if (subprog === 0 || v.functions.has(subprog)) v.refuse(Errno.EINVAL, "callback function not static");
}

function setOffset(v: Verification, at: number, offset: number): void {
  const r = v.frame.words;
  if (v.modern) setConstant(r, at + SCALAR, offset, offset >> 31);
  else r[at + FIXED] = offset;
}
