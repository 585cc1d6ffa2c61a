// The programs of the examples, and those of the objects that tests read: every kernel's verdict against ours.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { verify } from "@bpfkit/core";
import { tryLoadObject } from "@bpfkit/object";
import { answerHere, kindOfDifference } from "../../packages/core/test/verifier/agreement.mjs";
import { root } from "../workspace.mjs";
import { typesOf } from "./object-btf.mjs";
import { askVerdicts } from "./verdict-guest.mjs";

/** Folders, and what their objects end with. */
const SOURCES = [
  { folder: "examples", ending: ".bpf.o" },
  { folder: "packages/object/test/objects", ending: ".o" },
];

/** Prints both verdicts of each program; gives how many differ. */
export function compareExamples(kernel) {
  const cases = SOURCES.flatMap(casesIn);
  const answers = askVerdicts(cases, kernel);
  let differ = 0;
  for (const [i, there] of answers.entries()) {
    const here = answerHere(withOwnTypes, cases[i], kernel, { budget: {} });
    if (here.verdict !== there.verdict) differ++;
    const kind = there.trouble === undefined ? kindOfDifference(here, there) : "no answer";
    console.log(`  ${cases[i].name}: ${wordsOf(there)}${kind === undefined ? "" : `; here ${wordsOf(here)}: ${kind}`}`);
  }
  console.log(`Linux ${kernel}: ${cases.length} programs of objects, ${differ} with another verdict`);
  return differ;
}

function casesIn({ folder, ending }) {
  const files = readdirSync(join(root, folder), { recursive: true }).filter((file) => file.endsWith(ending));
  return files.sort().flatMap((file) => {
    const bytes = new Uint8Array(readFileSync(join(root, folder, file)));
    const result = tryLoadObject(bytes, { name: file });
    if (!result.ok) return [];
    const { object } = result;
    // What needs a function of the kernel, or calls one, has to be asked about with that kernel's types.
    const known = object.programs.filter(
      ({ type, kfuncs }) => !["unspec", "tracing"].includes(type) && kfuncs.length === 0,
    );
    return known.map((program) => ({
      ...{ name: `${file}: ${program.name}`, program, type: program.type, attach: program.attachType, functions: {} },
      ...{ sleepable: program.sleepable, frags: program.frags, types: typesOf(bytes, object, program) },
    }));
  });
}

/** As every user calls it: the types are the program's own. */
const withOwnTypes = (program, options) => verify(program, { ...options, functions: undefined, typed: undefined });

const wordsOf = ({ trouble, verdict, errno, log, processed }) =>
  trouble ?? `${verdict}${log === undefined ? "" : ` (${log}, error ${errno})`}, ${processed} instructions`;
