import { type AssembleOptions, assemble, type Engine, interpreter, type Line, type MapSpec, trust } from "@bpfkit/core";
import { Lockstep, type LockstepProgram, type LockstepResult, type RunOptions } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { compiled, faulty, unguarded } from "./support/engines.ts";
import { ARRAY, HASH, LRU_HASH, le32, le64, mapSpec } from "./support/scripted.ts";

const COUNTING = `
    r6 = r1
    *(u64 *)(r10 - 8) = 0
    r1 = *(u32 *)(r6 + 0)
    *(u32 *)(r10 - 4) = r1
    r1 = map[idx:0]
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto missing
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r0 = *(u64 *)(r0 + 0)
    goto out
missing:
    r1 = map[idx:0]
    r2 = r10
    r2 += -4
    *(u64 *)(r10 - 16) = 1
    r3 = r10
    r3 += -16
    r4 = 0
    call map_update_elem
    r0 = 0
out:
    exit
`;

const CALLBACKS = `
    *(u64 *)(r10 - 8) = 0
    r1 = 5
    r2 = subprog[add]
    r3 = r10
    r3 += -8
    r4 = 0
    call loop
    r0 = *(u64 *)(r10 - 8)
    exit
add:
    *(u64 *)(r10 - 16) = r1
    r3 = *(u64 *)(r2 + 0)
    r4 = *(u64 *)(r10 - 16)
    r3 += r4
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit
`;

const NESTED = `
    *(u64 *)(r10 - 8) = 7
    r1 = r10
    r1 += -8
    call outer
    r0 += 1
    exit
outer:
    r6 = r1
    *(u64 *)(r10 - 24) = 3
    r2 = r10
    r2 += -24
    call inner
    r0 += r6
    r0 -= r6
    exit
inner:
    r0 = *(u64 *)(r1 + 0)
    r3 = *(u64 *)(r2 + 0)
    r0 *= r3
    *(u64 *)(r1 + 0) = r0
    exit
`;

interface Case extends AssembleOptions {
  readonly run?: RunOptions;
}

function lockstep(text: string, engine: Engine, { run = {}, ...options }: Case = {}): LockstepResult {
  const pair = new Lockstep({ engine, disassemble });
  return pair.load(trust(assemble(text, options))).run(run);
}

function* disassemble(code: Uint8Array): Iterable<Line> {
  yield { offset: 0, bytes: code, text: `code of slot ${code[0]! / 8}` };
}

const maps = [mapSpec(LRU_HASH)];
const array = { maps: [mapSpec(ARRAY, { maxEntries: 1 })] };
const counting = { maps, run: { context: Uint8Array.of(1, 2, 3, 4) } };

describe("two engines that agree", () => {
  test.each([
    ["maps", COUNTING, counting, 19],
    ["callbacks", CALLBACKS, {}, 44],
    ["frames that are passed down", NESTED, {}, 19],
    ["a packet", "r2 = *(u32 *)(r1 + 0)\n*(u8 *)(r2 + 0) = 5\ncall ktime_get_ns\nr0 = 2\nexit", { type: "xdp" }, 5],
    ["a trap", "r1 = 5\nr0 = *(u8 *)(r1 + 0)\nexit", {}, 2],
  ])("are compared at every instruction of a program with %s", (_what, text, options, boundaries) => {
    for (const engine of [interpreter, compiled()]) {
      const result = lockstep(text, engine, options);
      expect(result.difference?.listing).toBeUndefined();
      expect(result).toMatchObject({ equal: true, undefinedUse: undefined, boundaries, instructions: boundaries });
      expect(result.subject.stop.kind).toBe(result.reference.stop.kind);
    }
  });

  test("are compared where instructions that share their code end", () => {
    const loop = "r0 = 0\nr1 = 5\nagain:\nr0 += r1\nr1 -= 1\nif r1 != 0 goto again\nexit";
    expect(lockstep(loop, compiled()).boundaries).toBe(18);
    const result = lockstep(loop, compiled([0, 2, 3]));
    expect(result.difference?.listing).toBeUndefined();
    expect(result).toMatchObject({ equal: true, boundaries: 7, instructions: 18, subject: { returnValue: 15 } });
  });

  test("may differ in what nobody defined: leftovers in registers and on the stack", () => {
    const text = "call ktime_get_ns\nr6 = r1\n*(u64 *)(r10 - 8) = r1\nr7 = *(u64 *)(r10 - 8)\nr0 = 0\nexit";
    const other = faulty(1, "r6 = 77", faulty(2, "*(u64 *)(r10 - 8) = r5"));
    expect(lockstep(text, other)).toMatchObject({ equal: true, undefinedUse: undefined, boundaries: 6 });
  });

  test("stop where an undefined value decides", () => {
    const result = lockstep("call ktime_get_ns\nif r1 == 0 goto +1\nr0 = 1\nexit", interpreter);
    expect(result).toMatchObject({
      equal: true,
      undefinedUse: { at: 1, what: "branch" },
      boundaries: 2,
      subject: { stop: { kind: "budget" } },
    });
  });

  test("stop when the budget is used up", () => {
    const result = lockstep("loop:\ngoto loop", compiled(), { run: { budget: 100 } });
    expect(result).toMatchObject({ equal: true, instructions: 100, subject: { stop: { kind: "budget" } } });
  });

  test("keep maps, clocks and random numbers alike over many runs", () => {
    const pair = new Lockstep({
      engine: compiled(),
      seed: 5,
      setup: (kernel) => kernel.createMap(maps[0]!).update(le32(9), le64(1)),
    });
    const program = pair.load(
      trust(assemble(`r6 = r1\ncall get_prandom_u32\nr7 = r0\ncall ktime_get_ns\nr1 = r6\n${COUNTING}`, { maps })),
    );
    for (let key = 0; key < 20; key++) expect(program.run({ context: le32(key % 7) }).equal).toBe(true);
    pair.apply((kernel) => kernel.map("m").delete(le32(5)));
    expect(program.run({ context: le32(5) }).equal).toBe(true);
    expect(pair.compareMaps()).toBeUndefined();
    expect([...pair.subject.map("m").entries()].length).toBe(4);
    expect(pair.counts.boundaries).toBeGreaterThan(400);
  });
});

describe("a program that leaves the stack of its live frames", () => {
  const DANGLING = "call f\n*(u8 *)(r0 + 0) = 1\nexit\nf:\nr0 = r10\nr0 += -8\n*(u64 *)(r10 - 8) = 1\nexit";

  test.each([
    ["with a store", "call f\nexit\nf:\n*(u32 *)(r10 + 8) = 1\nr0 = 0\nexit", 2, "store of 4 bytes at r10 + 8"],
    ["with a load", "r1 = r10\nr1 += -512\nr0 = *(u64 *)(r1 - 8)\nexit", 2, "load of 8 bytes at r10 - 520"],
    ["with a pointer into a frame that ended", DANGLING, 1, "store of 1 bytes at r10 - 520"],
    [
      "with what it gives a helper",
      "r1 = map[idx:0]\nr2 = r10\nr2 += -516\ncall map_lookup_elem\nexit",
      4,
      "load of 4 bytes at r10 - 516",
    ],
  ])("%s is told from an engine that is wrong", (_what, text, at, detail) => {
    const { equal, difference, programFault, reference } = lockstep(text, unguarded(), { maps });
    expect(difference?.listing).toBeUndefined();
    expect(equal).toBe(true);
    expect(programFault).toEqual({ at, what: "stack", detail: `${detail}, which is in no live frame` });
    expect(reference.stop).toMatchObject({ kind: "trap" });
  });

  const LEAVING = "r6 = r1\nr1 = r10\nr1 += -600\n*(u32 *)(r1 + 0) = 1\nr0 = 0\nexit";

  test.each([
    ["that traps there", faulty(3, "*(u32 *)(r0 + 0) = 1", unguarded())],
    ["that writes somewhere else besides", faulty(3, "*(u32 *)(r6 + 0) = 1", unguarded())],
    ["that returns from there", faulty(3, "exit", unguarded())],
  ])("does not hide an engine %s", (_what, engine) => {
    const { equal, difference, programFault } = lockstep(LEAVING, engine, counting);
    expect({ equal, programFault, at: difference?.at }).toEqual({ equal: false, programFault: undefined, at: 3 });
  });

  test("is not what an engine makes of it whose frames overlap", () => {
    const text = "*(u64 *)(r10 - 8) = 7\ncall f\nr0 = *(u64 *)(r10 - 8)\nexit\nf:\n*(u64 *)(r10 - 8) = 7\nr0 = 0\nexit";
    expect(lockstep(text, unguarded(16n))).toMatchObject({ equal: true, programFault: undefined });
    expect(lockstep(text, unguarded(0n))).toMatchObject({ equal: false, programFault: undefined });
  });

  test("traps in every engine where it leaves the stack altogether", () => {
    const text = "r1 = r10\nr1 += 16\n*(u64 *)(r1 + 0) = 1\nr0 = 0\nexit";
    const { equal, programFault, subject } = lockstep(text, unguarded());
    expect({ equal, programFault, stop: subject.stop.kind }).toEqual({
      equal: true,
      programFault: undefined,
      stop: "trap",
    });
  });
});

describe("an engine that is wrong", () => {
  const differences: [string, string, Engine, Case, number, string][] = [
    ["in arithmetic", "r0 = 3\nr0 += 4\nr1 = 1\nexit", faulty(1, "r0 += 5"), {}, 1, "r0"],
    ["in the upper half of a register", "r0 = -1\nw0 = w0\nexit", faulty(1, "r0 = r0"), {}, 1, "r0"],
    ["in a branch", "r0 = 3\nif r0 > 3 goto +1\nr0 = 4\nexit", faulty(1, "if r0 >= 3 goto +1"), {}, 1, "place"],
    [
      "in the value of a store",
      "r6 = r1\n*(u8 *)(r1 + 2) = 1\nr0 = 0\nexit",
      faulty(1, "*(u8 *)(r1 + 2) = 2"),
      counting,
      1,
      "the byte at",
    ],
    [
      "in the place of a store",
      "*(u8 *)(r1 + 2) = 9\nr0 = 0\nexit",
      faulty(0, "*(u8 *)(r1 + 1) = 9"),
      counting,
      0,
      "the byte at",
    ],
    ["in leaving out a store", "*(u8 *)(r1 + 2) = 9\nr0 = 0\nexit", faulty(0, "r0 = 0"), counting, 0, "r0|the byte at"],
    [
      "in writing more than it should",
      "*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit",
      faulty(0, "*(u32 *)(r1 + 0) = 1"),
      counting,
      0,
      "the byte at",
    ],
    ["on its stack", "*(u64 *)(r10 - 8) = 1\nr0 = 0\nexit", faulty(0, "*(u64 *)(r10 - 8) = 2"), {}, 0, "the byte at"],
    ["in a caller's stack", NESTED, faulty(17, "*(u64 *)(r2 + 0) = r0"), {}, 17, "the byte at"],
    ["in the value that it returns", "r0 = 1\nexit", faulty(0, "r0 = 2"), {}, 0, "r0"],
    [
      "in going on where the program ends",
      "r0 = 1\nif r0 == 1 goto +0\nexit\nr0 = 2\nexit",
      faulty(2, "goto +0"),
      {},
      2,
      "stop",
    ],
    ["in trapping", "r0 = 1\nr2 = *(u8 *)(r1 + 0)\nexit", faulty(1, "r2 = *(u8 *)(r1 + 4)"), counting, 1, "stop"],
    ["in not trapping", "r0 = 1\nr2 = *(u8 *)(r1 + 4)\nexit", faulty(1, "r2 = *(u8 *)(r1 + 0)"), counting, 1, "stop"],
    ["in where it traps", "r0 = 1\nr2 = *(u8 *)(r1 + 4)\nexit", faulty(1, "r2 = *(u8 *)(r1 + 5)"), counting, 1, "stop"],
    ["in a callback's argument", CALLBACKS, faulty(1, "r1 = 6"), {}, 1, "r1"],
  ];

  test.each(differences)("%s is caught at once", (_what, text, engine, options, at, what) => {
    const { equal, difference } = lockstep(text, engine, options);
    expect(equal).toBe(false);
    expect(difference?.at).toBe(at);
    expect(difference?.what).toMatch(new RegExp(`^(${what})`));
  });

  test("in a map's keys is caught when the run ends", () => {
    const hash = [mapSpec(HASH)];
    const pair = new Lockstep({ engine: interpreter, setup: (kernel) => kernel.createMap(hash[0]!) });
    const program = pair.load(trust(assemble("r0 = 0\nexit", { maps: hash })));
    pair.subject.map("m").update(le32(1), le64(1));
    expect(program.run().difference?.what).toBe("keys of map 'm'");
    expect(pair.compareMaps()).toBe("keys of map 'm'");
  });

  test("gets a report with the instruction, its code, and the registers before and after", () => {
    const text = "r0 = 3\nr1 = 7\nr0 += 4\ncall ktime_get_ns\nr0 += 1\nexit";
    const engine = faulty(4, "r0 += 2", compiled([1]));
    expect(lockstep(text, engine).difference).toMatchObject({
      at: 4,
      what: "r0",
      reference: "0x3b9aca01",
      subject: "0x3b9aca02",
    });
    expect(lockstep(text, engine).difference?.listing).toMatchInlineSnapshot(`
      "faulty differs from interpreter after instruction 4 of 'main': r0
        interpreter  0x3b9aca01
        faulty       0x3b9aca02

           4: r0 += 1
              +00  20 21 22 23 24 25 26 27         code of slot 4

              before            interpreter       faulty
      * r0    000000003b9aca00  000000003b9aca01  000000003b9aca02
        r1    dead000000000001  -                 dead000000000001
        r2    dead000000000002  -                 dead000000000002
        r3    dead000000000003  -                 dead000000000003
        r4    dead000000000004  -                 dead000000000004
        r5    dead000000000005  -                 dead000000000005
        r6    dead000000000006  -                 dead000000000006
        r7    dead000000000007  -                 dead000000000007
        r8    dead000000000008  -                 dead000000000008
        r9    dead000000000009  -                 dead000000000009
        r10   0000000011014020  0000000011014020  0000000011014020"
    `);
  });

  test.each([
    ["a context", "*(u8 *)(r1 + 2) = 9\nr0 = 0\nexit", 0, "*(u8 *)(r1 + 2) = 8"],
    ["a map", "r1 = map[idx:0][0]+0\n*(u8 *)(r1 + 3) = 9\nr0 = 0\nexit", 2, "*(u8 *)(r1 + 3) = 8"],
    ["a stack", COUNTING, 3, "*(u32 *)(r10 - 4) = 6"],
    ["a caller's stack", NESTED, 17, "*(u32 *)(r1 + 0) = r6"],
  ])("gets a report that names the place of a wrong byte in %s", (_what, text, slot, wrong) => {
    expect(
      lockstep(text, faulty(slot, wrong), text.includes("map[idx:0][0]") ? array : counting).difference?.what,
    ).toMatchSnapshot();
  });

  test("leaves both CPUs free, and memory without a journal", () => {
    const pair = new Lockstep({ engine: faulty(0, "r0 = 2") });
    const program = pair.load(trust(assemble("r0 = 1\nexit")));
    for (let i = 0; i < 2; i++) expect(program.run().equal).toBe(false);
    expect([pair.subject.memory.journal, pair.reference.memory.journal]).toEqual([undefined, undefined]);
  });

  test("is not run twice in a row at once", () => {
    const program = new Lockstep({ engine: interpreter }).load(trust(assemble("r0 = 1\nexit")));
    expect(() => program.run({ repeat: 2 })).toThrow("repeat 2 in lockstep, expected 1");
  });
});

describe("tail calls", () => {
  const TABLE: MapSpec = { name: "table", type: 3, keySize: 4, valueSize: 4, maxEntries: 2, flags: 0 };
  const CALLER = "r6 = r1\nr1 = r6\nr2 = map[table]\nr3 = 0\ncall tail_call\nr0 = 7\nexit";
  const CALLEE = "r0 = 1\nr0 += 1\nexit";

  function chain(engine: Engine): { readonly lockstep: Lockstep; readonly caller: LockstepProgram } {
    const lockstep = new Lockstep({ engine });
    const load = (name: string, text: string): LockstepProgram =>
      lockstep.load(trust(assemble(text, { name, maps: [TABLE] })));
    const caller = load("caller", CALLER);
    lockstep.progArray("table").set(0, load("callee", CALLEE));
    return { lockstep, caller };
  }

  test("are followed into the program that a slot holds in both kernels, until it is emptied in both", () => {
    const { lockstep, caller } = chain(interpreter);
    const followed = caller.run();
    expect(followed.equal).toBe(true);
    expect(followed.subject.returnValue).toBe(2);
    expect(followed.program.program.name).toBe("callee");
    expect(lockstep.progArray(TABLE).delete(0)).toBe(true);
    expect(lockstep.progArray(TABLE).delete(0)).toBe(false);
    const missed = caller.run();
    expect([missed.equal, missed.subject.returnValue, missed.program.program.name]).toEqual([true, 7, "caller"]);
  });

  test("lead to a difference that is told in the program where it is", () => {
    const wrong = faulty(1, "r0 += 2");
    const { difference, program } = chain({
      name: "wrong",
      load: (verified, ...rest) => (verified.program.name === "callee" ? wrong : interpreter).load(verified, ...rest),
    }).caller.run();
    expect(difference).toMatchObject({ at: 1, what: "r0", next: { at: 2 } });
    expect(program.program.name).toBe("callee");
    expect(difference!.listing).toContain("after instruction 1 of 'callee': r0");
  });
});
