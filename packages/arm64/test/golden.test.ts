import { goldenListing } from "@bpfkit/conformance";
import { describe, expect, test } from "vitest";
import { arm64 } from "../src/index.ts";

describe("compiled code looks as it did", () => {
  test("without the features and the hardening that are on by default, and with what is off", async () => {
    const plain = { layout: { pac: false }, features: { lse: false } };
    await expect(goldenListing(arm64, "atomic-64", plain)).toMatchFileSnapshot("golden/atomic-64-plain.lst");
    await expect(goldenListing(arm64, "atomic-32", plain)).toMatchFileSnapshot("golden/atomic-32-plain.lst");
    const far = { layout: { bti: true, far: true } };
    await expect(goldenListing(arm64, "helper-call", far)).toMatchFileSnapshot("golden/helper-call-far.lst");
  });
});
