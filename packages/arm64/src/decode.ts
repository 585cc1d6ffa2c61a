// Words to rows and their fields; Arm ARM (DDI 0487) section C4.1.
import { unpackBits, wordDecoder } from "@bpfkit/core";
import { ROWS, type Row, reserved, type Values } from "./row.ts";

/** A decoded instruction. */
export interface Insn {
  readonly row: Row;
  readonly word: number;
  /** The row's fields as numbers. */
  readonly values: Values;
}

const find = wordDecoder(ROWS.map(({ pattern }) => pattern));

/** Decodes a word. Never throws: undefined means that it is none of the table's instructions, or unallocated. */
export function decodeWord(word: number): Insn | undefined {
  const index = find(word);
  if (index < 0) return undefined;
  const row = ROWS[index]!;
  const values = unpackBits(row.pattern, word);
  return reserved(row, values) === undefined ? { row, word, values } : undefined;
}

/** Decodes the instruction that starts at `offset`; undefined also where fewer than 4 bytes are left. Never throws. */
export function decode(bytes: Uint8Array, offset = 0): Insn | undefined {
  if (offset < 0 || offset + 4 > bytes.length) return undefined;
  return decodeWord(
    (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0,
  );
}
