// BPF instructions run by the interpreter.
import { interpreter } from "@bpfkit/core";
import { running } from "./running.mjs";

export function run() {
  return running(interpreter, "insns");
}
