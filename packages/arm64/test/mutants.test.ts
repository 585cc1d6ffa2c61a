import { describeMutants } from "@bpfkit/conformance/vitest";
import { parts } from "../src/backend.ts";

describeMutants(parts);
