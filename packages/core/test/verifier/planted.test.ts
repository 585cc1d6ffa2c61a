// Every planted mistake is found: a program that the broken verifier accepts leaves the states it recorded, or its memory.
import { expect, test } from "vitest";
import { tryLaw } from "./law.ts";
import { PLANTED } from "./planted.ts";

test.each(PLANTED)("$name", ({ tables, seed }) => {
  expect(tryLaw(seed, { tables, runs: 3, shrinks: false }).escape).toBeDefined();
  // It is the mistake that is found, and no other.
  expect(tryLaw(seed, { runs: 3, shrinks: false }).escape).toBeUndefined();
});

test("there are enough of them", () => {
  expect(PLANTED.length).toBeGreaterThanOrEqual(40);
});
