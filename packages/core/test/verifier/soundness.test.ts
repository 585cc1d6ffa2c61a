// Accepted programs, run on random inputs: no trap, and every step inside the states that the verifier recorded. How many programs, and
// from which seed on: BPFKIT_VERIFY_PROGRAMS, BPFKIT_VERIFY_SEED.
import { expect, test } from "vitest";
import { escapes, programOf, verifyRecording } from "./concrete.ts";
import { randomFrom, randomProgram } from "./random-programs.ts";

const PROGRAMS = Number(process.env.BPFKIT_VERIFY_PROGRAMS ?? 250);
const RUNS = process.env.BPFKIT_VERIFY_PROGRAMS === undefined ? 1 : 3;
const FIRST = Number(process.env.BPFKIT_VERIFY_SEED ?? 0);

test("concrete inside abstract", () => {
  let accepted = 0;
  let tried = 0;
  const reasons = new Map<string, number>();
  for (let seed = FIRST; accepted < PROGRAMS && tried < 20 * PROGRAMS; seed++) {
    tried++;
    const random = randomFrom(seed);
    const text = randomProgram(random, 4 + Math.floor(random() * 16));
    const program = programOf(text);
    // By turns all that is recorded holds, and what the kernel's way of pruning leaves out is left out.
    const complete = seed % 2 === 0;
    const { result, states } = verifyRecording(program, complete);
    if (!result.ok) {
      const reason = result.reason.replace(/\d+/g, "N");
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      continue;
    }
    accepted++;
    for (let run = 0; run < RUNS; run++) {
      const found = escapes(result.program, states, random, complete);
      if (found !== undefined) throw new Error(`seed ${seed}, run ${run}: ${found}\n${text}`);
    }
  }
  console.log(`concrete inside abstract: ${accepted} accepted of ${tried} programs, no escape`);
  if (process.env.BPFKIT_VERIFY_REASONS) console.log([...reasons].sort((a, b) => b[1] - a[1]).slice(0, 20));
  expect(accepted).toBe(PROGRAMS);
}, 600_000);
