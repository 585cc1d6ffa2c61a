// One program on very many functions, with the models of a real kernel's functions, in three designs: times of attach and detach, and what they count.
// A on 30,000, B on 20,000 of which 5,000 are A's, C on all 45,000; in the end they go in the order given. Nobody calls meanwhile.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assemble, jit, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { x86_64 } from "@bpfkit/x86-64";
import { readKernelFunctions } from "../oracle/kernel-functions.mjs";

const RANGES = { A: [0, 30_000], B: [25_000, 45_000], C: [0, 45_000] };
const ORDERS = ["ABC", "ACB", "BAC", "BCA", "CAB", "CBA"];
const MIB = 1 << 20;

/** By design, the orders in which the three go; several times, since the first time warms the compiler up. */
const ROUNDS = {
  shared: [...ORDERS, ...ORDERS],
  "per-function": ["ABC", "ABC", "ABC"],
  global: ["ABC", "ABC", "ABC", "ABC"],
};

export function run() {
  const { models, modelOf } = readKernelFunctions();
  const rows = Object.entries(ROUNDS).flatMap(([design, orders]) => ofDesign(design, orders, models, modelOf));
  return [...rows, ...bytesPerFunction(models, modelOf)];
}

/** Best times, and counts, of one design: times of all that a change takes, from the request to what is given back. */
function ofDesign(design, orders, models, modelOf) {
  const sizes = { host: 48 * MIB, text: 96 * MIB, data: 48 * MIB };
  const kernel = new Kernel({ engine: jit(x86_64), multi: design, memory: { sizes } });
  const prefix = design === "shared" ? "" : `${design}-`;
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
  for (const order of orders) {
    for (const part of parts) {
      const name = `${prefix}attach-${part.name === "A" ? `A-${part.functions.length}` : part.name}`;
      timed(name, part.functions.length, () => {
        part.link = kernel.attachMulti(part.program, part.functions, { kind: "fentry" });
      });
      counts.set(`${name}-there`, kernel.trampolines.count);
      counts.set(`${name}-there-bytes`, kernel.trampolines.bytes);
    }
    for (const name of order) {
      const { link, functions } = parts.find((part) => part.name === name);
      timed(`${prefix}detach-${order}-${name}`, functions.length, () => link.detach());
    }
  }
  const rows = [...best].map(([name, value]) => ({ case: name, value: Number(value.toFixed(1)), unit: "ms" }));
  const kept = [...counts].filter(([name]) => !name.includes("detach") || name.includes("detach-ABC"));
  return [...rows, ...kept.map(([name, value]) => ({ case: name, value, unit: "" }))];
}

/**
 * What three links with cookies take per attached function, measured on a kernel where nothing was attached before. `bytes-per-function`: what is left on the
 * heap and in typed arrays after a collection of garbage, which is all that the kernel keeps of links, classes, trampolines and entries.
 * `guest-bytes-per-function`: guest memory besides the code of trampolines, which is tables of cookies.
 */
function bytesPerFunction(models, modelOf) {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc");
  const used = () => {
    gc();
    gc();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const count = RANGES.C[1];
  const kernel = new Kernel({ engine: jit(x86_64), memory: { sizes: { host: 16 * MIB, text: 32 * MIB } } });
  const functions = Array.from({ length: count }, (_, i) =>
    kernel.defineFunction(`f${i}`, models[modelOf[i]], () => 0n),
  );
  const programs = Object.entries(RANGES).map(([name, [from, to]]) => {
    const program = kernel.load(trust(assemble("r0 = 0\nexit", { name, type: "tracing", license: "GPL" })));
    const listed = functions.slice(from, to);
    return { program, listed, cookies: listed.map((_, i) => BigInt(i)) };
  });
  const [before, guest] = [used(), kernel.memory.allocated];
  const links = programs.map(({ program, listed, cookies }) => {
    return kernel.attachMulti(program, listed, { kind: "fentry", cookies });
  });
  const bytes = used() - before;
  const tables = kernel.memory.allocated - guest - kernel.trampolines.bytes;
  for (const link of links) link.detach();
  const perFunction = (value) => Number((value / count).toFixed(1));
  return [
    { case: "bytes-per-function", value: perFunction(bytes), unit: "B" },
    { case: "guest-bytes-per-function", value: perFunction(tables), unit: "B" },
  ];
}
