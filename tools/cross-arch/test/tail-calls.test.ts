// Tail calls on every backend, with each way of counting them that is exact, indirect and direct.
import { arm64 } from "@bpfkit/arm64";
import { type Backend, jit, TAIL_CALL_SCHEMES } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe } from "vitest";
import { tailCallScenarios } from "../../../packages/kernel/test/support/tail-call-scenarios.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];

for (const backend of BACKENDS) {
  const schemes = backend.capabilities.tailCallSchemes.filter((name) => {
    const { exact, subprogs } = TAIL_CALL_SCHEMES[name];
    return exact && subprogs;
  });
  for (const tailCalls of schemes) {
    for (const directTailCalls of [false, true]) {
      const engine = jit(backend, { layout: { tailCalls, directTailCalls } });
      describe(`${backend.arch}, ${tailCalls}, ${directTailCalls ? "direct" : "indirect"}`, () =>
        tailCallScenarios(engine));
    }
  }
}
