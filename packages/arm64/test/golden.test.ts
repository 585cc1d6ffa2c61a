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

  test("with tail calls that are rewritten when their slot changes, and another way of counting them", async () => {
    const direct = goldenListing(arm64, "tail-call-known-slot", { layout: { directTailCalls: true } });
    await expect(direct).toMatchFileSnapshot("golden/tail-call-direct.lst");
    const far = goldenListing(arm64, "tail-call-known-slot", { layout: { directTailCalls: true, far: true } });
    await expect(far).toMatchFileSnapshot("golden/tail-call-direct-far.lst");
    const other = goldenListing(arm64, "tail-call-subprogram", { layout: { tailCalls: "write-back" } });
    await expect(other).toMatchFileSnapshot("golden/tail-call-subprogram-write-back.lst");
  });
});
