// One program on very many functions, with the models of a real kernel's functions: times of attach and detach, and what they count.
// A on 30,000, B on 20,000 of which 5,000 are A's, C on all 45,000; in the end they go in the order given. Nobody calls meanwhile.
import { applyPlan, assemble, jit, ModelKeys, MultiState, placesKey, planAttach, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { x86_64 } from "@bpfkit/x86-64";
import { readKernelFunctions } from "../oracle/kernel-functions.mjs";

const RANGES = { A: [0, 30_000], B: [25_000, 45_000], C: [0, 45_000] };
const ORDERS = ["ABC", "ACB", "BAC", "BCA", "CAB", "CBA"];
const MIB = 1 << 20;

export function run() {
  const { models, modelOf } = readKernelFunctions();
  const kernel = new Kernel({ engine: jit(x86_64), memory: { sizes: { host: 16 * MIB, text: 32 * MIB } } });
  const functions = Array.from({ length: 45_000 }, (_, i) =>
    kernel.defineFunction(`f${i}`, models[modelOf[i]], () => 0n),
  );
  const parts = Object.entries(RANGES).map(([name, [from, to]]) => {
    const insns = assemble("r0 = 0\nexit", { name, type: "tracing", license: "GPL" });
    return { name, program: kernel.load(trust(insns)), functions: functions.slice(from, to), link: undefined };
  });
  const best = new Map();
  const counts = new Map();
  const note = (name, milliseconds) =>
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, milliseconds));
  const timed = (name, size, work) => {
    const before = kernel.ledger;
    const start = performance.now();
    work();
    note(`${name}-ms`, performance.now() - start);
    for (const [count, value] of Object.entries(kernel.ledger)) counts.set(`${name}-${count}`, value - before[count]);
    counts.set(`${name}-functions`, size);
  };
  // Twice, since the first time warms the compiler up.
  for (const order of [...ORDERS, ...ORDERS]) {
    for (const part of parts) {
      const name = part.name === "A" ? `attach-A-${part.functions.length}` : `attach-${part.name}`;
      timed(name, part.functions.length, () => {
        part.link = kernel.attachMulti(part.program, part.functions, { kind: "fentry" });
      });
      counts.set(`${name}-trampolines`, kernel.trampolines.count);
    }
    for (const name of order) {
      const { link, functions } = parts.find((part) => part.name === name);
      timed(`detach-${order}-${name}`, functions.length, () => link.detach());
    }
  }
  const rows = [...best].map(([name, value]) => ({ case: name, value: Number(value.toFixed(1)), unit: "ms" }));
  const kept = [...counts].filter(([name]) => !name.startsWith("detach") || name.startsWith("detach-ABC"));
  rows.push({ case: "bytes-per-function", value: bytesPerFunction(models, modelOf), unit: "B" });
  return [...rows, ...kept.map(([name, value]) => ({ case: name, value, unit: "" }))];
}

/** Bytes of the columns that plans are made from, per attached function, when all three are attached with cookies. */
function bytesPerFunction(models, modelOf) {
  const keys = new ModelKeys();
  const numbers = models.map((model) => keys.of(placesKey(x86_64.classifyArgs(model))));
  const count = RANGES.C[1];
  const state = new MultiState({
    count,
    models: Int32Array.from({ length: count }, (_, i) => numbers[modelOf[i]]),
    flags: new Uint8Array(count).fill(1),
    name: (id) => `f${id}`,
  });
  for (const [program, [from, to]] of Object.values(RANGES).entries()) {
    const functions = Array.from({ length: to - from }, (_, i) => from + i);
    applyPlan(state, planAttach(state, { kind: "fentry", program, functions, cookies: functions.map(BigInt) }));
  }
  return Number((state.bytes / state.attached).toFixed(1));
}
