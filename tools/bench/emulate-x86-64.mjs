// Machine instructions of compiled programs run by the emulated x86-64 CPU (the run reading).
import { jit } from "@bpfkit/core";
import { x86_64 } from "@bpfkit/x86-64";
import { running } from "./running.mjs";

export function run() {
  return running(jit(x86_64), "machine-insns");
}
