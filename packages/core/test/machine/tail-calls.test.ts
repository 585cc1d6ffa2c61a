// Tail calls in the interpreters: what they count, what they leave alone, and where they cannot go.
import { describe, expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import { MAP_TYPES } from "../../src/isa/maps.ts";
import { type TrackedExecution, trackedInterpreter } from "../../src/machine/definedness.ts";
import type { Engine, Executable, Execution, HostFunction, Symbol as Reference } from "../../src/machine/engine.ts";
import { interpreter, interpreterWith } from "../../src/machine/interpreter.ts";
import { Access } from "../../src/machine/memory.ts";
import { MAX_TAIL_CALLS, PROG, PROG_ARRAY } from "../../src/machine/prog-array.ts";
import { trust } from "../../src/trust.ts";
import { Surroundings } from "../support/programs.ts";

const engines: [string, Engine][] = [
  ["interpreter", interpreter],
  ["checked interpreter", interpreterWith({ checked: true })],
  ["tracked interpreter", trackedInterpreter],
];

const ENTRIES = 4;
const MAP = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: ENTRIES, flags: 0 };
const LOOP = 181;

/** Surroundings with one prog array, `table`, and 256 bytes at `log`, which is every program's r1. */
class World extends Surroundings {
  readonly log: bigint;
  readonly table: bigint;
  readonly #engine: Engine;

  constructor(engine: Engine, functions: Record<string, HostFunction> = {}) {
    super(functions);
    this.#engine = engine;
    const { memory } = this;
    this.log = memory.allocate("data", 256, "log").address;
    this.table = memory.allocate("data", PROG_ARRAY.programs + 8 * ENTRIES, "table").address;
    memory.store(4, this.table + BigInt(PROG_ARRAY.maxEntries), BigInt(ENTRIES));
  }

  override address(symbol: Reference): bigint {
    return symbol.kind === "map" ? this.table : super.address(symbol);
  }

  load(text: string, name = "test"): Executable {
    return this.#engine.load(trust({ ...assemble(text, { maps: [MAP] }), name }), this);
  }

  /** Puts a program into the array. */
  set(index: number, executable: Executable): void {
    const { memory } = this;
    const program = memory.allocate("data", PROG.entry + 8, "program").address;
    memory.store(8, program + BigInt(PROG.entry), executable.subprogAddress(0));
    memory.store(8, this.table + BigInt(PROG_ARRAY.programs + 8 * index), program);
  }

  begin(executable: Executable): Execution {
    return executable.start(this.options({ args: [this.log] }));
  }

  /** The 8 bytes number `index` of the log. */
  logged(index: number): bigint {
    return this.memory.load(8, this.log + BigInt(8 * index));
  }
}

const returned = (value: number | bigint): unknown => ({ kind: "returned", value: BigInt(value) });

/** `bpf_tail_call(r6, table, slot)`. */
const jump = (slot: number | string): string => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call`;
/** Adds 1 to word `index` of the log that r6 points to. */
const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1`;

describe.each(engines)("tail calls in the %s", (_name, engine) => {
  test("go to another program, which gets the context, and whose result is the invocation's", () => {
    const world = new World(engine);
    world.set(2, world.load("r0 = *(u64 *)(r1 + 0)\nr0 += 2\nexit", "callee"));
    world.memory.store(8, world.log, 40n);
    const caller = world.load(`r6 = r1\n${jump(2)}\nr0 = 1\nexit`, "caller");
    const execution = world.begin(caller);
    expect(execution.step(1)).toBeUndefined();
    expect(execution.executable).toBe(caller);
    while (execution.executable === caller) expect(execution.step(1)).toBeUndefined();
    expect([execution.at, execution.tailCalls]).toEqual([0, 1]);
    expect(execution.executable.program.program.name).toBe("callee");
    expect(execution.run(100)).toEqual(returned(42));
  });

  test("end after 33 of one invocation, and then fall through; the next invocation has 33 again", () => {
    const world = new World(engine);
    const self = world.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    world.set(0, self);
    for (const runs of [1, 2]) {
      const execution = world.begin(self);
      expect(execution.run(10_000)).toEqual(returned(runs * (MAX_TAIL_CALLS + 1)));
      expect(execution.tailCalls).toBe(33);
    }
  });

  test("count over the whole call tree, also what happened below a frame that has returned", () => {
    const world = new World(engine);
    // 20 from the first subprogram, and what is left from the second one.
    const chain = world.load(
      `r6 = r1\n${count(0)}\nr1 = *(u64 *)(r6 + 0)\nif r1 >= 20 goto out\n${jump(0)}\nout:\nr0 = 1\nexit`,
    );
    const rest = world.load(`r6 = r1\n${count(1)}\n${jump(1)}\nr0 = 1\nexit`);
    world.set(0, chain);
    world.set(1, rest);
    const sub = (slot: number): string => `sub${slot}:\nr6 = r1\n${jump(slot)}\nr0 = 0\nexit`;
    const entry = world.load(`r6 = r1\ncall sub0\nr1 = r6\ncall sub1\nexit\n${sub(0)}\n${sub(1)}`);
    const execution = world.begin(entry);
    expect(execution.run(10_000)).toEqual(returned(1));
    expect([world.logged(0), world.logged(1), execution.tailCalls]).toEqual([20n, 13n, 33]);
  });

  describe("that find no program", () => {
    const misses: [string, string][] = [
      ["an empty slot", "1"],
      ["an index behind the array", `${ENTRIES}`],
      ["an index that is negative", "-1"],
    ];
    test.each(misses)("fall through with r6..r10 and the stack as they were, and cost nothing: %s", (_, slot) => {
      const world = new World(engine);
      world.set(0, world.load("r0 = 0\nexit"));
      const text = `
        r6 = r1
        r7 = 7
        r8 = 8
        r9 = 9
        r1 = 5
        *(u64 *)(r10 - 16) = r1
        ${jump(slot)}
        r0 = *(u64 *)(r10 - 16)
        exit`;
      const loaded = world.load(text);
      const execution = world.begin(loaded);
      const { insns } = loaded.program.program;
      while (execution.at !== insns.length - 2) expect(execution.step(1)).toBeUndefined();
      expect([6, 7, 8, 9].map((reg) => execution.register(reg))).toEqual([world.log, 7n, 8n, 9n]);
      expect(execution.tailCalls).toBe(0);
      const leftovers = [0, 1, 2, 3, 4, 5].map((reg) => execution.register(reg));
      expect(new Set(leftovers).size).toBe(6);
      expect(leftovers.every((value) => value > 0xffff_ffffn)).toBe(true);
      expect(execution.run(10)).toEqual(returned(5));
    });

    test("look at the low half of the index alone", () => {
      const world = new World(engine);
      world.set(1, world.load("r0 = 9\nexit"));
      expect(world.begin(world.load(`r6 = r1\n${jump("0x500000001 ll")}\nr0 = 1\nexit`)).run(20)).toEqual(returned(9));
    });
  });

  describe("from a subprogram", () => {
    test("replace its frame only: the callee's result is the call's, and the caller has its registers and stack", () => {
      const world = new World(engine);
      const clobber = [6, 7, 8, 9].map((reg) => `r${reg} = 99`).join("\n");
      world.set(0, world.load(`${clobber}\nr1 = 98\n*(u64 *)(r10 - 8) = r1\n*(u64 *)(r10 - 256) = r1\nr0 = 30\nexit`));
      const entry = world.load(`
        r6 = r1
        r7 = 1
        r8 = 2
        r9 = 4
        r1 = 5
        *(u64 *)(r10 - 8) = r1
        r1 = r6
        call sub
        r0 += r7
        r0 += r8
        r0 += r9
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
      sub:
        r6 = r1
        r7 = 50
        *(u64 *)(r10 - 24) = r7
        ${jump(0)}
        r0 = 0
        exit`);
      const execution = world.begin(entry);
      expect(execution.run(100)).toEqual(returned(42));
      expect(execution.executable).toBe(entry);
    });

    test("make the callee's stack begin where that frame's was, and take the frame's own away", () => {
      const world = new World(engine);
      world.set(0, world.load("r0 = r10\nr1 = *(u64 *)(r1 + 0)\nr0 -= r1\nexit"));
      world.set(1, world.load("r1 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r1 - 128)\nexit"));
      const entry = (slot: number): string =>
        `r6 = r1\ncall sub\nexit\nsub:\nr6 = r1\n*(u64 *)(r6 + 0) = r10\n*(u64 *)(r10 - 128) = r10\n${jump(slot)}\nr0 = 1\nexit`;
      expect(world.begin(world.load(entry(0))).run(100)).toEqual(returned(0));
      expect(world.begin(world.load(entry(1))).run(100)).toMatchObject({ kind: "trap", cause: "load" });
    });

    test("let the callee nest 16 frames anew", () => {
      const world = new World(engine);
      // Calls itself until `depth` frames are on the stack; then the text that is given.
      const nest = (depth: number, then: string): string =>
        `r2 = ${depth}\ncall deeper\nexit\ndeeper:\nr2 += -1\nif r2 == 1 goto bottom\ncall deeper\nexit\nbottom:\nr6 = r1\n${then}\nr0 = 3\nexit`;
      world.set(0, world.load(nest(16, "")));
      world.set(1, world.load(nest(17, "")));
      expect(world.begin(world.load(nest(16, jump(0)))).run(1000)).toEqual(returned(3));
      expect(world.begin(world.load(nest(16, jump(1)))).run(1000)).toMatchObject({
        kind: "trap",
        cause: "stack",
        detail: expect.stringContaining("frame 17 of at most 16"),
      });
    });
  });

  test("end in a trap where the slot leads to what is no program", () => {
    const world = new World(engine);
    const gone = world.load("r0 = 0\nexit");
    world.set(0, gone);
    world.memory.store(8, world.table + BigInt(PROG_ARRAY.programs + 8), world.log);
    const first = world.load(`r6 = r1\n${jump(0)}\nr0 = 1\nexit`);
    const second = world.load(`r6 = r1\n${jump(1)}\nr0 = 1\nexit`);
    expect(world.begin(first).run(20)).toEqual(returned(0));
    const address = gone.subprogAddress(0);
    gone.release();
    expect(world.begin(first).run(20)).toMatchObject({ kind: "trap", cause: "call", address });
    expect(world.begin(second).run(20)).toMatchObject({ kind: "trap", cause: "call" });
  });

  test("end in a trap where the array is not readable", () => {
    const world = new World(engine);
    world.memory.protect(world.table, PROG_ARRAY.programs, 0);
    const caller = world.load(`r6 = r1\n${jump(0)}\nr0 = 1\nexit`);
    expect(world.begin(caller).run(20)).toMatchObject({ kind: "trap", cause: "load" });
    world.memory.protect(world.table, PROG_ARRAY.programs, Access.READ);
    expect(world.begin(caller).run(20)).toEqual(returned(1));
  });

  test("are refused below a callback, of which Linux knows no count, and nothing stays in memory", () => {
    const world = new World(engine, { [LOOP]: () => 0n });
    const text = `r6 = r1\nr1 = 1\nr2 = subprog[back]\nr3 = 0\nr4 = 0\ncall loop\nr0 = 0\nexit\nback:\ncall below\nr0 = 0\nexit\nbelow:\nr6 = 0\n${jump(0)}\nr0 = 0\nexit`;
    const before = world.memory.allocate("host", 16, "probe").address;
    expect(() => world.load(text)).toThrow(BpfError);
    expect(() => world.load(text)).toThrow("a tail call within callback back of 'test'");
    // Beside a callback they are allowed, and the count is there when the helper has returned.
    const beside = world.load(
      `r6 = r1\nr1 = 1\nr2 = subprog[back]\nr3 = 0\nr4 = 0\ncall loop\n${jump(1)}\nr0 = 7\nexit\nback:\nr0 = 0\nexit`,
    );
    expect(world.begin(beside).run(20)).toEqual(returned(7));
    expect(beside.subprogAddress(0) - before).toBeLessThan(512n);
  });

  test("keep count while the host is called in between", () => {
    const world = new World(engine, { 5: () => -1n });
    const self = world.load(
      `r6 = r1\n${count(0)}\ncall 5\n${jump(1)}\ncall 5\n${jump(0)}\ncall 5\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`,
    );
    world.set(0, self);
    expect(world.begin(self).run(10_000)).toEqual(returned(34));
  });

  test("begin in two invocations at a time without knowing of each other", () => {
    const world = new World(engine);
    const self = world.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    world.set(0, self);
    const other = world.memory.allocate("stack", 4096, "another stack").address;
    const second = self.start({ args: [world.log + 8n], stack: { low: other, high: other + 4096n } });
    const first = world.begin(self);
    for (let i = 0; i < 100; i++) {
      first.run(3);
      second.run(5);
    }
    expect(first.run(10_000)).toEqual(returned(34));
    expect(second.run(10_000)).toEqual(returned(34));
  });
});

describe("what the tracked interpreter knows of tail calls", () => {
  const start = (text: string): TrackedExecution => {
    const world = new World(trackedInterpreter);
    world.set(0, world.load("if r2 == 0 goto +0\nr0 = 0\nexit"));
    return world.begin(world.load(text)) as TrackedExecution;
  };

  test("one that fails leaves r0..r5 undefined, and all else as it was", () => {
    const execution = start(
      `r6 = r1\nr0 = 1\nr4 = 4\nr9 = 9\nr1 = 1\n*(u64 *)(r10 - 8) = r1\n${jump(1)}\nr0 = 0\nexit`,
    );
    const { length } = execution.executable.program.program.insns;
    while (execution.at !== length - 2) expect(execution.step(1)).toBeUndefined();
    expect(execution.definedRegisters().toString(2)).toBe("11001000000"); // r10, r9, r6
    expect(execution.isDefined(execution.register(10) - 8n, 8)).toBe(true);
    expect(execution.undefinedUse).toBeUndefined();
  });

  test("one that succeeds leaves the context in r1 and nothing else, not even what its frame's bytes held", () => {
    const execution = start(`r6 = r1\nr9 = 9\nr1 = 1\n*(u64 *)(r10 - 8) = r1\n${jump(0)}\nr0 = 0\nexit`);
    while (execution.tailCalls === 0) expect(execution.step(1)).toBeUndefined();
    expect(execution.definedRegisters().toString(2)).toBe("10000000010"); // r10, r1
    expect(execution.undefinedUse).toBeUndefined();
    execution.step(1);
    expect(execution.undefinedUse).toEqual({ at: 0, what: "branch" });
  });

  test("an array or an index that nobody gave is a use of an undefined value; the upper half of an index is not", () => {
    const uses = (text: string): unknown => {
      const execution = start(text);
      execution.run(100);
      return execution.undefinedUse;
    };
    // Nothing was stored in the frame but, in the last one, half of what is loaded.
    expect(uses("r2 = *(u64 *)(r10 - 8)\nr3 = 0\ncall tail_call\nr0 = 0\nexit")).toEqual({ at: 2, what: "branch" });
    expect(uses("r2 = map[table]\nr3 = *(u32 *)(r10 - 8)\ncall tail_call\nr0 = 0\nexit")).toEqual({
      at: 3,
      what: "branch",
    });
    expect(
      uses("r1 = 1\n*(u32 *)(r10 - 8) = r1\nr2 = map[table]\nr3 = *(u64 *)(r10 - 8)\ncall tail_call\nr0 = 0\nexit"),
    ).toBeUndefined();
  });
});
