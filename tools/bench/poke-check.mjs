// How long it takes to try all interleavings of readers and updates on machine code: what is tried, how fast, and in how much memory.
import { arm64 } from "@bpfkit/arm64";
import { checkHistories, machineSearch } from "@bpfkit/conformance";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";

/** Updates and readers, each reader with two runs. */
const BOUNDS = [
  { length: 4, readers: 2 },
  { length: 2, readers: 3 },
];

export function run() {
  const results = [];
  for (const backend of [x86_64, arm64, riscv64]) {
    for (const bounds of BOUNDS) {
      const start = process.hrtime.bigint();
      const { histories, states, bytes, violation } = checkHistories(bounds, (history, readers) =>
        machineSearch({ backend }, history, readers),
      );
      const time = Number(process.hrtime.bigint() - start) / 1e9;
      if (violation !== undefined) throw new Error(`${backend.arch}, ${violation.history}: ${violation.what}`);
      const name = `${backend.arch}/${bounds.length}-updates-${bounds.readers}-readers`;
      results.push(
        { case: `${name}/histories`, value: histories, unit: "histories" },
        { case: `${name}/states`, value: states, unit: "states" },
        { case: `${name}/states-per-s`, value: Math.round(states / time), unit: "states/s" },
        { case: `${name}/seconds`, value: Number(time.toFixed(2)), unit: "s" },
        { case: `${name}/table-memory`, value: bytes, unit: "bytes" },
      );
    }
    const { maxRSS } = process.resourceUsage();
    results.push({ case: `${backend.arch}/peak-memory`, value: maxRSS * 1024, unit: "bytes" });
  }
  return results;
}
