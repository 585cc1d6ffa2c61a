// `oracle-verdicts --ours`: this verifier against the answers that stand in the cases' files. Lists what differs, by name and in words. Asks no
// kernel.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  agreementOf,
  differencesText,
  KINDS,
  nameOf,
  newDifferences,
} from "../../packages/core/test/verifier/agreement.mjs";
import { KERNELS } from "../../packages/core/test/verifier/cases.mjs";

/** Prints and writes the agreement on `cases`; gives how many differences are new, which are written only with `accepts`. */
export function compareOurs(verify, folder, cases, accepts) {
  const [namesFile, listFile] = ["agreement.json", "disagreements.md"].map((file) => join(folder, file));
  const known = existsSync(namesFile) ? JSON.parse(readFileSync(namesFile, "utf8")) : {};
  const names = {};
  const byKernel = {};
  let added = 0;
  for (const kernel of KERNELS) {
    const { subjects, differences } = agreementOf(verify, cases, kernel);
    byKernel[kernel] = differences;
    console.table(subjects);
    const sum = (key) => Object.values(subjects).reduce((total, counts) => total + counts[key], 0);
    const share = (key) => `${((100 * sum(key)) / sum("cases")).toFixed(2)} %`;
    console.log(
      `Linux ${kernel}: ${sum("cases")} cases, verdict ${share("verdicts")}, message, too ${share("messages")}, everything ${share("all")}`,
    );
    for (const kind of KINDS) console.log(`  ${kind}: ${differences.filter((row) => row.kind === kind).length}`);
    const news = new Set(newDifferences(differences, known[kernel]?.differences ?? {}));
    for (const difference of news) console.log(`  NEW ${nameOf(difference)}: ${difference.kind}`);
    added += news.size;
    const kept = accepts ? differences : differences.filter((difference) => !news.has(difference));
    const entries = kept.map((difference) => [nameOf(difference), difference.kind]);
    names[kernel] = { cases: sum("cases"), differences: Object.fromEntries(entries) };
  }
  writeFileSync(namesFile, `${JSON.stringify(names, undefined, 2)}\n`);
  writeFileSync(listFile, differencesText(byKernel));
  return accepts ? 0 : added;
}
