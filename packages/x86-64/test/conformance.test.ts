import { describeBackend } from "@bpfkit/conformance/vitest";
import { x86_64 } from "../src/index.ts";

describeBackend(x86_64);
