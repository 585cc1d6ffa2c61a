// What an engine executes per second, over a tight loop and over straight code.
import { assemble, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { seconds } from "./measure.mjs";
import { loop, mixed } from "./programs.mjs";

export function running(engine, unit) {
  const results = [];
  for (const [name, text, repeat] of [
    ["loop", loop(40_000), 1],
    ["mixed-4k", mixed(4_000), 100],
  ]) {
    const program = new Kernel({ engine }).load(trust(assemble(text, { type: "syscall" })));
    let executed = 0;
    const time = seconds(() => {
      executed = 0;
      for (let i = 0; i < repeat; i++) {
        const result = program.run();
        if (result.stop.kind !== "returned") throw new Error(JSON.stringify(result.stop));
        executed += result.executed;
      }
    });
    program.release();
    results.push({ case: `${name}/${unit}-per-s`, value: Math.round(executed / time), unit: `${unit}/s` });
  }
  return results;
}
