import { describeBackend } from "@bpfkit/conformance/vitest";
import { arm64 } from "../src/index.ts";

describeBackend(arm64);
