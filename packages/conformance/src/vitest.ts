// The suite as vitest tests: one line in each backend's test folder.
import type { Backend, BackendParts, CodeBuffer, CompileOptions } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import type { ConformanceCase } from "./case.ts";
import { type ConformanceOptions, runConformance } from "./conformance.ts";
import { corpus } from "./corpus.ts";
import { GOLDEN_CASES, goldenListing } from "./golden.ts";
import { GROUPS } from "./group.ts";
import { mutantsOf } from "./mutants.ts";
import { type ConformanceReport, formatFailure, passed } from "./report.ts";

/** Milliseconds that a group of the corpus may take on a slow machine. */
const TIMEOUT = 120_000;

/**
 * Declares the tests of a backend: golden listings (`golden/*.lst` beside the test file), the corpus group by group, and generated
 * programs in lockstep with the interpreter.
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
    });

    describe("gives the results of the corpus", () => {
      const present = groups.filter((group) => corpus().some((one) => one.group === group));
      test.each(present)("%s", { timeout: TIMEOUT }, (group) => {
        expectPassed(runConformance(backend, { ...rest, groups: [group], programs: 0 }));
      });
    });

    const others = othersOf(backend);
    if (others.length > 0) {
      test.each(others)("gives the same results with %s", { timeout: TIMEOUT }, (_, compile) => {
        expectPassed(
          runConformance(backend, { ...rest, compile, shard: { index: 0, count: PART }, programs: 20 * PART }),
        );
      });
    }

    test("runs generated programs as the interpreter does, at every boundary", { timeout: TIMEOUT }, () => {
      const report = runConformance(backend, { ...rest, cases: [] });
      expectPassed(report);
      expect(report.lockstep.boundaries / report.lockstep.instructions).toBeGreaterThan(0.9);
    });
  });
}

/** The corpus, with the cases first that are likely to catch a mutant. */
function likelyFirst(near: readonly string[] | undefined): readonly ConformanceCase[] {
  if (near === undefined) return corpus();
  const isNear = ({ name }: ConformanceCase): boolean => near.some((start) => name.startsWith(start));
  return [...corpus().filter(isNear), ...corpus().filter((one) => !isNear(one))];
}

function expectPassed({ groups, lockstep, failures }: ConformanceReport): void {
  const failed = Object.values(groups).reduce((sum, group) => sum + group.failed, 0) + lockstep.failed;
  if (failed > 0) expect.fail(`${failed} failed\n\n${failures.map(formatFailure).join("\n\n")}`);
}

/** One case in so many runs with every other choice of features and layout. */
const PART = 8;

/** Each choice that a backend offers, made the other way. */
function othersOf({ capabilities }: Backend): readonly (readonly [name: string, options: CompileOptions])[] {
  return (["features", "layout"] as const).flatMap((what) =>
    Object.entries(capabilities[what]).flatMap(([key, value]) =>
      typeof value === "boolean"
        ? [[`${value ? "no " : ""}${key}`, { [what]: { [key]: !value } } as CompileOptions] as const]
        : [],
    ),
  );
}

/** Together, on a slow machine. */
const MUTANTS_TIMEOUT = 60_000;

/** Declares a test that the corpus alone catches every mutant of a backend's parts; see {@link mutantsOf}. */
export function describeMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): void {
  test(`the corpus catches every broken ${parts.arch}`, { timeout: MUTANTS_TIMEOUT }, () => {
    const mutants = mutantsOf(parts);
    expect(mutants.length).toBeGreaterThanOrEqual(40);
    const survivors = mutants.filter(({ backend, near }) =>
      passed(runConformance(backend, { cases: likelyFirst(near), programs: 0, stopAfter: 1, details: 0 })),
    );
    expect(survivors.map(({ name }) => name)).toEqual([]);
  });
}
