// All that a backend has to be, as vitest tests.
import { assemble, type Backend, type CompileOptions, jit, type Settings, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { type ConformanceOptions, runConformance } from "../conformance.ts";
import { corpus } from "../corpus.ts";
import { GOLDEN_CASES, goldenListing } from "../golden.ts";
import { GOLDEN_TRAMPOLINES, replacedEntryListing, trampolineListing } from "../golden-trampolines.ts";
import { GROUPS } from "../group.ts";
import { type ConformanceReport, formatFailure } from "../report.ts";
import { describeCpu } from "./cpu.ts";
import { booleans, flipped } from "./other-settings.ts";
import { describePokes } from "./pokes.ts";
import { describeTrampolines } from "./trampolines.ts";

/** Milliseconds that a part of the corpus may take on a slow machine. */
const TIMEOUT = 120_000;

/**
 * Declares the tests of a backend: golden listings (`golden/*.lst` beside the test file), the corpus group by group and with other
 * features and layouts, generated programs and call trees in lockstep with the interpreter, trampolines, plans for patch sites, and its CPU.
 *
 * @example
 * ```ts
 * import { describeBackend } from "@bpfkit/conformance/vitest";
 * import { x86_64 } from "../src/index.ts";
 * describeBackend(x86_64);
 * ```
 */
export function describeBackend(backend: Backend, options: ConformanceOptions = {}): void {
  const { groups = GROUPS, ...rest } = options;
  describe(backend.arch, () => {
    describe("compiled code looks as it did", () => {
      test.each(Object.keys(GOLDEN_CASES))("%s", async (name) => {
        await expect(goldenListing(backend, name)).toMatchFileSnapshot(`golden/${name}.lst`);
      });
      test.each(Object.keys(GOLDEN_TRAMPOLINES))("trampoline of %s", async (name) => {
        await expect(trampolineListing(backend, name)).toMatchFileSnapshot(`golden/trampoline-${name}.lst`);
      });
      test("the entry of a program that is replaced", async () => {
        await expect(replacedEntryListing(backend)).toMatchFileSnapshot("golden/trampoline-freplace.lst");
      });
    });

    const present = groups.filter((group) => corpus().some((one) => one.group === group));
    describe("gives the results of the corpus", () => {
      test.each(present)("%s", { timeout: TIMEOUT }, (group) => {
        expectPassed(runConformance(backend, { ...rest, groups: [group], programs: 0 }));
      });
    });

    const others = othersOf(backend);
    if (others.length > 0) {
      test.each(others)("gives the same results with %s", { timeout: TIMEOUT }, (_name, { compile, shard }) => {
        const { count } = shard;
        const more = { programs: 50 * count, trees: 2 * count };
        expectPassed(runConformance(backend, { ...rest, groups, compile, shard, ...more }));
      });
    }

    test("runs generated programs as the interpreter does, at every boundary", { timeout: TIMEOUT }, () => {
      const report = runConformance(backend, { ...rest, cases: [], trees: 0 });
      expectPassed(report);
      expect(report.lockstep.boundaries / report.lockstep.instructions).toBeGreaterThan(0.9);
    });

    test("makes tail calls as the interpreter does, with the same count at every edge", { timeout: TIMEOUT }, () => {
      const report = runConformance(backend, { trees: 24, ...rest, cases: [], programs: 0 });
      expectPassed(report);
      expect(report.callTrees.boundaries).toBeGreaterThan(1000 * report.callTrees.trees);
    });

    test("jumps at may_goto from when the frame's counter is used up", () => {
      expectCounted(backend);
    });

    describeTrampolines(backend);
    describePokes(backend);
    describeCpu(backend);
  });
}

function expectPassed({ groups, lockstep, callTrees, failures }: ConformanceReport): void {
  const inGroups = Object.values(groups).reduce((sum, group) => sum + group.failed, 0);
  const failed = inGroups + lockstep.failed + callTrees.failed;
  if (failed > 0) expect.fail(`${failed} failed\n\n${failures.map(formatFailure).join("\n\n")}`);
}

/** Another way to compile, and the part of the corpus that it gets. */
interface Other {
  readonly compile: CompileOptions;
  readonly shard: { readonly index: number; readonly count: number };
}

/** One case in so many: for all optional features turned round, for each choice of layout, and for each other mixture of features. */
const TURNED_PART = 4;
const LAYOUT_PART = 8;
const MIXTURE_PART = 32;

/** All optional features turned round, every other mixture of them, and each choice of layout, with a part of the corpus, each another one. */
function othersOf({ capabilities: { features, layout } }: Backend): readonly (readonly [string, Other])[] {
  const all = booleans(features);
  const turned = { compile: { features: flipped(features, all) }, shard: { index: 0, count: TURNED_PART } };
  const mixtures = subsets(all).slice(1, -1);
  const partOf = (i: number, count: number): Other["shard"] => ({ index: i % count, count });
  return [
    ...(all.length === 0 ? [] : [[nameOf(features, all), turned] as const]),
    ...mixtures.map((keys, i) => {
      const compile = { features: flipped(features, keys) };
      return [nameOf(features, keys), { compile, shard: partOf(i, MIXTURE_PART) }] as const;
    }),
    ...booleans(layout).map((key, i) => {
      const compile = { layout: flipped(layout, [key]) };
      return [nameOf(layout, [key]), { compile, shard: partOf(i, LAYOUT_PART) }] as const;
    }),
  ];
}

function nameOf(settings: Settings, flips: readonly string[]): string {
  return flips.map((key) => (settings[key] === true ? `no ${key}` : key)).join(", ");
}

/** None first, all last. */
function subsets(keys: readonly string[]): readonly (readonly string[])[] {
  return Array.from({ length: 1 << keys.length }, (_, bits) => keys.filter((_key, i) => (bits >> i) & 1));
}

/** Passes that a frame's loops have; too many to run through, so most of them are taken away in the middle of a run. */
const PASSES = 0x80_0000n;

function expectCounted(backend: Backend): void {
  // The copy of r10 makes every backend set it up.
  const text =
    "r9 = r10\nr0 = 0\nagain:\nr0 += 1\nmay_goto out\ngoto again\nout:\nmay_goto skip\nr0 += 1000\nskip:\nexit";
  const kernel = new Kernel({ engine: jit(backend) });
  const program = kernel.load(trust(assemble(text)));
  const { offset } = program.executable.image!.subprogs[0]!.frame.find(({ name }) => name === "may_goto counter")!;
  const run = program.start();
  while (run.at !== 2) expect(run.step(100)).toBeUndefined();
  const counter = run.register(10) + BigInt(offset);
  expect(kernel.memory.load(8, counter)).toBe(PASSES);
  kernel.memory.store(8, counter, 4n);
  expect(run.run(1000)).toEqual({ kind: "returned", value: 5n });
}
