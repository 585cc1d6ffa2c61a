// The laws of patch sites as vitest tests.
import type { Backend } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { checkManySites } from "../poke/many.ts";
import { checkPlans } from "../poke/plans.ts";

/** Declares the tests of how a backend rewrites patch sites: one, and very many together. */
export function describePokes(backend: Backend): void {
  describe("patch sites", () => {
    test("C-16 kinds: every plan runs the old or the new instruction at every moment", () => {
      const { failures, idle, ...counts } = checkPlans(backend);
      expect(counts.plans).toBeGreaterThanOrEqual(20);
      expect(counts.needed).toBeGreaterThanOrEqual(counts.plans);
      expect(failures).toEqual([]);
      expect(idle).toEqual([]);
    });

    test("very many change in stages that are such plans, and end as one at a time does", () => {
      const { staged, compared, breach } = checkManySites(backend);
      expect(breach).toBeUndefined();
      expect([staged > 10, compared > 100]).toEqual([true, true]);
    });
  });
}
