// Random instructions: every field that a row's text names, anything it can hold.
import fc from "fast-check";
import { packWord } from "../../src/isa/insns.ts";
import { INSNS, type InsnRow, type Op } from "../../src/isa/opcodes.ts";
import { fieldsOf } from "../../src/isa/template.ts";

export const anyRegister: fc.Arbitrary<number> = fc.integer({ min: 0, max: 10 });
export const anyInt16: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: -0x8000, max: 0x7fff }),
  fc.constantFrom(0, 1, -1, -0x8000, 0x7fff),
);
export const anyInt32: fc.Arbitrary<number> = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, 1, -1, 12, -0x8000_0000, 0x7fff_ffff),
  fc.integer({ min: 0, max: 220 }),
);

/** The words of one instruction with random operands. */
export function anyInsn(op: Op): fc.Arbitrary<number[]> {
  const row: InsnRow = INSNS[op];
  const fields = new Set<string>(fieldsOf(row.text));
  const when = <T>(used: boolean, value: fc.Arbitrary<T>, otherwise: T): fc.Arbitrary<T> =>
    used ? value : fc.constant(otherwise);
  return fc
    .record({
      dst: when(fields.has("rD") || fields.has("wD"), anyRegister, 0),
      src: when(fields.has("rS") || fields.has("wS"), anyRegister, row.src ?? 0),
      off: when(fields.has("O") || fields.has("L"), anyInt16, row.off ?? 0),
      imm: when(
        ["K", "Q", "LL", "A"].some((field) => fields.has(field)),
        anyInt32,
        row.imm ?? 0,
      ),
      high: when(fields.has("Q") || fields.has("H"), anyInt32, 0),
    })
    .map(({ dst, src, off, imm, high }) => {
      const words = [packWord(row.code, dst, src, off), imm];
      return row.kind === "loadImm64" ? [...words, 0, high] : words;
    });
}
