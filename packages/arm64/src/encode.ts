// The checked door to the table, and the encodings of immediates; Arm ARM (DDI 0487) sections C4.1 and C6.2.
import { BpfError, packBits } from "@bpfkit/core";
import type { Op, OperandsOf } from "./insns.ts";
import { reserved, rowOf } from "./row.ts";

/**
 * Encodes one instruction as its 32-bit word. Operands are numbers as they stand in the row's fields.
 *
 * @throws {BpfError} `argument` names an operand that is missing or unknown, or a combination that the manual leaves unallocated;
 *   `out-of-range` an operand that does not fit
 *
 * @example
 * ```ts
 * import { encode } from "@bpfkit/arm64";
 * encode("add_imm", { sf: 1, rd: 0, rn: 31, imm12: 16, sh: 0 }); // 0x910043e0: add x0, sp, #0x10
 * ```
 */
export function encode<K extends Op>(op: K, operands: OperandsOf<K>): number {
  const row = rowOf(op);
  if (row === undefined) throw new BpfError("argument", `no instruction ${op} in the arm64 table`);
  const word = packBits(row.pattern, operands);
  const why = reserved(row, operands);
  if (why !== undefined) throw new BpfError("argument", `${op} with ${why}`, { expected: "an allocated encoding" });
  return word;
}

/**
 * The fields of the logical immediate for a value, packed as `n << 12 | immr << 6 | imms`, or −1 where it has none. `high` and `low`
 * are the halves of the value; for 32 bits both are that value.
 *
 * A logical immediate is a run of ones, rotated, in an element that repeats. So around the circle of 64 bits there are two changes
 * per element, which tells the size of the element.
 */
export function bitmaskFields(high: number, low: number): number {
  const changes = popcount(low ^ ((low >>> 1) | (high << 31))) + popcount(high ^ ((high >>> 1) | (low << 31)));
  if (changes === 0 || (changes & (changes - 1)) !== 0) return -1;
  const size = 128 / changes;
  if (!repeats(high, low, size)) return -1;
  const count = ((popcount(low) + popcount(high)) * size) / 64;
  const startLow = low & ~((low << 1) | (high >>> 31));
  const startHigh = high & ~((high << 1) | (low >>> 31));
  const start = startLow !== 0 ? trailingZeros(startLow) : 32 + trailingZeros(startHigh);
  const immr = -start & (size - 1);
  return size === 64 ? (1 << 12) | (immr << 6) | (count - 1) : (immr << 6) | (-(size << 1) & 0x3f) | (count - 1);
}

function repeats(high: number, low: number, size: number): boolean {
  if (size === 64) return true;
  if (high !== low) return false;
  return size === 32 || ((low >>> size) | (low << (32 - size))) === low;
}

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}
