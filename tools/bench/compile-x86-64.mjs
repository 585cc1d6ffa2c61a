// Packed instructions to x86-64 machine code.
import { x86_64 } from "@bpfkit/x86-64";
import { compiling } from "./compiling.mjs";

export function run() {
  return compiling(x86_64);
}
