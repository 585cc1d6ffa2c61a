// Accepted programs, run on random inputs: no trap, and every step inside the states that the verifier recorded. How many of them, and from
// which seed on: BPFKIT_VERIFY_PROGRAMS, BPFKIT_VERIFY_SEED. `node tools/run.mjs verify-law` does it by the hundred thousand.
import { expect, test } from "vitest";
import { Fact } from "../../src/analysis/facts.ts";
import { assemble } from "../../src/asm/parse.ts";
import { MAP_TYPES } from "../../src/isa/maps.ts";
import { verify } from "../../src/verifier/verify.ts";
import { tryLaw } from "./law.ts";

const PROGRAMS = Number(process.env.BPFKIT_VERIFY_PROGRAMS ?? 2000);
const FIRST = Number(process.env.BPFKIT_VERIFY_SEED ?? 0);

test("concrete inside abstract", () => {
  let [accepted, tried, steps] = [0, 0, 0];
  for (; accepted < PROGRAMS && tried < 10 * PROGRAMS; tried++) {
    const outcome = tryLaw(FIRST + tried);
    if (outcome.escape !== undefined) throw new Error(outcome.escape);
    if (outcome.accepted) accepted++;
    steps += outcome.steps;
  }
  console.log(`concrete inside abstract: ${accepted} accepted of ${tried} programs, ${steps} steps, no escape`);
  expect(accepted).toBe(PROGRAMS);
  // Near the border, but not beyond it.
  expect(accepted / tried).toBeGreaterThan(0.4);
  expect(accepted / tried).toBeLessThan(0.9);
}, 600_000);

// A path ended at a state in which all turns of bpf_loop had been walked, though it had them before it.
test("the program of seed 28521 stays inside", () => {
  const outcome = tryLaw(28521, { runs: 20 });
  expect(outcome.accepted).toBe(true);
  expect(outcome.escape).toBeUndefined();
});

test("a pointer to a subprogram that was moved is no callback", () => {
  const text = "r1 = 3\nr2 = f ll\nr2 += 8\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit\nf:\nr0 = 0\nexit";
  expect(verify(assemble(text, { type: "socket_filter" }))).toMatchObject({
    ok: false,
    reason: "dereference of modified func ptr R2 off=8 disallowed",
  });
});

test("a pointer as the index of a tail call is not known to be in range", () => {
  const table = { name: "t", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 2, flags: 0 };
  const inRange = (index: string): boolean => {
    const text = `r3 = ${index}\nr2 = map[t]\ncall bpf_tail_call\nr0 = 0\nexit`;
    const result = verify(assemble(text, { type: "socket_filter", maps: [table] }));
    if (!result.ok) throw new Error(result.reason);
    return (result.facts.flags[3]! & Fact.INDEX_IN_RANGE) !== 0;
  };
  expect([inRange("1"), inRange("2"), inRange("r1"), inRange("r10")]).toEqual([true, false, false, false]);
});
