// Tail calls against a real kernel: verdicts, return values and counters of the situations, run by run.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BpfError, jit, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { askKernel, caseOf, guestOf, hex } from "./kernel.mjs";
import { GuestScript } from "./kernel-maps.mjs";
import { compareSites } from "./tail-call-sites.mjs";
import { mapsOf, programsOf, SITUATIONS, WORDS } from "./tail-call-situations.mjs";
import { tailCallSizes } from "./tail-call-sizes.mjs";

const PACKET = hex(new Uint8Array(64));
/** More than any situation needs where the count is kept. */
const BUDGET = 100_000;
/** A small guest is made faster. */
const MIB = 1 << 20;
const MEMORY = { sizes: { host: MIB, text: MIB, data: MIB } };
const GOLDEN = new URL("tail-calls-linux-7.2.json", import.meta.url);

/** What Linux 7.2 did: by architecture and situation. Those of arm64 are those of x86-64. */
export const readGolden = () => JSON.parse(readFileSync(GOLDEN, "utf8"));

/**
 * Compares all situations on the kernel of an architecture, and the sizes of what is emitted for tail calls. Where that kernel refuses to mix tail
 * calls with subprograms, or counts empty slots, the results of x86-64 decide.
 *
 * @returns {{ differences: string[], summary: string }}
 */
export function compareTailCalls(backend) {
  const { arch } = backend;
  const { kernel, outcomes } = askAboutSituations(arch);
  const golden = readGolden();
  const differences = [];
  for (const [name, outcome] of Object.entries(outcomes)) {
    if (!same(outcome, golden[arch === "arm64" ? "x86-64" : arch][name]))
      differences.push(`${name}: ${GOLDEN.pathname} is out of date: ${JSON.stringify(outcome)}`);
  }
  let alone = 0;
  for (const [title, layout] of [
    ["direct", { directTailCalls: true }],
    ["indirect", { directTailCalls: false }],
  ]) {
    for (const situation of SITUATIONS) {
      const { name } = situation;
      const expected = expectedOf(golden, arch, situation);
      if (expected !== golden[arch]?.[name] && arch === "riscv64") alone++;
      const ours = runSituation(jit(backend, { layout }), situation);
      if (!agree(ours, expected))
        differences.push(`${name}, ${title}: kernel ${JSON.stringify(expected)}, bpfkit ${JSON.stringify(ours)}`);
    }
  }
  // The guest's CPU makes the kernel jump through a thunk.
  const sizes = tailCallSizes(backend, arch === "x86-64" ? { layout: { indirectJumps: "retpoline" } } : {});
  console.log("  bytes (ours/kernel):");
  for (const { part, ours, theirs } of sizes) console.log(`    ${part.padEnd(56)} ${ours}/${theirs ?? "refused"}`);
  if (arch !== "riscv64") {
    for (const { part, ours, theirs } of sizes)
      if (ours !== theirs) differences.push(`${part}: ${ours} bytes, the kernel's ${theirs}`);
  }
  const poked = arch === "x86-64" ? compareSites(backend, differences) : "";
  return {
    differences,
    summary: `tail calls on Linux ${kernel}, ${arch}: ${SITUATIONS.length} situations, direct and indirect${alone > 0 ? `, ${alone / 2} of them held to x86-64` : ""}${poked}`,
  };
}

/** What an engine has to do in a situation. */
export function expectedOf(golden, arch, { name, misses }) {
  const own = golden[arch]?.[name];
  return arch === "riscv64" && (misses || own.refused?.startsWith("mixing"))
    ? golden["x86-64"][name]
    : (own ?? golden["x86-64"][name]);
}

/** Refusals agree whatever their words. */
export const agree = (ours, theirs) => (theirs.refused === undefined ? same(ours, theirs) : ours.refused !== undefined);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The kernel takes tail calls in subprograms only from programs that describe their functions. */
const informed = ({ subprogs }) => (subprogs.length > 1 ? { per_insn: 1 } : {});

/** What the kernel of an architecture does with each situation: `{ refused }`, or `{ runs: [return value, counters][] }`. */
export function askAboutSituations(arch, situations = SITUATIONS) {
  const guest = guestOf(arch);
  // Which programs it takes: the numbers of files depend on it.
  const loads = situations.map((situation) => programsOf(situation, mapsOf()));
  const cases = loads.flatMap((programs) => programs.map((program) => caseOf(program, informed(program))));
  const verdicts = askKernel(guest, cases).results;
  const refusals = loads.map((programs) => {
    const results = verdicts.splice(0, programs.length);
    const refusal = results.find(({ verdict }) => verdict !== "accept");
    return (
      refusal &&
      (refusal.crash ??
        refusal.log
          .trim()
          .split("\n")
          .filter((line) => !/^(processed|mark_precise|\d+:|stack depth)/.test(line))
          .at(-1) ??
        refusal.log)
    );
  });

  const script = new GuestScript();
  const reports = situations.map((situation, i) => (refusals[i] === undefined ? play(script, situation) : undefined));
  const { kernel, results } = askKernel(guest, script.cases);
  script.check(results);
  const outcomes = reports.map((runs, i) =>
    runs === undefined ? { refused: refusals[i] } : { runs: runs.map((read) => read(results)) },
  );
  return { kernel, outcomes: Object.fromEntries(situations.map(({ name }, i) => [name, outcomes[i]])) };
}

/** Adds a situation's cases to a script; gives a reader of results for each run. */
function play(script, situation) {
  const maps = mapsOf();
  const files = Object.fromEntries(Object.entries(maps).map(([name, spec]) => [name, script.createMap(spec)]));
  const inOrder = Object.values(files);
  const programs = Object.fromEntries(programsOf(situation, maps).map((program) => [program.name, program]));
  const kept = Object.fromEntries(
    Object.entries(programs).map(([name, program]) => [
      name,
      script.load(program, inOrder, { keep: true, ...informed(program) }).file,
    ]),
  );
  const readers = [];
  for (const { kind, table, slot, program } of situation.steps) {
    if (kind !== "run") script.set(files[table], slot, kept[program]);
    else {
      // The harness runs programs as it loads them, so what enters is another copy of the program in the array.
      const { at } = script.load(programs.main, inOrder, { runs: [{ data: PACKET }], ...informed(programs.main) });
      const counts = script.read(files.counts, WORDS);
      readers.push((results) => [results[at].runs[0].retval, ...results[counts].runs.map(({ retval }) => retval)]);
    }
  }
  return readers;
}

/** What an engine does with a situation: `{ refused }`, or `{ runs }` as the kernel's. */
export function runSituation(engine, situation) {
  const kernel = new Kernel({ engine, memory: MEMORY });
  const maps = mapsOf();
  for (const spec of Object.values(maps)) kernel.createMap(spec);
  let programs;
  try {
    programs = Object.fromEntries(
      programsOf(situation, maps).map((program) => [program.name, kernel.load(trust(program))]),
    );
  } catch (error) {
    if (error instanceof BpfError) return { refused: error.message };
    throw error;
  }
  const runs = [];
  for (const { kind, table, slot, program } of situation.steps) {
    if (kind === "set") kernel.progArray(table).set(slot, programs[program]);
    else if (kind === "clear") kernel.progArray(table).delete(slot);
    else {
      const { stop, returnValue } = programs.main.run({ data: new Uint8Array(64), budget: BUDGET });
      const counts = new Uint32Array(
        kernel
          .map("counts")
          .lookup(Uint8Array.of(0, 0, 0, 0))
          .slice().buffer,
      );
      runs.push([returnValue ?? stop, ...Array.from({ length: WORDS }, (_, i) => counts[2 * i])]);
    }
  }
  return { runs };
}

/** `node tools/oracle/tail-calls.mjs` writes down what the kernels do. */
export function writeGolden() {
  const parts = ["x86-64", "riscv64"].map((arch) => {
    const { outcomes } = askAboutSituations(arch);
    const lines = Object.entries(outcomes).map(
      ([name, outcome]) => `    ${JSON.stringify(name)}: ${JSON.stringify(outcome)}`,
    );
    return `  ${JSON.stringify(arch)}: {\n${lines.join(",\n")}\n  }`;
  });
  writeFileSync(GOLDEN, `{\n${parts.join(",\n")}\n}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeGolden();
