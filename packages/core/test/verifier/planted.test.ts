// Every planted mistake is found: a program that the broken verifier accepts leaves the states it recorded, or its memory.
import { expect, test } from "vitest";
import { escapes, programOf, verifyRecording } from "./concrete.ts";
import { PLANTED, type Planted } from "./planted.ts";
import { randomFrom, randomProgram } from "./random-programs.ts";

function isCaught({ tables, seed }: Planted): boolean {
  const random = randomFrom(seed);
  const program = programOf(randomProgram(random, 4 + Math.floor(random() * 16)));
  const complete = seed % 2 === 0;
  const { result, states } = verifyRecording(program, complete, tables);
  if (!result.ok) return false;
  for (let run = 0; run < 3; run++) if (escapes(result.program, states, random, complete) !== undefined) return true;
  return false;
}

test.each(PLANTED)("$name", (planted) => {
  expect(isCaught(planted)).toBe(true);
});

test("there are enough of them", () => {
  expect(PLANTED.length).toBeGreaterThanOrEqual(25);
});
