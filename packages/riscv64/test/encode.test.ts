import { BpfError, overlaps, type WordSink } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { decode, expand, operandsOf } from "../src/decode.ts";
import { emit } from "../src/emit.ts";
import { encode, type OperandsOf } from "../src/encode.ts";
import { INSNS } from "../src/insns.ts";
import { ROWS, type Row } from "../src/row.ts";
import { anyValues, emitValues, encodeValues, hex, type Values } from "./arbitrary.ts";

const forEveryRow = (law: (row: Row, values: Values) => void): void => {
  for (const row of ROWS) {
    const property = fc.property(anyValues(row), (values) => {
      law(row, values);
    });
    fc.assert(property, { numRuns: 60 });
  }
};

describe("the table", () => {
  test("names every row after its mnemonic, but for the hint beside c.nop", () => {
    for (const { op, mnemonic } of ROWS) expect(op.replace("_hint", "")).toBe(mnemonic.replaceAll(".", "_"));
  });

  test("has no two rows for one word, but where one is a special case of the other", () => {
    const pairs = overlaps(ROWS.map(({ pattern }) => pattern));
    expect(pairs.filter(({ clash }) => clash)).toEqual([]);
    expect(pairs.map(({ ops }) => ops.join(" of "))).toEqual([]);
  });

  test("says of every compressed row what it stands for, by fields that it has", () => {
    for (const { is, pattern } of ROWS) {
      expect(is === undefined).toBe(pattern.size === 4);
      if (is === undefined) continue;
      const names = pattern.fields.map(({ name }) => name);
      for (const value of Object.values(is.fields))
        expect(typeof value === "number" || names.includes(value)).toBe(true);
      const needed = is.row.pattern.fields.map(({ name }) => name);
      expect(Object.keys(is.fields).sort()).toEqual([...needed].sort());
    }
  });
});

describe("encoding", () => {
  test("gives the same bytes through both doors", () => {
    forEveryRow((row, values) => expect(hex(emitValues(row, values))).toBe(hex(encodeValues(row, values))));
  });

  test("decodes to the fields it was made from", () => {
    forEveryRow((row, values) => {
      const bytes = encodeValues(row, values);
      const insn = decode(bytes)!;
      expect(insn.row.op, hex(bytes)).toBe(row.op);
      expect(insn.length).toBe(bytes.length);
      expect(operandsOf(insn)).toEqual(values);
    });
  });

  test("has a form of 32 bits for everything compressed", () => {
    forEveryRow((row, values) => {
      const { row: base, operands } = expand(decode(encodeValues(row, values))!);
      expect(decode(encodeValues(base, operands))).toMatchObject({ row: { op: base.op }, operands });
    });
  });

  test.each([
    ["a missing field", () => encode("add", { rd: 1, rs1: 2 } as never), "argument", "add without a value for rs2"],
    ["a row it does not have", () => encode("adc" as never, {} as never), "argument", 'no instruction "adc"'],
    ["a register that does not exist", () => encode("add", { rd: 32, rs1: 0, rs2: 0 }), "out-of-range", "rd 32 of add, expected 0..31"],
    ["a register that three bits do not name", () => encode("c_and", { "rd'": 7, "rs2'": 8 }), "out-of-range", "rd' 7 of c_and, expected 8..15"],
    ["an immediate that does not fit", () => encode("addi", { rd: 1, rs1: 1, imm: 2048 }), "out-of-range", "imm 2048 of addi, expected -2048..2047"],
    ["an odd distance", () => encode("jal", { rd: 0, imm: 3 }), "out-of-range", "imm 3 of jal, expected a multiple of 2"],
    ["a value that the row reserves", () => encode("c_lui", { rd: 2, imm: 4096 }), "argument", "rd 2 of c_lui, expected another value"],
  ])("refuses %s", (_what, call, code, message) => {
    expect(call).toThrow(BpfError);
    expect(call).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  }); // biome-ignore format: one case a line
});

test("types ask for the fields of the row, no more and no fewer", () => {
  expectTypeOf<OperandsOf<"sd">>().toEqualTypeOf<{
    readonly imm: number;
    readonly rs1: number;
    readonly rs2: number;
  }>();
  expectTypeOf<OperandsOf<"ecall">>().toEqualTypeOf<Record<never, never>>();
  expectTypeOf(emit.c_j).parameters.toEqualTypeOf<[WordSink, number]>();
  expectTypeOf(emit.amoadd_w).parameters.toEqualTypeOf<[WordSink, number, number, number, number, number]>();
  expect(INSNS.sd.asm).toBe("sd rs2, imm(rs1)");
});
