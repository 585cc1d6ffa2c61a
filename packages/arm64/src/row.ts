// Reads the two strings of a table row: the bits, and the assembler text with its operands.
import { type BitPattern, bitPattern, type FieldSpecs } from "@bpfkit/core";
import { INSNS, type Op } from "./insns.ts";

/** Widths and signs of the names in diagrams. */
// biome-ignore format: by kind
const FIELDS: FieldSpecs = {
  rd: { width: 5 }, rn: { width: 5 }, rm: { width: 5 }, ra: { width: 5 }, rt: { width: 5 }, rt2: { width: 5 }, rs: { width: 5 },
  sf: { width: 1 }, n: { width: 1 }, immr: { width: 6 }, imms: { width: 6 }, sh: { width: 1 }, hw: { width: 2 },
  imm3: { width: 3, not: [5, 6, 7] }, imm5: { width: 5 }, imm6: { width: 6 }, imm7: { width: 7 }, imm12: { width: 12 }, imm16: { width: 16 },
  simm7: { width: 7, signed: true }, simm9: { width: 9, signed: true }, simm14: { width: 14, signed: true },
  simm19: { width: 19, signed: true }, simm21: { signed: true }, simm26: { width: 26, signed: true },
  shift: { width: 2 }, option: { width: 3 }, extend: { width: 3, not: [0, 1, 4, 5] }, s: { width: 1 }, a: { width: 1 }, l: { width: 1 },
  cond: { width: 4 }, nzcv: { width: 4 }, target: { width: 2 }, crm: { width: 4 }, domain: { width: 4 },
};

/** A row taken apart. */
export interface Row {
  readonly op: Op;
  readonly asm: string;
  readonly pattern: BitPattern;
  /** Fields of registers in which number 31 is sp. */
  readonly sp: ReadonlySet<string>;
  /** Fields of registers that the text writes as W whatever `sf` is, and as X. */
  readonly w: ReadonlySet<string>;
  readonly x: ReadonlySet<string>;
}

const REGISTER = /\b([rwx])(d|n|m|a|t2|t|s)\b(\|sp)?/g;

function parseRow(op: Op): Row {
  const { bits, asm } = INSNS[op];
  const operands = [...asm.matchAll(REGISTER)].map(([, kind, name, sp]) => ({ kind, name: `r${name}`, sp }));
  const named = (test: (operand: (typeof operands)[number]) => boolean): ReadonlySet<string> =>
    new Set(operands.filter(test).map(({ name }) => name));
  return {
    op,
    asm,
    pattern: bitPattern(op, bits, FIELDS),
    sp: named(({ sp }) => sp !== undefined),
    w: named(({ kind }) => kind === "w"),
    x: named(({ kind }) => kind === "x"),
  };
}

/** Every row taken apart, in the order of the table. */
export const ROWS: readonly Row[] = (Object.keys(INSNS) as Op[]).map(parseRow);

const BY_OP: ReadonlyMap<string, Row> = new Map(ROWS.map((row) => [row.op, row]));

/** The row behind a key, or undefined where the table has none. */
export function rowOf(op: string): Row | undefined {
  return BY_OP.get(op);
}

/** A row's text with every register named as its field is: `xd` becomes `rd`. */
export function fieldText(asm: string): string {
  return asm.replace(REGISTER, "r$2");
}

/** The operands of an instruction by the names of its fields. */
export type Values = Readonly<Record<string, number>>;

/** Bytes of the registers that `sf` decides. */
export function sizeOf({ sf, bit }: Values): 4 | 8 {
  if (bit !== undefined) return bit < 32 ? 4 : 8;
  return sf === 0 ? 4 : 8;
}

/** What the manual leaves unallocated inside a row's bits, in words; undefined for the rest. */
export function reserved({ op }: Row, values: Values): string | undefined {
  const { sf, n, immr, imms, imm6, hw, shift } = values;
  if (n !== undefined) {
    if (op === "extr" || op.endsWith("bfm")) {
      if (n !== sf) return "n that is not sf";
      if (sf === 0 && ((immr ?? 0) > 31 || imms! > 31)) return "a bit beyond 31";
    } else if (sf === 0 && n === 1) return "a period of 64 bits";
    else if (bitmaskOf(n, immr!, imms!) === undefined) return "no bitmask";
  }
  if (sf === 0 && imm6 !== undefined && imm6 > 31) return "a shift beyond 31";
  if (sf === 0 && hw !== undefined && hw > 1) return "a shift beyond 16";
  if (shift === 3 && /^(add|sub)/.test(op)) return "a rotation";
  return undefined;
}

/** The 64 bits that a logical immediate stands for, or undefined where it stands for nothing; Arm ARM, DecodeBitMasks. */
export function bitmaskOf(n: number, immr: number, imms: number): bigint | undefined {
  const length = 31 - Math.clz32((n << 6) | (~imms & 0x3f));
  if (length < 1) return undefined;
  const size = 1 << length;
  const set = imms & (size - 1);
  if (set === size - 1) return undefined;
  const by = immr & (size - 1);
  const run = (1n << BigInt(set + 1)) - 1n;
  const element = BigInt.asUintN(size, (run >> BigInt(by)) | (run << BigInt(size - by)));
  let value = element;
  for (let width = size; width < 64; width *= 2) value |= value << BigInt(width);
  return value;
}
