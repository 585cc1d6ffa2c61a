// The fast door to the table: one closure per row, made once, that writes a word into a sink.
import { type BitNumbers, operandOrder, type WordSink, wordEmitter } from "@bpfkit/core";
import type { INSNS, Op } from "./insns.ts";
import { fieldText, ROWS } from "./row.ts";

/** Emitters by row: the sink, then a number per field: first those that the row's text does not name (`sf`), then in the text's order. */
export type Emit = {
  readonly [K in Op]: (sink: WordSink, ...operands: BitNumbers<(typeof INSNS)[K]["bits"]>) => void;
};

/** `emit.add_imm(sink, sf, rd, rn, imm12, sh)`: operands are taken as they are, without checks. */
export const emit: Emit = Object.fromEntries(
  ROWS.map(({ op, pattern, asm }) => [op, wordEmitter(pattern, operandOrder(pattern, fieldText(asm)))]),
) as unknown as Emit;
