// Text to packed instructions, and back.
import { assemble, formatProgram } from "@bpfkit/core";
import { rate } from "./measure.mjs";
import { mixed } from "./programs.mjs";

export function run() {
  const text = mixed(60_000);
  const program = assemble(text);
  return [
    rate("60k", "insns", program.insns.length, () => assemble(text)),
    rate("60k-print", "insns", program.insns.length, () => formatProgram(program)),
  ];
}
