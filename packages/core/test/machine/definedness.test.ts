import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INSNS, type Op } from "../../src/isa/opcodes.ts";
import { Definedness, type TrackedExecution, trackedInterpreter } from "../../src/machine/definedness.ts";
import type { StartOptions } from "../../src/machine/engine.ts";
import type { FrameOps } from "../../src/machine/frames.ts";
import { Loaded } from "../../src/machine/loaded.ts";
import { insn, programOf, Surroundings } from "../support/programs.ts";

const ALL = (1n << 64n) - 1n;
const mov = (dst: number, imm: number): number[] => insn("mov64_imm", { dst, imm });
const copy = (dst: number, src: number): number[] => insn("mov64_reg", { dst, src });
const exit = insn("exit");

describe("a bit that is called defined does not depend on an undefined one", () => {
  const surroundings = new Surroundings();
  const { memory } = surroundings;
  const buffer = memory.allocate("data", 16, "buffer");
  const reading = new Definedness(memory, {} as FrameOps<never>, () => 0);
  const PURE = /^(alu|div|shift|neg|mov|movsx|end|jumpIf|load|loadSx|store|atomic|loadAcquire|storeRelease)$/;
  const ops = (Object.keys(INSNS) as Op[]).filter((op) => PURE.test(INSNS[op].kind));
  const word = fc.oneof(
    fc.constantFrom(0n, 1n, 8n, 31n, 32n, 63n, 0x80n, 0xff00n, 1n << 31n, 1n << 63n, ALL),
    fc.bigInt({ min: 0n, max: ALL }),
  );
  const mask = fc.oneof(fc.constantFrom(ALL, 0n, 0xffn, 0xffff_ffffn, ALL ^ 0xffn, ALL ^ (1n << 63n)), word);
  const inputs = fc.record({
    values: fc.tuple(word, word, word),
    masks: fc.tuple(mask, mask, mask),
    garbage: fc.tuple(word, word, word),
    imm: fc.oneof(fc.constantFrom(0, 1, 8, 16, 31, 32, 255, -1), fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })),
  });

  interface Outcome {
    readonly values: readonly bigint[];
    readonly masks: readonly bigint[];
    readonly target: bigint | undefined;
    readonly used: boolean;
  }

  /** Runs one instruction on r3, r4, memory (whatever kind it needs) and r0 = r4. */
  function outcome(op: Op, values: readonly bigint[], masks: readonly bigint[], imm: number): Outcome {
    const kind = INSNS[op].kind;
    const onMemory = /load|store|atomic/i.test(kind);
    const pointer = /load/.test(kind) ? 4 : 3;
    reading.undefinedUse = undefined;
    for (const [i, reg] of [0, 3, 4].entries()) {
      reading.registers[reg] = { value: values[i % 2]!, defined: masks[i % 2]! };
    }
    if (onMemory) reading.registers[pointer] = reading.constant(buffer.address);
    memory.store(8, buffer.address, values[2]!);
    const at = Number(buffer.address - memory.base);
    for (let i = 0; i < 8; i++) memory.undefinedBits![at + i] = Number(((ALL ^ masks[2]!) >> BigInt(8 * i)) & 0xffn);
    const decoded = new Loaded(
      programOf([insn(op, { dst: 3, src: 4, imm, off: onMemory ? 0 : 3 }), exit]),
      surroundings,
      { subprogAddress: () => 0n },
      () => expect.fail("nothing is started"),
    ).decode(0);
    reading.begin();
    decoded.meaning(reading, decoded);
    const stored = reading.load(8, reading.constant(buffer.address));
    const results = [reading.registers[0]!, reading.registers[3]!, reading.registers[4]!, stored];
    return {
      values: results.map(({ value }) => value),
      masks: results.map(({ defined }) => defined),
      target: reading.target,
      used: reading.undefinedUse !== undefined,
    };
  }

  test.each(ops)("%s", (op) => {
    fc.assert(
      fc.property(inputs, ({ values, masks, garbage, imm }) => {
        const other = values.map((value, i) => (value & masks[i]!) | (garbage[i]! & (ALL ^ masks[i]!)));
        const first = outcome(op, values, masks, imm);
        const second = outcome(op, other, masks, imm);
        for (const [i, value] of first.values.entries()) {
          const common = first.masks[i]! & second.masks[i]!;
          if (((value ^ second.values[i]!) & common) !== 0n)
            expect.fail(`result ${i}: ${value} and ${second.values[i]}, defined ${common}`);
        }
        if (!first.used && !second.used && first.target !== second.target)
          expect.fail("an undefined bit decides the branch unnoticed");
      }),
      { numRuns: 60 },
    );
  });

  test.each(ops)("and everything is defined after %s on defined operands", (op) => {
    fc.assert(
      fc.property(inputs, ({ values, imm }) => {
        const { masks, used } = outcome(op, values, [ALL, ALL, ALL], imm);
        if (used || masks.some((defined) => defined !== ALL)) expect.fail(`${masks}`);
      }),
      { numRuns: 10 },
    );
  });
});

/** Steps through a program and gives the execution where it stands at `at`. */
function reach(
  at: number,
  insns: readonly number[][],
  options: Partial<StartOptions> = {},
  starts = [0],
): TrackedExecution {
  const surroundings = new Surroundings({
    1: () => 5n,
    2: ({ args }) => {
      surroundings.memory.store(4, args[0], 7n);
      return 0n;
    },
    3: ({ args }) => {
      surroundings.memory.copy(args[0], args[1], 8);
      return 0n;
    },
    "packet 1": () => 1n,
  });
  const execution = trackedInterpreter
    .load(programOf(insns, starts), surroundings)
    .start(surroundings.options(options));
  do expect(execution.step(1)).toBeUndefined();
  while (execution.at !== at);
  return execution;
}

const registersOf = (execution: TrackedExecution): number[] =>
  Array.from({ length: 11 }, (_, reg) => reg).filter((reg) => (execution.definedRegisters() & (1 << reg)) !== 0);

describe("registers", () => {
  test("at the start only the arguments and r10 are defined", () => {
    expect(registersOf(reach(0, [exit], { args: [1n, 2n] }))).toEqual([1, 2, 10]);
  });

  test("a host function defines r0 and undefines r1..r5", () => {
    expect(
      registersOf(reach(3, [mov(6, 6), mov(2, 2), insn("call_helper", { imm: 1 }), exit], { args: [1n] })),
    ).toEqual([0, 6, 10]);
  });

  test("a packet load does too", () => {
    expect(registersOf(reach(2, [mov(6, 6), insn("ld_abs8"), exit], { args: [1n] }))).toEqual([0, 6, 10]);
  });

  test("a subprogram sees its arguments as defined as they were, and no other register", () => {
    const program = [mov(6, 6), mov(2, 2), insn("call_subprog", { imm: 1 }), exit, mov(7, 7), copy(0, 1), exit];
    expect(registersOf(reach(4, program, { args: [1n] }, [0, 4]))).toEqual([1, 2, 10]);
    expect(registersOf(reach(6, program, { args: [1n] }, [0, 4]))).toEqual([0, 1, 2, 7, 10]);
    expect(registersOf(reach(3, program, { args: [1n] }, [0, 4]))).toEqual([0, 6, 10]);
  });

  test("an undefined r0 stays undefined through a return", () => {
    const program = [insn("call_subprog", { imm: 1 }), exit, copy(0, 8), exit];
    expect(registersOf(reach(1, program, {}, [0, 2]))).toEqual([10]);
  });

  test("a part of a register can be defined", () => {
    const execution = reach(3, [
      insn("store16_imm", { dst: 10, off: -8, imm: 5 }),
      insn("load64", { dst: 3, src: 10, off: -8 }),
      insn("lsh64_imm", { dst: 3, imm: 8 }),
      exit,
    ]);
    expect(execution.definedMask(3)).toBe(0xff_ffffn);
    expect(registersOf(execution)).toEqual([10]);
  });
});

describe("memory", () => {
  test("a new frame is undefined until it is written, byte by byte", () => {
    const execution = reach(2, [
      mov(1, 0),
      insn("store32_reg", { dst: 10, src: 1, off: -8 }),
      insn("load64", { dst: 2, src: 10, off: -16 }),
      exit,
    ]);
    const fp = execution.register(10);
    expect([
      execution.isDefined(fp - 8n, 4),
      execution.isDefined(fp - 8n, 5),
      execution.isDefined(fp - 16n, 1),
    ]).toEqual([true, false, false]);
  });

  test("a frame is undefined again when the next call reuses it", () => {
    const insns = [
      insn("call_subprog", { imm: 2 }),
      insn("call_subprog", { imm: 1 }),
      exit,
      insn("load64", { dst: 0, src: 10, off: -8 }),
      insn("store64_imm", { dst: 10, off: -8, imm: 1 }),
      exit,
    ];
    const execution = reach(5, insns, {}, [0, 3]);
    expect(execution.isDefined(execution.register(10) - 8n, 8)).toBe(true);
    while (execution.at !== 4) execution.step(1);
    expect(execution.definedMask(0)).toBe(0n);
  });

  test("storing an undefined register makes memory undefined, and writing a value over it defined", () => {
    const surroundings = new Surroundings();
    const value = surroundings.memory.allocate("data", 8, "value");
    const program = programOf([
      insn("store32_reg", { dst: 1, src: 8, off: 2 }),
      insn("store16_imm", { dst: 1, off: 2 }),
      exit,
    ]);
    const execution = trackedInterpreter
      .load(program, surroundings)
      .start(surroundings.options({ args: [value.address] }));
    expect(execution.isDefined(value.address, 8)).toBe(true);
    execution.run(1);
    expect([execution.isDefined(value.address, 2), execution.isDefined(value.address, 3)]).toEqual([true, false]);
    execution.run(1);
    expect([execution.isDefined(value.address, 4), execution.isDefined(value.address + 4n, 2)]).toEqual([true, false]);
  });

  test("what the host writes is defined, what it copies is as defined as its source", () => {
    const insns = [
      ...[copy(1, 10), insn("add64_imm", { dst: 1, imm: -16 }), insn("call_helper", { imm: 2 })],
      ...[
        copy(1, 10),
        insn("add64_imm", { dst: 1, imm: -8 }),
        copy(2, 10),
        insn("add64_imm", { dst: 2, imm: -16 }),
        insn("call_helper", { imm: 3 }),
      ],
      ...[insn("load64", { dst: 0, src: 10, off: -8 }), exit],
    ];
    expect(reach(9, insns).definedMask(0)).toBe(0xffff_ffffn);
  });

  test("live frames are listed with their depth", () => {
    const insns = [
      insn("store8_imm", { dst: 10, off: -20 }),
      insn("call_subprog", { imm: 1 }),
      exit,
      insn("store8_imm", { dst: 10, off: -8 }),
      exit,
    ];
    const execution = reach(3, insns, {}, [0, 3]);
    const fp = execution.register(10);
    expect(execution.frames()).toMatchObject([
      { base: fp + 32n, depth: 24 },
      { base: fp, depth: 8 },
    ]);
  });
});

describe("a value that nobody gave", () => {
  test("is noticed when it decides a branch or an address, the first time", () => {
    expect(reach(1, [insn("jeq64_imm", { dst: 3, imm: 0 }), exit]).undefinedUse).toEqual({ at: 0, what: "branch" });
    const accesses = [
      insn("load8", { dst: 0, src: 3 }),
      insn("store8_imm", { dst: 3 }),
      insn("atomic_add64", { dst: 3, src: 0 }),
    ];
    for (const access of accesses) {
      const surroundings = new Surroundings();
      const program = programOf([mov(0, 0), access, exit]);
      const execution = trackedInterpreter.load(program, surroundings).start(surroundings.options());
      expect(execution.run(5)).toMatchObject({ kind: "trap", pc: 1n });
      expect(execution.undefinedUse).toEqual({ at: 1, what: "address" });
    }
  });

  test("may be moved, stored and masked away", () => {
    const execution = reach(5, [
      copy(0, 3),
      insn("store64_reg", { dst: 10, src: 0, off: -8 }),
      insn("and64_imm", { dst: 0, imm: 0 }),
      insn("jne64_imm", { dst: 0, imm: 1, off: 1 }),
      mov(0, 1),
      exit,
    ]);
    expect(execution.undefinedUse).toBeUndefined();
    expect(execution.definedMask(0)).toBe(ALL);
  });

  test("a bit field written into an undefined byte is defined where it is", () => {
    const insns = [
      insn("load8", { dst: 1, src: 10, off: -1 }),
      insn("and64_imm", { dst: 1, imm: 0xf0 }),
      insn("or64_imm", { dst: 1, imm: 5 }),
      insn("store8_reg", { dst: 10, src: 1, off: -1 }),
      insn("load8", { dst: 2, src: 10, off: -1 }),
      copy(3, 2),
      insn("and64_imm", { dst: 2, imm: 0xf }),
      exit,
    ];
    const execution = reach(7, insns);
    expect([execution.definedMask(2), execution.definedMask(3)]).toEqual([ALL, ALL ^ 0xf0n]);
  });
});
