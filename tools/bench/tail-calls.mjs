// What tail calls cost, counted by the emulated CPUs: the same on every machine and in every run. Nothing here is a time.
import { arm64 } from "@bpfkit/arm64";
import { jit, TAIL_CALL_SCHEMES, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { plainPrograms, situations } from "./tail-call-programs.mjs";

const METRICS = ["instructions", "loads", "stores", "branches", "stack-bytes"];
/** As Linux did it before 5.10: the count at a fixed place of the entry's frame, and all saved registers in every frame. */
const BEFORE = { tailCalls: "per-program", saveAll: true };

/** Name, backend and layout; the first of each architecture is its kernel's. */
export const CONFIGURATIONS = [
  ["x86-64/pointer", x86_64, {}],
  ["x86-64/before-5.10", x86_64, BEFORE],
  ["x86-64/pointer-indirect", x86_64, { directTailCalls: false }],
  ["x86-64/before-5.10-indirect", x86_64, { ...BEFORE, directTailCalls: false }],
  ["x86-64/write-back", x86_64, { tailCalls: "write-back" }],
  ["x86-64/by-value", x86_64, { tailCalls: "by-value" }],
  ["arm64/pointer", arm64, {}],
  ["arm64/pointer-direct", arm64, { directTailCalls: true }],
  ["arm64/write-back", arm64, { tailCalls: "write-back" }],
  ["riscv64/write-back", riscv64, {}],
  ["riscv64/write-back-direct", riscv64, { directTailCalls: true }],
  ["riscv64/pointer", riscv64, { tailCalls: "pointer" }],
  ["riscv64/pass-through", riscv64, { tailCalls: "pass-through" }],
  ["riscv64/by-value", riscv64, { tailCalls: "by-value" }],
].filter(
  ([, { capabilities }, { tailCalls }]) => tailCalls === undefined || capabilities.tailCallSchemes.includes(tailCalls),
);

/** For programs without tail calls. */
export const SAVING = [
  ["x86-64/pointer", x86_64, {}],
  ["x86-64/save-all", x86_64, { saveAll: true }],
  ["x86-64/before-5.10", x86_64, BEFORE],
];

export function run() {
  return [
    ...CONFIGURATIONS.flatMap((configuration) => situations().flatMap((situation) => rows(configuration, situation))),
    ...SAVING.flatMap((configuration) => plainPrograms().flatMap((situation) => rows(configuration, situation))),
  ];
}

/** A row for each metric; none where the scheme cannot do it, or would not end. */
export function rows([name, backend, layout], { name: situation, subprogs, tree, inputs, load }) {
  const scheme = TAIL_CALL_SCHEMES[layout.tailCalls ?? backend.capabilities.layout.tailCalls];
  if ((subprogs && !scheme.subprogs) || (tree && !scheme.exact)) return [];
  const kernel = new Kernel({ engine: jit(backend, { counting: true, layout }) });
  const program = load(kernel, trust);
  const sums = Object.fromEntries(METRICS.map((metric) => [metric, 0]));
  for (const input of inputs) {
    const measured = measure(kernel, program, input);
    for (const metric of METRICS) sums[metric] += measured[metric];
  }
  return METRICS.map((metric) => ({
    case: `${name}/${situation}/${metric}`,
    value: Math.round((100 * sums[metric]) / inputs.length) / 100,
    unit: metric === "stack-bytes" ? "bytes" : metric,
  }));
}

/** One run by a CPU that counts. */
function measure(kernel, program, input) {
  const run = program.start(input);
  try {
    const stop = run.run(100_000);
    if (stop.kind !== "returned") throw new Error(`${program.name}: ${JSON.stringify(stop)}`);
    const { loads, stores, branches, lowestStack } = run.execution.counts;
    const depth = Number(kernel.stackOf(0).high - lowestStack);
    return { instructions: run.executed, loads, stores, branches, "stack-bytes": depth };
  } finally {
    run[Symbol.dispose]();
  }
}

/** A row for each situation and configuration, a column for each metric. */
export function print(results) {
  const lines = new Map();
  for (const { case: path, value } of results) {
    const at = path.lastIndexOf("/");
    const [arch, scheme, situation] = path.slice(0, at).split("/");
    const key = `${situation}/${arch}/${scheme}`;
    lines.set(key, [...(lines.get(key) ?? []), value]);
  }
  let last = "";
  for (const [key, values] of [...lines].sort(([a], [b]) => order(a) - order(b))) {
    const [situation, arch, scheme] = key.split("/");
    if (situation !== last)
      console.log(`\n${situation.padEnd(56)}${METRICS.map((metric) => metric.padStart(13)).join("")}`);
    last = situation;
    console.log(`  ${`${arch} ${scheme}`.padEnd(54)}${values.map((value) => String(value).padStart(13)).join("")}`);
  }
}

const NAMES = [...situations(), ...plainPrograms()].map(({ name }) => name);
const order = (key) => NAMES.indexOf(key.slice(0, key.indexOf("/")));
