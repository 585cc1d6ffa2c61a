// How many packed instructions per second a backend makes machine code of.
import { assemble, trust } from "@bpfkit/core";
import { rate } from "./measure.mjs";
import { mixed } from "./programs.mjs";

export function compiling(backend) {
  return [
    ["100", 100],
    ["4k", 4_000],
    ["60k", 60_000],
  ].map(([name, length]) => {
    const verified = trust(assemble(mixed(length)));
    const { length: insns } = verified.program.insns;
    const repeat = Math.max(1, Math.round(30_000 / length));
    return rate(name, "insns", insns * repeat, () => {
      for (let i = 0; i < repeat; i++) backend.compile(verified);
    });
  });
}
