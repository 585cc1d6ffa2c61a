import { Fault } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FLAGS, REGS, type Reg } from "../src/regs.ts";
import { ROWS, type Row } from "../src/row.ts";
import { undefinedFlags } from "../src/semantics.ts";
import { anyValues } from "./arbitrary.ts";
import { BLOCK, type Flags, type Outcome, PC, step } from "./step.ts";

const ONES = (1n << 64n) - 1n;
const TOP = 1n << 63n;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const s32 = (value: bigint): bigint => BigInt.asIntN(32, value);
const anyWord = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x7fn, 0x80n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, TOP - 1n, TOP, ONES),
  fc.bigInt({ min: 0n, max: ONES }),
);
const anyRegs = fc.record(Object.fromEntries(REGS.map((reg) => [reg, anyWord])) as Record<Reg, typeof anyWord>);
const anyBit = fc.constantFrom(0n, 1n);
const anyFlags: fc.Arbitrary<Flags> = fc.record({
  CF: anyBit,
  PF: anyBit,
  AF: anyBit,
  ZF: anyBit,
  SF: anyBit,
  OF: anyBit,
});
const at = (disp: number): { base: "rsi"; disp: number } => ({ base: "rsi", disp });
const inBlock = { rsi: BLOCK.address };
const REAL = ["CF", "PF", "AF", "ZF", "SF", "OF"] as const;

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
  const inside = fc
    .integer({ min: 0, max: 248 })
    .map((disp) => ({ disp: Number(BLOCK.address) + disp, dispSize: 4 as const }));

  test("is one parallel assignment, and leaves ghost flags that agree with the real ones", () => {
    for (const row of ROWS) {
      const property = fc.property(anyValues(row, inside), anyRegs, anyFlags, (values, regs, flags) => {
        const after = stepOrTrap(row.op, values, {
          regs: { ...regs, rsp: BLOCK.address + 64n, rbp: BLOCK.address },
          flags,
        });
        if (after === undefined) return;
        const less = after.flag("SF") ^ after.flag("OF");
        const ghosts = [less, after.flag("CF") | after.flag("ZF"), after.flag("ZF") | less];
        expect([after.flag("LT"), after.flag("BE"), after.flag("LE")]).toEqual(ghosts);
        const isBit = (flag: string): boolean => after.flag(flag as keyof typeof FLAGS) <= 1n;
        expect(Object.keys(FLAGS).every(isBit) && REGS.every((reg) => after.get(reg) === u64(after.get(reg)))).toBe(
          true,
        );
      });
      fc.assert(property, { numRuns: 20 });
    }
  });

  test("with a 32-bit register as destination clears its upper half", () => {
    const writes32 = ROWS.filter(
      ({ operands, mnemonic }) =>
        /^(rm32|r32a?)$/.test(operands[0]?.name ?? "") && !/^(cmp|test|nop|mul|div|idiv)$/.test(mnemonic),
    );
    expect(writes32.length).toBeGreaterThan(60);
    for (const row of writes32) {
      if (row.operands.length === 1 && row.mnemonic === "imul") continue;
      const { name } = row.operands[0]!;
      fc.assert(
        fc.property(anyValues(row, inside), anyRegs, anyFlags, (values, regs, flags) => {
          const after = step(row.op, { ...values, [name]: "rbx" }, { regs, flags });
          expect(after.get("rbx") >> 32n).toBe(0n);
        }),
        { numRuns: 10 },
      );
    }
  });
});

describe("narrow writes", () => {
  test("of 8 and 16 bits leave the rest of the register", () => {
    const regs = { rbx: 0x1122_3344_5566_7788n, rcx: ONES };
    expect(step("mov_rm8_r8", { rm8: "rbx", r8: "rcx" }, { regs }).get("rbx")).toBe(0x1122_3344_5566_77ffn);
    expect(step("mov_rm16_r16", { rm16: "rbx", r16: "rcx" }, { regs }).get("rbx")).toBe(0x1122_3344_5566_ffffn);
    expect(step("ror_rm16_imm8", { rm16: "rbx", imm8: 8 }, { regs }).get("rbx")).toBe(0x1122_3344_5566_8877n);
    expect(step("setne_rm8", { rm8: "rbx" }, { regs }).get("rbx")).toBe(0x1122_3344_5566_7701n);
  });

  test("to memory write no more bytes than they say", () => {
    const { memory } = step("mov_rm16_imm16", { rm16: at(1), imm16: -2 }, { regs: inBlock, block: [1, 2, 3, 4] });
    expect([...memory.view(BLOCK.address, 4)]).toEqual([1, 0xfe, 0xff, 4]);
  });

  test("of a condition that does not hold still clear the upper half", () => {
    expect(step("cmove_r32_rm32", { r32: "rax", rm32: "rcx" }, { regs: { rax: ONES } }).get("rax")).toBe(0xffff_ffffn);
    expect(step("cmove_r64_rm64", { r64: "rax", rm64: "rcx" }, { regs: { rax: ONES } }).get("rax")).toBe(ONES);
  });
});

describe("comparing", () => {
  const CONDITIONS: readonly [string, (a: bigint, b: bigint) => boolean][] = [
    ["b", (a, b) => a < b],
    ["ae", (a, b) => a >= b],
    ["e", (a, b) => a === b],
    ["ne", (a, b) => a !== b],
    ["be", (a, b) => a <= b],
    ["a", (a, b) => a > b],
    ["l", (a, b) => s64(a) < s64(b)],
    ["ge", (a, b) => s64(a) >= s64(b)],
    ["le", (a, b) => s64(a) <= s64(b)],
    ["g", (a, b) => s64(a) > s64(b)],
    ["s", (a, b) => s64(u64(a - b)) < 0n],
    ["o", (a, b) => s64(u64(a - b)) !== s64(a) - s64(b)],
  ];

  test.each(CONDITIONS)("makes j%s, set and cmov hold where they should", (cc, holds) => {
    fc.assert(
      fc.property(anyWord, anyWord, (a, b) => {
        const compared = step("cmp_rm64_r64", { rm64: "rax", r64: "rcx" }, { regs: { rax: a, rcx: b } });
        const flags = Object.fromEntries(REAL.map((flag) => [flag, compared.flag(flag)]));
        const expected = holds(a, b);
        expect(step(`j${cc}_rel8` as "je_rel8", { rel8: 16 }, { flags }).pc).toBe(PC + (expected ? 18n : 2n));
        expect(step(`set${cc}_rm8` as "sete_rm8", { rm8: "rdx" }, { flags }).get("rdx")).toBe(expected ? 1n : 0n);
        const moved = step(
          `cmov${cc}_r64_rm64` as "cmove_r64_rm64",
          { r64: "rdx", rm64: "rbx" },
          { regs: { rbx: 7n }, flags },
        );
        expect(moved.get("rdx")).toBe(expected ? 7n : 0n);
      }),
      { numRuns: 300 },
    );
  });

  test("of 32 bits looks at nothing above", () => {
    const { flag } = step("cmp_rm32_imm8", { rm32: "rax", imm8: -1 }, { regs: { rax: 0x1_7fff_ffffn } });
    expect([flag("CF"), flag("ZF"), flag("SF"), flag("OF"), flag("LT")]).toEqual([1n, 0n, 1n, 1n, 0n]);
  });
});

describe("multiplication", () => {
  test("of 64 bits gives both halves, signed and unsigned", () => {
    fc.assert(
      fc.property(anyWord, anyWord, (a, b) => {
        const regs = { rax: a, rbx: b };
        const unsigned = step("mul_rm64", { rm64: "rbx" }, { regs });
        expect((unsigned.get("rdx") << 64n) | unsigned.get("rax")).toBe(a * b);
        expect(unsigned.flag("CF")).toBe(a * b > ONES ? 1n : 0n);
        const signed = step("imul_rm64", { rm64: "rbx" }, { regs });
        const product = s64(a) * s64(b);
        expect(BigInt.asIntN(128, (signed.get("rdx") << 64n) | signed.get("rax"))).toBe(product);
        expect(signed.flag("OF")).toBe(product === s64(u64(product)) ? 0n : 1n);
        const short = step("imul_r64_rm64", { r64: "rax", rm64: "rbx" }, { regs });
        expect([short.get("rax"), short.flag("CF")]).toEqual([u64(product), signed.flag("CF")]);
      }),
      { numRuns: 500 },
    );
  });

  test("of 32 bits puts the high half into edx", () => {
    const { get, flag } = step("mul_rm32", { rm32: "rbx" }, { regs: { rax: ONES, rbx: 0xffff_ffffn, rdx: ONES } });
    expect([get("rdx"), get("rax"), flag("CF")]).toEqual([0xffff_fffen, 1n, 1n]);
  });
});

describe("division", () => {
  const dividend = fc.tuple(anyWord, anyWord).map(([high, low]) => (high << 64n) | low);

  test("of 128 bits by 64 is exact, and traps where the quotient does not fit", () => {
    const quotients = fc.oneof(
      dividend,
      fc.tuple(anyWord, anyWord, anyWord).map(([q, d, r]) => q * d + (d === 0n ? 0n : r % d)),
    );
    fc.assert(
      fc.property(quotients, anyWord, (n, d) => {
        const after = stepOrTrap("div_rm64", { rm64: "rbx" }, { regs: { rdx: n >> 64n, rax: n & ONES, rbx: d } });
        if (d === 0n || n / d > ONES) expect(after).toBeUndefined();
        else expect([after!.get("rax"), after!.get("rdx")]).toEqual([n / d, n % d]);
      }),
      { numRuns: 3000 },
    );
  });

  test("of 128 signed bits by 64 rounds to zero, and traps where the quotient does not fit", () => {
    const quotients = fc
      .tuple(anyWord, anyWord, fc.bigInt({ min: -5n, max: 5n }))
      .map(([q, d, r]) => BigInt.asUintN(128, s64(q) * s64(d) + r));
    fc.assert(
      fc.property(fc.oneof(dividend, quotients), anyWord, (bits, d) => {
        const n = BigInt.asIntN(128, bits);
        const after = stepOrTrap("idiv_rm64", { rm64: "rbx" }, { regs: { rdx: u64(n >> 64n), rax: u64(n), rbx: d } });
        const quotient = d === 0n ? TOP : n / s64(d);
        if (quotient !== s64(quotient)) expect(after).toBeUndefined();
        else expect([after!.get("rax"), after!.get("rdx")]).toEqual([u64(quotient), u64(n % s64(d))]);
      }),
      { numRuns: 3000 },
    );
  });

  test("of 64 signed bits by 32 traps for the one quotient that has no positive counterpart", () => {
    const regs = { rdx: 0xffff_ffffn, rax: 0x8000_0000n, rbx: 0xffff_ffffn };
    expect(stepOrTrap("idiv_rm32", { rm32: "rbx" }, { regs })).toBeUndefined();
    expect(stepOrTrap("idiv_rm32", { rm32: "rbx" }, { regs: { ...regs, rbx: 0n } })).toBeUndefined();
    const fits = step("idiv_rm32", { rm32: "rbx" }, { regs: { ...regs, rbx: 2n } });
    expect([s32(fits.get("rax")), fits.get("rdx")]).toEqual([-0x4000_0000n, 0n]);
    expect(
      stepOrTrap("idiv_rm32", { rm32: "rbx" }, { regs: { rdx: 0x8000_0000n, rax: 0n, rbx: 0xffff_ffffn } }),
    ).toBeUndefined();
  });
});

describe("shifts", () => {
  const flags = { CF: 1n, PF: 0n, AF: 1n, ZF: 1n, SF: 0n, OF: 1n };

  test.each(["shl_rm64_cl", "shr_rm32_cl", "sar_rm64_cl", "rol_rm32_cl", "ror_rm64_cl"] as const)(
    "%s by 0 changes no flag",
    (op: Row["op"]) => {
      const name = op.includes("64") ? "rm64" : "rm32";
      const after = step(
        op,
        { [name]: "rax" },
        { regs: { rax: 0xffff_ffff_8000_0001n, rcx: op.includes("64") ? 64n : 32n }, flags },
      );
      expect(Object.fromEntries(REAL.map((flag) => [flag, after.flag(flag)]))).toEqual(flags);
      expect(after.get("rax")).toBe(op.includes("64") ? 0xffff_ffff_8000_0001n : 0x8000_0001n);
    },
  );

  test("count modulo the width", () => {
    expect(step("shl_rm32_imm8", { rm32: "rax", imm8: 33 }, { regs: { rax: 3n } }).get("rax")).toBe(6n);
    expect(step("sar_rm64_cl", { rm64: "rax" }, { regs: { rax: TOP, rcx: 0xff7fn } }).get("rax")).toBe(ONES);
    expect(
      step("shrx_r32a_rm32_r32b", { r32a: "rax", rm32: "rbx", r32b: "rdx" }, { regs: { rbx: ONES, rdx: 63n } }).get(
        "rax",
      ),
    ).toBe(1n);
  });

  test("leave the last bit that fell out in CF, and a change of sign in OF after a shift by 1", () => {
    const left = step("shl_rm64_1", { rm64: "rax" }, { regs: { rax: TOP } });
    expect([left.flag("CF"), left.flag("OF"), left.flag("ZF")]).toEqual([1n, 1n, 1n]);
    const right = step("shr_rm32_imm8", { rm32: "rax", imm8: 3 }, { regs: { rax: 0b100n } });
    expect([right.flag("CF"), right.flag("ZF")]).toEqual([1n, 1n]);
    const turned = step("rol_rm64_1", { rm64: "rax" }, { regs: { rax: TOP | 1n } });
    expect([turned.get("rax"), turned.flag("CF"), turned.flag("OF")]).toEqual([3n, 1n, 1n]);
  });

  test("that take no flags leave them", () => {
    const after = step("rorx_r64_rm64_imm8", { r64: "rax", rm64: "rbx", imm8: 4 }, { regs: { rbx: 0x12n }, flags });
    expect(after.get("rax")).toBe(0x2000_0000_0000_0001n);
    expect(Object.fromEntries(REAL.map((flag) => [flag, after.flag(flag)]))).toEqual(flags);
  });

  test("declare what the manual leaves undefined", () => {
    expect(undefinedFlags("shl_rm64_1")).toEqual(["AF"]);
    expect(undefinedFlags("shl_rm64_cl")).toEqual(["AF", "OF"]);
    expect(undefinedFlags("lock_and_m64_r64")).toEqual(["AF"]);
    expect(undefinedFlags("idiv_rm32")).toHaveLength(6);
    expect(undefinedFlags("add_rm64_r64")).toEqual([]);
  });
});

describe("the stack", () => {
  const regs = { rsp: BLOCK.address + 64n };
  const word = (offset: number): bigint => step("nop", {}).memory.load(8, BLOCK.address + BigInt(offset));

  test("push rsp stores its old value, pop rsp takes what it loads", () => {
    expect(step("push_r64", { r64: "rsp" }, { regs }).memory.load(8, BLOCK.address + 56n)).toBe(regs.rsp);
    expect(step("pop_r64", { r64: "rsp" }, { regs, block: [...Array(64).fill(0), 0x34, 0x12] }).get("rsp")).toBe(
      0x1234n,
    );
  });

  test("a memory operand with rsp is addressed before a push and behind a pop", () => {
    const block = Array.from({ length: 128 }, (_, i) => i);
    const pushed = step("push_rm64", { rm64: { base: "rsp", disp: 8 } }, { regs, block });
    expect(pushed.memory.load(1, BLOCK.address + 56n)).toBe(72n);
    const popped = step("pop_rm64", { rm64: { base: "rsp", disp: 8 } }, { regs, block });
    expect([popped.memory.load(1, BLOCK.address + 80n), popped.get("rsp")]).toEqual([64n, regs.rsp + 8n]);
  });

  test("call keeps the address behind it and ret goes there", () => {
    const called = step("call_rm64", { rm64: "rax" }, { regs: { ...regs, rax: 0x9000n } });
    expect([called.pc, called.get("rsp"), called.memory.load(8, BLOCK.address + 56n)]).toEqual([
      0x9000n,
      regs.rsp - 8n,
      PC + 2n,
    ]);
    const back = step("ret", {}, { regs, block: [...Array(64).fill(0), 0x00, 0x50] });
    expect([back.pc, back.get("rsp")]).toEqual([0x5000n, regs.rsp + 8n]);
  });

  test("leave takes the frame down, and a push that traps moves nothing", () => {
    const left = step("leave", {}, { regs: { rbp: BLOCK.address + 8n }, block: [...Array(8).fill(0), 0x77] });
    expect([left.get("rsp"), left.get("rbp")]).toEqual([BLOCK.address + 16n, 0x77n]);
    expect(() => step("push_imm8", { imm8: -1 }, { regs: { rsp: 8n } })).toThrow(Fault);
    expect(word(0)).toBe(0n);
  });
});

describe("atomic instructions", () => {
  const block = [1, 0, 0, 0, 0xff, 0, 0, 0];

  test("cmpxchg of 32 bits leaves the upper half of rax on success and clears it on failure", () => {
    const regs = { ...inBlock, rax: 0x5_0000_0001n, rbx: 9n };
    const success = step("lock_cmpxchg_m32_r32", { m32: at(0), r32: "rbx" }, { regs, block });
    expect([success.get("rax"), success.flag("ZF"), success.memory.load(8, BLOCK.address)]).toEqual([
      0x5_0000_0001n,
      1n,
      0xff_0000_0009n,
    ]);
    const failure = step(
      "lock_cmpxchg_m32_r32",
      { m32: at(0), r32: "rbx" },
      { regs: { ...regs, rax: 0x5_0000_0002n }, block },
    );
    expect([failure.get("rax"), failure.flag("ZF"), failure.flag("CF"), failure.memory.load(4, BLOCK.address)]).toEqual(
      [1n, 0n, 0n, 1n],
    );
  });

  test("xadd gives the old value and the flags of the sum", () => {
    const { get, flag, memory } = step(
      "lock_xadd_m32_r32",
      { m32: at(4), r32: "rbx" },
      { regs: { ...inBlock, rbx: ONES }, block },
    );
    expect([get("rbx"), memory.load(4, BLOCK.address + 4n), flag("CF"), flag("ZF")]).toEqual([0xffn, 0xfen, 1n, 0n]);
  });

  test("xchg swaps with memory and with itself", () => {
    const swapped = step("xchg_rm64_r64", { rm64: at(0), r64: "rbx" }, { regs: { ...inBlock, rbx: 3n }, block });
    expect([swapped.get("rbx"), swapped.memory.load(8, BLOCK.address)]).toEqual([0xff_0000_0001n, 3n]);
    expect(step("xchg_rm32_r32", { rm32: "rbx", r32: "rbx" }, { regs: { rbx: ONES } }).get("rbx")).toBe(0xffff_ffffn);
  });
});

describe("the rest", () => {
  test("lea computes an address and touches no memory", () => {
    const m = { base: "rbx", index: "rcx", scale: 8, disp: -1 } as const;
    expect(step("lea_r64_m", { r64: "rax", m }, { regs: { rbx: 16n, rcx: 2n } }).get("rax")).toBe(31n);
    expect(step("lea_r32_m", { r32: "rax", m: { disp: -1 } }).get("rax")).toBe(0xffff_ffffn);
    expect(step("lea_r64_m", { r64: "rax", m: { base: "rip", disp: 16 } }).get("rax")).toBe(PC + 23n);
  });

  test("bswap, sign extensions and cdq", () => {
    const rax = 0x0102_0304_8586_8788n;
    expect(step("bswap_r64", { r64: "rax" }, { regs: { rax } }).get("rax")).toBe(0x8887_8685_0403_0201n);
    expect(step("bswap_r32", { r32: "rax" }, { regs: { rax } }).get("rax")).toBe(0x8887_8685n);
    expect(step("movsx_r64_rm8", { r64: "rbx", rm8: "rax" }, { regs: { rax } }).get("rbx")).toBe(u64(-0x78n));
    expect(step("movsx_r32_rm16", { r32: "rbx", rm16: "rax" }, { regs: { rax } }).get("rbx")).toBe(0xffff_8788n);
    expect(step("movsxd_r64_rm32", { r64: "rbx", rm32: "rax" }, { regs: { rax } }).get("rbx")).toBe(
      0xffff_ffff_8586_8788n,
    );
    expect(step("cdq", {}, { regs: { rax, rdx: 5n } }).get("rdx")).toBe(0xffff_ffffn);
    expect(step("cqo", {}, { regs: { rax, rdx: 5n } }).get("rdx")).toBe(0n);
  });
});
