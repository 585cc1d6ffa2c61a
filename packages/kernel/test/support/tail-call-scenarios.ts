// What running programs with tail calls owe on every engine: tests to call with one.
import type { Engine, Execution, Stop } from "@bpfkit/core";
import type { LoadedProgram } from "@bpfkit/kernel";
import { expect, test } from "vitest";
import { count, tailCall, type World, world } from "./tail-calls.ts";

/** Registers and a stack slot with values, to be seen again with {@link CHECK}. */
const FILL = "r6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\nr4 = 1234\n*(u64 *)(r10 - 64) = r4";
/** r0 becomes 1 where everything is as {@link FILL} left it. */
function check(label: string): string {
  return `
    r0 = 0
    if r6 != 6 goto ${label}
    if r7 != 7 goto ${label}
    if r8 != 8 goto ${label}
    if r9 != 9 goto ${label}
    r4 = *(u64 *)(r10 - 64)
    if r4 != 1234 goto ${label}
    r0 = 1
${label}:`;
}

function returned(stop: Stop): number {
  if (stop.kind !== "returned")
    throw new Error(JSON.stringify(stop, (_, value) => (typeof value === "bigint" ? String(value) : value)));
  return Number(stop.value);
}

/** What a run returns; one that does not end in time is no result. */
function finish(program: LoadedProgram): number {
  return returned(program.run({ budget: 100_000 }).stop);
}

/** Puts the low 32 bits of counter 7 into r3, so that no compiler knows the slot. */
const UNKNOWN_SLOT = "r2 = map[idx:1][0]+56\nr3 = *(u64 *)(r2 + 0)\nr2 = map[idx:0]";

/** Programs in an endless row, ended by the limit. */
function chain({ load, table }: World): LoadedProgram {
  const entry = load("entry", `${count()}\n${tailCall(0)}\nr0 = 7\nexit`);
  table.set(0, entry);
  return entry;
}

/** Registers the scenarios for one engine. */
export function tailCallScenarios(engine: Engine): void {
  test("B-1 simple chain: a program that calls itself runs 34 times", () => {
    const made = world(engine);
    const entry = chain(made);
    expect(finish(entry)).toBe(7);
    expect(made.counts()[0]).toBe(34);
    finish(entry);
    expect(made.counts()[0]).toBe(68);
  });

  test("B-1 simple chain: the limit is one of the invocation, whatever the programs", () => {
    const { load, table, counts } = world(engine);
    const entry = load("a", `${count(0)}\n${tailCall(1)}\nr0 = 10\nexit`);
    table.set(0, entry);
    table.set(1, load("b", `${count(1)}\n${tailCall(2)}\nr0 = 11\nexit`));
    table.set(2, load("c", `*(u64 *)(r10 - 256) = 1\n${count(2)}\nr9 = 1\n${tailCall(0)}\nr0 = 12\nexit`));
    expect(finish(entry)).toBe(10);
    expect(counts().slice(0, 3)).toEqual([12, 11, 11]);
  });

  test("B-2 from subprogram: the callee's result returns to where the subprogram was called", () => {
    const { load, table } = world(engine);
    const entry = load("entry", `call sub\nr0 += 100\nexit\nsub:\n${tailCall(0)}\nr0 = 1\nexit`);
    expect(finish(entry)).toBe(101);
    table.set(0, load("f", "r0 = 5\nexit"));
    expect(finish(entry)).toBe(105);
    table.set(0, load("g", "call sub\nr0 += 1\nexit\nsub:\nr0 = 6\nexit"));
    expect(finish(entry)).toBe(107);
    table.delete(0);
    expect(finish(entry)).toBe(101);
  });

  const misses: readonly (readonly [string, string])[] = [
    ["an empty slot", tailCall(1)],
    ["an empty slot that nobody knew", UNKNOWN_SLOT],
    ["a slot that is not there", tailCall(4)],
    ["a slot far away", "r2 = map[idx:0]\nr3 = -1"],
  ];
  test.each(misses)("B-3 missing target: %s falls through with registers and frame intact", (_what, text) => {
    const call = text.includes("call tail_call") ? text : `${text}\ncall tail_call`;
    const { load, table, counts } = world(engine);
    const main = load("main", `${FILL}\n${call}\n${check("out")}\nexit`);
    expect(finish(main)).toBe(1);
    const sub = load(
      "sub",
      `${FILL}\ncall sub\nr5 = r0\n${check("out")}\nr0 += r5\nexit\nsub:\n${FILL}\n${call}\n${check("done")}\nexit`,
    );
    expect(finish(sub)).toBe(2);
    // It costs nothing either.
    const entry = load("entry", `${count()}\n${call}\nr1 = r6\n${tailCall(0)}\nr0 = 7\nexit`);
    table.set(0, entry);
    expect(finish(entry)).toBe(7);
    expect(counts()[0]).toBe(34);
  });

  test("B-4 hierarchy: two subprograms that each tail-call the entry make 33 tail calls in all", () => {
    const { load, table, counts } = world(engine);
    const entry = load(
      "entry",
      `${count()}\ncall one\nr1 = r6\ncall two\nr0 = 3\nexit
one:\n${tailCall(0)}\nr0 = 0\nexit
two:\n${tailCall(0)}\nr0 = 0\nexit`,
    );
    table.set(0, entry);
    expect(finish(entry)).toBe(3);
    expect(counts()[0]).toBe(34);
  });

  const callees: readonly (readonly [string, string])[] = [
    ["all of them, and a deep frame", "r6 = 0\nr7 = 0\nr8 = 0\nr9 = 0\n*(u64 *)(r10 - 512) = 0\nr0 = 10\nexit"],
    ["none", "r0 = 10\nexit"],
    [
      "one, through a subprogram of its own",
      "r8 = r1\ncall sub\nr0 += r8\nr0 -= r8\nexit\nsub:\nr9 = 10\nr0 = r9\nexit",
    ],
  ];
  test.each(callees)("B-16 callee that saves %s: its caller finds its registers as they were", (_what, text) => {
    for (const own of ["", "r6 = 1\n", "r6 = 1\nr7 = 1\nr8 = 1\nr9 = 1\n*(u64 *)(r10 - 40) = 0\n"]) {
      const { load, table } = world(engine);
      const entry = load(
        "entry",
        `${FILL}\ncall sub\nr5 = r0\n${check("out")}\nr0 += r5\nexit\nsub:\n${own}${tailCall(0)}\nr0 = 0\nexit`,
      );
      table.set(0, load("callee", text));
      expect(finish(entry)).toBe(11);
    }
  });

  test("B-17 helper call between two attempts: the count is the same behind it", () => {
    const { load, table, counts } = world(engine);
    const entry = load(
      "entry",
      `${count()}\n${tailCall(1)}\ncall ktime_get_ns\nr1 = r6\ncall sub\nr0 = 4\nexit
sub:\nr6 = r1\ncall get_prandom_u32\nr1 = r6\n${tailCall(1)}\ncall ktime_get_ns\nr1 = r6\n${tailCall(0)}\nr0 = 0\nexit`,
    );
    table.set(0, entry);
    expect(finish(entry)).toBe(4);
    expect(counts()[0]).toBe(34);
  });

  test("B-19 preemption: two invocations that take turns count for themselves", () => {
    const made = world(engine);
    const { memory } = made.kernel;
    const { executable } = chain(made);
    const size = 16 << 10;
    const runs = [1, 2].map((i): Execution => {
      const low = memory.allocate("stack", size, `stack ${i}`).address;
      return executable.start({ args: [0n], stack: { low, high: low + BigInt(size) } });
    });
    const most = [0, 0];
    const ends: (number | undefined)[] = [undefined, undefined];
    for (let turn = 0; ends.includes(undefined) && turn < 10_000; turn++) {
      // Two steps of one and three of the other, so that they meet at all kinds of places.
      const which = turn % 5 < 2 ? 0 : 1;
      if (ends[which] !== undefined) continue;
      const stop = runs[which]!.step(1_000);
      most[which] = Math.max(most[which]!, runs[which]!.tailCalls);
      if (stop !== undefined) ends[which] = returned(stop);
    }
    expect(ends).toEqual([7, 7]);
    expect(most).toEqual([33, 33]);
    expect(made.counts()[0]).toBe(68);
  });

  test("E-8 empty table then filled: 0, then 42, and whatever it holds afterwards", () => {
    const { load, table } = world(engine);
    const entry = load("entry", `call sub\nexit\nsub:\n${tailCall(2)}\nr0 = 0\nexit`);
    const results = [finish(entry)];
    table.set(2, load("answer", "r0 = 42\nexit"));
    results.push(finish(entry));
    table.set(2, load("other", "r0 = 43\nexit"));
    results.push(finish(entry));
    table.delete(2);
    results.push(finish(entry));
    expect(results).toEqual([0, 42, 43, 0]);
  });

  test("a program that was released runs on in its slot, and its memory goes when it leaves", () => {
    const { kernel, load, table } = world(engine);
    const entry = load("entry", `${tailCall(0)}\nr0 = 0\nexit`);
    const callee = load("callee", "r0 = 5\nexit");
    const address = callee.executable.subprogAddress(0);
    table.set(0, callee);
    callee.release();
    expect(() => callee.run()).toThrow("program 'callee' was released");
    expect(finish(entry)).toBe(5);
    expect(kernel.memory.allocationAt(address)?.live).toBe(true);
    table.delete(0);
    expect(kernel.memory.allocationAt(address)?.live).toBe(false);
    expect(finish(entry)).toBe(0);
  });
}
