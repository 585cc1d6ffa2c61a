// From a slot to the row of the instruction table that describes it: O(1), no allocation.
import { BpfError } from "../errors.ts";
import type { Insns } from "./insns.ts";
import { INSNS, type InsnKind, type InsnRow, type Op } from "./opcodes.ts";
import { type FieldName, fieldsOf } from "./template.ts";

const LDDW = 0x18;

/** All instructions in the order of {@link INSNS}; what `opAt` gives is an index here. */
export const OPS: readonly Op[] = Object.keys(INSNS) as Op[];

/** All kinds, in the order in which {@link INSNS} first mentions them. */
export const KINDS: readonly InsnKind[] = [...new Set(OPS.map((op) => INSNS[op].kind))];

const ROWS: readonly InsnRow[] = OPS.map((op) => INSNS[op]);

// A chain of rows per opcode byte, most specific first: HEAD[code] and NEXT[row] are row indices, -1 ends a chain. A row matches when
// (word0 ^ MATCH0) & MASK0 and (imm ^ MATCH1) & MASK1 are both 0. No chain is longer than a dozen rows.
const HEAD = new Int16Array(256).fill(-1);
const NEXT = new Int16Array(ROWS.length).fill(-1);
const MASK0 = new Int32Array(ROWS.length);
const MATCH0 = new Int32Array(ROWS.length);
const MASK1 = new Int32Array(ROWS.length);
const MATCH1 = new Int32Array(ROWS.length);

for (const [row, { code, src, off, imm }] of ROWS.entries()) {
  MASK0[row] = (src === undefined ? 0 : 0xf000) | (off === undefined ? 0 : 0xffff0000);
  MATCH0[row] = ((src ?? 0) << 12) | ((off ?? 0) << 16);
  MASK1[row] = imm === undefined ? 0 : -1;
  MATCH1[row] = imm ?? 0;
  let at = HEAD[code]!;
  // tail_call needs an immediate that call_helper leaves open: the row that asks for more comes first.
  if (at < 0 || (MASK1[row] !== 0 && MASK1[at] === 0)) {
    NEXT[row] = at;
    HEAD[code] = row;
  } else {
    while (NEXT[at]! >= 0) at = NEXT[at]!;
    NEXT[at] = row;
  }
}

/**
 * The instruction that starts at slot `i`, as an index in {@link OPS}; -1 when no row fits, or when a two-slot load has no second
 * slot. Fields the row does not use are not looked at: {@link reservedFieldOf} does that.
 */
export function opAt(insns: Insns, i: number): number {
  const word = insns.words[2 * i]!;
  const imm = insns.words[2 * i + 1]!;
  for (let row = HEAD[word & 0xff]!; row >= 0; row = NEXT[row]!) {
    if (((word ^ MATCH0[row]!) & MASK0[row]!) === 0 && ((imm ^ MATCH1[row]!) & MASK1[row]!) === 0) {
      return (word & 0xff) === LDDW && (i + 1 >= insns.length || (insns.words[2 * i + 2]! & 0xff) !== 0) ? -1 : row;
    }
  }
  return -1;
}

/** The kind of an instruction, given by its index in {@link OPS}. @throws {BpfError} `argument` when there is no such index */
export function kindOf(op: number): InsnKind {
  const row = ROWS[op];
  if (row === undefined)
    throw new BpfError("argument", `no instruction has index ${op}`, { expected: `0..${ROWS.length - 1}` });
  return row.kind;
}

/** A field of an instruction; `next` is the second slot of a two-slot load. */
export type Field = "dst" | "src" | "off" | "imm" | "next";

// Per row: the bits of the first word and of the immediate that it neither uses nor pins, whether it uses the second slot's
// immediate, and its registers: bits 0 and 1 for dst and src, the rest for those its kind implies.
const RESERVED0 = new Int32Array(ROWS.length);
const RESERVED1 = new Int32Array(ROWS.length);
const USES_HIGH = new Uint8Array(ROWS.length);
const NAMES_DST = new Uint8Array(ROWS.length);
const NAMES_SRC = new Uint8Array(ROWS.length);
const IMPLIED = new Uint16Array(ROWS.length);

const CALLED = 0b11_1111; // r0..r5
const IMPLIED_BY_KIND: Partial<Record<InsnKind, number>> = {
  packetLoad: CALLED | (1 << 6),
  callHelper: CALLED,
  tailCall: CALLED,
  callSubprog: CALLED,
  callKfunc: CALLED,
  callx: CALLED,
  exit: 1,
};

for (const [row, { src, off, imm, kind, text }] of ROWS.entries()) {
  const fields = new Set<string>(fieldsOf(text));
  const has = (...names: FieldName[]): boolean => names.some((name) => fields.has(name));
  NAMES_DST[row] = Number(has("rD", "wD"));
  NAMES_SRC[row] = Number(has("rS", "wS"));
  RESERVED0[row] =
    (has("rD", "wD") ? 0 : 0x0f00) |
    (has("rS", "wS") || src !== undefined ? 0 : 0xf000) |
    (has("O", "L") || off !== undefined ? 0 : -0x10000);
  RESERVED1[row] = has("K", "Q", "LL", "A", "B") || imm !== undefined ? 0 : -1;
  USES_HIGH[row] = Number(has("Q", "H"));
  IMPLIED[row] = (IMPLIED_BY_KIND[kind] ?? 0) | (/\b[rw]0\b/.test(text) ? 1 : 0);
}

/**
 * The first field of the instruction at slot `i` that its row (an index in {@link OPS}) leaves unused and that is not zero;
 * undefined when all of them are zero, as the kernel demands.
 */
export function reservedFieldOf(insns: Insns, i: number, op: number): Field | undefined {
  const word = insns.words[2 * i]! & RESERVED0[op]!;
  if (word !== 0) return (word & 0x0f00) !== 0 ? "dst" : (word & 0xf000) !== 0 ? "src" : "off";
  if ((insns.words[2 * i + 1]! & RESERVED1[op]!) !== 0) return "imm";
  if (insns.code(i) === LDDW && (insns.words[2 * i + 2] !== 0 || (USES_HIGH[op] === 0 && insns.words[2 * i + 3] !== 0)))
    return "next";
  return undefined;
}

/** The registers that the instruction at slot `i` reads or writes, one bit each; a call counts with r0..r5. `op` is its index in {@link OPS}. */
export function registersOf(insns: Insns, i: number, op: number): number {
  return (NAMES_DST[op]! << insns.dst(i)) | (NAMES_SRC[op]! << insns.src(i)) | IMPLIED[op]!;
}
