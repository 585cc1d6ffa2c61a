// The little language of the instruction table's `text` column: literal text with letters for fields.

/** A letter of the `text` column of the instruction table: what stands there in an instruction's text. */
export type FieldName = "rD" | "rS" | "wD" | "wS" | "K" | "Q" | "H" | "O" | "L" | "LL" | "A" | "B";

const FIELD = /([rw][DS]|\b(?:LL|[KQHOLAB])\b)/;

/** Splits a text into literals (even places) and field names (odd places). */
export function piecesOf(text: string): readonly string[] {
  return text.split(FIELD);
}

/** The fields a text mentions, in order. */
export function fieldsOf(text: string): readonly FieldName[] {
  return piecesOf(text).filter((_, place) => place % 2 === 1) as FieldName[];
}
