// `oracle-verdicts --ours`: this verifier against the answers that stand in the cases' files. Raises the floors of the test to what is
// reached now, and lists what differs. Asks no kernel.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  agreementOf,
  belowFloor,
  differencesText,
  isDisputed,
  KINDS,
} from "../../packages/core/test/verifier/agreement.mjs";
import { KERNELS } from "../../packages/core/test/verifier/cases.mjs";

/** Prints and writes the agreement on `cases`; gives how many counts shrank. */
export function compareOurs(verify, folder, cases) {
  const [floorFile, listFile] = ["agreement.json", "disagreements.md"].map((file) => join(folder, file));
  const floors = existsSync(floorFile) ? JSON.parse(readFileSync(floorFile, "utf8")) : {};
  const differences = {};
  let shrunk = 0;
  for (const kernel of KERNELS) {
    const all = agreementOf(verify, cases, kernel);
    differences[kernel] = all.differences;
    console.table(all.subjects);
    const sum = (key) => Object.values(all.subjects).reduce((total, counts) => total + counts[key], 0);
    const share = (key) => `${((100 * sum(key)) / sum("cases")).toFixed(2)} %`;
    console.log(
      `Linux ${kernel}: ${sum("cases")} cases, verdict ${share("verdicts")}, message, too ${share("messages")}, everything ${share("all")}`,
    );
    for (const kind of KINDS) console.log(`  ${kind}: ${all.differences.filter((row) => row.kind === kind).length}`);
    const tested = kernel === "7.2" ? all : agreementOf(verify, cases.filter(isDisputed), kernel);
    const floor = floors[kernel]?.subjects ?? {};
    for (const line of belowFloor(tested.subjects, floor)) {
      console.log(`  LESS THAN BEFORE ${line}`);
      shrunk++;
    }
    floors[kernel] = { subjects: raised(tested.subjects, floor), accepted: acceptedHere(tested.differences) };
  }
  writeFileSync(floorFile, `${JSON.stringify(floors, undefined, 2)}\n`);
  writeFileSync(listFile, differencesText(differences));
  return shrunk;
}

function raised(subjects, floors) {
  const entries = Object.entries(subjects).map(([subject, counts]) => {
    const floor = floors[subject] ?? {};
    const keys = ["verdicts", "messages", "all"];
    return [subject, Object.fromEntries(keys.map((key) => [key, Math.max(counts[key], floor[key] ?? 0)]))];
  });
  return Object.fromEntries(entries);
}

function acceptedHere(differences) {
  return differences.filter(({ kind }) => kind === KINDS[0]).map(({ subject, name }) => `${subject}: ${name}`);
}
