// Conditional jumps: which sides can be taken, and what each side knows.

import { Link } from "./alu-insn.ts";
import { type BranchTransfer, type Comparison, MIRRORED, OPPOSITE } from "./branch.ts";
import { sync } from "./deduce.ts";
import { markPrecise } from "./precision.ts";
import { settleNull } from "./references.ts";
import {
  AUX,
  baseOf,
  copyRegister,
  DELTA,
  FIXED,
  Flag,
  ID,
  isPacket,
  isPointer,
  LINK,
  PRECISE,
  REG_WORDS,
  SCALAR,
  setNumber,
  Type,
} from "./register.ts";
import type { Row } from "./rows.ts";
import { copyScalar, isConstant, isEmpty, SCALAR_WORDS, SMIN, setConstant, UMAX } from "./scalar.ts";
import { isSpill, KINDS, regAt, SCRATCH, type State, spillAt } from "./state.ts";
import type { StoredState } from "./store.ts";
import { isTrusted } from "./structs.ts";
import type { Verification } from "./verification.ts";
import { unsigned } from "./words.ts";

/** Scalars of both operands on the side where the jump is taken, and where it is not. */
const taken = new Int32Array(2 * SCALAR_WORDS);
const fallen = new Int32Array(2 * SCALAR_WORDS);
const known = new Int32Array(REG_WORDS);
const shifted = new Int32Array(2 * SCALAR_WORDS);

/** One conditional jump; gives the slot where the path goes on, and queues the other side. */
export function jumpIf(v: Verification, i: number, row: Row): number {
  const { insns } = v;
  const dstReg = insns.dst(i);
  const srcReg = row.immediate ? -1 : insns.src(i);
  const src = row.immediate ? SCRATCH : v.read(srcReg);
  const dst = v.read(dstReg);
  const target = i + 1 + insns.off(i);
  const r = v.frame.words;
  if (row.immediate) setNumber(r, SCRATCH, insns.imm(i), insns.imm(i) >> 31);
  const comparison = row.operation as Comparison;
  const narrow = !row.wide;
  const bothNumbers = r[dst] === Type.SCALAR && r[src] === Type.SCALAR;

  let decided = bothNumbers
    ? decideNumbers(v, comparison, narrow, r, dst, src)
    : decidePointers(r, dst, src, comparison, narrow);
  if (bothNumbers && decided < 0) decided = refineBoth(v, comparison, narrow, r, dst, src);
  if (decided >= 0) {
    if (!isPointer(r[dst]!)) markPrecise(v, dstReg);
    if (srcReg >= 0 && !isPointer(r[src]!)) markPrecise(v, srcReg);
    v.sides[i]! |= decided === 1 ? 1 : 2;
    return decided === 1 ? target : i + 1;
  }

  // What else changes with the operands is noted before the path forks: both sides have come this way.
  if (bothNumbers) noteLinks(v, dst, src);
  if (srcReg >= 0 && !narrow && isZeroTest(v, r, dst, src, comparison)) markPrecise(v, srcReg);
  v.sides[i] = 3;
  const other = v.fork(target, i);
  if (bothNumbers) {
    apply(v, v.state, dst, src, fallen);
    apply(v, other, dst, src, taken);
  } else if (!narrow && isZeroTest(v, r, dst, src, comparison)) {
    const isNullWhenTaken = comparison === "eq";
    const words = other.frame.words;
    if ((r[dst]! & Flag.MAYBE_NULL) !== 0) {
      settleNull(v, v.state, r, dst, !isNullWhenTaken);
      settleNull(v, other, words, dst, isNullWhenTaken);
    }
  } else if (!narrow && (comparison === "eq" || comparison === "ne") && srcReg >= 0) {
    equalPointers(v, comparison === "eq" ? other : v.state, dst, src);
  }
  if (!narrow && srcReg >= 0) packetBounds(v, other, r, dst, src, comparison);
  return i + 1;
}

function tableOf(v: Verification, comparison: Comparison, narrow: boolean): BranchTransfer {
  return (narrow ? v.tables.branch32 : v.tables.branch64)[comparison];
}

function decideNumbers(
  v: Verification,
  comparison: Comparison,
  narrow: boolean,
  r: Int32Array,
  dst: number,
  src: number,
): -1 | 0 | 1 {
  if (dst === src && v.modern) {
    if (
      comparison === "eq" ||
      comparison === "ge" ||
      comparison === "le" ||
      comparison === "sge" ||
      comparison === "sle"
    )
      return 1;
    if (comparison !== "set") return 0;
  }
  return tableOf(v, comparison, narrow).decide(r, dst + SCALAR, src + SCALAR);
}

/** Both sides of both operands, in `taken` and `fallen`; says which side is left where the other one cannot be. */
function refineBoth(
  v: Verification,
  comparison: Comparison,
  narrow: boolean,
  r: Int32Array,
  dst: number,
  src: number,
): -1 | 0 | 1 {
  for (const [side, holds] of [
    [taken, comparison],
    [fallen, OPPOSITE[comparison]],
  ] as const) {
    copyScalar(side, 0, r, dst + SCALAR);
    copyScalar(side, SCALAR_WORDS, r, src + SCALAR);
    if (dst === src) continue;
    refineSide(tableOf(v, holds, narrow), side);
  }
  if (isEmpty(taken, 0) || isEmpty(taken, SCALAR_WORDS)) return 0;
  if (isEmpty(fallen, 0) || isEmpty(fallen, SCALAR_WORDS)) return 1;
  return -1;
}

function refineSide(table: BranchTransfer, side: Int32Array): void {
  table.refine(side, 0, SCALAR_WORDS);
  sync(side, 0);
  sync(side, SCALAR_WORDS);
}

/** Gives the operands, and all that shares their ids, what one side knows. */
function apply(v: Verification, state: State<StoredState>, dst: number, src: number, side: Int32Array): void {
  const r = state.frame.words;
  copyScalar(r, dst + SCALAR, side, 0);
  if (src !== SCRATCH) copyScalar(r, src + SCALAR, side, SCALAR_WORDS);
  if (src !== SCRATCH && r[src + ID] !== 0) carryToLinked(v, state, r, src);
  if (r[dst + ID] !== 0) carryToLinked(v, state, r, dst);
}

/** Numbers that share the id of the one at `at` learn what it learnt, moved by their distance from it. */
function carryToLinked(v: Verification, state: State<StoredState>, words: Int32Array, at: number): void {
  const id = words[at + ID]!;
  copyRegister(known, 0, words, at);
  state.each((r, x, frame) => {
    if (r[x + ID] !== id || r[x] !== Type.SCALAR || (r === words && x === at)) return;
    v.log.markAt(frame, x);
    if (r[x + LINK] === known[LINK] && r[x + DELTA] === known[DELTA]) {
      const precise = r[x + PRECISE]!;
      copyScalar(r, x + SCALAR, known, SCALAR);
      r[x + PRECISE] = precise;
      return;
    }
    const narrow = r[x + LINK] === Link.NARROW || known[LINK] === Link.NARROW;
    if (narrow && (r[x + LINK] === Link.WIDE || known[LINK] === Link.WIDE)) return;
    // From 32 bits back to a number that may have more: the upper half is not told.
    if (known[LINK] === Link.NARROW && r[x + LINK] === Link.NONE && r[x + SCALAR + UMAX + 1] !== 0) return;
    const by = r[x + DELTA]! - known[DELTA]!;
    copyScalar(shifted, 0, known, SCALAR);
    setConstant(shifted, SCALAR_WORDS, by | 0, Math.floor(by / 2 ** 32));
    v.tables.alu.add[narrow ? "narrow" : "wide"](shifted, 0, SCALAR_WORDS);
    copyScalar(r, x + SCALAR, shifted, 0);
  });
}

/** Notes, in the history of the path, the numbers that are narrowed together. */
function noteLinks(v: Verification, dst: number, src: number): void {
  const r = v.frame.words;
  const a = r[dst + ID]!;
  const b = src === SCRATCH ? 0 : r[src + ID]!;
  if (a === 0 && b === 0) return;
  const groups = a === b || b === 0 ? [a] : a === 0 ? [b] : [a, b];
  for (const id of groups) {
    const links: number[] = [];
    for (let f = 0; f < v.state.frames.length; f++) {
      const { words, depth } = v.state.frames[f]!;
      for (let reg = 0; reg < 10; reg++)
        if (words[regAt(reg) + ID] === id && words[regAt(reg)] === Type.SCALAR) links.push((f << 8) | reg);
      for (let slot = 0; slot < depth; slot++) {
        const x = spillAt(slot);
        if (isSpill(words[KINDS + slot]!) && words[x + ID] === id && words[x] === Type.SCALAR)
          links.push((f << 8) | 0x80 | slot);
      }
    }
    if (links.length < 2) continue;
    v.links.push(Int32Array.from(links));
    v.state.noteLinks(v.links.length - 1);
  }
}

/** A pointer that cannot be null is not zero. */
function decidePointers(r: Int32Array, dst: number, src: number, comparison: Comparison, narrow: boolean): -1 | 0 | 1 {
  if (narrow || (comparison !== "eq" && comparison !== "ne")) return -1;
  const pointer = isPointer(r[dst]!) ? dst : src;
  const number = pointer === dst ? src : dst;
  if (r[number] !== Type.SCALAR || !isZero(r, number)) return -1;
  const type = r[pointer]!;
  if ((type & (Flag.MAYBE_NULL | Flag.UNTRUSTED)) !== 0) return -1;
  if (!CERTAIN.has(baseOf(type)) && !(baseOf(type) === Type.BTF && isTrusted(r, pointer))) return -1;
  return comparison === "eq" ? 0 : 1;
}

const CERTAIN: ReadonlySet<number> = new Set<number>([
  Type.SOCKET,
  Type.TCP_SOCK,
  Type.MAP_VALUE,
  Type.MAP_KEY,
  Type.SOCK_COMMON,
  Type.MEMORY,
  Type.MAP,
]);

function isZero(r: Int32Array, at: number): boolean {
  return isConstant(r, at + SCALAR) && (r[at + SCALAR]! | r[at + SCALAR + 1]!) === 0;
}

function isZeroTest(v: Verification, r: Int32Array, dst: number, src: number, comparison: Comparison): boolean {
  return (
    isPointer(r[dst]!) &&
    (comparison === "eq" || comparison === "ne") &&
    (src === SCRATCH || (v.modern && r[src] === Type.SCALAR)) &&
    isZero(r, src)
  );
}

/** Two pointers that are equal: when one is not null, the other is not either. */
function equalPointers(v: Verification, state: State<StoredState>, dst: number, src: number): void {
  const r = state.frame.words;
  if (!isPointer(r[dst]!) || !isPointer(r[src]!)) return;
  const [a, b] = [r[dst]! & Flag.MAYBE_NULL, r[src]! & Flag.MAYBE_NULL];
  if ((a === 0) === (b === 0)) return;
  const maybe = a !== 0 ? dst : src;
  const other = maybe === dst ? src : dst;
  if (baseOf(r[other]!) !== Type.BTF && baseOf(r[maybe]!) !== Type.BTF) settleNull(v, state, r, maybe, false);
}

/** Comparisons of a packet pointer with the packet's end, or of a metadata pointer with the packet's start, show what is there. */
function packetBounds(
  v: Verification,
  other: State<StoredState>,
  r: Int32Array,
  dst: number,
  src: number,
  comparison: Comparison,
): void {
  const isEnd = (x: number, of: number): boolean =>
    isPacket(baseOf(r[of]!)) &&
    (baseOf(r[of]!) === Type.PACKET ? r[x] === Type.PACKET_END : r[x] === Type.PACKET && isZeroOffset(r, x));
  let pointer = dst;
  let which = comparison;
  if (isEnd(dst, src)) {
    pointer = src;
    which = MIRRORED[comparison];
  } else if (!isEnd(src, dst)) return;
  const at = r[pointer]!;
  // pointer <= end leaves `offset` bytes before the end, pointer < end one more.
  if (which === "gt") found(v, v.state, r, pointer, at, false);
  else if (which === "le") found(v, other, r, pointer, at, false);
  else if (which === "ge") found(v, v.state, r, pointer, at, true);
  else if (which === "lt") found(v, other, r, pointer, at, true);
}

function isZeroOffset(r: Int32Array, at: number): boolean {
  return isConstant(r, at + SCALAR) && (r[at + SCALAR]! | r[at + SCALAR + 1]! | r[at + FIXED]!) === 0;
}

function found(
  v: Verification,
  state: State<StoredState>,
  r: Int32Array,
  pointer: number,
  type: number,
  oneMore: boolean,
): void {
  const x = pointer + SCALAR;
  if (!v.modern) {
    foundBehind(state, r, pointer, type, oneMore);
    return;
  }
  const max = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
  if (max > 0xffff || r[x + SMIN + 1]! < 0) return;
  if (max === 0 && oneMore) return;
  const range = v.tables.guards.packetBytes(max, oneMore);
  const id = r[pointer + ID]!;
  state.each((words, at) => {
    if (words[at] === type && words[at + ID] === id) words[at + AUX] = Math.max(words[at + AUX]!, range);
  });
}

/** The same in Linux 6.12: what constants moved the pointer by is there, counted from where the rest of its offset ends. */
function foundBehind(state: State<StoredState>, r: Int32Array, pointer: number, type: number, oneMore: boolean): void {
  const fixed = r[pointer + FIXED]!;
  const x = pointer + SCALAR;
  const max = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
  if (fixed < 0 || (fixed === 0 && oneMore) || max > 0xffff || max + fixed > 0xffff) return;
  const range = fixed + (oneMore ? 1 : 0);
  const id = r[pointer + ID]!;
  state.each((words, at) => {
    if (words[at] === type && words[at + ID] === id) words[at + AUX] = Math.max(words[at + AUX]!, range);
  });
}
