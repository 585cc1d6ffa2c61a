// Linearize against the naive oracle: random programs, random edits, every array equal.
import { describe, expect, test } from "vitest";
import { formatProgram } from "../../src/asm/listing.ts";
import { linearized, randomHistory, starts } from "./histories.ts";

/** More with BPFKIT_HISTORIES, others with BPFKIT_SEED. */
const HISTORIES = Number(process.env.BPFKIT_HISTORIES ?? 10_000);
const SEED = Number(process.env.BPFKIT_SEED ?? 1);

/** Whether two values hold the same numbers, texts, lists and columns; a typed array equals a list. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  if (left.length !== right.length) return false;
  if (typeof left.length === "number" && "forEach" in left) {
    for (let i = 0; i < left.length; i++) if (!isEqual(left[i], right[i])) return false;
    return true;
  }
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => isEqual(left[key], right[key]));
}

describe("linearize and one edit at a time", () => {
  test(`D-19 random equivalence: ${HISTORIES} histories give equal programs, metadata and provenance`, {
    timeout: HISTORIES * 20,
  }, () => {
    let slots = 0;
    for (let seed = SEED; seed < SEED + HISTORIES; seed++) {
      const history = randomHistory(seed);
      const { program, metadata, provenance } = linearized(history);
      const { origin, patch, node } = provenance!;
      const nodes = [...history.list];
      const got = { program, metadata, origin, patch, node, nodes };
      const naive = history.naive.result();
      const expected = { ...naive, nodes: starts(naive.program.insns.words).map((at) => naive.node[at]!) };
      slots += naive.node.length;
      if (isEqual(got, expected)) continue;
      const listings = [history.subject.program, naive.program, program].map((each) => formatProgram(each));
      expect(got, [`seed ${seed}`, ...history.edits, ...listings].join("\n")).toEqual(expected);
      expect.fail(`seed ${seed}: unequal in a way that cannot be shown`);
    }
    expect(slots).toBeGreaterThan(10 * HISTORIES);
  });
});
