import { Fault } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REGS, type Reg } from "../src/regs.ts";
import { ROWS, type Row } from "../src/row.ts";
import { anyValues } from "./arbitrary.ts";
import { BLOCK, type Outcome, PC, step } from "./step.ts";

const ONES = (1n << 64n) - 1n;
const TOP = 1n << 63n;
const MIN32 = 0xffff_ffff_8000_0000n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s32 = (value: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(32, value));
const anyWord = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x7fn, 0x80n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, TOP - 1n, TOP, ONES),
  fc.bigInt({ min: 0n, max: ONES }),
);
const anyRegs = fc.record(Object.fromEntries(REGS.map((reg) => [reg, anyWord])) as Record<Reg, typeof anyWord>);

/** Undefined where it traps. */
function stepOrTrap(...args: Parameters<typeof step>): Outcome | undefined {
  try {
    return step(...args);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** a0 = op(a1, a2) */
function binary(op: Row["op"], a1: bigint, a2: bigint): bigint {
  return step(op, { rd: 10, rs1: 11, rs2: 12 }, { regs: { a1, a2 } }).get("a0");
}

/** a0 = op(a1, number) */
function immediate(op: Row["op"], a1: bigint, value: number): bigint {
  const name = ROWS.find((row) => row.op === op)!.pattern.fields.some((field) => field.name === "shamt")
    ? "shamt"
    : "imm";
  return step(op, { rd: 10, rs1: 11, [name]: value }, { regs: { a1 } }).get("a0");
}

describe("every row", () => {
  test("is one parallel assignment of 64-bit words that leaves x0 alone", () => {
    for (const row of ROWS) {
      const property = fc.property(anyValues(row), anyRegs, (values, regs) => {
        const after = stepOrTrap(row.op, values, {
          regs: { ...regs, sp: BLOCK.address, s0: BLOCK.address, a0: BLOCK.address },
        });
        if (after === undefined) return;
        expect(after.get("zero")).toBe(0n);
        expect(REGS.every((reg) => after.get(reg) === u64(after.get(reg)))).toBe(true);
        expect(after.pc).toBe(u64(after.pc));
      });
      fc.assert(property, { numRuns: 30 });
    }
  });
});

describe("arithmetic", () => {
  test("of words extends the sign of 32 bits", () => {
    fc.assert(
      fc.property(anyWord, anyWord, (a, b) => {
        expect(binary("addw", a, b)).toBe(s32(a + b));
        expect(binary("subw", a, b)).toBe(s32(a - b));
        expect(binary("mulw", a, b)).toBe(s32(a * b));
        expect(binary("sllw", a, b)).toBe(s32(a << (b & 31n)));
        expect(binary("srlw", a, b)).toBe(s32(BigInt.asUintN(32, a) >> (b & 31n)));
        expect(binary("sraw", a, b)).toBe(s32(BigInt.asIntN(32, a) >> (b & 31n)));
      }),
    );
  });

  test("gives the high halves of products", () => {
    const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
    fc.assert(
      fc.property(anyWord, anyWord, (a, b) => {
        expect(binary("mulhu", a, b)).toBe((a * b) >> 64n);
        expect(binary("mulh", a, b)).toBe(u64((s64(a) * s64(b)) >> 64n));
        expect(binary("mulhsu", a, b)).toBe(u64((s64(a) * b) >> 64n));
      }),
    );
  });

  test("by 0 and of the least number by -1 does not trap", () => {
    expect(binary("divu", 7n, 0n)).toBe(ONES);
    expect(binary("remu", 7n, 0n)).toBe(7n);
    expect(binary("div", TOP, ONES)).toBe(TOP);
    expect(binary("rem", TOP, ONES)).toBe(0n);
    expect(binary("divw", MIN32, ONES)).toBe(MIN32);
    expect(binary("remw", 0x1_8000_0000n, 0n)).toBe(MIN32);
    expect(binary("divuw", 7n, 1n << 32n)).toBe(ONES);
    expect(binary("remuw", 0x8000_0000n, 0n)).toBe(MIN32);
  });

  test("with an index cuts it to its lower half where the row says so", () => {
    expect(binary("sh3add", 5n, 100n)).toBe(140n);
    expect(binary("add_uw", ONES, 1n)).toBe(1n << 32n);
    expect(binary("sh2add_uw", ONES, 0n)).toBe(0xffff_ffffn << 2n);
    expect(immediate("slli_uw", ONES, 4)).toBe(0xffff_ffffn << 4n);
  });
});

describe("Zbb", () => {
  test("rotates, reverses and extends", () => {
    expect(immediate("rori", 1n, 1)).toBe(TOP);
    expect(immediate("rori", 5n, 0)).toBe(5n);
    expect(binary("rol", TOP, 1n)).toBe(1n);
    expect(binary("rorw", 1n, 33n)).toBe(MIN32);
    expect(binary("rolw", 0x8000_0000n, 32n)).toBe(MIN32);
    expect(immediate("roriw", 0x10n, 4)).toBe(1n);
    expect(step("rev8", { rd: 10, rs1: 11 }, { regs: { a1: 0x0102_0304_0506_0708n } }).get("a0")).toBe(
      0x0807_0605_0403_0201n,
    );
    expect(step("sext_b", { rd: 10, rs1: 11 }, { regs: { a1: 0x80n } }).get("a0")).toBe(ONES - 0x7fn);
    expect(step("zext_h", { rd: 10, rs1: 11 }, { regs: { a1: ONES } }).get("a0")).toBe(0xffffn);
  });

  test("compares with and without sign", () => {
    expect([binary("min", ONES, 1n), binary("minu", ONES, 1n)]).toEqual([ONES, 1n]);
    expect([binary("max", ONES, 1n), binary("maxu", ONES, 1n)]).toEqual([1n, ONES]);
    expect([binary("andn", 15n, 5n), binary("orn", 0n, ONES), binary("xnor", 5n, 5n)]).toEqual([10n, 0n, ONES]);
  });
});

describe("atomic operations", () => {
  const at = { a1: BLOCK.address, a2: 5n };
  const block = [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];

  test("give the old value, its sign extended", () => {
    const after = step("amoadd_w", { aq: 0, rl: 0, rd: 10, rs1: 11, rs2: 12 }, { regs: at, block });
    expect([after.get("a0"), after.memory.load(8, BLOCK.address)]).toEqual([ONES, 0x1_0000_0004n]);
  });

  test("compare the destination with memory, and store where they are equal", () => {
    const values = { aq: 1, rl: 1, rd: 10, rs1: 11, rs2: 12 };
    const equal = step("amocas_w", values, { regs: { ...at, a0: 0xffff_ffffn }, block });
    expect([equal.get("a0"), equal.memory.load(8, BLOCK.address)]).toEqual([ONES, 0x1_0000_0005n]);
    const other = step("amocas_d", values, { regs: { ...at, a0: 0xffff_ffffn }, block });
    expect([other.get("a0"), other.memory.load(8, BLOCK.address)]).toEqual([0x1_ffff_ffffn, 0x1_ffff_ffffn]);
  });

  test("trap where they are not aligned", () => {
    expect(() =>
      step("amoswap_d", { aq: 0, rl: 0, rd: 10, rs1: 11, rs2: 12 }, { regs: { ...at, a1: BLOCK.address + 4n } }),
    ).toThrow(Fault);
    expect(() => step("lr_w", { aq: 0, rl: 0, rd: 10, rs1: 11 }, { regs: { a1: BLOCK.address + 2n } })).toThrow(Fault);
  });
});

describe("jumps", () => {
  test("leave the next address behind, which a compressed instruction has 2 bytes on", () => {
    const far = step("jal", { rd: 1, imm: -4 });
    expect([far.get("ra"), far.pc]).toEqual([PC + 4n, PC - 4n]);
    const near = step("c_jalr", { rs1: 11 }, { regs: { a1: 0x5001n } });
    expect([near.get("ra"), near.pc]).toEqual([PC + 2n, 0x5000n]);
  });

  test("read a register before they write it", () => {
    const after = step("jalr", { rd: 11, rs1: 11, imm: 9 }, { regs: { a1: 0x5000n } });
    expect([after.get("a1"), after.pc]).toEqual([PC + 4n, 0x5008n]);
  });

  test.each([
    ["beq", 1n, 1n, 2n], ["bne", 1n, 2n, 1n], ["blt", ONES, 0n, ONES], ["bge", 0n, ONES, 1n], ["bltu", 0n, ONES, 0n], ["bgeu", ONES, 0n, ONES + 0n],
  ] as const)("%s compares its registers", (op, a1, a2, _other) => {
    expect(step(op, { rs1: 11, rs2: 12, imm: 64 }, { regs: { a1, a2 } }).pc).toBe(PC + 64n);
    const [left, right] = op === "beq" ? [a1, a2 + 1n] : op === "bne" ? [a1, a1] : [a2, a1];
    expect(step(op, { rs1: 11, rs2: 12, imm: 64 }, { regs: { a1: left, a2: right } }).pc).toBe(PC + 4n);
  }); // biome-ignore format: rows
});
