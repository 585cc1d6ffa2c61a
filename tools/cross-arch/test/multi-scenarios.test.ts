// What multi-attach refuses, sessions that it attaches, subprograms of programs among its functions, and steps that fail when some entries are written.
import { arm64 } from "@bpfkit/arm64";
import { assemble, type Backend, MAP_TYPES, MAX_MULTI_FUNCTIONS, trust } from "@bpfkit/core";
import type { AttachTarget, LoadedProgram, MultiTracingLink, Operation, Step, TracedFunction } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { byDesign, EVERY_DESIGN, MultiWorld, RESULT, SEVEN, THREE, TWO, worldOf } from "./multi-world.ts";
import { errorOf, RECORD } from "./tracing-world.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
/** What is large runs on one of them, unless BPFKIT_SCALE asks for all. */
const LARGE: readonly Backend[] = globalThis.process?.env.BPFKIT_SCALE === undefined ? [x86_64] : BACKENDS;

/** Leaves its first argument in its word at entry, and writes down `p100`, the result's place in the arguments, and the word at exit. */
const SESSION = `
  r6 = r1
  call kfunc[0]
  r7 = r0
  r1 = r6
  call kfunc[1]
  r2 = *(u64 *)(r6 + 0)
  if r7 != 0 goto exits
  *(u64 *)(r0 + 0) = r2
  r3 = 0
  goto record
exits:
  r3 = *(u64 *)(r0 + 0)
record:
  r1 = 100
  call ${RECORD}
  r0 = 0
  exit`;

const sessionIn = (world: MultiWorld): LoadedProgram =>
  world.load("s", "tracing", SESSION, {
    attachType: "trace_fsession",
    kfuncs: ["bpf_session_is_return", "bpf_session_cookie"],
  });

/** A program of three subprograms that give 1, 2 and 3: the sum of what they and their programs leave. */
const mainIn = (world: MultiWorld): LoadedProgram =>
  world.load(
    "main",
    "syscall",
    `call a
    r6 = r0
    call b
    r6 += r0
    call c
    r0 += r6
    exit
    a: r0 = 1
    exit
    b: r0 = 2
    exit
    c: r0 = 3
    exit`,
  );

/** Steps of an operation until one that is to fail; what is left is made. */
function failingAt(operation: Operation<unknown>, fails: (step: Step, number: number) => boolean): Error | undefined {
  let result = operation.next();
  let failed = false;
  try {
    for (let number = 0; result.done !== true; number++) {
      const fail: boolean = !failed && fails(result.value, number);
      failed ||= fail;
      result = fail ? operation.throw(new Error("this step fails")) : operation.next();
    }
  } catch (error) {
    return error as Error;
  }
  return undefined;
}

describe.each(EVERY_DESIGN)("%s, %s", (_arch, design, backend) => {
  const World = worldOf(design);
  /** What is expected of this design: shared, per-function or global. */
  const of = <T>(...each: [T, T, T]): T => byDesign(design, ...each);

  test.runIf(design === "shared")(
    "A-20 argument errors: invalid for nothing, a pattern among functions, cookies for one, one that fits nothing; too big for too many",
    () => {
      const world = new World(backend);
      const { kernel } = world;
      const functions = world.functions(3);
      const [wide] = world.functions(1, "u64 ()");
      const program = world.cookieProgram("fexit", 1);
      const modify = world.program("fmod_ret", 2);
      kernel.attachMulti(program, functions).detach();
      const before = world.state();
      const refusals: [() => unknown, string, string][] = [
        [() => kernel.attachMulti(program, []), "argument", "no functions (EINVAL)"],
        [() => kernel.attachMulti(program, ""), "argument", "no function for '' (EINVAL)"],
        [
          () => kernel.attachMulti(program, [functions[0]!, "f*" as unknown as AttachTarget]),
          "argument",
          "functions and a pattern 'f*' (EINVAL)",
        ],
        [
          () => kernel.attachMulti(program, "f*", { cookies: [1n, 2n, 3n, 4n] }),
          "argument",
          "cookies and a pattern (EINVAL)",
        ],
        [() => kernel.attachMulti(program, "vfs_?ead*"), "argument", "no function for 'vfs_?ead*' (EINVAL)"],
        [
          () => kernel.attachMulti(program, functions, { cookies: [1n, 2n] }),
          "argument",
          "2 cookies for 3 functions (EINVAL)",
        ],
        [
          () => kernel.attachMulti(program, new Array(MAX_MULTI_FUNCTIONS + 1).fill(functions[0])),
          "limit",
          "1048577 functions (E2BIG)",
        ],
        [() => kernel.attachMulti(modify, functions), "argument", "fmod_ret"],
      ];
      for (const [body, code, message] of refusals) {
        const error = errorOf(body, message);
        expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
      }
      expect(world.state()).toBe(before);
      using link = kernel.attachMulti(program, "f?");
      expect([link.size, world.call(functions[2]!), wide!.run([]).value]).toEqual([4, "f2 p1", RESULT]);
    },
  );

  test("A-25 session: refused for a function with one place left, by its name; with two it runs at entry and exit, with a word per call", () => {
    const world = new World(backend);
    const { kernel } = world;
    const [full] = world.functions(1) as [TracedFunction];
    const links = Array.from({ length: 37 }, (_, id) => kernel.attach(world.program("fentry", id), full));
    const others = [...world.functions(2), ...world.functions(1, SEVEN)];
    const outer = kernel.defineFunction("outer", TWO, function* ({ words: [a] }) {
      return (yield others[0]!.call(a! + 1n, 0n)) + (yield others[2]!.call(a! + 2n, 0n, 0n, 0n, 0n, 0n, 0n));
    });
    const session = sessionIn(world);
    kernel.attachMulti(session, [others[0]!]).detach();
    const listed = [others[0]!, others[2]!, full, outer];
    const before = world.state();
    const error = errorOf(() => kernel.attachMulti(session, listed));
    expect([error.code, error.details.index, error.details.function]).toEqual(["limit", 2, "f0"]);
    expect(error.message).toContain("39 links of at most 38, of which a session counts as two (E2BIG)");
    expect(world.state()).toBe(before);
    links.pop()!.detach();
    using link = kernel.attachMulti(session, listed);
    expect([link.size, link.images]).toEqual([4, of(3, 4, 3)]);
    full.run([50n, 0n]);
    const seen = world.events[0]!.splice(0);
    expect([seen[0], seen.length, seen.at(-1)]).toEqual(["p100 50", 39, "p100 50 50"]);
    outer.run([7n, 0n]);
    expect(world.events[0]).toEqual([
      ...["p100 7", "p100 8", "f1 8,0", "p100 8 8"],
      ...["p100 9", "f3 9,0,0,0,0,0,0", "p100 9 9", "p100 7 7"],
    ]);
  });

  test("A-28 extension conflict: one replaced subprogram keeps a program from all functions of a request, and the reverse", () => {
    const world = new World(backend);
    const { kernel } = world;
    const main = mainIn(world);
    const insns = trust(assemble("r0 = 50\nexit", { name: "ext", type: "ext", license: "GPL" }));
    const extension = kernel.load(insns, { target: main });
    const tracer = world.program("fentry", 1);
    const [host] = world.functions(1, "u64 ()") as [TracedFunction];
    const part = (subprog: string): AttachTarget => ({ program: main, subprog, model: "u64 ()" });
    const listed = [host, part("b"), part("a"), part("c")];
    kernel.attachMulti(tracer, [host]).detach();
    const replaced = kernel.extend(extension, "a");
    const before = world.state();
    const error = errorOf(() => kernel.attachMulti(tracer, listed));
    expect(error.message).toContain("function 2 of 4, 'a of 'main'': 'ext' replaces it (EBUSY)");
    expect([error.details.index, world.state()]).toEqual([2, before]);
    expect([main.run().returnValue, world.take2()]).toEqual([55, ""]);
    using others = kernel.attachMulti(tracer, [host, part("b"), part("c")]);
    expect([main.run().returnValue, world.take2(), others.images]).toEqual([55, "p1 p1", of(1, 3, 1)]);
    replaced.detach();
    const second = kernel.attachMulti(world.program("fexit", 2), [part("c"), part("a")]);
    expect([main.run().returnValue, world.take2()]).toEqual([6, "p2 p1 p1 p2"]);
    const during = world.state();
    expect(errorOf(() => kernel.extend(extension, "a")).message).toContain("(EBUSY): fexit 't2' is attached to it");
    expect(errorOf(() => kernel.extend(extension, "b")).message).toContain("(EBUSY): fentry 't1' is attached to it");
    expect(world.state()).toBe(during);
    second.detach();
    using _again = kernel.extend(extension, "a");
    expect([main.run().returnValue, world.take2()]).toEqual([55, "p1 p1"]);
  });

  test("subprograms share trampolines with functions: their arguments, results, cookies and addresses, and typed programs at one of them", () => {
    const world = new World(backend);
    const { kernel } = world;
    const text = "r1 = 11\nr2 = 22\ncall sub\nr6 = r0\nr1 = 33\ncall other\nr0 += r6\nexit\n";
    const main = world.load("main", "syscall", `${text}sub: r0 = r1\nr0 += r2\nexit\nother: r0 = r1\nexit`);
    const [host] = world.functions(1, TWO) as [TracedFunction];
    const sub = { program: main, subprog: "sub", model: TWO };
    const program = world.cookieProgram("fexit", 1);
    using link = kernel.attachMulti(program, [host, sub, { program: main, subprog: "other" }], {
      cookies: [5n, 6n, 7n],
    });
    expect([link.images, [...link.functions()].map(({ name }) => name)]).toEqual([
      of(2, 3, 2),
      ["f0", "sub of 'main'", "other of 'main'"],
    ]);
    const run = (): string[] => {
      expect(main.run().returnValue).toBe(66);
      return world.events[0]!.splice(0);
    };
    expect(run()).toEqual(["p1 11 6", "p1 33 7"]);
    host.run([1n, 2n]);
    expect(world.events[0]!.splice(0)).toEqual(["f0 1,2", "p1 1 5"]);
    const typed = kernel.attach(world.program("fentry", 2), sub);
    expect([run(), link.images]).toEqual([["p2 11 22", "p1 11 6", "p1 33 7"], 3]);
    expect(
      errorOf(() => kernel.attachMulti(world.program("fexit", 3), [host, { ...sub, model: THREE }])).message,
    ).toMatch(/^function 1 of 2: u64 \(u64, u64, u64\) for sub of 'main' \(EINVAL\)/);
    typed.detach();
    expect([run(), link.images]).toEqual([["p1 11 6", "p1 33 7"], of(2, 3, 2)]);
    expect(errorOf(() => kernel.attachMulti(world.program("fexit", 4), [{ program }])).message).toContain(
      "function 0 of 1, ''t1'': it cannot be traced (EINVAL)",
    );
  });

  test("tail calls in a traced subprogram are counted as without a program around it", () => {
    const world = new World(backend);
    const { kernel } = world;
    const table = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
    const jump = "r1 = r6\nr2 = map[table]\nr3 = 0\ncall tail_call\n";
    const record = `r6 = r1\nr1 = 7\nr2 = 0\nr3 = 0\ncall ${RECORD}\n`;
    const load = (name: string, text: string): LoadedProgram =>
      kernel.load(trust(assemble(text, { name, type: "syscall", license: "GPL", maps: [table] })));
    const slot = load("slot", `${record}${jump}r0 = 3\nexit`);
    const text = `r6 = r1\ncall sub\nr1 = r6\ncall sub\nr0 = 9\nexit\nsub: r6 = r1\n${jump}r0 = 2\nexit`;
    const main = load("main", text);
    kernel.progArray("table").set(0, slot);
    const counted = (): number[] => {
      expect(main.run({ context: new Uint8Array(8) }).returnValue).toBe(9);
      const ran = world.take2().split(" ");
      return ["p7", "p1", "p2"].map((who) => ran.filter((one) => one === who).length);
    };
    const [alone] = counted();
    expect(alone).toBeGreaterThanOrEqual(33);
    const listed = [...world.functions(1, "u64 (u64)"), { program: main, subprog: "sub", model: "u64 (u64)" }];
    using _exit = kernel.attachMulti(world.program("fexit", 1), listed);
    expect(counted()).toEqual([alone, 2, 0]);
    using _entry = kernel.attachMulti(world.program("fentry", 2), listed.slice(1));
    expect(counted()).toEqual([alone, 2, 2]);
  });

  test("a program whose subprograms are traced stays until they are not; the next one takes its place in the table", () => {
    const world = new World(backend);
    const { kernel } = world;
    const [host] = world.functions(1) as [TracedFunction];
    const [program, other] = [world.program("fentry", 1), world.program("fexit", 2)];
    let sizes: number[] = [];
    for (const model of [TWO, "u64 ()", TWO]) {
      const main = mainIn(world);
      const link = kernel.attachMulti(program, [host, { program: main, subprog: "a", model }, { program: main }]);
      const run = main.start();
      main.release();
      expect([run.run(10_000).kind, world.take2()]).toEqual(["returned", "p1 p1"]);
      // A pattern means functions of the host.
      const all = kernel.attachMulti(other, "*");
      expect([all.size, world.call(host)]).toEqual([1, "p1 f0 p2"]);
      link.detach();
      expect([...link.functions()]).toEqual([]);
      all.detach();
      sizes = [...sizes, kernel.memory.allocated];
    }
    expect(kernel.trampolines.count).toBe(0);
    expect(kernel.textSites.filter(({ owner }) => owner === "main").length).toBe(0);
    expect(new Set(sizes).size).toBe(1);
  });

  test.each([
    ["together", 64, 10],
    ["one by one", 1000, 1],
  ] as const)(
    "A-16 modify fails after add, entries written %s: what led nowhere does so again, the rest as before, and the state is the same",
    (_how, writeTogether, tens) => {
      const world = new World(backend, 1, { writeTogether });
      const { kernel } = world;
      const added = [...world.functions(4 * tens), ...world.functions(2 * tens, THREE)];
      const modified = world.functions(3 * tens, SEVEN);
      using _old = world.attach("fexit", 1, modified);
      const program = world.program("fentry", 2);
      // One that cannot be written together with others.
      const part = { program: mainIn(world), subprog: "b" };
      const listed = [...added, ...modified, ...(writeTogether === 64 ? [] : [part])];
      kernel.attachMulti(program, listed).detach();
      const before = world.state();
      const entriesOf = (list: readonly TracedFunction[]): string[] =>
        list.map(({ address, code: { image } }) => {
          const { offset, size } = image.patchSites.find(({ kind }) => kind === "entry")!;
          return kernel.memory.view(address + BigInt(offset), size).join();
        });
      const [nops, calls] = [entriesOf(added), entriesOf(modified)];
      const changed = (list: readonly TracedFunction[], old: readonly string[]): number =>
        entriesOf(list).filter((entry, i) => entry !== old[i]).length;
      let [addedFirst, steps] = [0, 0];
      for (let isFailing = true; isFailing; steps++) {
        const error = failingAt(kernel.attachingMulti(program, listed), (_step, number) => {
          if (number !== steps) return false;
          const isPart = changed(modified, calls) < modified.length || writeTogether === 64;
          if (changed(added, nops) === added.length && isPart) addedFirst++;
          return true;
        });
        isFailing = error !== undefined;
        if (isFailing) expect([error!.message, world.state() === before]).toEqual(["this step fails", true]);
      }
      expect(addedFirst).toBeGreaterThan(0);
      expect([world.call(added[2 * tens]!), world.call(modified[0]!)]).toEqual([
        `p2 f${2 * tens}`,
        `p2 f${6 * tens} p1`,
      ]);
    },
  );
});

test.each(LARGE.map((backend) => [backend.arch, backend] as const))(
  "A-32 scale, %s: 50,000 functions, 8 links that overlap at random; each change costs its functions and the classes that they are in",
  (_arch, backend) => {
    const MIB = 1 << 20;
    const world = new MultiWorld(backend, 1, { memory: { sizes: { host: 16 * MIB, text: 32 * MIB } } });
    const { kernel } = world;
    const models = [TWO, THREE, SEVEN, "int (u64)", "void (u64, u64, u64, u64)"];
    const functions = Array.from({ length: 50_000 }, (_, i) =>
      kernel.defineFunction(`f${i}`, models[(i >> 3) % models.length]!, ({ words }) => RESULT + words[0]!),
    );
    const programs = (["fentry", "fexit"] as const).flatMap((kind, k) =>
      Array.from({ length: 4 }, (_, i) => world.program(kind, 4 * k + i)),
    );
    for (const program of programs) kernel.attachMulti(program, functions.slice(0, 1)).detach();
    const untouched = kernel.memory.allocated;
    /** What a change wrote, and what it is allowed to. */
    const costs = (size: number, change: () => void): void => {
      const before = kernel.ledger;
      change();
      const after = kernel.ledger;
      const by = (count: "pokes" | "writes" | "syncs" | "waits"): number => after[count] - before[count];
      expect(by("pokes") - size).toBeGreaterThanOrEqual(0);
      // Besides entries, runs of the program that goes are skipped in the trampolines that had it.
      expect(by("pokes") - size).toBeLessThanOrEqual(2 * kernel.trampolines.count + 300);
      expect(by("writes")).toBeLessThanOrEqual(3 * by("pokes"));
      expect(by("syncs") + by("waits")).toBeLessThanOrEqual(8);
    };
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const live = programs.map((program, i) => {
      // Every third or so of a stretch: classes are split without order.
      const [from, length, skip] = [random(40_000), 10_000 + random(30_000), 1 + random(3)];
      const listed = functions.slice(from, from + length).filter((_, at) => (at >> i) % skip === 0);
      let link: MultiTracingLink | undefined;
      costs(listed.length, () => {
        link = kernel.attachMulti(program, listed);
      });
      return { link: link!, listed };
    });
    // No more classes than sets of links and models.
    expect(kernel.trampolines.count).toBeGreaterThan(100);
    expect(kernel.trampolines.count).toBeLessThanOrEqual(255 * models.length);
    for (const id of [0, 20_000, 30_001, 49_999]) {
      const traced = functions[id]!;
      const expected = live.flatMap(({ listed }, i) => (listed.includes(traced) ? [`p${i}`] : []));
      traced.run(traced.places.slots.map(() => 1n));
      expect(world.take2().split(" ").filter(Boolean).sort()).toEqual(expected);
    }
    while (live.length > 0) {
      const [{ link, listed }] = live.splice(random(live.length), 1) as [(typeof live)[number]];
      costs(listed.length, () => link.detach());
    }
    expect([kernel.trampolines.count, kernel.memory.allocated]).toEqual([0, untouched]);
  },
);
