// Everything besides instructions that points at instructions, and how it follows them through a linearize.
import { BpfError } from "../errors.ts";
import type { LineInfo, Subprog } from "../program.ts";
import type { Columns } from "./memory.ts";

// Fields of the opcode byte: RFC 9669 section 3.1.
const [CLASS_LD, CLASS_LDX, CLASS_STX, CLASS_ALU] = [0, 1, 3, 4];
const [MODE_ABS, MODE_IND, MODE_MEM, MODE_ATOMIC] = [0x20, 0x40, 0x60, 0xc0];
const [SIZE_DW, END] = [0x18, 0xd0];
const [FETCH, LOAD_ACQUIRE] = [0x01, 0x100];

/** Auxiliary data of each instruction: one number a slot. */
export interface AuxColumn {
  readonly name: string;
  readonly values: Int32Array;
  /**
   * What an instruction of a patch gets that nobody inherits to: `zero`; `origin`: what the original has (as `seen` in the kernel);
   * `upper-half`: 1 when it writes the low half of a register and the upper must become zero, else 0.
   */
  readonly inserted: "zero" | "origin" | "upper-half";
}

/** Instructions by index: poke descriptors, jump tables, exception entries. */
export interface IndexTable {
  readonly name: string;
  /** Slot of each entry; -1: its instruction was deleted. */
  readonly insn: Int32Array;
  /** What becomes of an entry whose instruction is deleted: it goes, or stays as -1 because places in the table count. */
  readonly onDelete: "drop" | "mark";
  /** Which entry of the table as first given each one is; in order, where it is left out. */
  readonly entry?: Uint32Array;
}

/** What `linearize` carries along besides the program's own subprograms and lines. */
export interface Metadata {
  readonly aux?: readonly AuxColumn[];
  /** Numbers per subprogram, as type ids of functions: they go when their subprogram goes. */
  readonly funcs?: readonly { readonly name: string; readonly values: Uint32Array }[];
  readonly tables?: readonly IndexTable[];
}

/** Where originals came to lie. `place` and `entry` have one more element, the new length. */
export interface Places {
  /** The instruction itself, or the first of its replacement; of a deleted one, the next that is left, past what was prepended to it. */
  readonly place: Int32Array;
  /** The same with what was prepended. */
  readonly entry: Int32Array;
  readonly length: number;
}

/** @throws {BpfError} `argument` when a column does not fit the program */
export function checkMetadata({ aux, funcs, tables }: Metadata, slots: number, subprogs: number): void {
  for (const { name, values } of aux ?? []) {
    if (values.length !== slots) refuse(`aux column ${name} of ${values.length} numbers`, `${slots}, one a slot`);
  }
  for (const { name, values } of funcs ?? []) {
    if (values.length !== subprogs)
      refuse(`function column ${name} of ${values.length} numbers`, `${subprogs}, one a subprogram`);
  }
  for (const { name, insn, entry } of tables ?? []) {
    if (entry !== undefined && entry.length !== insn.length)
      refuse(`table ${name} of ${entry.length} entries`, `${insn.length}`);
    for (const index of insn) {
      if (index < -1 || index >= slots) refuse(`slot ${index} in table ${name}`, `-1..${slots - 1}`);
    }
  }
}

function refuse(message: string, expected: string): never {
  throw new BpfError("argument", message, { expected });
}

/** Subprograms in their new places; one of which nothing is left goes, and its numbers with it. */
export function mapSubprogs(
  subprogs: readonly Subprog[],
  funcs: Metadata["funcs"],
  { entry, length }: Places,
): { readonly subprogs: readonly Subprog[]; readonly funcs: Metadata["funcs"] } {
  const kept: number[] = [];
  const mapped: Subprog[] = [];
  for (const [index, subprog] of subprogs.entries()) {
    const { start } = subprog;
    const next = subprogs[index + 1];
    const to = entry[start]!;
    if (to === (next === undefined ? length : entry[next.start]!)) continue;
    kept.push(index);
    mapped.push({ ...subprog, start: to });
  }
  const columns = funcs?.map(({ name, values }) => ({
    name,
    values: Uint32Array.from(kept, (index) => values[index]!),
  }));
  return { subprogs: mapped, funcs: columns };
}

/**
 * Source lines in their new places. A line whose instructions are all gone goes too; the last one before surviving code that has no
 * line of its own is that code's.
 */
export function mapLines(lines: LineInfo, { entry, length }: Places, results: Columns, scratch: Columns): LineInfo {
  const count = lines.insn.length;
  const insn = results.uint32(count);
  const kept = scratch.uint32(count);
  let size = 0;
  for (let i = 0; i < count; i++) {
    const to = entry[lines.insn[i]!]!;
    if (to >= length) break;
    if (size > 0 && insn[size - 1] === to) size--;
    insn[size] = to;
    kept[size++] = i;
  }
  if (size === count) return { ...lines, insn };
  const pick = (column: Uint32Array): Uint32Array => {
    const picked = results.uint32(size);
    for (let i = 0; i < size; i++) picked[i] = column[kept[i]!]!;
    return picked;
  };
  const text: string[] = [];
  for (let i = 0; i < size; i++) text.push(lines.text[kept[i]!]!);
  return {
    insn: insn.subarray(0, size),
    file: pick(lines.file),
    line: pick(lines.line),
    column: pick(lines.column),
    text,
    files: lines.files,
  };
}

/** A table in new places; `isGone` tells of originals that have no instruction any more. */
export function mapTable(
  table: IndexTable,
  { place }: Places,
  isGone: (slot: number) => boolean,
  results: Columns,
): IndexTable {
  const { name, insn, onDelete } = table;
  const count = insn.length;
  const mapped = results.int32(count);
  const entry = results.uint32(count);
  let size = 0;
  for (let i = 0; i < count; i++) {
    const slot = insn[i]!;
    const gone = slot < 0 || isGone(slot);
    if (gone && onDelete === "drop") continue;
    mapped[size] = gone ? -1 : place[slot]!;
    entry[size++] = table.entry?.[i] ?? i;
  }
  if (size === count) return { name, onDelete, insn: mapped, entry };
  return { name, onDelete, insn: mapped.subarray(0, size), entry: entry.subarray(0, size) };
}

/** 1 when an instruction writes 32 bits of a register, so that a CPU without implicit zero-extension must clear the rest. */
export function writesHalf(word: number, imm: number): 0 | 1 {
  const code = word & 0xff;
  switch (code & 7) {
    case CLASS_ALU:
      return (code & 0xf0) === END && imm === 64 ? 0 : 1;
    case CLASS_LDX:
      return (code & 0xe0) === MODE_MEM && (code & 0x18) !== SIZE_DW ? 1 : 0;
    case CLASS_LD:
      return (code & 0xe0) === MODE_ABS || (code & 0xe0) === MODE_IND ? 1 : 0;
    case CLASS_STX:
      return (code & 0xe0) === MODE_ATOMIC && (code & 0x18) !== SIZE_DW && (imm === LOAD_ACQUIRE || (imm & FETCH) !== 0)
        ? 1
        : 0;
    default:
      return 0;
  }
}

/** In {@link HALF}: the immediate tells. */
const BY_NUMBER = 2;

/** What {@link writesHalf} says by opcode byte. */
const HALF: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) => {
  const answers = [0, 1, 64, LOAD_ACQUIRE].map((imm) => writesHalf(code, imm));
  return answers.every((answer) => answer === answers[0]) ? answers[0]! : BY_NUMBER;
});

/** New slots that have the data of an original: `from[i]`'s is `to[i]`'s, for `count` pairs. */
export interface Heirs {
  readonly to: Int32Array;
  readonly from: Int32Array;
  readonly count: number;
}

/** Aux data of the new program; `entry` as in {@link Places}. */
export function mapAux(
  { name, values, inserted }: AuxColumn,
  words: Int32Array,
  { to, from, count }: Heirs,
  entry: Int32Array,
  results: Columns,
): AuxColumn {
  const length = words.length >> 1;
  const mapped = results.int32(length, inserted === "zero");
  if (inserted === "origin") {
    for (let i = 0, at = 0; i < values.length; i++) {
      const value = values[i]!;
      for (const end = entry[i + 1]!; at < end; at++) mapped[at] = value;
    }
  } else if (inserted === "upper-half") {
    for (let i = 0; i < length; i++) {
      const word = words[2 * i]!;
      const half = HALF[word & 0xff]!;
      mapped[i] = half === BY_NUMBER ? writesHalf(word, words[2 * i + 1]!) : half;
    }
  }
  for (let i = 0; i < count; i++) mapped[to[i]!] = values[from[i]!]!;
  return { name, values: mapped, inserted };
}
