// Random fields for rows of the table.
import { CodeBuffer, type WordSink } from "@bpfkit/core";
import fc from "fast-check";
import { emit } from "../src/emit.ts";
import { encode } from "../src/encode.ts";
import type { Row } from "../src/row.ts";

export type Values = Readonly<Record<string, number>>;

/** Values for every field of `row`; `overrides` gives some fields their own. */
export function anyValues(
  row: Row,
  overrides: Readonly<Record<string, fc.Arbitrary<number>>> = {},
): fc.Arbitrary<Values> {
  const fields = row.pattern.fields.map(({ name, min, max, align, not }) => {
    const steps = (max - min) / align;
    const any = fc
      .oneof(fc.integer({ min: 0, max: steps }), fc.constantFrom(0, steps, Math.ceil(-min / align), Math.min(1, steps)))
      .map((i) => min + Math.max(0, i) * align)
      .filter((value) => !not.includes(value));
    return [name, overrides[name] ?? any];
  });
  return fc.record(Object.fromEntries(fields));
}

export function encodeValues(row: Row, values: Values): Uint8Array {
  return encode(row.op as "c_nop", values as object);
}

/** What the fast door emits for the same values. */
export function emitValues(row: Row, values: Values): Uint8Array {
  const sink = new CodeBuffer();
  const door = emit as unknown as Record<string, (sink: WordSink, ...fields: number[]) => void>;
  door[row.op]!(sink, ...row.order.map((name) => values[name]!));
  return sink.bytes.slice(0, sink.length);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
