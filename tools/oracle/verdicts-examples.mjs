// The programs of the examples: every kernel's verdict against ours.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { verify } from "@bpfkit/core";
import { loadObject } from "@bpfkit/object";
import { answerHere, kindOfDifference } from "../../packages/core/test/verifier/agreement.mjs";
import { root } from "../workspace.mjs";
import { askVerdicts } from "./verdict-guest.mjs";

const OBJECT = ".bpf.o";

/** Prints both verdicts of each program; gives how many differ. */
export function compareExamples(kernel) {
  const folder = join(root, "examples");
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(OBJECT));
  const cases = files.sort().flatMap((file) => {
    const { programs } = loadObject(new Uint8Array(readFileSync(join(folder, file))), { name: file });
    return programs.map((program) => ({
      ...{ name: `${file}: ${program.name}`, program, type: program.type, functions: {} },
      ...{ sleepable: program.sleepable, frags: program.frags },
    }));
  });
  const answers = askVerdicts(cases, kernel);
  let differ = 0;
  for (const [i, there] of answers.entries()) {
    const here = answerHere(verify, cases[i], kernel, { budget: {} });
    if (here.verdict !== there.verdict) differ++;
    const kind = there.trouble === undefined ? kindOfDifference(here, there) : "no answer";
    console.log(`  ${cases[i].name}: ${wordsOf(there)}${kind === undefined ? "" : `; here ${wordsOf(here)}: ${kind}`}`);
  }
  console.log(`Linux ${kernel}: ${cases.length} programs of the examples, ${differ} with another verdict`);
  return differ;
}

const wordsOf = ({ trouble, verdict, log, processed }) =>
  trouble ?? `${verdict}${log === undefined ? "" : ` (${log})`}, ${processed} instructions`;
