import { readFileSync } from "node:fs";
import { BpfError } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, operandsOf } from "../src/decode.ts";
import { encode } from "../src/encode.ts";
import { disassemble, printInsn } from "../src/print.ts";
import { ROWS } from "../src/row.ts";
import { hex } from "./arbitrary.ts";

const ADDRESS = 0x1000n;
const lines = readFileSync(new URL("vectors.s", import.meta.url), "utf8").split("\n");
const vectors = lines
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" ; ") as [string, string]);
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text.split(" "), (byte) => Number.parseInt(byte, 16));

describe("the vectors", () => {
  test.each(vectors)("%s is %s", (text, bytes) => {
    const insn = decode(bytesOf(bytes))!;
    expect(printInsn(insn, ADDRESS)).toBe(text);
    expect(insn.length).toBe(bytesOf(bytes).length);
    expect(hex(encode(insn.row.op as "c_nop", operandsOf(insn) as object))).toBe(bytes);
  });

  test("have every row of the table", () => {
    const seen = new Set(vectors.map(([, bytes]) => decode(bytesOf(bytes))!.row.op));
    expect(ROWS.map(({ op }) => op).filter((op) => !seen.has(op))).toEqual([]);
  });
});

describe("decoding", () => {
  test.each([
    ["nothing", ""],
    ["half a parcel", "01"],
    ["half an instruction", "13 05"],
    ["an instruction of 48 bits", "1f 00 00 00 00 00"],
    ["c.addi4spn of nothing", "04 00"],
    ["c.addiw to x0", "05 20"],
    ["c.addi16sp of nothing", "01 61"],
    ["c.lui of nothing", "01 65"],
    ["c.lwsp to x0", "02 40"],
    ["c.ldsp to x0", "02 60"],
    ["c.jr by x0", "02 80"],
    ["c.fld", "08 21"],
    ["what Zcb has", "41 9e"],
    ["a reserved row of quadrant 0", "00 80"],
    ["a count of 32 in a word shift", "1b 15 05 02"],
    ["a fence with a mode", "0f 00 30 43"],
    ["an atomic minimum", "2f 25 b6 80"],
    ["lr with a second register", "2f 25 b6 10"],
    ["a floating-point load", "07 35 05 00"],
    ["a control register", "73 25 00 c0"],
  ])("refuses %s", (_what, bytes) => {
    expect(decode(bytes === "" ? new Uint8Array() : bytesOf(bytes))).toBeUndefined();
  });

  test("starts where it is told", () => {
    expect(decode(bytesOf("02 90 13 00 00 00"), 2)?.row.op).toBe("addi");
    expect(decode(bytesOf("02 90"), 1)).toBeUndefined();
  });

  test("finds a row for hints, which do nothing", () => {
    for (const [bytes, text] of [
      ["15 00", "c.nop 0x5"],
      ["01 05", "c.addi a0, 0x0"],
      ["05 60", "c.lui zero, 0x1"],
      ["2a 90", "c.add zero, a0"],
      ["13 00 30 00", "li zero, 0x3"],
    ] as const)
      expect(printInsn(decode(bytesOf(bytes))!)).toBe(text);
  });
});

describe("disassembling", () => {
  test("shows offsets, bytes and branch targets as addresses, and bytes that are no instruction", () => {
    const code = bytesOf("03 b5 8a ff 41 9e 6f f0 bf ff 00 00 57 00 00 00 01");
    expect([...disassemble(code, 0x4000n)].map(({ offset, bytes, text }) => `${offset} ${hex(bytes)} ${text}`)).toEqual(
      [
        "0 03 b5 8a ff ld a0, -0x8(s5)",
        "4 41 9e .byte 0x41, 0x9e",
        "6 6f f0 bf ff j 0x4000",
        "10 00 00 unimp",
        "12 57 00 00 00 .byte 0x57, 0x00, 0x00, 0x00",
        "16 01 .byte 0x01",
      ],
    );
  });

  test("never throws, and leaves no byte out", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (code) => {
        const bytes = [...disassemble(code)].flatMap((line) => [...line.bytes]);
        expect(bytes).toEqual([...code]);
      }),
      { numRuns: 500 },
    );
  });
});

test("an unknown row is an error that names it", () => {
  expect(() => encode("fadd" as "c_nop", {})).toThrow(new BpfError("argument", 'no instruction "fadd"'));
});
