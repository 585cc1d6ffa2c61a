// The fast door to the table: one closure per row, made once, that writes into a sink.
import { type BitNumbers, type EmitWord, wordEmitter } from "@bpfkit/core";
import type { Bits, Op } from "./insns.ts";
import { ROWS } from "./row.ts";

/** Emitters by row: the sink, then a number per field in the order of the row's text; `aq` and `rl` come first. */
export type Emit = { readonly [K in Op]: EmitWord<BitNumbers<Bits<K>>> };

/** `emit.addi(sink, rd, rs1, imm)`: operands are taken as they are, without checks. */
export const emit: Emit = Object.fromEntries(
  ROWS.map(({ op, pattern, order }) => [op, wordEmitter(pattern, order)]),
) as unknown as Emit;
