import { readFileSync } from "node:fs";
import { BpfError } from "@bpfkit/core";
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
    expect(hex(encode(insn.row.op as "nop", operandsOf(insn) as object))).toBe(bytes);
  });

  test("have every row of the table", () => {
    const seen = new Set(vectors.map(([, bytes]) => decode(bytesOf(bytes))!.row.op));
    expect(ROWS.map(({ op }) => op).filter((op) => !seen.has(op))).toEqual([]);
  });
});

describe("decoding", () => {
  test.each([
    ["nothing", ""],
    ["a prefix alone", "48"],
    ["half an instruction", "48 81 ec 40 00 00"],
    ["a register where a row wants memory", "48 8d c0"],
    ["ah, ch, dh and bh", "88 e0"],
    ["lock on a row without it", "f0 48 89 45 00"],
    ["lock on a register", "f0 48 01 c8"],
    ["two prefixes", "66 f3 90"],
    ["a segment", "65 48 8b 04 25 00 00 00 00"],
    ["an address of 32 bits", "67 8b 00"],
    ["xchg with rax, which is not the no-op", "41 90"],
    ["REX where it extends nothing", "40 c3"],
    ["REX.B where it extends nothing", "49 99"],
    ["an unused operand of VEX", "c4 e3 73 f0 c0 01"],
    ["a VEX length of 256 bits", "c4 e2 f5 f7 c0"],
    ["an opcode that no row has", "0f 05"],
  ])("refuses %s", (_what, bytes) => {
    expect(decode(bytes === "" ? new Uint8Array() : bytesOf(bytes))).toBeUndefined();
  });

  test("starts where it is told", () => {
    expect(decode(bytesOf("cc cc 48 89 e5"), 2)?.row.op).toBe("mov_rm64_r64");
    expect(decode(bytesOf("cc"), 1)).toBeUndefined();
  });

  test("reads spl, bpl, sil and dil behind any REX prefix", () => {
    expect(printInsn(decode(bytesOf("40 88 e0"))!)).toBe("mov al, spl");
    expect(printInsn(decode(bytesOf("41 0f 94 c4"))!)).toBe("sete r12b");
  });
});

describe("disassembling", () => {
  test("shows offsets, bytes and branch targets as addresses, and bytes that are no instruction", () => {
    const code = bytesOf("48 31 c0 06 eb fb e8 00 00 00 00");
    expect([...disassemble(code, 0x4000n)].map(({ offset, bytes, text }) => `${offset} ${hex(bytes)} ${text}`)).toEqual(
      ["0 48 31 c0 xor rax, rax", "3 06 .byte 0x06", "4 eb fb jmp 0x4001", "6 e8 00 00 00 00 call 0x400b"],
    );
  });
});

test("an unknown row is an error that names it", () => {
  expect(() => encode("movaps" as "nop", {})).toThrow(
    new BpfError("argument", "no instruction movaps in the x86-64 table"),
  );
});
