// Frames, calls to the host and back, stops and steps: the same for every interpreting engine.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BpfError } from "../../src/errors.ts";
import type { Op } from "../../src/isa/opcodes.ts";
import { MAY_GOTO } from "../../src/isa/semantics.ts";
import { trackedInterpreter } from "../../src/machine/definedness.ts";
import type { Engine, GuestCall, HostCall, HostFunction } from "../../src/machine/engine.ts";
import { interpreter, interpreterWith } from "../../src/machine/interpreter.ts";
import type { Stop } from "../../src/machine/stop.ts";
import type { VerifiedProgram } from "../../src/program.ts";
import { type FieldValues, insn, programOf, Surroundings } from "../support/programs.ts";

const engines: [string, Engine][] = [
  ["interpreter", interpreter],
  ["checked interpreter", interpreterWith({ checked: true })],
  ["tracked interpreter", trackedInterpreter],
];

const mov = (dst: number, imm: number): number[] => insn("mov64_imm", { dst, imm });
const copy = (dst: number, src: number): number[] => insn("mov64_reg", { dst, src });
const call = (imm: number): number[] => insn("call_helper", { imm });
const callSubprog = (imm: number): number[] => insn("call_subprog", { imm });
const store = (dst: number, off: number, src: number): number[] => insn("store64_reg", { dst, off, src });
const load = (dst: number, src: number, off: number): number[] => insn("load64", { dst, src, off });
const add = (dst: number, src: number): number[] => insn("add64_reg", { dst, src });
const exit = insn("exit");

describe.each(engines)("the %s", (_name, engine) => {
  const run = (
    program: VerifiedProgram,
    args: readonly bigint[] = [],
    functions: Record<string, HostFunction> = {},
  ): Stop => new Surroundings(functions).start(engine, program, { args }).run(10_000);

  describe("returns", () => {
    test("r0, all 64 bits of it", () => {
      expect(run(programOf([mov(0, -2), exit]))).toEqual({ kind: "returned", value: 0xffff_ffff_ffff_fffen });
    });

    test("what its arguments say, from r1 on", () => {
      const sum = programOf([copy(0, 1), add(0, 2), add(0, 5), exit]);
      expect(run(sum, [1n, 2n, 3n, 4n, -1n])).toEqual({ kind: "returned", value: 2n });
    });

    test("the same again when asked again", () => {
      const execution = new Surroundings().start(engine, programOf([mov(0, 1), exit]));
      expect(execution.run(10)).toEqual({ kind: "returned", value: 1n });
      expect(execution.run(10)).toEqual({ kind: "returned", value: 1n });
      expect(execution.step(10)).toEqual({ kind: "returned", value: 1n });
      expect(execution.executed).toBe(2);
    });
  });

  describe("a subprogram", () => {
    test("preserves r6..r9 and r10 of its caller, returns r0 and leaves r1..r5 unusable", () => {
      const clobber = [6, 7, 8, 9].map((reg) => mov(reg, 99));
      const program = programOf(
        [...[6, 7, 8, 9].map((reg) => mov(reg, reg)), copy(1, 6), callSubprog(1), exit, ...clobber, mov(0, 5), exit],
        [0, 7],
      );
      const execution = new Surroundings().start(engine, program);
      while (execution.at !== 6) expect(execution.step(1)).toBeUndefined();
      expect([0, 6, 7, 8, 9].map((reg) => execution.register(reg))).toEqual([5n, 6n, 7n, 8n, 9n]);
      const leftovers = [1, 2, 3, 4, 5].map((reg) => execution.register(reg));
      expect(new Set(leftovers).size).toBe(5);
      expect(leftovers.every((value) => value > 0xffff_ffffn)).toBe(true);
      expect(execution.run(10)).toEqual({ kind: "returned", value: 5n });
    });

    test("has its own stack below the caller's, which it reaches only through pointers", () => {
      const program = programOf(
        [
          ...[mov(1, 40), store(10, -8, 1), copy(1, 10), insn("add64_imm", { dst: 1, imm: -8 }), callSubprog(1), exit],
          ...[mov(2, 2), store(10, -8, 2), load(0, 1, 0), load(3, 10, -8), add(0, 3), exit],
        ],
        [0, 6],
      );
      expect(run(program)).toEqual({ kind: "returned", value: 42n });
    });

    test("nests 16 frames deep and no deeper", () => {
      // r1 counts down; each level calls the same subprogram.
      const recursive = programOf(
        [
          callSubprog(1),
          exit,
          insn("jeq64_imm", { dst: 1, imm: 0, off: 3 }),
          insn("sub64_imm", { dst: 1, imm: 1 }),
          callSubprog(-3),
          exit,
          mov(0, 7),
          exit,
        ],
        [0, 2],
      );
      expect(run(recursive, [14n])).toEqual({ kind: "returned", value: 7n });
      expect(run(recursive, [15n])).toEqual({
        kind: "trap",
        cause: "stack",
        pc: 4n,
        detail: "sub2 would be frame 17 of at most 16",
      });
    });

    test("traps when the stack is too small for its frame", () => {
      const surroundings = new Surroundings();
      const { high } = surroundings.options().stack;
      const deep = programOf(
        [mov(1, 0), store(10, -512, 1), callSubprog(1), exit, mov(1, 0), store(10, -64, 1), exit],
        [0, 4],
      );
      const execution = surroundings.start(engine, deep, { stack: { low: high - 512n, high } });
      expect(execution.run(10)).toEqual({
        kind: "trap",
        cause: "stack",
        pc: 2n,
        detail: "64 bytes of stack for sub4 below 0x10021e40, where the stack is 0x10021e40..0x10022040",
      });
      const tooSmall = surroundings.start(engine, deep, { stack: { low: high - 504n, high } });
      expect(tooSmall.step(1)).toMatchObject({ kind: "trap", cause: "stack", pc: 0n });
    });

    test("starts where StartOptions.frameAddress says, and its frame reaches its own depth below", () => {
      const surroundings = new Surroundings();
      const { high } = surroundings.options().stack;
      const addresses = [high - 64n, high - 1024n];
      const program = programOf(
        [mov(1, 1), store(10, -8, 1), callSubprog(1), exit, copy(0, 10), store(10, -16, 0), exit],
        [0, 4],
      );
      const execution = surroundings.start(engine, program, { frameAddress: () => addresses.shift()! });
      expect(execution.run(100)).toEqual({ kind: "returned", value: high - 1024n });
    });

    test("begins with may_goto's full counter", () => {
      const spin = programOf([
        mov(0, 0),
        insn("may_goto", { off: 2 }),
        insn("add64_imm", { dst: 0, imm: 1 }),
        insn("ja", { off: -3 }),
        exit,
      ]);
      const execution = new Surroundings().start(engine, spin);
      for (let i = 0; i < 2; i++) execution.run(1);
      expect(execution.register(MAY_GOTO)).toBe(0x80_0000n - 1n);
    });
  });

  describe("an access outside a live frame traps", () => {
    const outcome = (program: VerifiedProgram): Stop => run(program);

    test("above r10", () => {
      expect(outcome(programOf([mov(0, 0), store(10, 0, 0), exit]))).toEqual({
        kind: "trap",
        cause: "store",
        pc: 1n,
        address: 0x1002_2040n,
        size: 8,
        detail: "0 bytes past the end of the stack (0x10020040, 8192 bytes)",
      });
    });

    test("below the depth of the frame", () => {
      const program = programOf([mov(0, 0), store(10, -16, 0), load(0, 10, -24), exit]);
      const shallow = {
        ...program,
        structure: { ...program.structure, subprogs: [{ ...program.structure.subprogs[0]!, stackDepth: 16 }] },
      };
      expect(outcome(shallow)).toEqual({
        kind: "trap",
        cause: "load",
        pc: 2n,
        address: 0x1002_2028n,
        size: 8,
        detail: "8168 bytes into the stack (0x10020040, 8192 bytes), outside the live frames",
      });
    });

    test("in a frame that was left", () => {
      const program = programOf(
        [
          callSubprog(2),
          load(0, 0, 0),
          exit,
          mov(1, 1),
          store(10, -8, 1),
          copy(0, 10),
          insn("add64_imm", { dst: 0, imm: -8 }),
          exit,
        ],
        [0, 3],
      );
      expect(outcome(program)).toMatchObject({
        kind: "trap",
        cause: "load",
        pc: 1n,
        detail: expect.stringMatching(/outside the live frames$/),
      });
    });

    test("but not in a caller's frame", () => {
      const program = programOf(
        [mov(1, 3), store(10, -8, 1), copy(1, 10), callSubprog(1), exit, load(0, 1, -8), exit],
        [0, 5],
      );
      expect(outcome(program)).toEqual({ kind: "returned", value: 3n });
    });
  });

  test("a trap names address, size and the nearest allocation, and is where the program stays", () => {
    const surroundings = new Surroundings();
    const packet = surroundings.memory.allocate("data", 14, "the packet");
    const execution = surroundings.start(
      engine,
      programOf([mov(0, 0), insn("load32", { dst: 0, src: 1, off: 12 }), exit]),
      { args: [packet.address] },
    );
    const stop = execution.run(100);
    expect(stop).toEqual({
      kind: "trap",
      cause: "load",
      pc: 1n,
      address: packet.address + 12n,
      size: 4,
      detail: "12 bytes into the packet (0x10030040, 14 bytes), of which 2 bytes remain",
    });
    expect([execution.at, execution.executed, execution.register(0)]).toEqual([1, 2, 0n]);
    expect(execution.run(100)).toEqual(stop);
  });

  describe("a call to the host", () => {
    test("passes r1..r5, r6 and the cpu, and gets r0 modulo 2⁶⁴", () => {
      const calls: HostCall[] = [];
      const surroundings = new Surroundings({ 7: (hostCall) => BigInt(-calls.push(hostCall)), "kfunc 3": () => 1n });
      const program = programOf([mov(6, 6), call(7), copy(6, 0), insn("call_kfunc", { imm: 3 }), add(0, 6), exit]);
      const execution = surroundings.start(engine, program, { args: [1n, 2n, 3n, 4n, 5n], cpu: 3 });
      expect(execution.run(3)).toEqual({ kind: "budget" });
      expect(execution.register(6)).toBe(0xffff_ffff_ffff_ffffn);
      expect(execution.run(10)).toEqual({ kind: "returned", value: 0n });
      expect(calls).toEqual([{ args: [1n, 2n, 3n, 4n, 5n], r6: 6n, cpu: 3 }]);
    });

    test("leaves r1..r5 unusable and r6..r9 as they were", () => {
      const execution = new Surroundings({ 7: () => 0n }).start(engine, programOf([mov(6, 6), call(7), exit]), {
        args: [1n, 2n, 3n, 4n, 5n],
      });
      execution.run(2);
      expect([1, 2, 3, 4, 5].filter((reg) => execution.register(reg) === BigInt(reg))).toEqual([]);
      expect(execution.register(6)).toBe(6n);
    });

    test("asks for each function once, at load", () => {
      const surroundings = new Surroundings({ 7: () => 0n, 8: () => 0n });
      const loaded = engine.load(programOf([call(7), call(8), call(7), exit]), surroundings);
      expect(surroundings.asked).toEqual([
        { kind: "helper", id: 7 },
        { kind: "helper", id: 8 },
      ]);
      expect(loaded.start(surroundings.options()).run(10)).toEqual({ kind: "returned", value: 0n });
      expect(surroundings.asked.length).toBe(2);
      expect(() => engine.load(programOf([call(9), exit]), surroundings)).toThrow(new BpfError("unknown-symbol", "9"));
    });

    test("that faults is a trap at the call", () => {
      const surroundings = new Surroundings({ 7: ({ args }) => surroundings.memory.load(8, args[0]) });
      expect(surroundings.start(engine, programOf([mov(1, 16), call(7), exit])).run(10)).toEqual({
        kind: "trap",
        cause: "load",
        pc: 1n,
        address: 16n,
        size: 8,
        detail: "16 bytes past a null pointer",
      });
    });

    test("that throws anything else throws it on", () => {
      const surroundings = new Surroundings({
        7: () => {
          throw new BpfError("limit", "enough");
        },
      });
      expect(() => surroundings.start(engine, programOf([call(7), exit])).run(10)).toThrow("enough");
    });
  });

  describe("a callback", () => {
    /** bpf_loop: calls back `args[0]` times with the index and args[2] until the callback gives something. */
    function* loop({ args: [count, callback, context] }: HostCall): Generator<GuestCall, bigint, bigint> {
      for (let i = 0n; i < count; i++) {
        const result = yield { address: callback, args: [i, context] };
        if (result !== 0n) return i + 1n;
      }
      return count;
    }
    // main(count): sum = 0; loop(count, add, &sum); return sum + 1000 × result + 100000 × r6
    const looping = programOf(
      [
        ...[mov(6, 6), mov(2, 0), store(10, -8, 2), insn("lddw_subprog", { dst: 2, imm: 10 })],
        ...[copy(3, 10), insn("add64_imm", { dst: 3, imm: -8 }), call(181)],
        ...[
          insn("mul64_imm", { dst: 0, imm: 1000 }),
          load(1, 10, -8),
          add(0, 1),
          insn("mul64_imm", { dst: 6, imm: 100_000 }),
        ],
        ...[add(0, 6), exit],
        // add(index, sum): r6 = *sum + index; *sum = r6; return index == 4
        ...[
          load(6, 2, 0),
          add(6, 1),
          store(2, 0, 6),
          mov(0, 0),
          insn("jne64_imm", { dst: 1, imm: 4, off: 1 }),
          mov(0, 1),
          exit,
        ],
      ],
      [0, 14],
    );

    test("runs as a frame of the program, and its r0 goes to the host", () => {
      expect(run(looping, [3n], { 181: loop })).toEqual({ kind: "returned", value: 603_003n });
      expect(run(looping, [0n], { 181: loop })).toEqual({ kind: "returned", value: 600_000n });
      expect(run(looping, [9n], { 181: loop })).toEqual({ kind: "returned", value: 605_010n });
    });

    test("is stepped through like anything else", () => {
      const execution = new Surroundings({ 181: loop }).start(engine, looping, { args: [2n] });
      const seen: number[] = [];
      while (execution.step(1) === undefined) seen.push(execution.at);
      expect(seen).toEqual([0, 1, 2, 3, 5, 6, 7, 14, 15, 16, 17, 18, 20, 14, 15, 16, 17, 18, 20, 8, 9, 10, 11, 12, 13]);
      expect(execution.executed).toBe(seen.length);
      expect(execution.at).toBe(-1);
    });

    test("gets arguments, and no others", () => {
      const execution = new Surroundings({ 181: loop }).start(engine, looping, { args: [2n] });
      while (execution.at !== 14) execution.step(1);
      expect(execution.register(1)).toBe(0n);
      expect(execution.register(3)).toBeGreaterThan(0xffff_ffffn);
      expect(execution.register(10)).toBe(execution.register(2) + 8n - 16n);
    });

    test("may itself call the host with a callback, frames counting all together", () => {
      // f(): loop(1, f): recursion through the host.
      const recursive = programOf([insn("lddw_subprog", { dst: 2, imm: -1 }), mov(1, 1), call(181), exit]);
      expect(run(recursive, [], { 181: loop })).toEqual({
        kind: "trap",
        cause: "stack",
        pc: 3n,
        detail: "main would be frame 17 of at most 16",
      });
    });

    test("that traps closes the host functions that wait for it, the innermost first", () => {
      const closed: bigint[] = [];
      function* waiting({ args }: HostCall): Generator<GuestCall, bigint, bigint> {
        try {
          return yield { address: args[1], args: [args[0] - 1n] };
        } finally {
          closed.push(args[0]);
        }
      }
      // f(n): if (n == 0) *(u8 *)0; call back f(n - 1)
      const nested = programOf([
        ...[insn("jne64_imm", { dst: 1, imm: 0, off: 1 }), insn("load8", { dst: 0, src: 1 })],
        ...[insn("lddw_subprog", { dst: 2, imm: -3 }), call(5), exit],
      ]);
      expect(run(nested, [2n], { 5: waiting })).toMatchObject({ kind: "trap", cause: "load", pc: 1n });
      expect(closed).toEqual([1n, 2n]);
    });

    test("to what is no subprogram is a trap", () => {
      expect(run(programOf([mov(1, 1), mov(2, 0x123), call(181), exit]), [], { 181: loop })).toEqual({
        kind: "trap",
        cause: "call",
        pc: 2n,
        address: 0x123n,
        detail: "no subprogram of test to call back",
      });
    });

    test("has the address that LoadOptions gives, or one in the host region of its own", () => {
      const address = programOf([insn("lddw_subprog", { dst: 0, imm: 2 }), exit, exit], [0, 3]);
      const surroundings = new Surroundings();
      const own = engine.load(address, surroundings);
      expect(own.start(surroundings.options()).run(9)).toEqual({ kind: "returned", value: own.subprogAddress(1) });
      expect(own.subprogAddress(1) - own.subprogAddress(0)).toBe(16n);
      expect(surroundings.memory.describe(own.subprogAddress(1))).toMatch(
        /^16 bytes into subprograms of test .* allows only host calls$/,
      );
      own.release();
      expect(surroundings.memory.describe(own.subprogAddress(1))).toMatch(/freed\)$/);
      const given = engine.load(address, surroundings, { subprogAddress: (index) => 0x5000n + BigInt(index) });
      expect(given.start(surroundings.options()).run(9)).toEqual({ kind: "returned", value: 0x5001n });
      given.release();
    });
  });

  describe("a two-slot load", () => {
    test.each<[Op, FieldValues, bigint]>([
      ["lddw_map_idx", { imm: 2 }, 0x2000n],
      ["lddw_map_fd", { imm: 2 }, 0x2000n],
      ["lddw_map_idx_value", { imm: 1, high: 24 }, 0x1018n],
      ["lddw_map_value", { imm: 1, high: 24 }, 0x1018n],
    ])("%s gives the address that the host says", (op, fields, value) => {
      expect(run(programOf([insn(op, fields), exit]))).toEqual({ kind: "returned", value });
    });
  });

  describe("a legacy packet load", () => {
    const packet = (size: number): Record<string, HostFunction> => ({
      [`packet ${size}`]: ({ args: [context, offset], r6 }) => {
        expect(context).toBe(r6);
        const at = BigInt.asIntN(64, offset);
        return at < 0n || at > 60n ? -1n : 0x100n * BigInt(size) + at;
      },
    });
    const program = (op: Op, fields: FieldValues): VerifiedProgram =>
      programOf([
        mov(6, 77),
        mov(7, 0x1_0000),
        mov(0, 5),
        insn("lsh64_imm", { dst: 7, imm: 16 }),
        insn("or64_imm", { dst: 7, imm: 12 }),
        insn(op, fields),
        insn("add64_imm", { dst: 0, imm: 1 }),
        exit,
      ]);

    test.each<[Op, number, FieldValues, bigint]>([
      ["ld_abs8", 1, { imm: 7 }, 0x108n],
      ["ld_abs16", 2, { imm: 7 }, 0x208n],
      ["ld_abs32", 4, { imm: 7 }, 0x408n],
      ["ld_ind8", 1, { src: 7, imm: 7 }, 0x114n],
      ["ld_ind16", 2, { src: 7, imm: -7 }, 0x206n],
      ["ld_ind32", 4, { src: 7, imm: 0 }, 0x40dn],
      ["ld_abs16", 2, { imm: 61 }, 0n],
      ["ld_abs16", 2, { imm: -1 }, 0n],
      ["ld_ind16", 2, { src: 7, imm: -13 }, 0n],
    ])("%s of %i bytes with %o", (op, size, fields, value) => {
      expect(run(program(op, fields), [], packet(size))).toEqual({ kind: "returned", value });
    });

    test("outside the packet ends the subprogram it stands in with 0", () => {
      const inner = programOf(
        [
          mov(6, 1),
          callSubprog(2),
          insn("add64_imm", { dst: 0, imm: 3 }),
          exit,
          mov(6, 2),
          insn("ld_abs8", { imm: 99 }),
          mov(0, 9),
          exit,
        ],
        [0, 4],
      );
      expect(run(inner, [], packet(1))).toEqual({ kind: "returned", value: 3n });
    });

    test("leaves r1..r5 unusable", () => {
      const execution = new Surroundings(packet(1)).start(engine, programOf([mov(1, 1), insn("ld_abs8"), exit]));
      execution.run(2);
      expect(execution.register(1)).toBeGreaterThan(0xffff_ffffn);
    });
  });

  test.each<[Op, FieldValues]>([
    ["gotox", {}],
    ["callx", {}],
    ["addr_space_cast", { imm: 1 }],
    ["lddw_btf_id", { imm: 1 }],
  ])("refuses %s by name", (op, fields) => {
    const program = programOf([mov(0, 0), insn(op, fields), exit]);
    expect(() => engine.load(program, new Surroundings())).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: `${op} at 1 is nothing the interpreter runs yet`,
        details: { insn: 1 },
      }),
    );
  });

  test("what is no instruction, or lies behind the end, traps as illegal", () => {
    const program = programOf([mov(0, 0), [0xff, 0]]);
    expect(run(program)).toEqual({ kind: "trap", cause: "illegal", pc: 1n });
    expect(run(programOf([insn("ja", { off: 10 })]))).toEqual({ kind: "trap", cause: "illegal", pc: 11n });
    const backwards = new Surroundings().start(engine, programOf([insn("ja", { off: -10 })]));
    for (let i = 0; i < 2; i++) expect(backwards.step(1)).toBeUndefined();
    expect(backwards.step(1)).toEqual({ kind: "trap", cause: "illegal", pc: -9n });
  });

  test("refuses more than five arguments", () => {
    expect(() => new Surroundings().start(engine, programOf([exit]), { args: [1n, 2n, 3n, 4n, 5n, 6n] })).toThrow(
      "6 arguments, expected at most 5",
    );
  });

  describe("a budget", () => {
    const countdown = programOf([
      insn("sub64_imm", { dst: 1, imm: 1 }),
      insn("jne64_imm", { dst: 1, imm: 0, off: -2 }),
      copy(0, 1),
      exit,
    ]);

    test("is a number of instructions, and a run goes on where it ended", () => {
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 20 }),
          fc.integer({ min: 1, max: 50 }),
          (budgets, count) => {
            const total = 2 * count + 2;
            const execution = new Surroundings().start(engine, countdown, { args: [BigInt(count)] });
            let given = 0;
            for (const budget of budgets) {
              const stop = execution.run(budget);
              given += budget;
              expect(stop.kind).toBe(given >= total ? "returned" : "budget");
              expect(execution.executed).toBe(Math.min(given, total));
            }
          },
        ),
        { numRuns: 30 },
      );
    });

    test("of nothing runs nothing", () => {
      const execution = new Surroundings().start(engine, countdown, { args: [1n] });
      expect(execution.at).toBe(-1);
      expect(execution.run(0)).toEqual({ kind: "budget" });
      expect([execution.at, execution.executed]).toEqual([0, 0]);
      expect(execution.step(0)).toEqual({ kind: "budget" });
      expect(execution.at).toBe(0);
    });

    test("is not needed for the step that enters the program", () => {
      const execution = new Surroundings().start(engine, countdown, { args: [1n] });
      expect(execution.step(0)).toBeUndefined();
      expect([execution.at, execution.executed]).toEqual([0, 0]);
      expect(execution.step(5)).toBeUndefined();
      expect([execution.at, execution.executed]).toEqual([1, 1]);
    });
  });
});

describe("both readings", () => {
  const register = fc.constantFrom(0, 2, 3, 4, 6, 7);
  const alu = fc.constantFrom<Op>(
    "add64_reg",
    "sub32_reg",
    "mul64_reg",
    "xor32_imm",
    "and64_imm",
    "or64_reg",
    "lsh64_reg",
    "arsh32_reg",
    "div64_reg",
    "smod32_reg",
    "neg64",
    "be32",
    "movsx64_8",
    "cmpxchg64",
  );
  const fields = fc.record({ dst: register, src: register, imm: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }) });
  const body = fc.array(
    fc.oneof(
      fc
        .tuple(alu, fields)
        .map(([op, values]) => insn(op, op === "cmpxchg64" ? { ...values, dst: 10, off: -8 } : values)),
      fc
        .record({ dst: register, off: fc.constantFrom(-8, -16, -12) })
        .map(({ dst, off }) => insn("load32", { dst, src: 10, off })),
      fc
        .record({ src: register, off: fc.constantFrom(-8, -16) })
        .map(({ src, off }) => insn("store64_reg", { dst: 10, src, off })),
      fc.tuple(fields, fc.integer({ min: 0, max: 3 })).map(([values, off]) => insn("jsgt32_reg", { ...values, off })),
      fc.constant(call(7)),
    ),
    { maxLength: 40 },
  );

  test("of any program give the same registers at every step, the same memory and the same stop", () => {
    fc.assert(
      fc.property(body, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (insns, argument) => {
        const program = programOf([
          ...[0, 2, 3, 4, 6, 7].map((reg) => copy(reg, 1)),
          store(10, -8, 1),
          store(10, -16, 1),
          ...insns,
          exit,
          exit,
          exit,
          exit,
        ]);
        const made = [interpreterWith({ checked: true }), trackedInterpreter].map((engine) => {
          const surroundings = new Surroundings({ 7: ({ args }) => args[0] + 1n });
          return { memory: surroundings.memory, execution: surroundings.start(engine, program, { args: [argument] }) };
        });
        const [one, two] = [made[0]!, made[1]!];
        for (let steps = 0; steps < 100; steps++) {
          const stops = [one.execution.step(1), two.execution.step(1)];
          expect(stops[1]).toEqual(stops[0]);
          if (stops[0] !== undefined) break;
          for (let reg = 0; reg <= 10; reg++) expect(two.execution.register(reg)).toBe(one.execution.register(reg));
        }
        expect(two.memory.hash()).toBe(one.memory.hash());
      }),
      { numRuns: 150 },
    );
  });
});
