// Bytes to a row and its fields; RISC-V Unprivileged ISA manual, section 1.5 (how the low bits give the length).
import { unpackBits, wordDecoder } from "@bpfkit/core";
import { ROWS, type Row } from "./row.ts";

/** A decoded instruction, or what a compressed one stands for. */
export interface Insn {
  readonly row: Row;
  /** Bytes. */
  readonly length: 2 | 4;
  /** By name of the field: register numbers, immediates and distances in bytes. */
  readonly operands: Readonly<Record<string, number>>;
}

const LONG: readonly Row[] = ROWS.filter(({ pattern }) => pattern.size === 4);
const SHORT: readonly Row[] = ROWS.filter(({ pattern }) => pattern.size === 2);
const longRow = wordDecoder(LONG.map(({ pattern }) => pattern));
const shortRow = wordDecoder(SHORT.map(({ pattern }) => pattern));

/** Bytes of the instruction that begins with this parcel of 16 bits, as far as there are any of at most 32 bits. */
export function lengthOf(parcel: number): 2 | 4 {
  return (parcel & 3) === 3 ? 4 : 2;
}

/**
 * Decodes the instruction that starts at `offset`. Never throws: undefined means that the bytes end too early or are none of the
 * table's instructions. Encodings that the manual reserves are none; hints are what they look like.
 */
export function decode(bytes: Uint8Array, offset = 0): Insn | undefined {
  if (offset + 2 > bytes.length) return undefined;
  const parcel = bytes[offset]! | (bytes[offset + 1]! << 8);
  const length = lengthOf(parcel);
  if (offset + length > bytes.length) return undefined;
  const word = length === 2 ? parcel : parcel | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
  const row = length === 2 ? SHORT[shortRow(word)] : LONG[longRow(word)];
  return row && { row, length, operands: unpackBits(row.pattern, word) };
}

/** The instruction of 32 bits that a compressed one stands for; others stand for themselves. */
export function expand(insn: Insn): Insn {
  const { is } = insn.row;
  if (is === undefined) return insn;
  const operands: Record<string, number> = {};
  for (const [name, value] of Object.entries(is.fields)) {
    operands[name] = typeof value === "number" ? value : insn.operands[value]!;
  }
  return { row: is.row, length: insn.length, operands };
}

/** The operands of a decoded instruction in the form that `encode` takes: the same operands give the same bytes. */
export function operandsOf(insn: Insn): Record<string, number> {
  return { ...insn.operands };
}
