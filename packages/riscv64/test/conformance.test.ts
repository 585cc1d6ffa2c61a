import { describeBackend } from "@bpfkit/conformance/vitest";
import { riscv64 } from "../src/index.ts";

describeBackend(riscv64);
