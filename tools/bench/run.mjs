// node tools/bench/run.mjs NAME [--json]: runs tools/bench/NAME.mjs, which exports `run(): { case, value, unit }[]`,
// and prints the results as a table (by its `print(results)`, where it has one), or as one JSON object `{ name, results }`.
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const known = readdirSync(dirname(fileURLToPath(import.meta.url)))
  .filter(
    (file) =>
      file.endsWith(".mjs") &&
      ![
        "run.mjs",
        "measure.mjs",
        "multi-split.mjs",
        "compiling.mjs",
        "running.mjs",
        "programs.mjs",
        "verify-programs.mjs",
        "tail-call-programs.mjs",
        "tail-call-figures.mjs",
      ].includes(file),
  )
  .map((file) => file.slice(0, -".mjs".length));
const args = process.argv.slice(2);
const json = args.includes("--json");
const [name, ...others] = args.filter((arg) => arg !== "--json");

if (name === undefined || others.length > 0 || !known.includes(name)) {
  console.error(`usage: npm run bench -- NAME [--json]\nbenchmarks: ${known.join(" ")}`);
  process.exit(2);
}
const { run, print = console.table } = await import(`./${name}.mjs`);
const results = run();
if (json) {
  console.log(JSON.stringify({ name, results }));
} else {
  console.log(name);
  print(results);
}
