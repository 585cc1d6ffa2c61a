import { Fault } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CONDITIONS, type FLAGS, REGS, type Reg } from "../src/regs.ts";
import { ROWS, type Row, type Values } from "../src/row.ts";
import { anyValues } from "./arbitrary.ts";
import { BLOCK, type Flags, type Outcome, PC, step } from "./step.ts";

const ONES = (1n << 64n) - 1n;
const TOP = 1n << 63n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const anyWord = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x7fn, 0x80n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, TOP - 1n, TOP, ONES),
  fc.bigInt({ min: 0n, max: ONES }),
);
const anyRegs = fc.record(Object.fromEntries(REGS.map((reg) => [reg, anyWord])) as Record<Reg, typeof anyWord>);
const anyBit = fc.constantFrom(0n, 1n);
const anyFlags: fc.Arbitrary<Flags> = fc.record({ N: anyBit, Z: anyBit, C: anyBit, V: anyBit });

/** Undefined where it traps. */
function stepOrTrap(...args: Parameters<typeof step>): Outcome | undefined {
  try {
    return step(...args);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

describe("every row", () => {
  test("is one parallel assignment, and leaves ghost flags that agree with the real ones", () => {
    for (const row of ROWS) {
      const memory = row.asm.includes("[");
      const near = fc.constantFrom(0, 1, 2);
      const offsets = memory ? { simm7: near, simm9: near, imm12: near, rm: fc.constant(31) } : {};
      const overrides = Object.fromEntries(
        Object.entries(offsets).filter(([name]) => row.pattern.fields.some((field) => field.name === name)),
      );
      const property = fc.property(anyValues(row, overrides), anyRegs, anyFlags, (values, regs, flags) => {
        const base = memory ? { [REGS[values.rn!]!]: BLOCK.address + 64n } : {};
        const after = stepOrTrap(row.op, values, { regs: { ...regs, ...base }, flags });
        if (after === undefined) return;
        const less = after.flag("N") ^ after.flag("V");
        const ghosts = [(after.flag("C") ^ 1n) | after.flag("Z"), less, after.flag("Z") | less];
        expect([after.flag("LS"), after.flag("LT"), after.flag("LE")]).toEqual(ghosts);
        const isBit = (flag: string): boolean => after.flag(flag as keyof typeof FLAGS) <= 1n;
        expect(["N", "Z", "C", "V"].every(isBit) && REGS.every((reg) => after.get(reg) === u64(after.get(reg)))).toBe(
          true,
        );
      });
      fc.assert(property, { numRuns: 20 });
    }
  });

  test("of 32 bits clears the upper half of its destination", () => {
    const rows = ROWS.filter(({ pattern }) =>
      ["sf", "rd"].every((name) => pattern.fields.some((f) => f.name === name)),
    );
    expect(rows.length).toBeGreaterThan(45);
    for (const row of rows) {
      const law = (values: Values, regs: Partial<Record<Reg, bigint>>, flags: Flags): void => {
        expect(step(row.op, values, { regs, flags }).get("x5") >> 32n).toBe(0n);
      };
      const w = { sf: fc.constant(0), rd: fc.constant(5) };
      fc.assert(fc.property(anyValues(row, w), anyRegs, anyFlags, law), { numRuns: 20 });
    }
  });
});

describe("arithmetic", () => {
  const binary = (op: Row["op"], a: bigint, b: bigint, extra: Values = {}): bigint =>
    step(op, { sf: 1, rd: 0, rn: 1, rm: 2, ...extra }, { regs: { x1: a, x2: b } }).get("x0");

  test("divides by 0 to 0, and the least number by -1 to itself", () => {
    expect([binary("udiv", 7n, 0n), binary("sdiv", 7n, 0n), binary("sdiv", TOP, ONES)]).toEqual([0n, 0n, TOP]);
    expect(binary("sdiv", 0x8000_0000n, ONES, { sf: 0 })).toBe(0x8000_0000n);
    expect(binary("sdiv", u64(-7n), 2n)).toBe(u64(-3n));
  });

  test("multiplies into high halves and long sums", () => {
    const law = (a: bigint, b: bigint): void => {
      const three = (op: Row["op"], extra: Values = {}): bigint =>
        step(op, { rd: 0, rn: 1, rm: 2, ...extra }, { regs: { x1: a, x2: b } }).get("x0");
      expect(three("umulh")).toBe((a * b) >> 64n);
      expect(three("smulh")).toBe(u64((s64(a) * s64(b)) >> 64n));
      expect(three("umaddl", { ra: 1 })).toBe(u64(a + (a & 0xffff_ffffn) * (b & 0xffff_ffffn)));
      expect(three("smaddl", { ra: 31 })).toBe(u64(BigInt.asIntN(32, a) * BigInt.asIntN(32, b)));
    };
    fc.assert(fc.property(anyWord, anyWord, law));
  });

  test("shifts by registers modulo the width, and by constants of their fields", () => {
    const kinds = ["lslv", "lsrv", "asrv", "rorv"] as const;
    expect(kinds.map((op) => binary(op, 0x8000_0000_0000_0001n, 65n))).toEqual([2n, 1n << 62n, 3n << 62n, 3n << 62n]);
    expect(kinds.map((op) => binary(op, 0x8000_0001n, 33n, { sf: 0 }))).toEqual([
      2n,
      0x4000_0000n,
      0xc000_0000n,
      0xc000_0000n,
    ]);
    expect(binary("add_shift", 1n, ONES, { shift: 1, imm6: 63 })).toBe(2n);
    expect(binary("add_ext", 1n, 0x1_0000_00ffn, { option: 4, imm3: 2 })).toBe(u64(-3n));
  });
});

describe("conditions", () => {
  test("hold as comparisons of the two numbers say", () => {
    const holds: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
      eq: (a, b) => a === b,
      hs: (a, b) => a >= b,
      hi: (a, b) => a > b,
      ge: (a, b) => s64(a) >= s64(b),
      gt: (a, b) => s64(a) > s64(b),
    };
    const law = (a: bigint, b: bigint): void => {
      const { flag } = step(
        "subs_shift",
        { sf: 1, rd: 31, rn: 1, rm: 2, shift: 0, imm6: 0 },
        { regs: { x1: a, x2: b } },
      );
      const flags = { N: flag("N"), Z: flag("Z"), C: flag("C"), V: flag("V") };
      for (const [name, expected] of Object.entries(holds)) {
        const cond = CONDITIONS.indexOf(name);
        const taken = [cond, cond ^ 1].map(
          (code) => step("b_cond", { cond: code, simm19: 4 }, { flags }).pc !== PC + 4n,
        );
        expect(taken, name).toEqual([expected(a, b), !expected(a, b)]);
      }
    };
    fc.assert(fc.property(anyWord, anyWord, law));
    fc.assert(
      fc.property(anyWord, (a) => law(a, a)),
      { numRuns: 20 },
    );
  });

  test("choose between two registers, and between a comparison and given flags", () => {
    const regs = { x1: 5n, x2: 9n };
    const select = (op: Row["op"], cond: number): bigint =>
      step(op, { sf: 1, rd: 0, rn: 1, rm: 2, cond }, { regs, flags: { Z: 1n } }).get("x0");
    expect([select("csel", 0), select("csel", 1), select("csinc", 1), select("csinv", 1), select("csneg", 1)]).toEqual([
      5n,
      9n,
      10n,
      u64(~9n),
      u64(-9n),
    ]);
    const compare = { sf: 1, rn: 1, imm5: 5, nzcv: 0b1001 };
    expect(step("ccmp_imm", { ...compare, cond: 0 }, { regs, flags: { Z: 1n } }).flag("Z")).toBe(1n);
    const other = step("ccmp_imm", { ...compare, cond: 1 }, { regs, flags: { Z: 1n } });
    expect([other.flag("N"), other.flag("Z"), other.flag("C"), other.flag("V")]).toEqual([1n, 0n, 0n, 1n]);
  });
});

describe("loads and stores", () => {
  const block = [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff, 0xee];

  test("index before, after, and by a register with its extension", () => {
    const regs = { x1: BLOCK.address, x2: u64(-1n), x3: 0xffff_ffffn };
    const pre = step("ldr_pre", { sf: 0, rt: 0, rn: 1, simm9: 4 }, { regs, block });
    expect([pre.get("x0"), pre.get("x1")]).toEqual([0x1122_3344n, BLOCK.address + 4n]);
    const post = step("ldr_post", { sf: 1, rt: 0, rn: 1, simm9: -8 }, { regs, block });
    expect([post.get("x0"), post.get("x1")]).toEqual([0x1122_3344_5566_7788n, BLOCK.address - 8n]);
    const index = step(
      "ldrsb_reg_x",
      { rt: 0, rn: 1, rm: 3, extend: 6, s: 0 },
      { regs: { ...regs, x1: BLOCK.address + 1n }, block },
    );
    expect(index.get("x0")).toBe(u64(-0x78n));
  });

  test("of pairs move the stack pointer", () => {
    const sp = BLOCK.address + 32n;
    const pushed = step("stp_pre", { sf: 1, rt: 29, rt2: 31, rn: 31, simm7: -2 }, { regs: { sp, x29: 7n } });
    expect([pushed.get("sp"), pushed.memory.load(8, sp - 16n), pushed.memory.load(8, sp - 8n)]).toEqual([
      sp - 16n,
      7n,
      0n,
    ]);
    const popped = step(
      "ldp_post",
      { sf: 1, rt: 31, rt2: 26, rn: 31, simm7: 2 },
      { regs: { sp: BLOCK.address }, block },
    );
    expect([popped.get("sp"), popped.get("x26")]).toEqual([BLOCK.address + 16n, 0xeeffn]);
  });

  test("that are atomic give the old value and insist on alignment", () => {
    const regs = { x1: BLOCK.address, x2: 0xf0n };
    const old = step("ldclr", { sf: 0, a: 1, l: 1, rs: 2, rt: 0, rn: 1 }, { regs, block });
    expect([old.get("x0"), old.memory.load(4, BLOCK.address)]).toEqual([0x5566_7788n, 0x5566_7708n]);
    const swapped = step(
      "cas",
      { sf: 0, a: 1, l: 1, rs: 3, rt: 2, rn: 1 },
      { regs: { ...regs, x3: 0x9_5566_7788n }, block },
    );
    expect([swapped.get("x3"), swapped.memory.load(4, BLOCK.address)]).toEqual([0x5566_7788n, 0xf0n]);
    expect(() =>
      step("ldadd", { sf: 1, a: 0, l: 0, rs: 2, rt: 0, rn: 1 }, { regs: { x1: BLOCK.address + 4n } }),
    ).toThrow(Fault);
  });
});

describe("branches", () => {
  test("count from the instruction, and calls keep where they go on", () => {
    expect(step("b", { simm26: -2 }).pc).toBe(PC - 8n);
    const called = step("bl", { simm26: 4 });
    expect([called.pc, called.get("x30")]).toEqual([PC + 16n, PC + 4n]);
    const swapped = step("blr", { rn: 30 }, { regs: { x30: 0x100n } });
    expect([swapped.pc, swapped.get("x30")]).toEqual([0x100n, PC + 4n]);
    expect(step("ret", { rn: 10 }, { regs: { x10: 0x100n } }).pc).toBe(0x100n);
  });

  test("test registers and single bits of them", () => {
    const regs = { x0: 1n << 40n };
    expect(step("cbz", { sf: 0, rt: 0, simm19: 4 }, { regs }).pc).toBe(PC + 16n);
    expect(step("cbz", { sf: 1, rt: 0, simm19: 4 }, { regs }).pc).toBe(PC + 4n);
    expect(step("tbnz", { bit: 40, rt: 0, simm14: 4 }, { regs }).pc).toBe(PC + 16n);
    expect(step("tbz", { bit: 40, rt: 0, simm14: 4 }, { regs }).pc).toBe(PC + 4n);
  });

  test("addresses of code are relative to the instruction and to its page", () => {
    expect(step("adr", { rd: 0, simm21: -1 }).get("x0")).toBe(PC - 1n);
    expect(step("adrp", { rd: 0, simm21: 2 }).get("x0")).toBe(PC + 0x2000n);
  });
});

describe("bits", () => {
  const one = (op: Row["op"], x1: bigint, values: Values): bigint =>
    step(op, { rd: 0, rn: 1, ...values }, { regs: { x1, x0: ONES } }).get("x0");

  test("are reversed by bytes, halfwords and one by one, and counted", () => {
    const x1 = 0x0102_0304_0506_0708n;
    expect(one("rev_x", x1, {})).toBe(0x0807_0605_0403_0201n);
    expect(one("rev_w", x1, {})).toBe(0x0807_0605n);
    expect(one("rev32", x1, {})).toBe(0x0403_0201_0807_0605n);
    expect(one("rev16", x1, { sf: 1 })).toBe(0x0201_0403_0605_0807n);
    expect(one("rbit", 1n, { sf: 0 })).toBe(0x8000_0000n);
    expect([one("clz", 0n, { sf: 1 }), one("clz", 0x10n, { sf: 0 }), one("clz", TOP, { sf: 1 })]).toEqual([
      64n,
      27n,
      0n,
    ]);
  });

  test("are cut out, extended and put in", () => {
    const x1 = 0xfedc_ba98_7654_3210n;
    expect(one("ubfm", x1, { sf: 1, n: 1, immr: 4, imms: 11 })).toBe(0x21n);
    expect(one("sbfm", x1, { sf: 1, n: 1, immr: 0, imms: 31 })).toBe(0x7654_3210n);
    expect(one("sbfm", 0x80n, { sf: 0, n: 0, immr: 0, imms: 7 })).toBe(0xffff_ff80n);
    expect(one("ubfm", 0xfn, { sf: 1, n: 1, immr: 60, imms: 3 })).toBe(0xf0n);
    expect(one("bfm", 0n, { sf: 1, n: 1, immr: 56, imms: 7 })).toBe(u64(~0xff00n));
    const kept = step("movk", { sf: 1, rd: 0, hw: 1, imm16: 0 }, { regs: { x0: ONES } });
    expect(kept.get("x0")).toBe(u64(~0xffff_0000n));
  });
});
