// Trampolines on all backends: every list of links around every function where BPFKIT_TRAMPOLINES is set, for which a backend's own tests try a part.
import { arm64 } from "@bpfkit/arm64";
import { describeTrampolines } from "@bpfkit/conformance/vitest";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe } from "vitest";

describe.runIf(process.env.BPFKIT_TRAMPOLINES !== undefined).each([x86_64, arm64, riscv64])("$arch", (backend) => {
  describeTrampolines(backend, { every: true });
});
