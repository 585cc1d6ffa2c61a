// The checked door to the table: a row and its fields to bytes; RISC-V Unprivileged ISA manual, section 1.5 (little-endian parcels).
import { type BitOperands, BpfError, packBits } from "@bpfkit/core";
import type { Bits, Op } from "./insns.ts";
import { rowOf } from "./row.ts";

/** The fields that a row takes, as numbers: registers by number, immediates and distances in bytes. */
export type OperandsOf<K extends Op> = BitOperands<Bits<K>>;

/**
 * Encodes one instruction, 2 or 4 bytes.
 *
 * @throws {BpfError} `argument` for a row or a field that does not exist, `out-of-range` for a value that does not fit
 * @example
 * ```ts
 * import { encode } from "@bpfkit/riscv64";
 * encode("sd", { rs1: 2, rs2: 1, imm: 8 }); // 23 34 11 00
 * ```
 */
export function encode<K extends Op>(op: K, operands: OperandsOf<K>): Uint8Array {
  const row = rowOf(op);
  if (row === undefined) throw new BpfError("argument", `no instruction ${JSON.stringify(op)}`);
  const word = packBits(row.pattern, operands);
  return Uint8Array.from({ length: row.pattern.size }, (_, i) => word >>> (8 * i));
}
