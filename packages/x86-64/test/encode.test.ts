import { BpfError, type CodeSink } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { decode, operandsOf } from "../src/decode.ts";
import { emit, emitMem } from "../src/emit.ts";
import { encode, type Mem } from "../src/encode.ts";
import { INSNS } from "../src/insns.ts";
import type { Reg } from "../src/regs.ts";
import { ROWS, type Row } from "../src/row.ts";
import { anyValues, emitValues, hex, type Values } from "./arbitrary.ts";

const encodeValues = (row: Row, values: Values): Uint8Array => encode(row.op as "nop", values as object);
const forEveryRow = (law: (row: Row, values: Values) => void): void => {
  for (const row of ROWS) {
    const property = fc.property(anyValues(row), (values) => {
      law(row, values);
    });
    fc.assert(property, { numRuns: 60 });
  }
};

describe("the table", () => {
  test("names every row after its text", () => {
    for (const [op, { asm }] of Object.entries(INSNS)) expect(op).toBe(asm.replace(/[ ,]+/g, "_"));
  });

  test("has no two rows for the same bytes", () => {
    const seen = new Set<string>();
    for (const { enc } of Object.values(INSNS)) {
      expect(seen.has(enc), enc).toBe(false);
      seen.add(enc);
    }
  });
});

describe("encoding", () => {
  test("gives the same bytes through both doors", () => {
    forEveryRow((row, values) => expect(hex(emitValues(row, values))).toBe(hex(encodeValues(row, values))));
  });

  test("decodes to the operands it was made from", () => {
    forEveryRow((row, values) => {
      const bytes = encodeValues(row, values);
      const insn = decode(bytes);
      expect(insn?.row.op, hex(bytes)).toBe(row.op);
      expect(insn!.length).toBe(bytes.length);
      const expected = Object.fromEntries(
        Object.entries(values).map(([name, value]) => [
          name,
          typeof value === "object" ? { disp: 0, ...value } : value,
        ]),
      );
      expect(operandsOf(insn!)).toEqual(expected);
    });
  });

  test("always writes a displacement unless told otherwise, in one byte where it fits", () => {
    expect(hex(encode("mov_r64_rm64", { r64: "rax", rm64: { base: "rdi" } }))).toBe("48 8b 47 00");
    expect(hex(encode("mov_r64_rm64", { r64: "rax", rm64: { base: "rdi", disp: 128 } }))).toBe("48 8b 87 80 00 00 00");
    expect(hex(encode("add_rm64_imm8", { rm64: { base: "rax", dispSize: 0 }, imm8: 1 }))).toBe("48 83 00 01");
    const sink = { bytes: new Uint8Array(16), length: 0, ensure() {} };
    emitMem.mov_r64_rm64(sink, 0, 7, 0);
    emitMem.mov_r64_rm64(sink, 0, 12, -1);
    expect(hex(sink.bytes.subarray(0, sink.length))).toBe("48 8b 47 00 49 8b 44 24 ff");
  });

  test("gives spl, bpl, sil and dil the REX prefix without which they are ah, ch, dh and bh", () => {
    for (const reg of ["rsp", "rbp", "rsi", "rdi"] as const) {
      expect(encode("mov_rm8_r8", { rm8: { base: "rax", disp: 0 }, r8: reg })[0]).toBe(0x40);
      expect(encode("sete_rm8", { rm8: reg })[0]).toBe(0x40);
      expect(encode("movzx_r32_rm8", { r32: "rax", rm8: reg })[0]).toBe(0x40);
    }
    expect(hex(encode("mov_rm8_r8", { rm8: { base: "rsi", disp: 0 }, r8: "rax" }))).toBe("88 46 00");
  });

  test("takes every 64-bit immediate as two halves through the fast door", () => {
    const sink = { bytes: new Uint8Array(16), length: 0, ensure() {} };
    emit.mov_r64_imm64(sink, 8, 0x89abcdef | 0, 0x01234567);
    expect(hex(sink.bytes.subarray(0, sink.length))).toBe("49 b8 ef cd ab 89 67 45 23 01");
  });

  test.each([
    [
      "a missing operand",
      () => encode("add_rm64_r64", { rm64: "rax" } as never),
      "argument",
      "add_rm64_r64 without a value for r64",
    ],
    [
      "a row it does not have",
      () => encode("add" as never, {} as never),
      "argument",
      "no instruction add in the x86-64 table",
    ],
    ["an unknown register", () => encode("push_r64", { r64: "r16" as "r15" }), "argument", 'no register "r16"'],
    [
      "a register where memory is meant",
      () => encode("lea_r64_m", { r64: "rax", m: "rcx" as never }),
      "argument",
      "m of lea_r64_m, expected a memory operand",
    ],
    [
      "rsp as index",
      () => encode("lea_r64_m", { r64: "rax", m: { index: "rsp" as "rax" } }),
      "argument",
      "lea_r64_m with rsp as index",
    ],
    [
      "rbp without displacement",
      () => encode("lea_r64_m", { r64: "rax", m: { base: "rbp", dispSize: 0 } }),
      "argument",
      "base rbp and no displacement",
    ],
    [
      "an immediate whose sign would change",
      () => encode("add_rm64_imm8", { rm64: "rax", imm8: 255 }),
      "out-of-range",
      "imm8 255 of add_rm64_imm8, expected -128..127",
    ],
    [
      "an immediate that does not fit",
      () => encode("mov_r32_imm32", { r32: "rax", imm32: 2 ** 32 }),
      "out-of-range",
      "imm32 4294967296 of mov_r32_imm32",
    ],
    [
      "a displacement that does not fit",
      () => encode("lea_r64_m", { r64: "rax", m: { base: "rax", disp: 128, dispSize: 1 } }),
      "out-of-range",
      "displacement 128",
    ],
  ])("refuses %s", (_what, call, code, message) => {
    expect(call).toThrow(BpfError);
    expect(call).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });
});

describe("types", () => {
  test("ask for the operands of the row, no more and no fewer", () => {
    expectTypeOf(encode<"add_rm64_imm8">)
      .parameter(1)
      .toEqualTypeOf<{ readonly rm64: Reg | Mem; readonly imm8: number }>();
    expectTypeOf(encode<"lock_xadd_m32_r32">)
      .parameter(1)
      .toEqualTypeOf<{ readonly m32: Mem; readonly r32: Reg }>();
    expectTypeOf(encode<"shl_rm64_cl">)
      .parameter(1)
      .toEqualTypeOf<{ readonly rm64: Reg | Mem }>();
    expectTypeOf(encode<"mov_r64_imm64">)
      .parameter(1)
      .toEqualTypeOf<{ readonly r64: Reg; readonly imm64: bigint }>();
    expectTypeOf(encode<"ret">)
      .parameter(1)
      .toEqualTypeOf<Record<never, never>>();
    expectTypeOf(emit.mov_r64_imm64).parameters.toEqualTypeOf<[CodeSink, number, number, number]>();
    expectTypeOf(emitMem.mov_rm8_imm8).parameters.toEqualTypeOf<[CodeSink, number, number, number]>();
    expectTypeOf(emit).not.toHaveProperty("lea_r64_m");
    expectTypeOf(emitMem).not.toHaveProperty("push_r64");
  });
});
