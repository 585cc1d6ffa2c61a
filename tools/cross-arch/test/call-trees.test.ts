// Tail calls across subprograms and programs: the scenarios of their contract, random call trees, and mutants, on every engine and scheme.
// BPFKIT_TREES asks for more trees, BPFKIT_SHARD (`2/8`: the third of eight) for a part of them.
import {
  differingRun,
  type EdgeBreach,
  edgeBreach,
  generateCallTree,
  MIX,
  MIX_KFUNC,
  setUpKernel,
  TreeRunner,
  type TreeSetting,
  treeBreach,
  treeSettings,
  trustedPrograms,
} from "@bpfkit/conformance";
import {
  assemble,
  type Backend,
  type CompileOptions,
  type Cpu,
  defineBackend,
  type Engine,
  interpreter,
  jit,
  MAP_TYPES,
  MAX_TAIL_CALLS,
  trust,
} from "@bpfkit/core";
import { Lockstep, type LockstepProgram } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { parts as arm64Parts } from "../../../packages/arm64/src/backend.ts";
import { parts as riscv64Parts } from "../../../packages/riscv64/src/backend.ts";
import { parts as x86_64Parts } from "../../../packages/x86-64/src/backend.ts";
import { sameCode, tailCallMutants } from "./tail-call-mutants.ts";

const ARM64 = defineBackend(arm64Parts);
const RISCV64 = defineBackend(riscv64Parts);
const X86_64 = defineBackend(x86_64Parts);
const BACKENDS: readonly Backend[] = [X86_64, ARM64, RISCV64];
const TREES = Number(process.env.BPFKIT_TREES ?? 10);
const [SHARD = 0, SHARDS = 1] = (process.env.BPFKIT_SHARD ?? "0/1").split("/").map(Number);
/** Milliseconds for a thing of many runs, on a slow machine. */
const TIMEOUT = 120_000;

/** An engine, and how it compiles where it does. */
interface Way {
  readonly name: string;
  readonly subject: Backend | Engine;
  readonly compile: CompileOptions;
}

const waysOf = (backend: Backend, settings: readonly TreeSetting[]): readonly Way[] =>
  settings.map(({ name, compile }) => ({ name: `${backend.arch}, ${name}`, subject: backend, compile }));
/** Every engine, with every scheme that keeps the limit and lets subprograms make tail calls. */
const RIGHT: readonly Way[] = [
  { name: "interpreter", subject: interpreter, compile: {} },
  ...BACKENDS.flatMap((backend) =>
    waysOf(
      backend,
      treeSettings(backend).filter(({ fromSubprogs }) => fromSubprogs),
    ),
  ),
];
const BY_VALUE: readonly Way[] = BACKENDS.flatMap((backend) =>
  waysOf(backend, treeSettings(backend, {}, ["by-value"])),
);

const TABLE = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 8, flags: 0 };
const [SELF, NEXT, LEAF, NOTHING] = [0, 1, 2, 3];
const WORDS = 8;

/** What a run has left: 64 bits of result, or how it stopped, and the words of the context. */
interface Outcome {
  readonly stop: string;
  readonly result: bigint | undefined;
  readonly words: readonly number[];
  readonly breach: EdgeBreach | undefined;
}

/** Programs with one prog array, on one engine beside the interpreter. */
class World {
  readonly #way: Way;
  readonly #lockstep: Lockstep;

  constructor(way: Way) {
    const { subject, compile } = way;
    this.#way = way;
    this.#lockstep = new Lockstep({
      engine: "arch" in subject ? jit(subject, compile) : subject,
      memory: { sizes: { host: 1 << 20, text: 1 << 20, data: 1 << 20 } },
      setup: (kernel) => {
        setUpKernel(kernel);
        kernel.createMap(TABLE);
      },
    });
  }

  /** Loads a program, and puts it into a slot. */
  load(text: string, slot?: number): LockstepProgram {
    const program = this.#lockstep.load(trust(assemble(text, { maps: [TABLE], kfuncs: [MIX_KFUNC] })));
    if (slot !== undefined) this.#lockstep.progArray("table").set(slot, program);
    return program;
  }

  /** Runs beside the interpreter. */
  run(program: LockstepProgram): Outcome {
    const result = program.run({ context: new Uint8Array(8 * WORDS) });
    const { subject, compile } = this.#way;
    const breach = edgeBreach(result, "arch" in subject ? subject : undefined, compile);
    return { ...outcomeOf(result.subject), breach };
  }

  /** Runs alone, for at most so many instructions. */
  runAlone({ subject }: LockstepProgram, budget?: number): Outcome {
    const result = subject.run({ context: new Uint8Array(8 * WORDS), ...(budget === undefined ? {} : { budget }) });
    return { ...outcomeOf(result), breach: undefined };
  }
}

function outcomeOf({ stop, contextOut }: ReturnType<LockstepProgram["subject"]["run"]>): Omit<Outcome, "breach"> {
  const view = new DataView(contextOut!.buffer, contextOut!.byteOffset);
  return {
    stop: stop.kind,
    result: stop.kind === "returned" ? stop.value : undefined,
    words: Array.from({ length: WORDS }, (_, i) => Number(view.getBigUint64(8 * i, true))),
  };
}

/** `bpf_tail_call(r6, table, slot)`. */
const jump = (slot: number): string => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call\n`;
/** Adds 1 to a word of the context in r6. */
const count = (word: number): string => `r1 = *(u64 *)(r6 + ${8 * word})\nr1 += 1\n*(u64 *)(r6 + ${8 * word}) = r1\n`;
const RETURN = "r0 = 0\nexit\n";

/** Tail-calls itself until `left` tail calls are left behind the one with which it enters NEXT. */
function prelude(left: number): string {
  return `r6 = r1\nr1 = *(u64 *)(r6 + 56)\nif r1 >= ${MAX_TAIL_CALLS - left - 1} goto on\n${count(7)}${jump(SELF)}r0 = 1\nexit\non:\n${jump(NEXT)}r0 = 2\nexit`;
}

/** Counts its runs in word 0, and calls subprograms that each tail-call it; word 1 counts those that fail. */
function hierarchy(subprogs: number, self: number): string {
  const numbers = Array.from({ length: subprogs }, (_, i) => i);
  const calls = numbers.map((i) => `r1 = r6\ncall sub${i}\n`).join("");
  const subs = numbers.map((i) => `sub${i}:\nr6 = r1\n${jump(self)}${count(1)}${RETURN}`).join("");
  return `r6 = r1\n${count(0)}${calls}${RETURN}${subs}`;
}

/** A hierarchy that is entered with `left` tail calls left. */
function limited(way: Way, subprogs: number, left: number): [World, LockstepProgram] {
  const world = new World(way);
  const start = world.load(prelude(left), SELF);
  world.load(hierarchy(subprogs, NEXT), NEXT);
  return [world, start];
}

/** Registers that are the host's, beside those of BPF: code that uses them has to give them back. */
const HOST: Readonly<Record<string, readonly string[]>> = {
  "x86-64": ["r12"],
  arm64: ["x23", "x24", "x26", "x27", "x28"],
  riscv64: ["s6", "s7", "s8", "s9", "s10", "s11"],
};

/** A backend, and which of the host's registers its CPUs have lost so far. */
function watched(backend: Backend): { readonly backend: Backend; readonly lost: () => readonly string[] } {
  const registers = HOST[backend.arch]!.filter((register) => !backend.abi.bpf.includes(register));
  const cpus: Cpu[] = [];
  const createCpu: Backend["createCpu"] = (memory, options) => {
    const cpu = backend.createCpu(memory, options);
    for (const [i, register] of registers.entries()) cpu.set(register, 0xfeed_0000n + BigInt(i));
    cpus.push(cpu);
    return cpu;
  };
  return {
    backend: { ...backend, createCpu },
    lost: () => registers.filter((register, i) => cpus.some((cpu) => cpu.get(register) !== 0xfeed_0000n + BigInt(i))),
  };
}

const named = (ways: readonly Way[]): [string, Way][] => ways.map((way) => [way.name, way]);

describe.each(named(RIGHT))("%s", (_name, way) => {
  test("B-1 simple chain: 33 tail calls and 34 runs of a program that tail-calls itself", () => {
    const world = new World(way);
    const self = world.load(`r6 = r1\n${count(0)}${jump(SELF)}${count(1)}${RETURN}`, SELF);
    expect(world.run(self)).toMatchObject({ breach: undefined, result: 0n, words: [34, 1, 0, 0, 0, 0, 0, 0] });
  });

  test("B-4 hierarchy: two subprograms that tail-call the entry get 33 tail calls together, and 34 runs", () => {
    const world = new World(way);
    const entry = world.load(hierarchy(2, SELF), SELF);
    expect(world.run(entry)).toMatchObject({ breach: undefined, result: 0n, words: [34, 35, 0, 0, 0, 0, 0, 0] });
    // The next run begins at 0, and the host's registers are as they were.
    expect(world.run(entry)).toMatchObject({ breach: undefined, words: [34, 35, 0, 0, 0, 0, 0, 0] });
  });

  test.each([
    [2, 3],
    [3, 3],
    [2, 0],
    [3, 1],
  ])("B-5 %i subprograms with %i tail calls left: no more than those", (subprogs, left) => {
    const [world, start] = limited(way, subprogs, left);
    const runs = left + 1;
    const { breach, words } = world.run(start);
    expect([breach, words.slice(0, 2)]).toEqual([undefined, [runs, subprogs * runs - left]]);
  });

  test("B-17 a helper between two attempts changes registers, and the count is what it was", () => {
    const world = new World(way);
    const args = [1, 2, 3, 4, 5].map((reg) => `r${reg} = -${reg}\n`).join("");
    const attempts = `${args}call ${MIX}\n${jump(NOTHING)}${count(1)}${args}call ${MIX_KFUNC}\n${jump(SELF)}${count(2)}`;
    const flat = world.load(`r6 = r1\n${count(0)}${args}call ${MIX}\n${attempts}${RETURN}`, SELF);
    expect(world.run(flat)).toMatchObject({ breach: undefined, words: [34, 34, 1, 0, 0, 0, 0, 0] });
    const below = `r6 = r1\n${count(0)}call sub\n${args}call ${MIX}\nr1 = r6\ncall sub\n${RETURN}sub:\nr6 = r1\n${attempts}${RETURN}`;
    const nested = new World(way);
    const entry = nested.load(below.replace("call sub\n", "r1 = r6\ncall sub\n"), SELF);
    // 34 runs with two calls each: 68 times to the empty slot, and 33 of 68 times away from there.
    expect(nested.run(entry)).toMatchObject({ breach: undefined, words: [34, 68, 35, 0, 0, 0, 0, 0] });
  });

  test("E-1 one tail call left: a subprogram takes it and returns, and another one's is refused", () => {
    const world = new World(way);
    const start = world.load(prelude(1), SELF);
    world.load(ONE_EACH, NEXT);
    world.load(LEAF_PROGRAM, LEAF);
    expect(world.run(start)).toMatchObject({ breach: undefined, words: [1, 1, 1, 0, 0, 0, 0, 31] });
  });

  test("E-2 a subprogram's tail calls take all 33, and the next one's falls through", () => {
    const world = new World(way);
    const entry = world.load(ONE_EACH);
    // 33 runs of what the first one enters, the last of which finds no tail call left.
    world.load(`r6 = r1\n${count(2)}${jump(LEAF)}${RETURN}`, LEAF);
    expect(world.run(entry)).toMatchObject({ breach: undefined, words: [1, 1, 33, 0, 0, 0, 0, 0] });
  });
});

/** Counts itself in word 0; two subprograms in turn tail-call LEAF, and count in word 1 that it failed. */
const ONE_EACH = `r6 = r1\n${count(0)}r1 = r6\ncall first\nr1 = r6\ncall second\n${RETURN}first:\nr6 = r1\n${jump(LEAF)}${count(1)}${RETURN}second:\nr6 = r1\n${jump(LEAF)}${count(1)}${RETURN}`;
const LEAF_PROGRAM = `r6 = r1\n${count(2)}${RETURN}`;

describe.each(named(BY_VALUE))("a count that calls take by value (%s)", (_name, way) => {
  test.each([
    [2, 3, 14],
    [3, 3, 39],
  ])("B-4, B-5 %i subprograms with %i tail calls left: makes %i", (subprogs, left, tailCalls) => {
    const [world, start] = limited(way, subprogs, left);
    expect(world.runAlone(start).words[0]).toBe(tailCalls + 1);
  });

  test("B-4 hierarchy: does not keep to 33, and the law names the first return that loses a count", () => {
    const world = new World(way);
    const entry = world.load(hierarchy(2, SELF), SELF);
    const { stop, words } = world.runAlone(entry, 300_000);
    expect(stop).toBe("budget");
    expect(words[0]).toBeGreaterThan(1000);
    const watched = new World(way);
    const { breach } = watched.run(watched.load(hierarchy(2, SELF), SELF));
    expect(breach).toMatchObject({ edge: "return", expected: "33", found: "32" });
    expect(breach!.what).toMatch(/^tail calls, return from main:\d+ to main:\d+$/);
    expect(breach!.listing).toContain("behind\n");
  });

  test("E-1 one tail call left: allows one to each subprogram, and the law names the return between them", () => {
    const load = (world: World): LockstepProgram => {
      const start = world.load(prelude(1), SELF);
      world.load(ONE_EACH, NEXT);
      world.load(LEAF_PROGRAM, LEAF);
      return start;
    };
    const alone = new World(way);
    expect(alone.runAlone(load(alone)).words.slice(0, 3)).toEqual([1, 0, 2]);
    const world = new World(way);
    expect(world.run(load(world)).breach).toMatchObject({ edge: "return", expected: "33", found: "32" });
  });
});

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (arch, backend) => {
  const layouts = layoutsOf(backend);

  test.each(layouts)("E-4 tail calls enter programs behind what begins the count: %s", (_, compile) => {
    for (const setting of treeSettings(backend, compile).filter(({ fromSubprogs }) => fromSubprogs)) {
      const way = waysOf(backend, [setting])[0]!;
      const [world, start] = limited(way, 2, 3);
      const { breach, words } = world.run(start);
      expect([setting.name, breach, words.slice(0, 2)]).toEqual([setting.name, undefined, [4, 5]]);
    }
  });

  test.each(layouts)(
    "E-5 the way from the entry to where tail calls land is the same in all programs: %s",
    (_, compile) => {
      const texts = [RETURN, hierarchy(2, SELF), prelude(3), `r6 = r10\n*(u64 *)(r10 - 512) = r6\ncall 7\n${RETURN}`];
      for (const { name, compile: setting } of treeSettings(backend, compile)) {
        if (name.startsWith("per-program")) continue;
        const landings = texts.map((text) => {
          const { landing } = backend.compile(trust(assemble(text, { maps: [TABLE] })), setting);
          const compressed = backend.compile(trust(assemble(text, { maps: [TABLE] })), { ...setting, features: {} });
          expect(compressed.landing).toBe(landing);
          return landing;
        });
        expect([name, new Set(landings).size]).toEqual([name, 1]);
      }
    },
  );

  test("every broken one is caught by call trees", { timeout: 5 * TIMEOUT }, () => {
    const parts = { "x86-64": x86_64Parts, arm64: arm64Parts, riscv64: riscv64Parts }[arch]!;
    const survivors: string[] = [];
    let mutants = 0;
    for (const setting of treeSettings(backend).filter(({ fromSubprogs }) => fromSubprogs)) {
      for (const { name, backend: mutant } of tailCallMutants(parts as typeof x86_64Parts)) {
        const seeds = Array.from({ length: 40 }, (_, i) => i + 1);
        let isOther = false;
        const caught = seeds.some((seed) => {
          const tree = generateCallTree(seed, setting);
          const programs = trustedPrograms(tree);
          if (
            programs.every((one) =>
              sameCode(mutant.compile(one, setting.compile), backend.compile(one, setting.compile)),
            )
          )
            return false;
          isOther = true;
          if (treeBreach(mutant, setting, tree) !== undefined) return true;
          const host = watched(mutant);
          new TreeRunner(jit(host.backend, setting.compile)).run(tree, programs);
          return host.lost().length > 0;
        });
        if (isOther) mutants++;
        if (isOther && !caught) survivors.push(`${setting.name}: ${name}`);
      }
    }
    expect(survivors).toEqual([]);
    expect(mutants).toBeGreaterThan(30);
  });
});

/** The layouts that a backend has with one choice made the other way, and each without a feature. */
function layoutsOf({ capabilities: { layout, features } }: Backend): readonly [string, CompileOptions][] {
  const flipped = (["layout", "features"] as const).flatMap((what) =>
    Object.entries(what === "layout" ? layout : features).flatMap(([key, value]): [string, CompileOptions][] =>
      typeof value !== "boolean" || key === "directTailCalls"
        ? []
        : [[`${value ? "no " : ""}${key}`, { [what]: { [key]: !value } }]],
    ),
  );
  return [["plain", {}], ...flipped];
}

test(`B-18 three back-ends: random call trees leave equal traces, counts and results on all engines, in all right schemes (${TREES} trees)`, {
  timeout: TIMEOUT + 2000 * TREES,
}, () => {
  const settings = BACKENDS.flatMap((one) => treeSettings(one).map((setting) => ({ setting, ...watched(one) })));
  const batch = 250;
  let runners: readonly TreeRunner[] = [];
  let reference = new TreeRunner(interpreter);
  for (let i = SHARD; i < TREES; i += SHARDS) {
    if (((i - SHARD) / SHARDS) % batch === 0) {
      reference = new TreeRunner(interpreter);
      runners = settings.map(({ backend, setting }) => new TreeRunner(jit(backend, setting.compile)));
    }
    for (const fromSubprogs of [true, false]) {
      const tree = generateCallTree(i + 1, { fromSubprogs });
      const programs = trustedPrograms(tree);
      const expected = reference.run(tree, programs);
      for (const [k, { backend, setting, lost }] of settings.entries()) {
        if (setting.fromSubprogs !== fromSubprogs) continue;
        const breach = differingRun(expected, runners[k]!.run(tree, programs));
        if (lost().length > 0) expect.fail(`tree ${i + 1}, ${backend.arch}, ${setting.name}: the host lost ${lost()}`);
        if (breach === undefined) continue;
        const edge = treeBreach(backend, setting, tree);
        expect.fail(`tree ${i + 1}, ${backend.arch}, ${setting.name}: ${JSON.stringify(edge ?? breach, undefined, 2)}`);
      }
    }
  }
});
