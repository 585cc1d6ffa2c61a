// What real kernels said about small programs, held against this verifier. What still differs is listed in disagreements.md; the counts
// of agreement.json may only grow, and `node tools/run.mjs oracle-verdicts --ours` writes both.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as core from "../../src/index.ts";
import { type Agreement, agreementOf, belowFloor, isDisputed, KINDS, type Verify } from "./agreement.mjs";
import { CASES } from "./all-cases.ts";
import { KERNELS } from "./cases.mjs";

/** By kernel: counts by subject, and the cases that the kernel rejects and this verifier does not. */
interface Floors {
  readonly [kernel: string]: {
    readonly subjects: Readonly<Record<string, Omit<Agreement, "cases">>>;
    readonly accepted: readonly string[];
  };
}
const FLOORS = JSON.parse(readFileSync(new URL("agreement.json", import.meta.url), "utf8")) as Floors;
const verify = (core as { readonly verify?: Verify }).verify;

test("every case has the answers of all kernels, and there are more than enough of both kinds", () => {
  expect(CASES.filter(({ expected }) => KERNELS.some((kernel) => expected[kernel] === undefined))).toEqual([]);
  const rejected = CASES.filter(({ expected }) => expected["7.2"]!.verdict === "reject").length;
  expect(rejected).toBeGreaterThan(600);
  expect(CASES.length - rejected).toBeGreaterThan(600);
});

describe.skipIf(verify === undefined)("agreement", () => {
  test.each(KERNELS)("with Linux %s does not shrink", (kernel) => {
    const cases = kernel === "7.2" ? CASES : CASES.filter(isDisputed);
    const { subjects, differences } = agreementOf(verify!, cases, kernel, true);
    const { subjects: floors, accepted } = FLOORS[kernel]!;
    expect(belowFloor(subjects, floors)).toEqual([]);
    const unsafe = differences.filter(({ kind }) => kind === KINDS[0]);
    expect(unsafe.map(({ subject, name }) => `${subject}: ${name}`).filter((name) => !accepted.includes(name))).toEqual(
      [],
    );
  });
});
