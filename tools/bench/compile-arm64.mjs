// Packed instructions to arm64 machine code.
import { arm64 } from "@bpfkit/arm64";
import { compiling } from "./compiling.mjs";

export function run() {
  return compiling(arm64);
}
