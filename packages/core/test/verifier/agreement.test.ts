// What real kernels said about small programs, held against this verifier. What still differs is listed in disagreements.md, and by name in
// agreement.json: nothing may be added there. `node tools/run.mjs oracle-verdicts --ours` writes both. Every second case is tried, and with
// BPFKIT_VERDICTS=all each one.
import { readdirSync, readFileSync } from "node:fs";
import { env } from "node:process";
import { describe, expect, test } from "vitest";
import * as core from "../../src/index.ts";
import { agreementOf, isDisputed, nameOf, newDifferences, type Verify } from "./agreement.mjs";
import { KERNELS, readCases } from "./cases.mjs";

const FOLDER = new URL("cases/", import.meta.url);
const CASES = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".yaml"))
  .flatMap((file) => readCases(readFileSync(new URL(file, FOLDER), "utf8")));
const STRIDE = env.BPFKIT_VERDICTS === "all" ? 1 : 2;
const PATIENCE = 240_000;

/** By kernel: how many cases there were, and the kind of every difference by the case's full name. */
interface Known {
  readonly [kernel: string]: { readonly cases: number; readonly differences: Readonly<Record<string, string>> };
}
const KNOWN = JSON.parse(readFileSync(new URL("agreement.json", import.meta.url), "utf8")) as Known;
const verify = core.verify as Verify;

test("every case has the answers of all kernels, and there are more than enough of both kinds", () => {
  expect(CASES.filter(({ expected }) => KERNELS.some((kernel) => expected[kernel] === undefined))).toEqual([]);
  const rejected = CASES.filter(({ expected }) => expected["7.2"]!.verdict === "reject").length;
  expect(rejected).toBeGreaterThan(600);
  expect(CASES.length - rejected).toBeGreaterThan(600);
});

describe("agreement", () => {
  test.each(KERNELS)("with Linux %s does not shrink", { timeout: PATIENCE }, (kernel) => {
    const asked = kernel === "7.2" ? CASES : CASES.filter(isDisputed);
    const tried = asked.filter((_, index) => index % STRIDE === 0);
    const { differences } = agreementOf(verify, tried, kernel, true);
    const added = newDifferences(differences, KNOWN[kernel]!.differences);
    expect(added.map((difference) => `${nameOf(difference)}: ${difference.kind}`)).toEqual([]);
  });

  test.each(KERNELS)("with Linux %s is 98 of 100 verdicts at least, of all cases", (kernel) => {
    const { cases, differences } = KNOWN[kernel]!;
    const others = Object.values(differences).filter((kind) => /accepted|no answer/.test(kind)).length;
    expect(CASES.length - cases).toBeLessThan(200);
    expect(1 - others / cases).toBeGreaterThan(0.98);
  });
});
