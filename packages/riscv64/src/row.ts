// Reads the strings of a table row: RISC-V Unprivileged ISA manual, "RV32/64G Instruction Set Listings".
import { type BitPattern, bitPattern, type FieldSpecs, invariant, operandOrder } from "@bpfkit/core";
import { INSNS, type Op } from "./insns.ts";

/** Fields by name. A prime stands for x8 to x15, `imm` has a sign, `uimm` has none. */
export const FIELDS: FieldSpecs = {
  rd: { width: 5 },
  rs1: { width: 5 },
  rs2: { width: 5 },
  "rd'": { width: 3, bias: 8 },
  "rs1'": { width: 3, bias: 8 },
  "rs2'": { width: 3, bias: 8 },
  aq: { width: 1 },
  rl: { width: 1 },
  pred: { width: 4 },
  succ: { width: 4 },
  imm: { signed: true },
  uimm: {},
  shamt: {},
};

/** A row taken apart. */
export interface Row {
  readonly op: Op;
  readonly mnemonic: string;
  /** Operands as a listing writes them, field names in place of values. */
  readonly asm: string;
  readonly pattern: BitPattern;
  /** Names of its fields, in the order in which the fast door takes them. */
  readonly order: readonly string[];
  /** What a compressed row stands for: a row, and for each of its fields a field of this one or a number. */
  readonly is: { readonly row: Row; readonly fields: Readonly<Record<string, string | number>> } | undefined;
}

/** A row of the table with its optional columns. */
interface TableRow {
  readonly bits: string;
  readonly asm: string;
  readonly is?: string;
  readonly not?: Readonly<Record<string, readonly number[]>>;
}

const TABLE: Readonly<Record<string, TableRow>> = INSNS;
const BY_OP: Map<string, Row> = new Map();

function split(text: string): [mnemonic: string, operands: string] {
  const blank = text.indexOf(" ");
  return blank < 0 ? [text, ""] : [text.slice(0, blank), text.slice(blank + 1)];
}

function parseRow(op: Op): Row {
  const { bits, asm: text, is, not = {} } = TABLE[op]!;
  const specs = { ...FIELDS };
  for (const [name, values] of Object.entries(not)) specs[name] = { ...FIELDS[name], not: values };
  const pattern = bitPattern(op, bits, specs);
  const [mnemonic, asm] = split(text);
  const row = { op, mnemonic, asm, pattern, order: operandOrder(pattern, asm), is: is && expansion(op, is) };
  BY_OP.set(op, row as Row);
  return row as Row;
}

/** Rows of 32 bits stand before those that name them. */
function expansion(op: Op, text: string): NonNullable<Row["is"]> {
  const [mnemonic, operands] = split(text);
  const row = BY_OP.get(mnemonic.replace(".", "_"));
  const names = row?.asm.match(/[\w']+/g) ?? [];
  const values = operands.match(/[\w']+/g) ?? [];
  invariant(row !== undefined && names.length === values.length, `what ${op} stands for`);
  const fields = names.map((name, i) => [name, /^\d/.test(values[i]!) ? Number(values[i]) : values[i]!] as const);
  return { row, fields: Object.fromEntries(fields) };
}

/** Every row taken apart, in the order of the table. */
export const ROWS: readonly Row[] = (Object.keys(INSNS) as Op[]).map(parseRow);

/** The row behind a key, or undefined where the table has none. */
export function rowOf(op: string): Row | undefined {
  return BY_OP.get(op);
}
