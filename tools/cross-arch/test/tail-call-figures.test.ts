// The figures that docs/tail-calls-figures.md shows, counted anew.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const { PAGE, withFigures } = await import("../../bench/tail-call-figures.mjs" as string);

test("the figures of the page are what the CPUs count", { timeout: 120_000 }, () => {
  const page = readFileSync(PAGE, "utf8");
  expect(withFigures(page)).toBe(page);
});
