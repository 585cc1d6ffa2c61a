import { arm64 } from "@bpfkit/arm64";
import { checkPlans } from "@bpfkit/conformance";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { expect, test } from "vitest";

test.each([x86_64, arm64, riscv64])(
  "C-16 kinds: every plan of $arch runs the old or the new instruction at every moment",
  (backend) => {
    const { failures, idle, ...counts } = checkPlans(backend);
    expect(counts.plans).toBeGreaterThanOrEqual(20);
    expect(counts.needed).toBeGreaterThanOrEqual(counts.plans);
    expect(failures).toEqual([]);
    expect(idle).toEqual([]);
  },
);
