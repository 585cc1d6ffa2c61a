// The matrix over all engines, and what it shows of a backend that is broken on purpose.
import { main } from "@bpfkit/cli";
import { formatFailure, mutantsOf, parseCase, runConformance } from "@bpfkit/conformance";
import { describe, expect, test } from "vitest";
import { parts as arm64 } from "../../../packages/arm64/src/backend.ts";
import { parts as riscv64 } from "../../../packages/riscv64/src/backend.ts";
import { parts as x86_64 } from "../../../packages/x86-64/src/backend.ts";

const GROUPS = [
  "base32",
  "base64",
  "divmul32",
  "divmul64",
  "atomic32",
  "atomic64",
  "packet",
  "base32-v4",
  "base64-v4",
  "divmul32-v4",
  "divmul64-v4",
  "linux",
  "safety",
  "lockstep",
];

function bpfkit(...argv: readonly string[]): { readonly code: number; readonly out: string } {
  let out = "";
  const code = main(argv, {
    out: (text) => {
      out += text;
    },
    err: () => {},
    read: () => new Uint8Array(),
    env: {},
    terminal: { out: false, err: false },
    now: () => 0,
  });
  return { code, out };
}

test("every engine passes every group", { timeout: 120_000 }, () => {
  // Each backend's own tests run all of the corpus; here is a part of it, in one table.
  const { code, out } = bpfkit("conform", "--shard", "1/12", "--programs", "600");
  expect(code, out).toBe(0);
  const [, head, ...rows] = out.trimEnd().split("\n");
  expect(head!.trim().split(/\s+/)).toEqual(["interpreter", "x86-64", "arm64", "riscv64"]);
  expect(rows.map((row) => row.trim().split(/\s+/)[0])).toEqual([...GROUPS, "instructions", "call"]);
  for (const row of rows.filter((line) => !line.includes("instructions")))
    expect(new Set(row.trim().split(/ {2,}/).slice(1)).size, row).toBe(1);
});

describe.each([
  ["x86-64", () => mutantsOf(x86_64)],
  ["arm64", () => mutantsOf(arm64)],
  ["riscv64", () => mutantsOf(riscv64)],
] as const)("a broken epilogue of %s", (arch, mutants) => {
  test("is found early, by the register that it loses, with both listings", { timeout: 60_000 }, () => {
    const { backend } = mutants().find(({ name }) => name === "r9 is saved and not restored")!;
    const report = runConformance(backend, { programs: 0, stopAfter: 1 });
    const run = Object.values(report.groups).reduce((sum, { cases }) => sum + cases, 0);
    expect(run).toBeLessThan(300);
    const [failure] = report.failures;
    const text = formatFailure(failure!);
    expect(text).toMatch(/place of r[89]: expected 0x[0-9a-f]+, found 0x/);
    expect(text).toMatch(/^ {2}BPF$/m);
    expect(text).toMatch(new RegExp(`^ {2}${arch}$`, "m"));
    expect(parseCase(failure!.text).runs).toHaveLength(1);
  });
});
