import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, decodeWord } from "../src/decode.ts";
import { disassemble, printInsn } from "../src/print.ts";
import { ROWS } from "../src/row.ts";
import { bytesOf, encodeValues, hex } from "./arbitrary.ts";

const ADDRESS = 0x1000n;
const lines = readFileSync(new URL("vectors.s", import.meta.url), "utf8").split("\n");
const vectors = lines
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" ; ") as [string, string]);
const parse = (text: string): Uint8Array => Uint8Array.from(text.split(" "), (byte) => Number.parseInt(byte, 16));

describe("the vectors", () => {
  test.each(vectors)("%s is %s", (text, bytes) => {
    const insn = decode(parse(bytes))!;
    expect(printInsn(insn, ADDRESS)).toBe(text);
    expect(hex(bytesOf(encodeValues(insn.row, insn.values)))).toBe(bytes);
  });

  test("have every row of the table", () => {
    const seen = new Set(vectors.map(([, bytes]) => decode(parse(bytes))!.row.op));
    expect(ROWS.map(({ op }) => op).filter((op) => !seen.has(op))).toEqual([]);
  });
});

describe("decoding", () => {
  test.each([
    ["nothing", ""],
    ["three bytes", "1f 20 03"],
    ["a shift of 32 bits by more", "00 fc 02 0b"],
    ["a sum with a rotated operand", "00 00 c2 8b"],
    ["an extension that shifts by more than 4", "00 f4 22 8b"],
    ["a part that 32 bits do not have", "00 00 c0 52"],
    ["a bitmask of ones only", "00 fc 40 92"],
    ["a bitfield of another width", "00 1c 00 d3"],
    ["an index extended from bytes", "20 08 62 f8"],
    ["floating point", "20 28 62 1e"],
    ["a system call", "01 00 00 d4"],
    ["a system register", "40 d0 3b d5"],
  ])("refuses %s", (_what, bytes) => {
    expect(decode(bytes === "" ? new Uint8Array() : parse(bytes))).toBeUndefined();
  });

  test("starts where it is told", () => {
    expect(decode(parse("00 00 00 00 1f 20 03 d5"), 4)?.row.op).toBe("nop");
    expect(decode(parse("1f 20 03 d5"), 1)).toBeUndefined();
  });

  test("of any word gives what encodes to it, or nothing", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (word) => {
        const insn = decodeWord(word);
        if (insn !== undefined) expect(encodeValues(insn.row, insn.values)).toBe(word);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("disassembling", () => {
  test("shows offsets, bytes and branch targets as addresses, and what is no instruction", () => {
    const code = parse("1f 20 03 d5 ff ff ff ff ff ff ff 17 02 00 00 94 aa bb");
    expect([...disassemble(code, 0x4000n)].map(({ offset, bytes, text }) => `${offset} ${hex(bytes)} ${text}`)).toEqual(
      [
        "0 1f 20 03 d5 nop",
        "4 ff ff ff ff .word 0xffffffff",
        "8 ff ff ff 17 b 0x4004",
        "12 02 00 00 94 bl 0x4014",
        "16 aa .byte 0xaa",
        "17 bb .byte 0xbb",
      ],
    );
  });

  test("takes any bytes, and its lines are those bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (code) => {
        expect(hex(Uint8Array.from([...disassemble(code)].flatMap(({ bytes }) => [...bytes])))).toBe(hex(code));
      }),
    );
  });
});
