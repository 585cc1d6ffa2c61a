// Trampolines while CPUs are in them: calls in progress when programs come and go, and tail calls that go through traced subprograms.
import { arm64 } from "@bpfkit/arm64";
import {
  assemble,
  type Backend,
  type LinkKind,
  MAP_TYPES,
  type MapSpec,
  type TailCallSchemeName,
  trust,
} from "@bpfkit/core";
import type { FunctionRun, LoadedProgram, Operation, Step, TracedFunction } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { errorOf, TracingWorld } from "./tracing-world.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
/** Random schedules of each kind; BPFKIT_SCHEDULES=2000 for more. */
const SCHEDULES = Number(process.env.BPFKIT_SCHEDULES ?? 12);
const MODEL = "u64 (u64, u64)";

/** Goes on until the body of a function is about to be called. */
function intoBody(run: FunctionRun, traced: TracedFunction): void {
  const body = traced.code.hostAddress({ kind: "body" })!;
  for (let i = 0; run.pc !== body; i++) {
    expect(i).toBeLessThan(1000);
    run.machine.advance(1);
  }
}

/** Addresses of the trampolines that are in memory. */
function trampolines({ kernel: { textSites, memory } }: TracingWorld): readonly bigint[] {
  const blocks = textSites.filter(({ owner }) => owner.startsWith("trampoline"));
  return [...new Set(blocks.map(({ address }) => memory.allocationAt(address)!.allocation.address))];
}

const isLive = ({ kernel: { memory } }: TracingWorld, address: bigint): boolean =>
  memory.allocationAt(address)?.live === true;

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (_arch, backend) => {
  test.each([false, true])(
    "A-30 in-flight detach: late returns skip exit programs, and the image goes when the last call has left (sleeping: %s)",
    (sleeps) => {
      const world = new TracingWorld(backend, 2);
      const { kernel } = world;
      const sum = world.sum({ sleeps });
      const program = world.tracer("fexit", 1);
      const link = kernel.attach(program, sum);
      using one = sum.start([5n], { cpu: 0 });
      using two = sum.start([6n], { cpu: 1 });
      for (const run of [one, two]) intoBody(run, sum);
      const [image] = trampolines(world);
      const code = program.executable.imageAddress!;
      const areLive = (): boolean[] => [isLive(world, image!), isLive(world, code)];
      link.detach();
      program.release();
      expect(areLive()).toEqual([true, true]);
      expect(one.run(1000)).toMatchObject({ kind: "returned", value: 105n });
      expect(areLive()).toEqual([true, true]);
      expect(two.run(1000)).toMatchObject({ kind: "returned", value: 106n });
      expect(areLive()).toEqual([false, false]);
      expect(world.take()).toEqual(["sum 5", "sum 6"]);
      expect(kernel.textSites.map(({ owner }) => owner)).toEqual(["sum"]);
    },
  );

  test("A-30 in-flight detach: programs that stay attached run at a late return, and a call that is broken off holds nothing", () => {
    const world = new TracingWorld(backend, 2);
    const { kernel } = world;
    const sum = world.sum({ sleeps: true });
    const going = kernel.attach(world.tracer("fexit", 1), sum);
    using _staying = kernel.attach(world.tracer("fexit", 2), sum);
    using late = sum.start([5n], { cpu: 0 });
    const broken = sum.start([6n], { cpu: 1 });
    for (const run of [late, broken]) intoBody(run, sum);
    going.detach();
    using _coming = kernel.attach(world.tracer("fexit", 3), sum);
    expect(late.run(1000)).toMatchObject({ kind: "returned", value: 105n });
    expect(world.take()).toEqual(["sum 5", "2: 5 105"]);
    expect(trampolines(world).length).toBe(2);
    broken[Symbol.dispose]();
    expect(trampolines(world).length).toBe(1);
    expect(sum.run([7n]).value).toBe(107n);
    expect(world.take()).toEqual(["sum 7", "3: 7 107", "2: 7 107"]);
  });

  test("A-30 in-flight detach: memory that is given back too early is a trap for who runs there", () => {
    const world = new TracingWorld(backend, 1);
    const { kernel } = world;
    const sum = world.sum();
    const link = kernel.attach(world.tracer("fexit", 1), sum);
    using run = sum.start([5n]);
    intoBody(run, sum);
    const [image] = trampolines(world);
    kernel.memory.free(kernel.memory.allocationAt(image!)!.allocation);
    expect(run.run(1000)).toMatchObject({ kind: "trap", cause: "fetch" });
    expect(link.isAttached).toBe(true);
  });

  test("calls on two CPUs while programs come and go, in random schedules: each call meets programs that were attached meanwhile", () => {
    for (let seed = 0; seed < SCHEDULES; seed++) {
      const world = new TracingWorld(backend, 3);
      const { kernel } = world;
      const sum = world.sum({ sleeps: seed % 2 === 1, errorInjection: true });
      const always = kernel.attach(world.tracer("fexit", 1), sum);
      const going = kernel.attach(world.tracer("fentry", 2), sum);
      const coming = world.tracer("fexit", 3);
      function* changes(): Operation<void> {
        const link = yield* kernel.attaching(coming, sum);
        yield* going.detaching();
        yield* link.detaching();
      }
      const { calls, stuck, operations, schedule } = kernel.schedule({
        calls: [
          { function: sum, words: [5n], times: 3 },
          { function: sum, words: [6n], times: 3 },
        ],
        operations: { changes: changes() },
        choose: { seed },
      });
      const what = `seed ${seed}: ${schedule}`;
      expect({ what, stuck, kind: operations.changes!.kind }).toEqual({ what, stuck: undefined, kind: "done" });
      expect({ what, values: calls.map(({ result }) => result.value).sort() }).toEqual({
        what,
        values: [105n, 105n, 105n, 106n, 106n, 106n],
      });
      const seen = world.take();
      // The program that stays sees every call.
      expect({ what, always: seen.filter((line) => line.startsWith("1: ")).length }).toEqual({ what, always: 6 });
      always.detach();
      expect({ what, left: trampolines(world) }).toEqual({ what, left: [] });
    }
  });

  test.each(["a function", "a subprogram"])("a change that fails at any of its steps leaves %s as it was", (what) => {
    const world = new TracingWorld(backend, 1);
    const { kernel } = world;
    const sum = world.sum();
    const main = world.load("main", "syscall", "r1 = 5\ncall sub\nexit\nsub: r0 = r1\nr0 += 100\nexit");
    const target = what === "a function" ? sum : { program: main, subprog: "sub", model: "u64 (u64)" };
    /** Numbers of the programs that a call has met. */
    const met = (): string[] => {
      if (what === "a function") expect(sum.run([5n]).value).toBe(105n);
      else expect(main.run().returnValue).toBe(105);
      return world.take().flatMap((line) => (line.startsWith("sum") ? [] : [line.split(":")[0]!]));
    };
    const stays = kernel.attach(world.tracer("fexit", 1), target);
    const program = world.tracer("fentry", 2);
    const state = (): unknown => [
      kernel.textSites.map(({ address, state: now }) => [address, now]),
      kernel.textSites.map(({ address, size }) => kernel.memory.view(address, size).slice()),
      trampolines(world),
    ];
    /** Has each step fail in turn, until one too many is asked to; gives how many there are. */
    const failing = (operation: () => Operation<unknown>, programs: readonly string[]): number => {
      const before = state();
      for (let step = 0; ; step++) {
        const { operations } = kernel.schedule({ operations: { change: operation() }, failing: { change: step } });
        if (operations.change!.kind === "done") return step;
        expect({ step, state: state(), met: met() }).toEqual({ step, state: before, met: programs });
      }
    };
    expect(failing(() => kernel.attaching(program, target), ["1"])).toBeGreaterThan(2);
    expect(met()).toEqual(["2", "1"]);
    expect(failing(() => stays.detaching(), ["2", "1"])).toBeGreaterThan(4);
    expect([stays.isAttached, met()]).toEqual([false, ["2"]]);
  });
});

test("two attach to one subprogram at the same time, in every order of their steps: both are attached, or one is told who was first", () => {
  for (let seed = 0; seed < SCHEDULES; seed++) {
    const world = new TracingWorld(x86_64, 1);
    const { kernel } = world;
    const main = world.load("main", "syscall", "r1 = 5\nr2 = 6\ncall sub\nexit\nsub: r0 = r1\nexit");
    const target = (model?: string) => ({ program: main, subprog: "sub", ...(model === undefined ? {} : { model }) });
    const [one, two, other] = [1, 2, 3].map((id) => world.tracer("fentry", id));
    const { operations, stuck } = kernel.schedule({
      operations: {
        one: kernel.attaching(one!, target(MODEL)),
        two: kernel.attaching(two!, target(MODEL)),
        other: kernel.attaching(other!, target("u64 (u64)")),
      },
      choose: { seed },
    });
    expect(main.run().returnValue).toBe(5);
    const met = world.take().map((line) => line.split(":")[0]);
    const done = Object.entries(operations).flatMap(([name, { kind }]) => (kind === "done" ? [name] : []));
    // Whoever is first says what the arguments are.
    const expected = done.includes("other")
      ? [["other"], ["3"]]
      : [
          ["one", "two"],
          ["1", "2"],
        ];
    expect({ seed, stuck, done, met: met.sort() }).toEqual({
      seed,
      stuck: undefined,
      done: expected[0],
      met: expected[1],
    });
  }
});

/** A map that counts, and a table of programs. */
const COUNTS: MapSpec = { name: "counts", type: MAP_TYPES.array, keySize: 4, valueSize: 16, maxEntries: 1, flags: 0 };
const TABLE: MapSpec = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 2, flags: 0 };
const count = (word: number): string =>
  `r1 = map[idx:0][0]+0\nr2 = *(u64 *)(r1 + ${8 * word})\nr2 += 1\n*(u64 *)(r1 + ${8 * word}) = r2\n`;
const JUMP = "r1 = r6\nr2 = map[idx:1]\nr3 = 0\ncall 12\n";
/** Counts its runs in word 0, and calls subprograms that each tail-call it; word 1 counts those that fail. */
const hierarchy = (subprogs: number): string => {
  const numbers = Array.from({ length: subprogs }, (_, i) => i);
  const calls = numbers.map((i) => `r1 = r6\ncall sub${i}\n`).join("");
  const subs = numbers.map((i) => `sub${i}:\nr6 = r1\n${JUMP}${count(1)}r0 = 0\nexit\n`).join("");
  return `r6 = r1\n${count(0)}${calls}r0 = 0\nexit\n${subs}`;
};

const SCHEMES = BACKENDS.flatMap((backend) =>
  backend.capabilities.tailCallSchemes
    .filter((scheme) => scheme !== "by-value" && scheme !== "per-program")
    .flatMap((scheme) => [false, true].map((direct) => [backend.arch, scheme, direct, backend] as const)),
);

describe.each(SCHEMES)("%s, %s, direct tail calls: %s", (_arch, scheme, direct, backend) => {
  const worldOf = (): TracingWorld =>
    new TracingWorld(backend, 1, {
      layout: { tailCalls: scheme satisfies TailCallSchemeName, directTailCalls: direct },
    });
  const counts = ({ kernel }: TracingWorld): number[] => {
    const value = kernel.map(COUNTS).lookup(new Uint8Array(4))!;
    const view = new DataView(value.buffer, value.byteOffset);
    return [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))];
  };
  const loaded = (world: TracingWorld, subprogs: number): LoadedProgram => {
    const main = world.load("entry", "xdp", hierarchy(subprogs), { maps: [COUNTS, TABLE] });
    world.kernel.progArray(TABLE).set(0, main);
    return main;
  };
  const run = (world: TracingWorld, main: LoadedProgram): number[] => {
    const before = counts(world);
    expect(main.run({ data: new Uint8Array(64) }).returnValue).toBe(0);
    return counts(world).map((value, i) => value - before[i]!);
  };
  const KINDS: readonly LinkKind[] = ["fentry", "fexit", "fsession"];

  test.each(KINDS)("B-6 trampoline around sub: a traced subprogram that tail-calls has 33, with %s", (kind) => {
    const world = worldOf();
    const main = loaded(world, 1);
    expect(run(world, main)).toEqual([34, 1]);
    const link = world.kernel.attach(world.tracer(kind, 1), { program: main, subprog: "sub0", model: MODEL });
    expect(run(world, main)).toEqual([34, 1]);
    expect(world.take().length).toBe(kind === "fentry" ? 34 : kind === "fsession" ? 34 + 34 : 34);
    link.detach();
    expect(run(world, main)).toEqual([34, 1]);
    expect(world.take()).toEqual([]);
  });

  test("B-7 trampoline on entry's sub, hierarchy: two traced subprograms that tail-call the entry share 33", () => {
    const world = worldOf();
    const main = loaded(world, 2);
    expect(run(world, main)).toEqual([34, 35]);
    const subs = ["sub0", "sub1"];
    const links = subs.flatMap((subprog, i) =>
      (["fentry", "fexit"] as const).map((kind, k) =>
        world.kernel.attach(world.tracer(kind, 2 * i + k), { program: main, subprog, model: MODEL }),
      ),
    );
    const whole = world.kernel.attach(world.tracer("fexit", 9), { program: main, model: MODEL });
    expect(run(world, main)).toEqual([34, 35]);
    expect(world.take().filter((line) => line.startsWith("0: ")).length).toBe(34);
    for (const link of [...links, whole]) link.detach();
    expect(run(world, main)).toEqual([34, 35]);
  });

  test("B-7 both subs share a trampoline, and 33; a subprogram that makes no tail calls has another", () => {
    const world = worldOf();
    const main = loaded(world, 2);
    const plain = world.load("plain", "syscall", "r1 = 1\ncall sub\nexit\nsub: r0 = 7\nexit");
    const subs = ["sub0", "sub1"].map((subprog) => ({ program: main, subprog, model: MODEL }));
    const other = { program: plain, subprog: "sub", model: MODEL };
    for (const [all, images] of [
      [subs, 1],
      [[other, ...subs], 2],
      [[...subs, other], 2],
    ] as const) {
      const link = world.kernel.attachMulti(world.tracer("fsession", 1), all);
      expect([link.images, run(world, main)]).toEqual([images, [34, 35]]);
      expect(world.take().length).toBe(2 * 68);
      expect([plain.run().returnValue, world.take().length > 0]).toEqual([7, all.length === 3]);
      link.detach();
    }
    expect(run(world, main)).toEqual([34, 35]);
  });

  test("E-6 trampoline with and without call-original: the count is there before the original and behind it", () => {
    for (const kinds of [["fentry"], ["fexit"], ["fentry", "fexit"], ["fsession", "fentry"]] as const) {
      const world = worldOf();
      const main = loaded(world, 3);
      const alone = run(world, main);
      for (const [i, kind] of kinds.entries())
        world.kernel.attach(world.tracer(kind, i), { program: main, subprog: "sub1", model: MODEL });
      expect({ kinds, counts: run(world, main) }).toEqual({ kinds, counts: alone });
      expect(alone[0]).toBe(34);
    }
  });

  test("B-8 extension loop, its code: a subprogram really is the extension, and never while its program is in a table", () => {
    const world = worldOf();
    const { kernel } = world;
    const main = world.load("entry", "xdp", hierarchy(1), { maps: [COUNTS, TABLE] });
    const extension = kernel.load(
      trust({
        ...assemble(`r6 = r1\n${count(1)}${JUMP}r0 = 0\nexit`, { name: "ext", type: "ext", license: "GPL" }),
        maps: [COUNTS, TABLE],
      }),
      { target: main },
    );
    const link = kernel.extend(extension, "sub0");
    expect(run(world, main)).toEqual([1, 1]);
    const table = kernel.progArray(TABLE);
    expect(errorOf(() => table.set(0, main)).message).toContain("EBUSY");
    expect(run(world, main)).toEqual([1, 1]);
    link.detach();
    table.set(0, main);
    expect(errorOf(() => kernel.extend(extension, "sub0")).message).toContain("EBUSY");
    expect(run(world, main)).toEqual([34, 1]);
  });

  test("B-10 membership count, its code: the extension takes over when the program is in no table any more", () => {
    const world = worldOf();
    const { kernel } = world;
    const main = world.load("entry", "xdp", hierarchy(1), { maps: [COUNTS, TABLE] });
    const ext = assemble("r0 = 0\nexit", { name: "ext", type: "ext", license: "GPL" });
    const extension = kernel.load(trust(ext), { target: main });
    const table = kernel.progArray(TABLE);
    table.set(0, main);
    table.set(1, main);
    table.delete(1);
    expect(errorOf(() => kernel.extend(extension, "sub0")).message).toContain("EBUSY");
    expect(run(world, main)).toEqual([34, 1]);
    table.delete(0);
    using _link = kernel.extend(extension, "sub0");
    expect(run(world, main)).toEqual([1, 0]);
  });
});

test("every step of an attach is one that can be waited for", () => {
  const world = new TracingWorld(x86_64, 1);
  const sum = world.sum();
  const kinds: Step["kind"][] = [];
  const operation = world.kernel.attaching(world.tracer("fentry", 1), sum);
  for (let step = operation.next(); step.done !== true; step = operation.next()) kinds.push(step.value.kind);
  expect([kinds[0], kinds.at(-1)]).toEqual(["lock", "unlock"]);
  expect(trampolines(world).length).toBe(1);
});

test.each(BACKENDS.map((backend) => [backend.arch, backend] as const))(
  "A-26 original-from-stack, %s: one image with an exit program, entered by three functions, calls each one's own original once",
  (_arch, backend) => {
    const world = new TracingWorld(backend, 1);
    const { kernel } = world;
    const text = kernel.engine.text!;
    const functions = [1n, 2n, 3n].map((factor) =>
      kernel.defineFunction(`times${factor}`, MODEL, ({ words: [a, b] }) => {
        world.seen.push(`times${factor} ${a} ${b}`);
        return a! * factor;
      }),
    );
    const program = world.tracer("fexit", 1);
    const image = text.emitTrampoline({
      model: functions[0]!.model,
      links: [{ kind: "fexit" }],
      original: "from-stack",
    });
    const code = text.place(image, "shared", {
      memory: kernel.memory,
      address: ({ kind }) => (kind === "program" ? program.executable.subprogAddress(0) : 1n),
      function: (symbol) => () => (symbol.kind === "trampoline" && symbol.part === "program-enter" ? 1n : 0n),
    });
    for (const { address } of functions) {
      const site = kernel.textSites.find(
        ({ kind, address: at }) => kind === "entry" && at >= address && at < address + 16n,
      )!;
      for (const phase of text.poke(site, { kind: "nop" }, { kind: "call", target: code.address }).phases)
        if (phase.kind === "write") kernel.memory.write(phase.address, phase.bytes);
    }
    expect(functions.map((each, i) => each.run([10n, BigInt(i)]).value)).toEqual([10n, 20n, 30n]);
    const calls = functions.flatMap(({ name }, i) => [`${name} 10 ${i}`, `1: 10 ${i}`]);
    expect(world.take()).toEqual(calls);
  },
);
