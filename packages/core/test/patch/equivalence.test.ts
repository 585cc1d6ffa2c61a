// Linearize against the naive oracle: random programs, random edits, every array equal.
import { describe, expect, test } from "vitest";
import { formatProgram } from "../../src/asm/listing.ts";
import { isEqual, linearized, randomHistory, starts } from "./histories.ts";

/** More with BPFKIT_HISTORIES, others with BPFKIT_SEED. */
const HISTORIES = Number(process.env.BPFKIT_HISTORIES ?? 10_000);
const SEED = Number(process.env.BPFKIT_SEED ?? 1);

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
