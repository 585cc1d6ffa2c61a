// Every row of SEMANTICS against arithmetic written from RFC 9669, by another route: JavaScript integers of the right width.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INSNS, type Op } from "../../src/isa/opcodes.ts";
import { type Fields, MAY_GOTO, type Meaning, SEMANTICS } from "../../src/isa/semantics.ts";
import { Loaded } from "../../src/machine/loaded.ts";
import type { BpfOps } from "../../src/machine/ops.ts";
import { Run } from "../../src/machine/run.ts";
import { type FieldValues, insn, programOf, Surroundings } from "../support/programs.ts";

const OPS = Object.keys(INSNS) as Op[];
// biome-ignore format: one table
const EDGES = [
  0n, 1n, 2n, 7n, 8n, 31n, 32n, 33n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n,
  0xffff_ffffn, 0x1_0000_0000n, 0x1234_5678_9abc_def0n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_ffffn,
];
const IMMEDIATES = [0, 1, -1, 2, 5, 31, 32, 63, 0x7f, 0x80, 0xffff, 0x7fff_ffff, -0x8000_0000, -2, 0x1234_5678];

const u = BigInt.asUintN;
const s = BigInt.asIntN;
const word = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: 0n, max: u(64, -1n) }));
const immediate = fc.oneof(fc.constantFrom(...IMMEDIATES), fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }));

const surroundings = new Surroundings({
  1: () => 0n,
  "packet 1": () => 0n,
  "packet 2": () => 0n,
  "packet 4": () => 0n,
});

/** `expect` is too slow to be called a hundred thousand times. */
function same<T>(actual: T, expected: T, ...what: readonly unknown[]): void {
  if (actual !== expected) expect(actual, what.join(" ")).toBe(expected);
}

/** Decodes one instruction as the interpreter does. */
function decoded(op: Op, fields: FieldValues): Fields & { readonly meaning: Meaning } {
  const program = programOf([insn(op, fields), insn("exit")]);
  return new Loaded(program, surroundings, { subprogAddress: () => 0n }, () =>
    expect.fail("nothing is started"),
  ).decode(0);
}

class Registers extends Run {
  constructor() {
    super({ memory: surroundings.memory, registers: 12, checked: true });
  }

  execute(op: Op, fields: FieldValues): void {
    const { meaning, ...rest } = decoded(op, fields);
    this.begin();
    meaning(this as unknown as BpfOps<bigint>, rest);
  }
}

/** Arithmetic on operands that are already numbers of the operation's width and sign. */
const ARITHMETIC: Record<string, (a: bigint, b: bigint, width: bigint) => bigint> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  or: (a, b) => a | b,
  and: (a, b) => a & b,
  xor: (a, b) => a ^ b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  sdiv: (a, b) => (b === 0n ? 0n : a / b),
  mod: (a, b) => (b === 0n ? a : a % b),
  smod: (a, b) => (b === 0n ? a : a % b),
  lsh: (a, b, width) => a * 2n ** u(64, b % width),
  rsh: (a, b, width) => a / 2n ** u(64, b % width),
  arsh: (a, b, width) => a >> (((b % width) + width) % width),
};
const SIGNED = /^(sdiv|smod|arsh|jsgt|jsge|jslt|jsle)$/;

const CONDITIONS: Record<string, (a: bigint, b: bigint) => boolean> = {
  jeq: (a, b) => a === b,
  jne: (a, b) => a !== b,
  jgt: (a, b) => a > b,
  jge: (a, b) => a >= b,
  jlt: (a, b) => a < b,
  jle: (a, b) => a <= b,
  jset: (a, b) => (a & b) !== 0n,
  jsgt: (a, b) => a > b,
  jsge: (a, b) => a >= b,
  jslt: (a, b) => a < b,
  jsle: (a, b) => a <= b,
};

interface BinaryCase {
  readonly op: Op;
  readonly name: string;
  readonly width: number;
  readonly immediate: boolean;
}

const covered = new Set<Op>();

function binaryCases(table: Record<string, unknown>): BinaryCase[] {
  return OPS.flatMap((op) => {
    const [, name = "", width, form] = /^([a-z]+)(64|32)_(imm|reg)$/.exec(op) ?? [];
    if (!(name in table)) return [];
    covered.add(op);
    return [{ op, name, width: Number(width), immediate: form === "imm" }];
  });
}

/** All pairs of edge values, then random ones. */
function overOperands(immediateForm: boolean, body: (a: bigint, b: bigint, imm: number) => void): void {
  const seconds = immediateForm ? IMMEDIATES.map((imm) => [0n, imm] as const) : EDGES.map((b) => [b, 0] as const);
  for (const a of EDGES) for (const [b, imm] of seconds) body(a, b, imm);
  fc.assert(
    fc.property(word, word, immediate, (a, b, imm) => body(a, immediateForm ? 0n : b, immediateForm ? imm : 0)),
  );
}

const registers = new Registers();

describe("arithmetic", () => {
  test.each(binaryCases(ARITHMETIC))("$op gives what the RFC's arithmetic gives on $width bits", (insnCase) => {
    const { op, name, width, immediate } = insnCase;
    const read = SIGNED.test(name) ? s : u;
    overOperands(immediate, (a, b, imm) => {
      registers.registers[3] = a;
      registers.registers[4] = b;
      registers.execute(op, { dst: 3, src: 4, imm });
      const right = read(width, immediate ? BigInt(imm) : b);
      const expected = u(width, ARITHMETIC[name]!(read(width, a), right, BigInt(width)));
      same(registers.registers[3], expected, op, a, b, imm);
    });
  });

  test("a destination that is its own source is read before it is written", () => {
    registers.registers[3] = 7n;
    registers.execute("mul64_reg", { dst: 3, src: 3 });
    expect(registers.registers[3]).toBe(49n);
  });
});

/** dst from one operand: the register, or the immediate. */
const UNARY: Partial<Record<Op, (a: bigint, imm: number) => bigint>> = {
  neg64: (a) => u(64, -a),
  neg32: (a) => u(32, -a),
  mov64_imm: (_a, imm) => u(64, BigInt(imm)),
  mov32_imm: (_a, imm) => u(32, BigInt(imm)),
  mov64_reg: (a) => a,
  mov32_reg: (a) => u(32, a),
  movsx64_8: (a) => u(64, s(8, a)),
  movsx64_16: (a) => u(64, s(16, a)),
  movsx64_32: (a) => u(64, s(32, a)),
  movsx32_8: (a) => u(32, s(8, a)),
  movsx32_16: (a) => u(32, s(16, a)),
  le16: (a) => u(16, a),
  le32: (a) => u(32, a),
  le64: (a) => a,
  be16: (a) => reversed(a, 2),
  be32: (a) => reversed(a, 4),
  be64: (a) => reversed(a, 8),
  bswap16: (a) => reversed(a, 2),
  bswap32: (a) => reversed(a, 4),
  bswap64: (a) => reversed(a, 8),
};

function reversed(value: bigint, size: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  const bytes = [...new Uint8Array(view.buffer, 0, size)];
  return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

describe("moves and byte swaps", () => {
  const cases = Object.entries(UNARY) as [Op, (a: bigint, imm: number) => bigint][];
  for (const [op] of cases) covered.add(op);

  test.each(cases)("%s gives what the RFC says", (op, oracle) => {
    overOperands(true, (a, _b, imm) => {
      registers.registers[3] = op.startsWith("mov") ? 0x5555n : a;
      registers.registers[4] = a;
      registers.execute(op, { dst: 3, src: 4, imm });
      same(registers.registers[3], oracle(a, imm), op, a, imm);
    });
  });

  test("a two-slot load gives all 64 bits", () => {
    covered.add("lddw");
    registers.execute("lddw", { dst: 9, imm: -2, high: 0x7fff_ffff });
    expect(registers.registers[9]).toBe(0x7fff_ffff_ffff_fffen);
  });
});

describe("jumps", () => {
  test.each(binaryCases(CONDITIONS))("$op jumps exactly when the RFC says", ({ op, name, width, immediate }) => {
    const read = SIGNED.test(name) ? s : u;
    overOperands(immediate, (a, b, imm) => {
      registers.registers[3] = a;
      registers.registers[4] = b;
      registers.execute(op, { dst: 3, src: 4, imm, off: 5 });
      const taken = CONDITIONS[name]!(read(width, a), read(width, immediate ? BigInt(imm) : b));
      same(registers.target, taken ? 6n : undefined, op, a, b, imm);
    });
  });

  test("ja takes its distance from off, gotol from imm, counted from the instruction behind", () => {
    covered.add("ja").add("gotol");
    registers.execute("ja", { off: -3, imm: 40 });
    expect(registers.target).toBe(-2n);
    registers.execute("gotol", { off: 0, imm: 70_000 });
    expect(registers.target).toBe(70_001n);
  });

  test("may_goto falls through and counts down until its counter is 0, then jumps", () => {
    covered.add("may_goto");
    registers.registers[MAY_GOTO] = 1n;
    registers.execute("may_goto", { off: 2 });
    expect([registers.target, registers.registers[MAY_GOTO]]).toEqual([undefined, 0n]);
    registers.execute("may_goto", { off: 2 });
    expect([registers.target, registers.registers[MAY_GOTO]]).toEqual([3n, 0n]);
  });
});

const { memory } = surroundings;
const buffer = memory.allocate("data", 16, "buffer");

function withBuffer(value: bigint): DataView {
  const view = new DataView(memory.bytes.buffer, Number(buffer.address - memory.base), 16);
  view.setBigUint64(0, u(64, ~value), true);
  view.setBigUint64(8, value, true);
  return view;
}

/** What is at offset 8 when memory is read as a number of `size` bytes. */
const low = (value: bigint, size: number): bigint => u(8 * size, value);

describe("memory", () => {
  const bits = (op: Op): number => Number(/(\d+)/.exec(op)![1]) / 8;
  const pick = (pattern: RegExp): Op[] => OPS.filter((op) => pattern.test(op) && covered.add(op));

  test.each(pick(/^(load|loadsx|load_acquire)\d+$/))("%s extends what it loads to 64 bits", (op) => {
    const extend = op.startsWith("loadsx") ? s : u;
    fc.assert(
      fc.property(word, fc.integer({ min: -0x7000, max: 0x7000 }), (value, off) => {
        withBuffer(value);
        registers.registers[4] = buffer.address + 8n - BigInt(off);
        registers.execute(op, { dst: 3, src: 4, off });
        same(registers.registers[3], u(64, extend(8 * bits(op), value)));
      }),
    );
  });

  test.each(pick(/^(store|store_release)\d+(_reg|_imm)?$/))("%s writes its bytes and no others", (op) => {
    fc.assert(
      fc.property(word, word, immediate, (before, value, imm) => {
        const view = withBuffer(before);
        registers.registers[3] = buffer.address + 16n;
        registers.registers[4] = value;
        registers.execute(op, { dst: 3, src: 4, off: -8, imm });
        const size = bits(op);
        const written = low(op.endsWith("_imm") ? BigInt(imm) : value, size);
        same(view.getBigUint64(8, true), u(64, ((before >> BigInt(8 * size)) << BigInt(8 * size)) | written));
        same(view.getBigUint64(0, true), u(64, ~before));
      }),
    );
  });

  const MODIFY: Record<string, (old: bigint, value: bigint) => bigint> = {
    add: (old, value) => old + value,
    or: (old, value) => old | value,
    and: (old, value) => old & value,
    xor: (old, value) => old ^ value,
    xchg: (_old, value) => value,
  };

  test.each(pick(/^(atomic_|xchg)/))("%s changes its bytes, and gives the old ones only when it fetches", (op) => {
    const [, fetch, name, width] = /^(?:atomic_(fetch_)?)?([a-z]+)(32|64)$/.exec(op)!;
    const gives = fetch !== undefined || name === "xchg";
    fc.assert(
      fc.property(word, word, (before, value) => {
        const view = withBuffer(before);
        const size = Number(width) / 8;
        registers.registers[3] = buffer.address;
        registers.registers[4] = value;
        registers.execute(op, { dst: 3, src: 4, off: 8 });
        const after = low(MODIFY[name!]!(low(before, size), low(value, size)), size);
        same(view.getBigUint64(8, true), u(64, ((before >> BigInt(8 * size)) << BigInt(8 * size)) | after));
        same(view.getBigUint64(0, true), u(64, ~before));
        same(registers.registers[4], gives ? low(before, size) : value);
      }),
    );
  });

  test.each(pick(/^cmpxchg/))("%s stores on equality of its width alone, and r0 always gets the old bytes", (op) => {
    const size = bits(op);
    fc.assert(
      fc.property(word, word, word, fc.boolean(), (before, value, other, match) => {
        const view = withBuffer(before);
        const expected = match ? (size === 4 ? u(64, (other << 32n) | low(before, 4)) : before) : other;
        registers.registers[0] = expected;
        registers.registers[3] = buffer.address;
        registers.registers[4] = value;
        registers.execute(op, { dst: 3, src: 4, off: 8 });
        const equal = low(expected, size) === low(before, size);
        const after = equal ? ((before >> BigInt(8 * size)) << BigInt(8 * size)) | low(value, size) : before;
        same(view.getBigUint64(8, true), u(64, after));
        same(registers.registers[0], low(before, size));
      }),
    );
  });
});

test("every row is covered here or, where frames or the host are needed, by the interpreter's tests", () => {
  const elsewhere = OPS.filter((op) => !covered.has(op));
  expect(elsewhere).toMatchInlineSnapshot(`
    [
      "addr_space_cast",
      "lddw_map_fd",
      "lddw_map_value",
      "lddw_btf_id",
      "lddw_subprog",
      "lddw_map_idx",
      "lddw_map_idx_value",
      "ld_abs8",
      "ld_abs16",
      "ld_abs32",
      "ld_ind8",
      "ld_ind16",
      "ld_ind32",
      "gotox",
      "call_helper",
      "tail_call",
      "call_subprog",
      "call_kfunc",
      "callx",
      "exit",
    ]
  `);
  expect(Object.keys(SEMANTICS)).toEqual(OPS);
});
