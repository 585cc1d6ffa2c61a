import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type BitNumbers,
  type BitOperands,
  type BitPattern,
  bitPattern,
  CodeBuffer,
  type FieldSpecs,
  operandOrder,
  overlaps,
  packBits,
  unpackBits,
  wordDecoder,
  wordEmitter,
} from "../../src/index.ts";

const SPECS: FieldSpecs = {
  rd: { width: 5 },
  rs1: { width: 5 },
  rs2: { width: 5 },
  "rd'": { width: 3, bias: 8 },
  rd_nz: { width: 5, not: [0] },
  sf: { width: 1 },
  imm: { signed: true },
  simm7: { width: 7, signed: true },
  rt: { width: 5 },
  rt2: { width: 5 },
  rn: { width: 5 },
};

// biome-ignore format: one row per instruction
const ROWS = {
  jal:   { bits: "imm[20|10:1|11|19:12] rd 1101111",             asm: "jal rd, imm" },
  jalr:  { bits: "imm[11:0] rs1 000 rd 1100111",                 asm: "jalr rd, imm(rs1)" },
  lui:   { bits: "imm[31:12] rd 0110111",                        asm: "lui rd, imm" },
  bgeu:  { bits: "imm[12|10:5] rs2 rs1 111 imm[4:1|11] 1100011", asm: "bgeu rs1, rs2, imm" },
  sd:    { bits: "imm[11:5] rs2 rs1 011 imm[4:0] 0100011",       asm: "sd rs2, imm(rs1)" },
  stp:   { bits: "sf 0 10100 1 00 simm7 rt2 rn rt",              asm: "stp rt, rt2, [rn, #simm7]" },
  c_li:  { bits: "010 imm[5] rd_nz imm[4:0] 01",                 asm: "c.li rd_nz, imm" },
  c_lw:  { bits: "010 uimm[5:3] 111 uimm[2|6] rd' 00",           asm: "c.lw rd', uimm" },
} as const;
const PATTERNS: readonly BitPattern[] = Object.entries(ROWS).map(([op, { bits }]) => bitPattern(op, bits, SPECS));
const patternOf = (op: keyof typeof ROWS): BitPattern => PATTERNS.find((pattern) => pattern.op === op)!;

const anyOperands = ({ fields }: BitPattern): fc.Arbitrary<Record<string, number>> =>
  fc.record(
    Object.fromEntries(
      fields.map(({ name, min, max, align, bias, not }) => [
        name,
        fc
          .oneof(fc.integer({ min: 0, max: (max - min) / align }), fc.constantFrom(0, (max - min) / align))
          .map((i) => min + i * align)
          .filter((value) => !not.includes(value) && (value - bias) % align === 0),
      ]),
    ),
  );

describe("a pattern", () => {
  test("gives the words of the manuals", () => {
    expect(packBits(patternOf("jal"), { rd: 0, imm: -4 })).toBe(0xffdff06f);
    expect(packBits(patternOf("sd"), { rs1: 2, rs2: 1, imm: 8 })).toBe(0x00113423);
    expect(packBits(patternOf("stp"), { sf: 1, rt: 29, rt2: 30, rn: 31, simm7: -2 })).toBe(0xa93f7bfd);
  });

  test("has the operands that it names, as types too", () => {
    type Jal = BitOperands<(typeof ROWS)["jal"]["bits"]>;
    expectTypeOf<Jal>().toEqualTypeOf<{ readonly imm: number; readonly rd: number }>();
    expectTypeOf<BitNumbers<(typeof ROWS)["bgeu"]["bits"]>>().toEqualTypeOf<[number, number, number]>();
    expect(patternOf("bgeu").fields.map(({ name }) => name)).toEqual(["imm", "rs2", "rs1"]);
  });

  test.each([
    ["other than 16 or 32 bits", "1010 rd"],
    ["a name without width", "imm rd 1101111"],
    ["a group it cannot read", "imm[] rd 1101111"],
  ])("with %s is a mistake of ours", (_what, bits) => {
    expect(() => bitPattern("x", bits, SPECS)).toThrow("does not hold");
  });
});

describe("packing", () => {
  test.each([
    ["an operand that is missing", { rd: 1 }, "jal without a value for imm"],
    ["an operand it does not have", { rd: 1, imm: 0, rs1: 2 }, "operand rs1 of jal, expected imm, rd"],
    ["a fraction", { rd: 0.5, imm: 0 }, "rd of jal, expected a whole number"],
    ["what is too large", { rd: 32, imm: 0 }, "rd 32 of jal, expected 0..31"],
    ["what is too small", { rd: 0, imm: -1048578 }, "imm -1048578 of jal, expected -1048576..1048574"],
    ["what is not aligned", { rd: 0, imm: 3 }, "imm 3 of jal, expected a multiple of 2"],
  ])("refuses %s", (_what, operands, message) => {
    expect(() => packBits(patternOf("jal"), operands as Record<string, number>)).toThrow(message);
  });

  test("refuses values that belong to another row", () => {
    expect(() => packBits(patternOf("c_li"), { rd_nz: 0, imm: 1 })).toThrow("rd_nz 0 of c_li");
  });
});

describe("for every pattern", () => {
  test.each(PATTERNS.map((pattern) => [pattern.op, pattern] as const))(
    "%s: unpacking undoes packing",
    (_op, pattern) => {
      fc.assert(
        fc.property(anyOperands(pattern), (operands) => {
          const word = packBits(pattern, operands);
          expect((word & pattern.mask) >>> 0).toBe(pattern.match);
          expect(unpackBits(pattern, word)).toEqual(operands);
        }),
      );
    },
  );

  test.each(PATTERNS.map((pattern) => [pattern.op, pattern] as const))(
    "%s: both doors write the same",
    (op, pattern) => {
      const order = operandOrder(pattern, ROWS[op as keyof typeof ROWS].asm);
      const emit = wordEmitter(pattern, order);
      fc.assert(
        fc.property(anyOperands(pattern), (operands) => {
          const buffer = new CodeBuffer();
          emit(buffer, ...order.map((name) => operands[name]!));
          expect(buffer.length).toBe(pattern.size);
          const word = pattern.size === 2 ? buffer.view.getUint16(0, true) : buffer.view.getUint32(0, true);
          expect(word).toBe(packBits(pattern, operands));
        }),
      );
    },
  );
});

describe("the fast door", () => {
  test("takes what the text does not name first, then what it names", () => {
    expect(operandOrder(patternOf("stp"), ROWS.stp.asm)).toEqual(["sf", "rt", "rt2", "rn", "simm7"]);
    expect(operandOrder(patternOf("sd"), ROWS.sd.asm)).toEqual(["rs2", "imm", "rs1"]);
  });

  test("goes on where the buffer has to grow", () => {
    const buffer = new CodeBuffer();
    const pattern = patternOf("jalr");
    const emit = wordEmitter(pattern, ["rd", "imm", "rs1"]);
    for (let i = 0; i < 5000; i++) emit(buffer, i & 31, i & 0x7ff, 1);
    for (let i = 0; i < 5000; i++) {
      expect(unpackBits(pattern, buffer.view.getUint32(4 * i, true))).toEqual({ rd: i & 31, imm: i & 0x7ff, rs1: 1 });
    }
  });
});

describe("decoding", () => {
  const words = PATTERNS.filter(({ op, size }) => size === 4 && op !== "stp");
  const decode = wordDecoder(words);

  test("finds the pattern a word was made from", () => {
    words.forEach((pattern, i) => {
      fc.assert(fc.property(anyOperands(pattern), (operands) => decode(packBits(pattern, operands)) === i));
    });
  });

  test("finds what trying one pattern after the other finds", () => {
    fc.assert(
      fc.property(fc.integer(), (word) => {
        expect(decode(word)).toBe(words.findIndex(({ mask, match }) => ((word ^ match) & mask) === 0));
      }),
    );
  });

  test("prefers the more special of two, and leaves values that a pattern excludes to others", () => {
    const rows = {
      general: "rd 000 00000000",
      special: "00010 000 00000000",
      other: "rd_nz 001 00000000",
      zero: "00000 001 00000000",
    };
    const patterns = Object.entries(rows).map(([op, bits]) => bitPattern(op, bits, SPECS));
    const find = wordDecoder(patterns);
    expect([0x1000, 0x0800, 0x0900, 0x0100, 0x0200].map(find)).toEqual([1, 0, 2, 3, -1]);
    expect(overlaps(patterns)).toEqual([{ ops: ["special", "general"], clash: false }]);
  });

  test("of rows that clash is found out", () => {
    const patterns = Object.entries({ x: "1 rd 0 imm[8:0]", y: "sf rd 0 imm[7:0] 0", z: "0 rd 1 imm[8:0]" });
    expect(overlaps(patterns.map(([op, bits]) => bitPattern(op, bits, SPECS)))).toEqual([
      { ops: ["y", "x"], clash: true },
    ]);
  });
});
