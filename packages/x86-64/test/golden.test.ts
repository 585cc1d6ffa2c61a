import { goldenListing } from "@bpfkit/conformance";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";

describe("compiled code looks as it did", () => {
  test("without the features and the hardening that are on by default", async () => {
    const options = { layout: { ibt: false, sls: false }, features: { bmi2: false } };
    await expect(goldenListing(x86_64, "shift", options)).toMatchFileSnapshot("golden/shift-plain.lst");
    await expect(goldenListing(x86_64, "prologue-leaf", options)).toMatchFileSnapshot("golden/prologue-leaf-plain.lst");
  });
});
