// Programs come and go at many functions while other CPUs call these, and steps of that fail. BPFKIT_SCHEDULES gives the number of random schedules of each.
import {
  everyChoice,
  type MultiTracingLink,
  type Operation,
  type Scheduled,
  type TracedFunction,
} from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { byDesign, EVERY_DESIGN, type MultiWorld, RESULT, SEVEN, THREE, TWO, worldOf } from "./multi-world.ts";

const SEEDS = Number(globalThis.process?.env.BPFKIT_SCHEDULES ?? 2);

/** Calls that a CPU makes, and the lists of programs that each of them may run. */
interface Caller {
  readonly function: TracedFunction;
  readonly before: string;
  readonly after: string;
}

/** Lets CPUs call functions while something changes, and checks that each call ran what there was before the change, or what there was after it. */
function watch(world: MultiWorld, callers: readonly Caller[], operation: Operation<unknown>, seed: number): Scheduled {
  for (const events of world.events) events.length = 0;
  const scheduled = world.kernel.schedule({
    calls: callers.map(({ function: called }) => ({
      function: called,
      words: called.places.slots.map((_, i) => BigInt(i + 1)),
      times: 5,
    })),
    operations: { change: operation },
    choose: { seed },
    granularity: 5,
  });
  const how = `seed ${seed}, schedule ${scheduled.schedule}`;
  expect(scheduled.stuck, how).toBeUndefined();
  const change = scheduled.operations.change!;
  expect(change.kind, how).toBe("done");
  for (const [cpu, { before, after }] of callers.entries()) {
    let rest = world.take2(cpu);
    for (const { result, from, to } of scheduled.calls.filter((call) => call.cpu === cpu)) {
      expect(result.value, how).toBe(RESULT + 1n);
      // Where one list begins with the other, the longer one is what ran.
      const [longer, shorter] = before.length > after.length ? [before, after] : [after, before];
      const ran = `${rest} `.startsWith(`${longer} `) ? longer : shorter;
      expect(`${rest} `.startsWith(`${ran} `), `${how}: cpu ${cpu} ran ${rest}`).toBe(true);
      if (to < change.from) expect(ran, how).toBe(before);
      if (from > change.to) expect(ran, how).toBe(after);
      rest = rest.slice(ran.length + 1);
    }
    expect(rest, how).toBe("");
  }
  return scheduled;
}

/** Has each step of an operation fail in turn, until none is left; gives how many there were. */
function failEach(world: MultiWorld, make: () => Operation<unknown>, check: () => void): number {
  for (let step = 0; ; step++) {
    const { operations } = world.kernel.schedule({ operations: { change: make() }, failing: { change: step } });
    if (operations.change!.kind === "done") return step;
    check();
  }
}

describe.each(EVERY_DESIGN)("%s, %s", (_arch, design, backend) => {
  const World = worldOf(design);
  /** What is expected of this design: shared, per-function or global. */
  const of = <T>(...each: [T, T, T]): T => byDesign(design, ...each);

  test("a class is split, changed in place and merged while its functions are called, without a gap", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = new World(backend, 3, { writeTogether: seed % 2 === 0 ? 64 : 1 });
      const { kernel } = world;
      const [x, y, z] = world.functions(3, SEVEN) as [TracedFunction, TracedFunction, TracedFunction];
      world.attach("fexit", 1, [x, y, z]);
      const [second, third] = [world.program("fentry", 2), world.program("fsession", 3)];
      const calls = (...lists: readonly [string, string][]): Caller[] =>
        [x, y, z].map((called, i) => ({ function: called, before: lists[i]![0], after: lists[i]![1] }));
      const split = watch(
        world,
        calls(["f0 p1", "p2 f0 p1"], ["f1 p1", "p2 f1 p1"], ["f2 p1", "f2 p1"]),
        kernel.attachingMulti(second, [x, y]),
        seed,
      );
      const all = watch(
        world,
        calls(["p2 f0 p1", "p3 p2 f0 p3 p1"], ["p2 f1 p1", "p3 p2 f1 p3 p1"], ["f2 p1", "p3 f2 p3 p1"]),
        kernel.attachingMulti(third, [x, y, z]),
        seed,
      );
      expect(kernel.trampolines.count).toBe(of(2, 3, 1));
      const links = [split, all].map(({ operations }) => (operations.change as { value: MultiTracingLink }).value);
      watch(
        world,
        calls(["p3 p2 f0 p3 p1", "p3 f0 p3 p1"], ["p3 p2 f1 p3 p1", "p3 f1 p3 p1"], ["p3 f2 p3 p1", "p3 f2 p3 p1"]),
        links[0]!.detaching(),
        seed,
      );
      expect(kernel.trampolines.count).toBe(of(1, 3, 1));
    }
  });

  test.runIf(design === "global")(
    "functions come for which a table has no room while others are called: each call runs what it ran, or what comes next",
    () => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const world = new World(backend, 2, { writeTogether: seed % 2 === 0 ? 64 : 1 });
        const { kernel } = world;
        const functions = world.functions(24);
        world.attach("fexit", 1, functions.slice(0, 4));
        const callers = (before: string, after: string): Caller[] =>
          functions.slice(0, 2).map((called) => {
            const of = (list: string): string => list.replace("f", called.name);
            return { function: called, before: of(before), after: of(after) };
          });
        watch(
          world,
          callers("f p1", "f p1"),
          kernel.attachingMulti(world.program("fentry", 2), functions.slice(2)),
          seed,
        );
        watch(world, callers("f p1", "p3 f p1"), kernel.attachingMulti(world.program("fentry", 3), functions), seed);
        expect([2, 23].map((i) => world.call(functions[i]!))).toEqual(["p3 p2 f2 p1", "p3 p2 f23"]);
      }
    },
  );

  test("A-6 then typed fentry on N: no call of N misses A while it becomes a single, and back", () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = new World(backend, 2, { writeTogether: seed % 2 === 0 ? 64 : 1 });
      const [n, m] = world.functions(2) as [TracedFunction, TracedFunction];
      world.attach("fexit", 1, [n, m]);
      const callers = (before: string, after: string): Caller[] => [
        { function: n, before, after },
        { function: m, before: "f1 p1", after: "f1 p1" },
      ];
      const attached = watch(
        world,
        callers("f0 p1", "p2 f0 p1"),
        world.kernel.attaching(world.program("fentry", 2), n),
        seed,
      );
      const link = (attached.operations.change as { value: MultiTracingLink }).value;
      expect(world.kernel.trampolines.count).toBe(2);
      watch(world, callers("p2 f0 p1", "f0 p1"), link.detaching(), seed);
      expect(world.kernel.trampolines.count).toBe(of(1, 2, 1));
    }
  });

  test.each([64, 1])(
    "A-15 fault at every step of an attach that adds, splits and changes in place: the state is as before (from %s entries on written together)",
    (writeTogether) => {
      const world = new World(backend, 1, { writeTogether });
      const functions = [...world.functions(4), ...world.functions(3, THREE)];
      using _old = world.attach("fexit", 1, [...functions.slice(0, 2), ...functions.slice(4, 6)]);
      const program = world.cookieProgram("fexit", 2);
      const listed = [...functions.slice(1, 6)];
      const cookies = listed.map((_, i) => BigInt(i));
      // What the program needs once is there from the first time on.
      world.kernel.attachMulti(program, listed, { cookies }).detach();
      const before = world.state();
      const lists = (): string[] => functions.map((traced) => world.call(traced));
      const ran = lists();
      let link: MultiTracingLink | undefined;
      const steps = failEach(
        world,
        function* () {
          link = yield* world.kernel.attachingMulti(program, listed, { cookies });
        },
        () => {
          expect(world.state()).toBe(before);
          expect(lists()).toEqual(ran);
        },
      );
      expect(steps).toBeGreaterThan(5);
      const after = world.state();
      expect(world.call(functions[1]!)).toBe("f1 p2 p1");
      const stepsBack = failEach(
        world,
        () => link!.detaching(),
        () => {
          expect([world.state(), link!.isAttached]).toEqual([after, true]);
          expect(world.call(functions[1]!)).toBe("f1 p2 p1");
        },
      );
      expect(stepsBack).toBeGreaterThan(5);
      expect(world.kernel.trampolines.count).toBe(of(2, 4, 2));
      expect(lists()).toEqual(ran);
    },
  );

  test("A-15 fault at every step while other CPUs call: each call runs the old list or the new one, with a program that is gone then", () => {
    const world = new World(backend, 2);
    const { kernel } = world;
    const [x, y, z] = world.functions(3) as [TracedFunction, TracedFunction, TracedFunction];
    world.attach("fexit", 1, [x, y]);
    for (let step = 0; ; step++) {
      for (const events of world.events) events.length = 0;
      const program = world.program("fsession", 2);
      const { operations, stuck, calls } = kernel.schedule({
        calls: [x, z].map((called) => ({ function: called, words: [1n, 2n], times: 6 })),
        operations: { change: kernel.attachingMulti(program, [x, z]) },
        failing: { change: step },
        choose: { seed: step },
        granularity: 3,
      });
      program.release();
      expect([stuck, calls.every(({ result }) => result.value === RESULT + 1n)]).toEqual([undefined, true]);
      expect(world.take2(0)).toMatch(/^((f0 p1|p2 f0 p2 p1)( |$))*$/);
      expect(world.take2(1)).toMatch(/^((f2|p2 f2 p2)( |$))*$/);
      if (operations.change!.kind === "done") break;
      expect([x, z].map((traced) => world.call(traced))).toEqual(["f0 p1", "f2"]);
    }
    expect(world.call(z)).toBe("p2 f2 p2");
  });

  test.runIf(design === "global")(
    "a call that is looking for its row finds it in the table that it looks into, whatever has taken that one's place",
    () => {
      for (let steps = 0; steps < 12; steps += 2) {
        const world = new World(backend, 2);
        const { kernel } = world;
        const functions = world.functions(24);
        world.attach("fexit", 1, functions.slice(0, 4));
        using run = functions[0]!.start([1n, 2n], { cpu: 1 });
        while (!kernel.memory.describe(run.pc).includes("row search")) run.run(1);
        run.run(steps);
        world.attach("fentry", 2, functions);
        run.run(10_000);
        expect([run.result.value, world.take2(1)]).toEqual([RESULT + 1n, expect.stringMatching(/^(p2 )?f0 p1$/)]);
        expect(world.call(functions[0]!)).toBe("p2 f0 p1");
      }
    },
  );

  /** A function that calls another one from its body, so that there is a moment inside. */
  function nested(world: MultiWorld): { readonly outer: TracedFunction; readonly inner: TracedFunction } {
    const [inner] = world.functions(1) as [TracedFunction];
    // Where a CPU that stops inside is in no entry that changes.
    const pause = world.kernel.defineFunction("pause", "void ()", () => 0n);
    const outer = world.kernel.defineFunction("outer", "u64 (u64, u64)", function* ({ words: [a], cpu }) {
      world.events[cpu]!.push("outer");
      yield pause.call();
      return yield inner.call(a!, 0n);
    });
    return { outer, inner };
  }

  test("A-17 failed update keeps old image: a call in flight finishes in it", () => {
    const world = new World(backend, 2);
    const { outer, inner } = nested(world);
    using _exit = world.attach("fexit", 1, [outer, inner]);
    const program = world.program("fentry", 2);
    world.kernel.attachMulti(program, [outer]).detach();
    const before = world.state();
    using run = outer.start([1n, 2n], { cpu: 1 });
    while (world.events[1]!.length === 0) run.run(1);
    let failures = 0;
    for (let step = 0; ; step++) {
      const operations = { change: world.kernel.attachingMulti(program, [outer, inner]) };
      const { operations: ended } = world.kernel.schedule({ operations, failing: { change: step } });
      if (ended.change!.kind === "done") break;
      failures++;
    }
    expect(failures).toBeGreaterThanOrEqual(of(5, 5, 4));
    run.run(10_000);
    expect([run.result.value, world.take2(1)]).toEqual([RESULT + 1n, "outer p2 f0 p1 p1"]);
    world.kernel.attachMulti(world.program("fentry", 3), [inner]).detach();
    expect(world.state()).not.toBe(before);
    expect(world.kernel.trampolines.count).toBe(of(1, 2, 1));
  });

  test("A-30 a detach that fails at any step: a late return runs the program that stays, at a function with a typed program, too", () => {
    const world = new World(backend, 2);
    const { kernel } = world;
    const { outer, inner } = nested(world);
    const program = world.program("fexit", 1);
    using _typed = kernel.attach(world.program("fentry", 2), inner);
    const first = kernel.attachMulti(program, [outer, inner]);
    const steps = failEach(
      world,
      () => first.detaching(),
      () => {},
    );
    const link = kernel.attachMulti(program, [outer, inner]);
    using run = outer.start([1n, 2n], { cpu: 1 });
    while (world.events[1]!.length === 0) run.run(1);
    for (let step = 0; step < steps; step++) {
      const { operations } = kernel.schedule({ operations: { change: link.detaching() }, failing: { change: step } });
      expect([operations.change!.kind, link.isAttached]).toEqual(["failed", true]);
    }
    run.run(10_000);
    expect([run.result.value, world.take2(1)]).toEqual([RESULT + 1n, "outer p2 f0 p1 p1"]);
  });

  test("A-30 in-flight detach: a late return skips the program that went, not the others, and then its trampoline goes", () => {
    const world = new World(backend, 2);
    const { outer, inner } = nested(world);
    const [first, second] = [world.program("fexit", 1), world.program("fexit", 2)];
    const stays = world.kernel.attachMulti(first, [outer, inner]);
    world.kernel.attachMulti(second, [outer, inner]).detach();
    const before = world.state();
    const goes = world.kernel.attachMulti(second, [outer]);
    const run = outer.start([1n, 2n], { cpu: 1 });
    while (world.events[1]!.length === 0) run.run(1);
    goes.detach();
    expect(goes.isAttached).toBe(false);
    const { allocated } = world.kernel.memory;
    run.run(10_000);
    expect([run.result.value, world.take2(1)]).toEqual([RESULT + 1n, "outer f0 p1 p1"]);
    expect(world.kernel.memory.allocated).toBeLessThan(allocated);
    expect(world.state().split("\n").at(-1)).toBe(before.split("\n").at(-1));
    stays.detach();
    expect([world.call(outer), world.kernel.trampolines.count]).toEqual(["outer f0", 0]);
  });

  test("a call that sleeps in its function finishes with the programs that are left, in memory that is kept for it until then", () => {
    const world = new World(backend, 2);
    const { memory } = world.kernel;
    const [sleeper] = world.functions(1, TWO, { sleeps: true }) as [TracedFunction];
    const [stays, goes] = [world.program("fexit", 1), world.program("fexit", 2)];
    // What programs need once is there from the first time on.
    for (const program of [stays, goes]) world.kernel.attachMulti(program, [sleeper]).detach();
    const first = world.kernel.attachMulti(stays, [sleeper]);
    const { allocated } = memory;
    const second = world.kernel.attachMulti(goes, [sleeper]);
    const run = sleeper.start([1n, 2n], { cpu: 1 });
    const body = sleeper.code.hostAddress({ kind: "body" });
    while (run.pc !== body) run.run(1);
    second.detach();
    expect(memory.allocated).toBeGreaterThan(allocated);
    run.run(10_000);
    expect([run.result.value, world.take2(1), memory.allocated]).toEqual([RESULT + 1n, "f0 p1", allocated]);
    // The same where nothing is left, and the trampoline goes, too.
    const again = sleeper.start([1n, 2n], { cpu: 1 });
    while (again.pc !== body) again.run(1);
    first.detach();
    again.run(10_000);
    expect([again.result.value, world.take2(1), world.kernel.trampolines.count]).toEqual([RESULT + 1n, "f0", 0]);
    expect(memory.allocated).toBeLessThan(allocated);
  });

  test("A-31 lock order: attach, detach and fentry end in every order in which they can take turns, and in random ones with calls", () => {
    const world = new World(backend, 2);
    const { kernel } = world;
    const functions = world.functions(2);
    const programs = [1, 2, 3].map((id) => world.program("fexit", id));
    const ways = everyChoice((choose) => {
      const multi = kernel.attachingMulti(programs[0]!, functions);
      const { operations, stuck } = kernel.schedule({
        operations: { multi, typed: kernel.attaching(programs[1]!, functions[1]!) },
        choose,
      });
      expect(stuck).toBeUndefined();
      expect(world.call(functions[1]!)).toMatch(/^f1 (p1 p2|p2 p1)$/);
      for (const ended of Object.values(operations)) (ended as { value: MultiTracingLink }).value.detach();
    });
    expect(ways).toBeGreaterThan(10);
    for (let seed = 0; seed < SEEDS; seed++) {
      const link = kernel.attachMulti(programs[2]!, functions);
      const { operations, stuck } = kernel.schedule({
        calls: functions.map((called) => ({ function: called, words: [1n, 2n], times: 3 })),
        operations: {
          multi: kernel.attachingMulti(programs[0]!, functions),
          detach: link.detaching(),
          typed: kernel.attaching(programs[1]!, functions[0]!),
        },
        choose: { seed },
        granularity: "site",
      });
      expect(stuck).toBeUndefined();
      expect(Object.values(operations).map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
      for (const name of ["multi", "typed"]) (operations[name] as { value: MultiTracingLink }).value.detach();
      expect(kernel.trampolines.count).toBe(0);
    }
  });
});
