// node tools/bench/run.mjs NAME [--json]: runs tools/bench/NAME.mjs, which exports
// `run(): { unit, rows: { name, value, ... }[] }` (or a promise of it), and prints the result as a table or as JSON.
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const known = readdirSync(dirname(fileURLToPath(import.meta.url)))
  .filter((file) => file.endsWith(".mjs") && file !== "run.mjs")
  .map((file) => file.slice(0, -".mjs".length));
const args = process.argv.slice(2);
const json = args.includes("--json");
const [name, ...others] = args.filter((arg) => arg !== "--json");

if (name === undefined || others.length > 0 || !known.includes(name)) {
  console.error(`usage: npm run bench -- NAME [--json]\nbenchmarks: ${known.join(" ") || "none yet"}`);
  process.exit(2);
}
const { run } = await import(`./${name}.mjs`);
const result = await run();
if (json) {
  console.log(JSON.stringify({ bench: name, node: process.version, ...result }));
} else {
  console.log(`${name} (${result.unit})`);
  console.table(result.rows);
}
