import { type Engine, INSNS, Insns, interpreter, OPS, type Op, opAt, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { corpus, formatFailure, parseCase, passed, runConformance } from "../src/index.ts";

/** The interpreter, which takes one instruction for another. */
function wrong(op: Op, other: Op): Engine {
  return {
    name: "wrong",
    load: (verified, host, options) => {
      const words = verified.program.insns.words.slice();
      const insns = new Insns(words);
      for (let at = 0; at < insns.length; at += insns.width(at)) {
        if (OPS[opAt(insns, at)] === op) words[2 * at] = (words[2 * at]! & ~0xff) | INSNS[other].code;
      }
      return interpreter.load(trust({ ...verified.program, insns }), host, options);
    },
  };
}

describe("the judge", () => {
  test("passes the interpreter, in shards that make up the whole", () => {
    const shards = [0, 1].map((index) =>
      runConformance(interpreter, { shard: { index: 20 * index, count: 40 }, programs: 80 }),
    );
    for (const report of shards) {
      expect(report.failures).toEqual([]);
      expect(passed(report)).toBe(true);
      expect(report.lockstep.programs).toBe(2);
    }
    const total = shards.flatMap(({ groups }) => Object.values(groups)).reduce((sum, { cases }) => sum + cases, 0);
    expect(Math.abs(total - corpus().length / 20)).toBeLessThan(2);
  });

  test("names the first differing register of a case, and shows the program", () => {
    const report = runConformance(wrong("jslt64_imm", "jlt64_imm"), { programs: 0, stopAfter: 1 });
    expect(passed(report)).toBe(false);
    const [failure] = report.failures;
    expect(failure!.name).toMatch(/^jslt64_imm/);
    expect(formatFailure(failure!)).toContain("wrong differs from interpreter");
    expect(parseCase(failure!.text).name).toBe(failure!.name);
  });

  test("shrinks a generated program that comes out differently", () => {
    const report = runConformance(wrong("xor64_reg", "or64_reg"), {
      cases: [],
      programs: 300,
      stopAfter: 1,
      details: 1,
    });
    const [failure] = report.failures;
    expect(failure!.group).toBe("lockstep");
    expect(failure!.what).toMatch(/^r\d$/);
    expect(Number(/to (\d+) slots/.exec(failure!.name)![1])).toBeLessThan(12);
  });

  test("takes one group, and tells how far it is", () => {
    const shares: number[] = [];
    const report = runConformance(interpreter, {
      groups: ["packet"],
      programs: 0,
      progress: (share) => shares.push(share),
    });
    expect(Object.keys(report.groups)).toEqual(["packet"]);
    expect(shares.length).toBeGreaterThan(0);
    expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
  });
});
