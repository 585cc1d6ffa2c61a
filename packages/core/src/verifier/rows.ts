// The rows of the instruction table as the verifier reads them: operation, width, size.
import { kindOf, OPS } from "../isa/decode.ts";
import type { InsnKind } from "../isa/opcodes.ts";

/** One row, taken apart. */
export interface Row {
  readonly kind: InsnKind;
  /** `add`, `eq`, `fetch`, …: the row's name without its width. */
  readonly operation: string;
  readonly wide: boolean;
  readonly immediate: boolean;
  /** Bytes that a load or store moves; bits that a byte swap keeps, over 8. */
  readonly bytes: number;
  /** An atomic that gives the old value. */
  readonly fetches: boolean;
}

/** By index in OPS. */
export const ROWS: readonly Row[] = OPS.map((op, index): Row => {
  const kind = kindOf(index);
  const name = /^[a-z]+/.exec(op)![0];
  return {
    kind,
    operation: kind === "jumpIf" ? name.slice(1) : name,
    wide: /64/.test(op),
    immediate: op.endsWith("_imm"),
    bytes: Number(/\d+/.exec(op.replace(/^movsx\d+_/, ""))?.[0] ?? 64) / 8,
    fetches: op.includes("fetch") || op.startsWith("xchg") || op.startsWith("cmpxchg"),
  };
});
