// Instructions that the verifier processes per second, also with the facts that compiling asks for, bytes of a stored state, and the most memory: on the programs of the examples, and on
// generated ones of several shapes. Of a size, the slowest shape is the result that has no shape in its name.
import { readdirSync, readFileSync } from "node:fs";
import { assemble, verify } from "@bpfkit/core";
import { loadObject } from "@bpfkit/object";
import { seconds } from "./measure.mjs";
import { FORKING, SHAPES } from "./verify-programs.mjs";

/** Just below what kernels process of one program. */
const SIZES = { "10k": 10_000, "100k": 100_000, "1M": 990_000 };
const EXAMPLES = new URL("../../examples/", import.meta.url);

export function run() {
  const results = [];
  for (const [size, insns] of Object.entries(SIZES)) {
    const rows = Object.entries(SHAPES).map(([shape, how]) => measured(`${size}/${shape}`, [programOf(how, insns)]));
    results.push(...slowest(size, rows), ...rows.flat());
  }
  for (const [shape, how] of Object.entries(FORKING))
    results.push(...measured(`10k/forking-${shape}`, [programOf(how, SIZES["10k"])]));
  results.push(...measured("examples", examples()));
  const peak = process.resourceUsage().maxRSS;
  results.push({ case: "memory-peak", value: Math.round(peak / 1024), unit: "MiB" });
  return results;
}

/** A program of a shape whose walk takes about as many instructions as are asked for, and not more than kernels process. */
function programOf({ type, text }, insns) {
  const make = (turns) => assemble(text(turns), { type });
  const walk = (turns) => verify(make(turns)).stats.totalInsns;
  const few = walk(2);
  let turns = Math.max(1, Math.floor((insns - few) / ((walk(10) - few) / 8)) + 2);
  while (!verify(make(turns)).ok) turns = Math.floor(0.95 * turns);
  return make(turns);
}

function examples() {
  const files = readdirSync(EXAMPLES, { recursive: true }).filter((file) => file.endsWith(".bpf.o"));
  return files.flatMap((file) => loadObject(new Uint8Array(readFileSync(new URL(file, EXAMPLES)))).programs);
}

function measured(name, programs) {
  let [insns, states, bytes, most] = [0, 0, 0, 0];
  const walk = (visit) => {
    [insns, states, bytes, most] = [0, 0, 0, 0];
    for (const program of programs) {
      const result = verify(program, { budget: { milliseconds: 600_000 } });
      const { ok, reason, stats } = result;
      if (!ok) throw new Error(`${name}: ${reason}`);
      visit(result);
      insns += stats.totalInsns;
      states += stats.totalStates;
      bytes += stats.storedBytes;
      most = Math.max(most, stats.peakStates);
    }
  };
  const time = seconds(() => walk(() => {}));
  const withFacts = seconds(() => walk(({ facts }) => facts));
  return [
    { case: `${name}/insns-per-s`, value: Math.round(insns / time), unit: "insns/s" },
    { case: `${name}/with-facts-insns-per-s`, value: Math.round(insns / withFacts), unit: "insns/s" },
    { case: `${name}/bytes-per-state`, value: Math.round(bytes / Math.max(1, states)), unit: "B" },
    { case: `${name}/peak-states`, value: most, unit: "states" },
  ];
}

/** Of rows of each shape: the fewest instructions per second, and the most of all else. */
function slowest(size, rows) {
  return rows[0].map(({ unit }, i) => {
    const values = rows.map((row) => row[i].value);
    const what = rows[0][i].case.split("/").at(-1);
    return { case: `${size}/${what}`, value: unit === "insns/s" ? Math.min(...values) : Math.max(...values), unit };
  });
}
