import { describe, expect, test } from "vitest";
import { bpfkit } from "./support.ts";

interface Insn {
  readonly slot: number;
  readonly origin: number;
  readonly pass?: string;
  readonly text: string;
}

function stages(
  ...argv: readonly string[]
): readonly { pass: string; patches: number; slots: number; insns: Insn[] }[] {
  const { code, out, err } = bpfkit(["patch", "firewall.bpf.o", ...argv, "-j"]);
  expect(code, err).toBe(0);
  return JSON.parse(out).stages;
}

describe("bpfkit patch", () => {
  test("shows what came out last, or after each pass", () => {
    expect(stages("--passes", "zero-extend,blind-constants").map(({ pass }) => pass)).toEqual(["blind-constants"]);
    expect(stages("--print-after-all").map(({ pass }) => pass)).toContain("remove-dead-code");
  });

  test("names the pass that wrote an instruction, and the original it goes back to", () => {
    const [stage] = stages("--passes", "blind-constants");
    const written = stage!.insns.filter(({ pass }) => pass !== undefined);
    expect(written.length).toBeGreaterThan(3);
    expect(new Set(written.map(({ pass }) => pass))).toEqual(new Set(["blind-constants"]));
    const origins = stage!.insns.map(({ origin }) => origin);
    expect(origins).toEqual([...origins].sort((a, b) => a - b));
  });

  test("blinds with other numbers from another seed", () => {
    const texts = (seed: string) =>
      stages("--passes", "blind-constants", "--seed", seed)[0]!.insns.map(({ text }) => text);
    expect(texts("1")).toEqual(texts("1"));
    expect(texts("2")).not.toEqual(texts("1"));
  });

  test("refuses a pass that does not exist", () => {
    const { code, err } = bpfkit(["patch", "firewall.bpf.o", "--passes", "unroll"]);
    expect(code).toBe(2);
    expect(err).toContain("no pass unroll; there are remove-dead-code");
  });
});
