// One program on many functions, through the kernel package, on three architectures: which functions share trampolines, and what calls run.
import {
  applyPlan,
  type BpfError,
  type CompileOptions,
  FunctionFlag,
  ModelKeys,
  MULTI_STRATEGIES,
  type MultiPlan,
  MultiState,
  placesKey,
  planAttach,
  planDetach,
} from "@bpfkit/core";
import type { MultiTracingLink, TracedFunction } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { byDesign, EVERY_DESIGN, type MultiWorld, SEVEN, THREE, TWO, worldOf } from "./multi-world.ts";
import { errorOf } from "./tracing-world.ts";

describe.each(EVERY_DESIGN)("%s, %s", (_arch, design, backend) => {
  const World = worldOf(design);
  /** What is expected of this design: shared, per-function or global. */
  const of = <T>(...each: [T, T, T]): T => byDesign(design, ...each);

  test("A-1 basic grouping: functions of 2, 3 and 7 arguments, 3 trampolines, and as many syncs as one function takes", () => {
    const world = new World(backend);
    const { kernel } = world;
    const [one] = world.functions(1);
    const functions = [TWO, THREE, SEVEN].flatMap((model) => world.functions(20, model));
    const start = kernel.ledger;
    world.attach("fentry", 1, [one!]).detach();
    const single = kernel.ledger;
    using link = world.attach("fentry", 1, functions);
    const many = kernel.ledger;
    expect([kernel.trampolines.count, link.images, link.size]).toEqual([...of([3, 3], [60, 60], [3, 3]), 60]);
    expect(many.pokes - single.pokes).toBe(60);
    expect(many.syncs - single.syncs).toBeLessThanOrEqual(single.syncs - start.syncs);
    for (const traced of functions) {
      expect(world.call(traced)).toBe(`p1 ${traced.name}`);
    }
    functions.at(-1)!.run([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    expect(world.events[0]).toEqual(["p1 1 2", `${functions.at(-1)!.name} 1,2,3,4,5,6,7`]);
  });

  test("A-2 comparator: classes as the backend compares models, and the same results", () => {
    const world = new World(backend);
    const models = ["u64 (u32, u64)", "u64 (u64, u32)", "u64 (u32, u64, u64)", "u64 (u64, u64, u32)"];
    const functions = models.flatMap((model) => world.functions(3, model));
    using link = world.attach("fexit", 1, functions);
    const same = backend.funcModelEqual(functions[0]!.model, functions[3]!.model);
    expect([link.images, same]).toEqual(backend.arch === "x86-64" ? [of(2, 12, 2), true] : [of(4, 12, 4), false]);
    for (const traced of functions) expect(world.call(traced)).toBe(`${traced.name} p1`);
  });

  test("A-3 identical set: as many trampolines, made anew, and the program attached last runs first", () => {
    const world = new World(backend);
    const functions = [...world.functions(5), ...world.functions(5, THREE)];
    using _first = world.attach("fentry", 1, functions);
    using _second = world.attach("fentry", 2, functions);
    expect(world.kernel.trampolines.count).toBe(of(2, 10, 2));
    expect(world.call(functions[7]!)).toBe("p2 p1 f7");
  });

  test("A-4 partial overlap: three classes, each with its programs", () => {
    const world = new World(backend);
    const functions = world.functions(14);
    using _p = world.attach("fentry", 1, functions.slice(0, 10));
    using q = world.attach("fexit", 2, functions.slice(9));
    expect([world.kernel.trampolines.count, q.images]).toEqual(of([3, 2], [14, 5], [1, 1]));
    expect([0, 9, 13].map((i) => world.call(functions[i]!))).toEqual(["p1 f0", "p1 f9 p2", "f13 p2"]);
  });

  test("A-5 example of the proposal: the trampoline of Y belongs to both links", () => {
    const world = new World(backend);
    const [x, y, z] = world.functions(3) as [TracedFunction, TracedFunction, TracedFunction];
    const [n, m] = world.functions(2, THREE) as [TracedFunction, TracedFunction];
    const [p, q] = world.functions(2, SEVEN) as [TracedFunction, TracedFunction];
    using a = world.attach("fentry", 1, [x, y, n, m]);
    using b = world.attach("fentry", 2, [y, z, p, q]);
    expect([a.images, b.images, world.kernel.trampolines.count]).toEqual(of([3, 3, 5], [4, 4, 7], [2, 2, 3]));
    expect([x, y, z, n, p].map((traced) => world.call(traced))).toEqual([
      "p1 f0",
      "p2 p1 f1",
      "p2 f2",
      "p1 f3",
      "p2 f5",
    ]);
    // A-6 and back
    const c = world.kernel.attach(world.program("fentry", 3), n);
    expect([world.call(n), world.call(m), a.images]).toEqual(["p3 p1 f3", "p1 f4", of(4, 4, 3)]);
    c.detach();
    expect([world.call(n), a.images]).toEqual(["p1 f3", of(3, 4, 2)]);
  });

  test("A-7 fentry first: N stays a single with both, M gets a class", () => {
    const world = new World(backend);
    const [n, m] = world.functions(2) as [TracedFunction, TracedFunction];
    using _c = world.kernel.attach(world.program("fentry", 3), n);
    using a = world.attach("fexit", 1, [n, m]);
    expect([world.call(n), world.call(m), a.images]).toEqual(["p3 f0 p1", "f1 p1", 2]);
  });

  test("A-8 fentry after multi, then detach multi: the typed program goes on, in a trampoline of its own", () => {
    const world = new World(backend);
    const functions = world.functions(3);
    const multi = world.attach("fexit", 1, functions);
    const typed = world.kernel.attach(world.program("fentry", 2), functions[1]!);
    multi.detach();
    expect(functions.map((traced) => world.call(traced))).toEqual(["f0", "p2 f1", "f2"]);
    expect(world.kernel.trampolines.count).toBe(1);
    typed.detach();
    expect(world.call(functions[1]!)).toBe("f1");
    expect(world.kernel.trampolines).toEqual({ count: 0, bytes: 0 });
  });

  test("A-9 all 15 non-empty subsets of {entry1, exit1, entry2, exit2}: each program is hit once per function", () => {
    const world = new World(backend);
    const functions = [...world.functions(5), ...world.functions(5, SEVEN)];
    const programs = (["fentry", "fexit", "fentry", "fexit"] as const).map((kind, id) => world.program(kind, id));
    for (let subset = 1; subset < 16; subset++) {
      const links: MultiTracingLink[] = [];
      const expected = [0, 0, 0, 0];
      for (const [id, program] of programs.entries()) {
        if (((subset >> id) & 1) === 0) continue;
        const half = functions.filter((_, i) => (i * 7 + id * 3 + subset) % 10 < 5);
        expected[id] = half.length;
        links.push(world.kernel.attachMulti(program, half));
      }
      const all = functions.map((traced) => world.call(traced)).join(" ");
      expect([0, 1, 2, 3].map((id) => all.split(`p${id}`).length - 1)).toEqual(expected);
      for (const link of links) link.detach();
    }
    expect(world.kernel.trampolines.count).toBe(0);
  });

  test("A-10 detach order: in all 6 orders nothing is left, and each function is as it was", () => {
    const world = new World(backend);
    const functions = [...world.functions(6), ...world.functions(6, THREE)];
    const programs = (["fentry", "fexit", "fsession"] as const).map((kind, id) => world.program(kind, id));
    // What programs need once is there from the first time on.
    for (const program of programs) world.kernel.attachMulti(program, [functions[0]!]).detach();
    const before = world.state();
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      const sets = [functions.slice(0, 8), functions.slice(4), functions.slice(2, 10)];
      const links = programs.map((program, i) => world.kernel.attachMulti(program, sets[i]!));
      expect(world.call(functions[5]!)).toBe("p2 p0 f5 p2 p1");
      for (const i of order) links[i]!.detach();
      expect(world.state()).toBe(before);
      expect(world.kernel.trampolines).toEqual({ count: 0, bytes: 0 });
    }
  });

  test("A-12 merge on detach: 15 trampolines, then 6, then 3", () => {
    const world = new World(backend);
    const lists = [world.functions(10), world.functions(10, THREE), world.functions(10, SEVEN)];
    const functions = Array.from({ length: 30 }, (_, i) => lists[i % 3]![Math.floor(i / 3)]!);
    using _a = world.attach("fentry", 1, functions.slice(0, 20));
    const b = world.attach("fentry", 2, functions.slice(10, 30));
    const c = world.attach("fentry", 3, functions.slice(5, 15));
    const counts = [world.kernel.trampolines.count];
    for (const link of [b, c]) {
      link.detach();
      counts.push(world.kernel.trampolines.count);
    }
    expect(counts).toEqual(of([15, 6, 3], [30, 20, 20], [3, 3, 3]));
    expect(functions.map((traced) => world.call(traced).startsWith("p1"))).toEqual(functions.map((_, i) => i < 20));
  });

  // The plan refuses, whatever the design is.
  test.runIf(design === "shared")(
    "A-13 A-18 A-19 A-21 what is refused names the function and its place, and nothing changes",
    () => {
      const world = new World(backend);
      const functions = world.functions(10);
      const [awake] = world.functions(1, TWO, { sleeps: true });
      const stranger = new World(backend).functions(1)[0]!;
      const program = world.program("fentry", 1);
      using _link = world.kernel.attachMulti(program, functions.slice(0, 2));
      const other = world.program("fentry", 2);
      const sleeper = world.tracer("fexit", 3, 0, { sleepable: true });
      const before = world.state();
      const cases: [() => unknown, string][] = [
        [
          () => world.kernel.attachMulti(other, [...functions.slice(0, 9), stranger]),
          "function 9 of 10, -1: no such function (ENOENT)",
        ],
        [
          () => world.kernel.attachMulti(other, [functions[3]!, functions[3]!]),
          "function 1 of 2, 'f3': it is listed before (EINVAL)",
        ],
        [
          () => world.kernel.attachMulti(program, functions.slice(1)),
          "function 0 of 9, 'f1': link 0 runs the same program there (EBUSY)",
        ],
        [
          () => world.kernel.attachMulti(sleeper, [awake!, functions[0]!]),
          "function 1 of 2, 'f0': the program may sleep, the function may not (EINVAL)",
        ],
        [() => world.kernel.attachMulti(other, "g*"), "no function for 'g*' (EINVAL)"],
      ];
      for (const [body, message] of cases) expect(errorOf(body, message).message).toContain(message);
      expect(world.state()).toBe(before);
      using _all = world.kernel.attachMulti(other, "f*");
      expect([world.call(functions[0]!), world.call(awake!)]).toEqual(["p2 p1 f0", "p2 f10"]);
    },
  );

  // The plan refuses, whatever the design is.
  test.runIf(design === "shared")(
    "A-14 rollback, capacity: functions 1 to 9 keep the trampoline that they have, byte for byte",
    () => {
      const world = new World(backend);
      const functions = world.functions(11);
      for (let id = 0; id < 38; id++) world.attach("fentry", id, [functions[10]!]);
      using _link = world.attach("fexit", 50, functions.slice(1, 10));
      const program = world.program("fentry", 51);
      const before = world.state();
      const error = errorOf(() => world.kernel.attachMulti(program, functions.slice(1)));
      expect([error.code, error.details.index, error.details.function]).toEqual(["limit", 9, "f10"]);
      expect(world.state()).toBe(before);
    },
  );

  test("A-14 a trampoline of more than a page is refused by the name of its first function, and nothing changes", () => {
    const world = new World(backend);
    const functions = world.functions(3, SEVEN);
    let error: BpfError | undefined;
    let before = "";
    for (let id = 0; id < 19 && error === undefined; id++) {
      const program = world.program("fsession", id);
      before = world.state();
      try {
        world.kernel.attachMulti(program, functions);
      } catch (caught) {
        error = caught as BpfError;
      }
    }
    // Where 38 links fit into a page, the 39th is refused by the plan.
    if (error === undefined) error = errorOf(() => world.attach("fentry", 50, functions));
    else expect(world.state()).toBe(before);
    expect([error.code, error.details.function]).toEqual(["limit", "f0"]);
    expect(error.message).toMatch(/^trampoline of 'f0'( and 2 more)?: a trampoline of \d+ bytes \(E2BIG\)|39 links/);
    expect(world.call(functions[1]!)).toMatch(/^p\d+ .*f1/);
  });

  test("A-22 cookies permuted: each hit sees its own, after at most ceil(log2 n) + 1 comparisons", () => {
    const world = new World(backend, 1);
    const functions = world.functions(10);
    const order = [3, 8, 1, 9, 0, 2, 7, 5, 4, 6];
    const cookies = order.map((i) => BigInt(1000 - i) << 40n);
    using _link = world.attach(
      "fexit",
      1,
      order.map((i) => functions[i]!),
      cookies,
    );
    for (const [i, traced] of functions.entries()) {
      world.call(traced);
      traced.run([7n, 8n]);
      expect(world.events[0]!.at(-1)).toBe(`p1 7 ${BigInt(1000 - i) << 40n}`);
    }
    expect(world.kernel.trampolines.count).toBe(of(1, 10, 1));
  });

  test("A-23 cookies absent: 0 everywhere, and a link tells its functions", () => {
    const world = new World(backend);
    const functions = world.functions(3);
    using link = world.kernel.attachMulti(world.cookieProgram("fentry", 1), functions);
    functions[2]!.run([5n, 6n]);
    expect(world.events[0]).toEqual(["p1 5", "f2 5,6"]);
    expect([...link.functions()].map(({ name, cookie }) => [name, cookie])).toEqual(
      functions.map(({ name }) => [name, 0n]),
    );
  });

  test("A-24 cookies after split and merge, and in a single", () => {
    const world = new World(backend);
    const functions = world.functions(6);
    const cookies = functions.map((_, i) => BigInt(i + 70));
    const seen = (): string[] =>
      functions.map((traced) => {
        traced.run([1n, 2n]);
        return world.events[0]!.splice(0).filter((event) => event.startsWith("p1"))[0]!;
      });
    const expected = cookies.map((cookie) => `p1 1 ${cookie}`);
    const link = world.attach("fexit", 1, functions, cookies);
    const { allocated } = world.kernel.memory;
    expect(seen()).toEqual(expected);
    const second = world.attach("fentry", 2, functions.slice(2, 4));
    const typed = world.kernel.attach(world.program("fentry", 3), functions[3]!);
    expect([world.kernel.trampolines.count, seen()]).toEqual([of(3, 6, 2), expected]);
    second.detach();
    typed.detach();
    expect([world.kernel.trampolines.count, seen(), world.kernel.memory.allocated > allocated]).toEqual([
      of(1, 6, 1),
      expected,
      true,
    ]);
    link.detach();
    expect(world.kernel.trampolines.count).toBe(0);
  });

  test("A-26 original from the stack: one trampoline, each original called once with its own arguments, and its own result", () => {
    const world = new World(backend);
    const functions = world.functions(3, SEVEN);
    using _exit = world.attach("fexit", 1, functions);
    expect(world.kernel.trampolines.count).toBe(of(1, 3, 1));
    for (const [i, { name }] of functions.entries()) {
      const words = [1n, 2n, 3n, 4n, 5n, 6n, 7n].map((word) => word + BigInt(10 * i));
      expect(functions[i]!.run(words).value).toBe(1000n + words[0]!);
      expect(world.events[0]!.splice(0)).toEqual([`${name} ${words.join()}`, `p1 ${words[0]} ${words[1]}`]);
    }
  });

  test("A-27 modify-return on one member: it leaves the class, and only its original is skipped", () => {
    const world = new World(backend);
    const functions = world.functions(3, TWO, { errorInjection: true });
    using _exit = world.attach("fexit", 1, functions);
    const modify = world.kernel.attach(world.program("fmod_ret", 2, 77), functions[1]!);
    expect(world.kernel.trampolines.count).toBe(of(2, 3, 2));
    expect(functions[1]!.run([1n, 2n]).value).toBe(77n);
    expect(world.take2()).toBe("p2 p1");
    expect([world.call(functions[0]!), world.call(functions[2]!)]).toEqual(["f0 p1", "f2 p1"]);
    modify.detach();
    expect([world.call(functions[1]!), world.kernel.trampolines.count]).toEqual(["f1 p1", of(1, 3, 1)]);
  });
  test.skipIf(design === "per-function")(
    "A-11 history independence: trampolines are those that the same links make from scratch",
    () => {
      for (let seed = 1; seed <= 3; seed++) {
        const world = new World(backend);
        const scratch = new World(backend);
        const make = (each: MultiWorld): TracedFunction[] => [...each.functions(5), ...each.functions(5, THREE)];
        const [functions, fresh] = [make(world), make(scratch)];
        const live = new Map<number, { readonly link: { detach(): void }; readonly attach: () => unknown }>();
        for (let step = 0; step < 8; step++) {
          const gone = [...live.keys()][(seed * 5 + step * 3) % 4];
          if (step % 3 === 2 && gone !== undefined) {
            live.get(gone)!.link.detach();
            live.delete(gone);
            continue;
          }
          const chosen = functions.flatMap((_, i) => ((i * 7 + step * 5 + seed * 3) % 10 < 6 ? [i] : []));
          const kind = step % 2 === 0 ? "fentry" : "fexit";
          const add = (each: MultiWorld, all: readonly TracedFunction[]): { detach(): void } =>
            step === 4
              ? each.kernel.attach(each.program(kind, step), all[chosen[0]!]!)
              : each.attach(
                  kind,
                  step,
                  chosen.map((i) => all[i]!),
                );
          live.set(step, { link: add(world, functions), attach: () => add(scratch, fresh) });
        }
        for (const { attach } of live.values()) attach();
        // Where memory for rows is used again, it is not as from scratch.
        if (design === "global") expect(world.kernel.trampolines.count).toBe(scratch.kernel.trampolines.count);
        else expect(world.kernel.trampolines).toEqual(scratch.kernel.trampolines);
        expect(functions.map((traced) => world.call(traced))).toEqual(fresh.map((traced) => scratch.call(traced)));
      }
    },
  );

  test("what is made, given back and written is what MULTI_STRATEGIES says of the same plans", () => {
    const world = new World(backend);
    const { kernel } = world;
    const functions = [...world.functions(8), ...world.functions(6, THREE)];
    const keys = new ModelKeys();
    const state = new MultiState({
      count: functions.length,
      models: Int32Array.from(functions, ({ places }) => keys.of(placesKey(places))),
      flags: new Uint8Array(functions.length).fill(FunctionFlag.TRACEABLE),
      name: String,
    });
    const strategy = MULTI_STRATEGIES[design];
    const step = <T>(plan: MultiPlan, change: () => T): T => {
      const { images, retired, rows, pokes } = strategy.needs(state, plan);
      const [before, there] = [kernel.ledger, kernel.trampolines.count];
      const result = change();
      const after = kernel.ledger;
      const made = after.trampolines - before.trampolines;
      const written = after.pokes - before.pokes;
      const { count } = kernel.trampolines;
      expect([made, there + made - count, after.rows - before.rows]).toEqual([images, retired, rows]);
      // Where a link goes, its runs in old trampolines are rewritten, too.
      if (plan.change === "attach") expect(written).toBe(pokes);
      else expect(written).toBeGreaterThanOrEqual(pokes);
      applyPlan(state, plan);
      expect(count).toBe(strategy.images(state));
      return result;
    };
    const attach = (kind: "fentry" | "fexit", program: number, ids: readonly number[]): MultiTracingLink =>
      step(planAttach(state, { kind, program, functions: ids }), () =>
        world.attach(
          kind,
          program,
          ids.map((id) => functions[id]!),
        ),
      );
    const first = attach("fexit", 0, [0, 1, 2, 3, 4, 8, 9]);
    const second = attach("fentry", 1, [3, 4, 5, 9, 10]);
    const typed = step(planAttach(state, { kind: "fexit", program: 2, functions: [4], typed: true }), () =>
      kernel.attach(world.program("fexit", 2), functions[4]!),
    );
    step(planDetach(state, 0), () => first.detach());
    step(planDetach(state, 2), () => typed.detach());
    attach("fexit", 3, [0, 4, 13]);
    step(planDetach(state, 1), () => second.detach());
  });

  test("A-22 each doubling of the functions costs one more load per call, none where each has a trampoline, few where rows are looked up", () => {
    const loads = [2, 10, 100].map((count) => {
      const world = new World(backend, 1, {}, { counting: true } as CompileOptions);
      const functions = world.functions(count);
      using _link = world.attach(
        "fentry",
        1,
        functions,
        functions.map((_, i) => BigInt(i)),
      );
      return Math.max(
        ...functions.map((traced) => {
          using run = traced.start([1n, 2n]);
          run.run(10_000);
          return run.counts!.loads;
        }),
      );
    });
    const bound = (count: number): number => of(Math.ceil(Math.log2(count)), 0, 0);
    const more = loads.map((count) => count - loads[0]!);
    if (design !== "global") expect(more).toEqual([0, bound(10) - bound(2), bound(100) - bound(2)]);
    else expect(Math.max(...more)).toBeLessThanOrEqual(4);
  });

  test("A-29 livepatch-like retry: made once more to go by the return address; refused again it is busy, and nothing has changed", () => {
    const world = new World(backend);
    const asked: string[] = [];
    const answers = new Set(["from-stack"]);
    const shares = (original: string): boolean => {
      asked.push(original);
      return answers.has(original);
    };
    const [shared] = world.functions(1, SEVEN, { shares }) as [TracedFunction];
    const [plain] = world.functions(1, SEVEN) as [TracedFunction];
    const [typed, multi] = [world.program("fexit", 1), world.program("fentry", 2)];
    const first = world.kernel.attach(typed, shared);
    expect([asked.splice(0), world.call(shared), world.kernel.trampolines.count]).toEqual([
      ["known", "from-stack"],
      "f0 p1",
      1,
    ]);
    first.detach();
    world.kernel.attachMulti(multi, [shared, plain]).detach();
    const tries = of(["from-stack"], ["known", "from-stack"], ["from-stack"]);
    expect(asked.splice(0)).toEqual(tries);
    answers.clear();
    const before = world.state();
    const errors = [
      errorOf(() => world.kernel.attach(typed, shared)),
      errorOf(() => world.kernel.attachMulti(multi, [plain, shared])),
    ];
    expect(asked).toEqual(["known", "from-stack", ...tries]);
    for (const { message } of errors)
      expect(message).toContain("a trampoline of f0 (EBUSY): another user of the entry");
    expect(world.state()).toBe(before);
    expect(world.call(shared)).toBe("f0");
  });
});
