import { BpfError, overlaps } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { decodeWord } from "../src/decode.ts";
import { bitmaskFields, encode } from "../src/encode.ts";
import type { OperandsOf } from "../src/insns.ts";
import { bitmaskOf, ROWS, type Row, type Values } from "../src/row.ts";
import { anyValues, emitValues, encodeValues } from "./arbitrary.ts";

const forEveryRow = (law: (row: Row, values: Values) => void): void => {
  for (const row of ROWS) {
    const property = fc.property(anyValues(row), (values) => {
      law(row, values);
    });
    fc.assert(property, { numRuns: 60 });
  }
};

describe("the table", () => {
  test("has no two rows for one word, but hints that have a name are hints", () => {
    const pairs = overlaps(ROWS.map(({ pattern }) => pattern));
    expect(pairs.filter(({ clash }) => clash)).toEqual([]);
    expect(new Set(pairs.map(({ ops: [, general] }) => general))).toEqual(new Set(["hint"]));
  });

  test("names every field in a row's text, or decides by it what the text means", () => {
    const silent = new Set(["sf", "n", "immr", "imms"]);
    for (const { asm, op, pattern } of ROWS) {
      const words = asm.replace(/\b[xw](d|n|m|a|t2|t|s)\b/g, "r$1").match(/\w+/g)!;
      for (const { name } of pattern.fields)
        expect(silent.has(name) || words.includes(name), `${name} of ${op}`).toBe(true);
    }
  });
});

describe("encoding", () => {
  test("gives the same word through both doors", () => {
    forEveryRow((row, values) => expect(emitValues(row, values)).toBe(encodeValues(row, values)));
  });

  test("decodes to the operands it was made from", () => {
    forEveryRow((row, values) => {
      const word = encodeValues(row, values);
      const insn = decodeWord(word)!;
      if (insn.row.op !== row.op) expect(row.op).toBe("hint");
      else expect(insn.values).toEqual(values);
      expect(encodeValues(insn.row, insn.values)).toBe(word);
    });
  });

  test.each([
    ["a missing operand", () => encode("br", {} as never), "argument", "br without a value for rn"],
    ["a row it does not have", () => encode("ldp" as never, {} as never), "argument", "no instruction ldp in the arm64 table"],
    ["an operand that the row has not", () => encode("ret", { rn: 30, rd: 0 } as never), "argument", "operand rd of ret, expected rn"],
    ["a number that does not fit", () => encode("b", { simm26: 2 ** 25 }), "out-of-range", "simm26 33554432 of b, expected -33554432..33554431"],
    ["half a number", () => encode("b", { simm26: 0.5 }), "argument", "simm26 of b, expected a whole number"],
    ["a shift of 32 bits by more", () => encode("and_shift", { sf: 0, shift: 0, rd: 0, rn: 0, rm: 0, imm6: 32 }), "argument", "and_shift with a shift beyond 31"],
    ["a sum with a rotated operand", () => encode("add_shift", { sf: 1, shift: 3, rd: 0, rn: 0, rm: 0, imm6: 1 }), "argument", "add_shift with a rotation"],
    ["a part that 32 bits do not have", () => encode("movz", { sf: 0, hw: 2, imm16: 1, rd: 0 }), "argument", "movz with a shift beyond 16"],
    ["a bitmask of ones only", () => encode("and_imm", { sf: 1, n: 1, immr: 0, imms: 63, rn: 0, rd: 0 }), "argument", "and_imm with no bitmask"],
    ["a bitfield of another width", () => encode("ubfm", { sf: 1, n: 0, immr: 0, imms: 7, rn: 0, rd: 0 }), "argument", "ubfm with n that is not sf"],
  ])("refuses %s", (_what, call, code, message) => {
    expect(call).toThrow(BpfError);
    expect(call).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  }); // biome-ignore format: one case a line
});

describe("logical immediates", () => {
  const wide = (value: bigint): number =>
    bitmaskFields(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value)));

  test("of every field are found again by their value", () => {
    const values = new Set<bigint>();
    for (let n = 0; n < 2; n++) {
      for (let imms = 0; imms < 64; imms++) {
        for (let immr = 0; immr < 64; immr++) {
          const value = bitmaskOf(n, immr, imms);
          if (value === undefined) continue;
          values.add(value);
          const fields = wide(value);
          expect(bitmaskOf(fields >> 12, (fields >> 6) & 63, fields & 63)).toBe(value);
        }
      }
    }
    expect(values.size).toBe(5334);
  });

  test("exist for no other value", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
        const fields = wide(value);
        if (fields >= 0) expect(bitmaskOf(fields >> 12, (fields >> 6) & 63, fields & 63)).toBe(value);
      }),
    );
    for (const value of [0n, (1n << 64n) - 1n, 5n, 0xff00ff01n, 0x1_0000_0003n]) expect(wide(value)).toBe(-1);
  });
});

test("types ask for the operands of the row, no more and no fewer", () => {
  expectTypeOf<OperandsOf<"movz">>().toEqualTypeOf<{
    readonly sf: number;
    readonly hw: number;
    readonly imm16: number;
    readonly rd: number;
  }>();
});
