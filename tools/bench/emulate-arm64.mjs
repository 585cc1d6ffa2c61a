// Machine instructions of compiled programs run by the emulated arm64 CPU (the run reading).
import { arm64 } from "@bpfkit/arm64";
import { jit } from "@bpfkit/core";
import { running } from "./running.mjs";

export function run() {
  return running(jit(arm64), "machine-insns");
}
