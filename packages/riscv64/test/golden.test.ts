import { goldenListing } from "@bpfkit/conformance";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";

describe("compiled code looks as it did", () => {
  test("without the features that are on by default", async () => {
    const options = { features: { c: false, zba: false, zbb: false } };
    for (const name of ["alu-reg", "end", "mov", "prologue-saved-registers"])
      await expect(goldenListing(riscv64, name, options)).toMatchFileSnapshot(`golden/${name}-plain.lst`);
  });

  test("with short branches, near calls and compare and swap", async () => {
    const options = { features: { zacas: true }, layout: { shortBranches: true, nearCalls: true } };
    for (const [name, file] of [
      ["jump-distances", "jump-distances-short"],
      ["bpf2bpf-call", "bpf2bpf-call-near"],
      ["atomic-32", "atomic-32-zacas"],
    ] as const)
      await expect(goldenListing(riscv64, name, options)).toMatchFileSnapshot(`golden/${file}.lst`);
  });

  test("with tail calls that are rewritten when their slot changes, and another way of counting them", async () => {
    const direct = goldenListing(riscv64, "tail-call-known-slot", { layout: { directTailCalls: true } });
    await expect(direct).toMatchFileSnapshot("golden/tail-call-direct.lst");
    const other = goldenListing(riscv64, "tail-call-subprogram", { layout: { tailCalls: "pass-through" } });
    await expect(other).toMatchFileSnapshot("golden/tail-call-subprogram-pass-through.lst");
  });
});
