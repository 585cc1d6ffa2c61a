// The suite as vitest tests: one line in each backend's test folder.
import type { Backend } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { type ConformanceOptions, runConformance } from "./conformance.ts";
import { corpus } from "./corpus.ts";
import { GOLDEN_CASES, goldenListing } from "./golden.ts";
import { GROUPS } from "./group.ts";
import { type ConformanceReport, formatFailure } from "./report.ts";

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

    test("runs generated programs as the interpreter does, at every boundary", { timeout: TIMEOUT }, () => {
      const report = runConformance(backend, { ...rest, cases: [] });
      expectPassed(report);
      expect(report.lockstep.boundaries / report.lockstep.instructions).toBeGreaterThan(0.9);
    });
  });
}

function expectPassed({ groups, lockstep, failures }: ConformanceReport): void {
  const failed = Object.values(groups).reduce((sum, group) => sum + group.failed, 0) + lockstep.failed;
  if (failed > 0) expect.fail(`${failed} failed\n\n${failures.map(formatFailure).join("\n\n")}`);
}
