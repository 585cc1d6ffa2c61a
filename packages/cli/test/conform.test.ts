import { describe, expect, test } from "vitest";
import { bpfkit } from "./support.ts";

const SHARD = ["--shard", "7/60", "--programs", "1200"];

describe("conform", () => {
  test("prints the matrix, engine by group", () => {
    const { code, out, err } = bpfkit(["conform", ...SHARD]);
    expect([code, err]).toEqual([0, ""]);
    const [title, head, ...rows] = out.trimEnd().split("\n");
    expect(title).toBe("conformance, part 7 of 60, seed 1");
    expect(head).toMatch(/^ +interpreter +x86-64/);
    expect(rows.map((row) => row.trim().split(/\s+/)[0])).toContain("base64");
    expect(rows.at(-3)).toMatch(/^ {2}lockstep +20 +20/);
    expect(rows.at(-1)).toMatch(/^ {2}call trees +1 +1/);
  });

  test("prints the same as JSON", () => {
    const { code, out } = bpfkit(["conform", ...SHARD, "--json", "--arch", "x86-64"]);
    const { passed, reports } = JSON.parse(out);
    expect([code, passed, reports.length]).toEqual([0, true, 1]);
    expect(reports[0]).toMatchObject({ engine: "x86-64", seed: 1, shard: { index: 6, count: 60 }, failures: [] });
    expect(reports[0].lockstep.boundaries).toBeGreaterThan(100);
  });

  test("takes one group, and another seed", () => {
    const { out } = bpfkit([
      "conform",
      "--group",
      "packet",
      "--programs",
      "5",
      "--seed",
      "9",
      "--json",
      "--arch",
      "x86-64",
    ]);
    const [{ groups, seed }] = JSON.parse(out).reports;
    expect([Object.keys(groups), seed]).toEqual([["packet"], 9]);
  });

  test("runs programs in lockstep until enough instructions were compared, and says how fast", () => {
    let clock = 0;
    const { code, out } = bpfkit(
      ["conform", "--lockstep", "1000", "--arch", "x86-64"],
      {},
      {
        now: () => {
          clock += 1000;
          return clock;
        },
      },
    );
    expect(code).toBe(0);
    expect(out).toMatch(
      /^x86-64: [\d,]+ BPF instructions of 200 programs, compared at .* no difference .* a second; next seed 201\)\n$/,
    );
  });

  test.each([["0/3"], ["4/3"], ["x"], ["1/"]])("refuses %s as a shard", (shard) => {
    expect(bpfkit(["conform", "--shard", shard])).toMatchObject({ code: 2, out: "" });
  });
});
