// What docs/trampoline-backtraces.md says is what the CPUs come to; `npm run golden` writes it anew.
import { arm64 } from "@bpfkit/arm64";
import { backtracePage } from "@bpfkit/conformance";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { expect, test } from "vitest";

test("the page of backtraces lists what each architecture loses", { timeout: 120_000 }, async () => {
  await expect(backtracePage([x86_64, arm64, riscv64])).toMatchFileSnapshot("../../../docs/trampoline-backtraces.md");
});
