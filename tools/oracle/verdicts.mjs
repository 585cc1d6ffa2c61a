// `node tools/run.mjs oracle-verdicts`: what real kernels say about the verifier's cases, next to what the cases' files say.
//
//   oracle-verdicts [--write] [--kernel 6.12,7.2] [SUBJECT …]     asks kernels; ends with 1 where one and a file differ
//   oracle-verdicts --figures                                     all figures of agreement, the kernels asked again where they are there
//   oracle-verdicts --generated 5000 [--seed 1] [--keep] [--record]   generated programs: kernels against this verifier
//   oracle-verdicts --recorded                                    the kept answers about generated programs against this verifier
//   oracle-verdicts --show SEED                                   prints a generated program
//   oracle-verdicts --examples                                    the programs of the examples: kernels against this verifier
//   oracle-verdicts --types                                       asks kernels for the types that the cases need
//   oracle-verdicts --ours                                        asks nobody but this verifier; lists what differs, for its test;
//                                                                 what is new is listed with --accept only
//
// --write puts the kernels' answers into the files; --keep makes cases of generated programs that differ, in found.yaml; --record keeps
// the kernels' answers about generated programs. BPFKIT_ORACLE names the folder that holds the kernels.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as core from "@bpfkit/core";
import { parseDocument } from "yaml";
import { KERNELS, readCases } from "../../packages/core/test/verifier/cases.mjs";
import { root } from "../workspace.mjs";
import { askVerdicts } from "./verdict-guest.mjs";
import { writeTypes } from "./verdict-types.mjs";
import { compareExamples } from "./verdicts-examples.mjs";
import { compareVerdicts } from "./verdicts-figures.mjs";
import { generateCase } from "./verdicts-generate.mjs";
import { compareGenerated, compareRecorded } from "./verdicts-generated.mjs";
import { compareOurs } from "./verdicts-ours.mjs";

const FOLDER = join(root, "packages", "core", "test", "verifier", "cases");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    write: { type: "boolean", default: false },
    ours: { type: "boolean", default: false },
    accept: { type: "boolean", default: false },
    examples: { type: "boolean", default: false },
    types: { type: "boolean", default: false },
    generated: { type: "string" },
    seed: { type: "string", default: "1" },
    keep: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    recorded: { type: "boolean", default: false },
    figures: { type: "boolean", default: false },
    show: { type: "string" },
    kernel: { type: "string", default: KERNELS.join() },
  },
});
if (values.show !== undefined) {
  const { type, asm } = generateCase(Number(values.show), core.assemble);
  console.log(`; ${type}\n${asm}`);
  process.exit(0);
}
if (values.recorded) {
  const results = compareRecorded(values.kernel.split(","));
  process.exit(results.every(({ agreement }) => agreement >= 0.95) ? 0 : 1);
}
if (values.figures) {
  const { differences, summary } = compareVerdicts();
  for (const difference of differences) console.log(`  DIFFERS ${difference}`);
  console.log(summary);
  process.exit(differences.length === 0 ? 0 : 1);
}
const subjects = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => file.slice(0, -".yaml".length))
  .filter((subject) => positionals.length === 0 || positionals.includes(subject));
const files = subjects.map((subject) => {
  const path = join(FOLDER, `${subject}.yaml`);
  const text = readFileSync(path, "utf8");
  return { subject, path, document: parseDocument(text), cases: readCases(text) };
});
const cases = files.flatMap((file) => file.cases.map((entry, index) => ({ file, index, entry })));

if (values.ours) {
  const shrunk = compareOurs(
    core.verify,
    join(FOLDER, ".."),
    cases.map(({ entry }) => entry),
    values.accept,
  );
  process.exit(shrunk === 0 ? 0 : 1);
}
if (!process.env.BPFKIT_ORACLE) {
  console.log("BPFKIT_ORACLE is not set: nobody to ask, skipped");
  process.exit(0);
}
if (values.types) {
  for (const kernel of values.kernel.split(","))
    writeTypes(
      core.verify,
      cases.map(({ entry }) => entry),
      kernel,
      join(FOLDER, "..", `types-${kernel}.json`),
    );
  process.exit(0);
}
if (values.examples) {
  const differ = values.kernel.split(",").map(compareExamples);
  process.exit(differ.every((count) => count === 0) ? 0 : 1);
}
if (values.generated !== undefined) {
  const keepIn = values.keep ? join(FOLDER, "found.yaml") : undefined;
  const results = values.kernel
    .split(",")
    .map((kernel) =>
      compareGenerated(Number(values.generated), Number(values.seed), kernel, { keepIn, record: values.record }),
    );
  process.exit(results.every(({ agreement, unsafe }) => agreement >= 0.95 && unsafe === 0) ? 0 : 1);
}

let differences = 0;
for (const kernel of values.kernel.split(",")) {
  const answers = askVerdicts(
    cases.map(({ entry }) => entry),
    kernel,
  );
  const counts = { accept: 0, reject: 0, changed: 0 };
  for (const [i, { file, index, entry }] of cases.entries()) {
    const answer = answers[i];
    if (answer.trouble !== undefined) {
      console.log(`  NO ANSWER ${file.subject}: ${entry.name}: ${answer.trouble.trim()}`);
      differences++;
      continue;
    }
    counts[answer.verdict]++;
    if (isSame(entry.expected[kernel], answer)) continue;
    counts.changed++;
    if (!values.write) console.log(`  DIFFERS ${file.subject}: ${entry.name}: ${JSON.stringify(answer)}`);
    const node = file.document.createNode(answer, { flow: true });
    file.document.setIn(["cases", index, `linux-${kernel}`], node);
  }
  console.log(
    `Linux ${kernel}: ${cases.length} cases, ${counts.accept} accepted, ${counts.reject} rejected, ` +
      `${counts.changed} not as in the files`,
  );
  differences += counts.changed;
}
if (values.write) {
  for (const { path, document } of files) writeFileSync(path, document.toString({ lineWidth: 0 }));
} else if (differences > 0) process.exitCode = 1;

function isSame(known, answer) {
  const keys = ["verdict", "errno", "log", "processed"];
  return known !== undefined && keys.every((key) => known[key] === answer[key]);
}
