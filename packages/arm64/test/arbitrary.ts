// Random operands for rows of the table.
import { CodeBuffer, operandOrder, type WordSink } from "@bpfkit/core";
import fc from "fast-check";
import { emit } from "../src/emit.ts";
import { encode } from "../src/encode.ts";
import { fieldText, type Row, reserved, type Values } from "../src/row.ts";

/** Values for every field of `row`, in allocated combinations; `overrides` gives some fields their own. */
export function anyValues(
  row: Row,
  overrides: Readonly<Record<string, fc.Arbitrary<number>>> = {},
): fc.Arbitrary<Values> {
  const fields = row.pattern.fields.map(({ name, min, max, align, not }) => {
    const steps = (max - min) / align;
    const any = fc
      .oneof(fc.integer({ min: 0, max: steps }), fc.constantFrom(0, steps, Math.min(1, steps)))
      .map((i) => min + i * align)
      .filter((value) => !not.includes(value));
    return [name, overrides[name] ?? any];
  });
  return fc.record(Object.fromEntries(fields)).filter((values) => reserved(row, values as Values) === undefined);
}

export function encodeValues(row: Row, values: Values): number {
  return encode(row.op as "nop", values as object);
}

/** What the fast door emits for the same values. */
export function emitValues(row: Row, values: Values): number {
  const sink = new CodeBuffer();
  const order = operandOrder(row.pattern, fieldText(row.asm));
  const door = emit as unknown as Record<string, (sink: WordSink, ...operands: number[]) => void>;
  door[row.op]!(sink, ...order.map((name) => values[name]!));
  if (sink.length !== 4) throw new Error(`${row.op} took ${sink.length} bytes`);
  return sink.view.getUint32(0, true);
}

export function bytesOf(word: number): Uint8Array {
  return Uint8Array.of(word, word >>> 8, word >>> 16, word >>> 24);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
