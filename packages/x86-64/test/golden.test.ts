import { goldenListing } from "@bpfkit/conformance";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";

describe("compiled code looks as it did", () => {
  test("without the features and the hardening that are on by default", async () => {
    const options = { layout: { ibt: false, sls: false }, features: { bmi2: false } };
    await expect(goldenListing(x86_64, "shift", options)).toMatchFileSnapshot("golden/shift-plain.lst");
    await expect(goldenListing(x86_64, "prologue-leaf", options)).toMatchFileSnapshot("golden/prologue-leaf-plain.lst");
  });

  test("with other jumps out of tail calls, and other ways of counting them", async () => {
    for (const indirectJumps of ["retpoline", "lfence"]) {
      const listing = goldenListing(x86_64, "tail-call", { layout: { indirectJumps } });
      await expect(listing).toMatchFileSnapshot(`golden/tail-call-${indirectJumps}.lst`);
    }
    const writeBack = goldenListing(x86_64, "tail-call-subprogram", { layout: { tailCalls: "write-back" } });
    await expect(writeBack).toMatchFileSnapshot("golden/tail-call-subprogram-write-back.lst");
    const perProgram = goldenListing(x86_64, "tail-call", { layout: { tailCalls: "per-program", saveAll: true } });
    await expect(perProgram).toMatchFileSnapshot("golden/tail-call-per-program.lst");
  });
});
