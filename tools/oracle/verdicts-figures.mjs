// `oracle-verdicts --figures`, and the part "verdicts" of `npm run oracle`: every figure of agreement in one run. Kernels are asked again about the
// objects' programs and the cases; the answers about generated programs are the kept ones.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as core from "@bpfkit/core";
import { agreementOf, KINDS } from "../../packages/core/test/verifier/agreement.mjs";
import { KERNELS, readCases } from "../../packages/core/test/verifier/cases.mjs";
import { askVerdicts } from "./verdict-guest.mjs";
import { compareExamples } from "./verdicts-examples.mjs";
import { compareRecorded } from "./verdicts-generated.mjs";
import { RECORDS } from "./verdicts-recorded.mjs";

/** Least shares of equal verdicts: cases, generated programs; and least count of rejected programs with the same last line. */
const [CASES, GENERATED, LAST_LINES] = [0.98, 0.95, 300];

export function compareVerdicts() {
  const differences = [];
  const summary = [];
  const cases = readAllCases();
  for (const kernel of KERNELS) {
    if (process.env.BPFKIT_ORACLE) {
      const differ = compareExamples(kernel);
      if (differ > 0) differences.push(`Linux ${kernel}: ${differ} programs of objects have another verdict`);
      differences.push(...askedAgain(cases, kernel));
    }
    const { line, problems } = figuresOfCases(cases, kernel);
    summary.push(line);
    differences.push(...problems);
  }
  for (const { kernel, asked, agreement, unsafe, counts } of compareRecorded(KERNELS)) {
    summary.push(
      `Linux ${kernel}, generated programs: ${asked}, same verdict ${percent(agreement)}, accepted here only ${unsafe}, ` +
        `same last line ${counts.lastLines} of ${counts.rejectedBoth} rejected by both`,
    );
    if (agreement < GENERATED) differences.push(`Linux ${kernel}: generated programs: ${percent(agreement)}`);
  }
  return { differences, summary: summary.join("\n") };
}

const percent = (share) => `${(100 * share).toFixed(2)} %`;

export function readAllCases() {
  const folder = join(RECORDS, "cases");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".yaml"))
    .flatMap((file) => readCases(readFileSync(join(folder, file), "utf8")));
}

function figuresOfCases(cases, kernel) {
  const { subjects, differences } = agreementOf(core.verify, cases, kernel);
  const sum = (key) => Object.values(subjects).reduce((total, counts) => total + counts[key], 0);
  const all = sum("cases");
  const rejected = cases.filter(({ expected }) => expected[kernel].verdict === "reject").length;
  const others = differences.filter(({ kind, there }) => KINDS.indexOf(kind) <= 3 && there.verdict === "reject").length;
  const unsafe = differences.filter(({ kind }) => kind === KINDS[0]);
  const line =
    `Linux ${kernel}, cases: ${all}, same verdict ${percent(sum("verdicts") / all)}, same message, too ${percent(sum("messages") / all)}, ` +
    `everything ${percent(sum("all") / all)}, accepted here only ${unsafe.length}, same last line ${rejected - others} of ${rejected} rejected by the kernel`;
  const problems = [
    ...(sum("verdicts") / all < CASES ? [`Linux ${kernel}: cases: ${percent(sum("verdicts") / all)}`] : []),
    ...(rejected - others < LAST_LINES ? [`Linux ${kernel}: ${rejected - others} last lines`] : []),
  ];
  return { line, problems };
}

/** Cases about which a kernel does not say any more what their files say. */
function askedAgain(cases, kernel) {
  const answers = askVerdicts(cases, kernel);
  return cases.flatMap(({ subject, name, expected }, i) => {
    const [then, now] = [expected[kernel], answers[i]];
    const same = ["verdict", "errno", "log", "processed"].every((key) => then[key] === now[key]);
    return same ? [] : [`Linux ${kernel}, ${subject}: ${name}: ${JSON.stringify(now)}`];
  });
}
