// The law "concrete inside abstract" on as many programs as wanted: node tools/run.mjs verify-law [--programs 100000] [--seed 0]
// [--workers 1] [--reasons]. Programs that the verifier accepts are run on random inputs; a step outside of every state that was recorded
// is an escape, which ends the command with 1. Prints the seed of each escape, the smallest program that shows it, and both states.
import { fork, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { root } from "./workspace.mjs";

const OUT = join(root, "node_modules", ".cache", "verify-law");
const LAW = pathToFileURL(join(OUT, "packages/core/test/verifier/law.js")).href;
/** A worker reports after so many programs. */
const CHUNK = 500;

const { values } = parseArgs({
  options: {
    programs: { type: "string", default: "100000" },
    seed: { type: "string", default: "0" },
    workers: { type: "string", default: "1" },
    runs: { type: "string", default: "1" },
    reasons: { type: "boolean", default: false },
    shard: { type: "string" },
  },
});
const count = (name) => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= (name === "seed" ? 0 : 1)) return value;
  console.error(`--${name} ${values[name]}: a whole number is expected`);
  process.exit(2);
};
const [programs, seed, workers, runs] = [count("programs"), count("seed"), count("workers"), count("runs")];

/** Of every `workers` seeds, one is this worker's. */
async function work(shard) {
  const { tryLaw } = await import(LAW);
  const empty = () => ({ tried: 0, accepted: 0, steps: 0, escapes: [], reasons: {} });
  let sum = empty();
  for (let i = shard; i < programs; i += workers) {
    const { accepted, reason, steps, escape: found } = tryLaw(seed + i, { runs });
    sum.tried++;
    sum.steps += steps;
    if (accepted) sum.accepted++;
    else sum.reasons[reason] = (sum.reasons[reason] ?? 0) + 1;
    if (found !== undefined) sum.escapes.push(found);
    if (sum.tried < CHUNK && i + workers < programs) continue;
    const reported = sum;
    sum = empty();
    await new Promise((done) => process.send(reported, done));
  }
  process.disconnect();
}

function compile() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(
    process.execPath,
    [tsc, "-p", join(root, "tools", "verify-law.tsconfig.json"), "--outDir", OUT],
    { stdio: "inherit" },
  );
  if (status !== 0) process.exit(2);
}

function lead() {
  compile();
  const started = Date.now();
  const total = { tried: 0, accepted: 0, steps: 0, escapes: 0 };
  const reasons = new Map();
  const add = (part) => {
    for (const key of ["tried", "accepted", "steps"]) total[key] += part[key];
    for (const found of part.escapes) {
      total.escapes++;
      console.log(`\nescape: ${found}`);
    }
    for (const [reason, n] of Object.entries(part.reasons)) reasons.set(reason, (reasons.get(reason) ?? 0) + n);
    if (process.stdout.isTTY) process.stdout.write(`\r${total.tried} programs `);
  };
  let [running, failed] = [workers, false];
  for (let shard = 0; shard < workers; shard++) {
    const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), "--shard", String(shard)]);
    child.on("message", add);
    child.on("exit", (code) => {
      failed ||= code !== 0;
      if (--running > 0) return;
      const seconds = (Date.now() - started) / 1000;
      if (process.stdout.isTTY) process.stdout.write("\r");
      if (values.reasons)
        for (const [reason, n] of [...reasons].sort((a, b) => b[1] - a[1]))
          console.log(`${String(n).padStart(8)}  ${reason}`);
      console.log(
        `${total.tried} programs from seed ${seed}: ${total.accepted} accepted, ${total.steps} steps held against recorded states, ${total.escapes} escapes, ${seconds.toFixed(0)} s`,
      );
      process.exit(failed || total.escapes > 0 ? 1 : 0);
    });
  }
}

if (values.shard === undefined) lead();
else await work(Number(values.shard));
