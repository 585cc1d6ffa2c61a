// How far this verifier says what a kernel said: counts per subject, and what differs, by kind.

import { typeOptions } from "./kernel-types.mjs";

/** Kinds of differences, the gravest first. */
export const KINDS = [
  "accepted here, rejected by the kernel",
  "no answer here",
  "rejected here, accepted by the kernel",
  "rejected for another reason",
  "rejected with another error number",
  "another count of instructions",
];

/** More than any case takes; a count and not a time, so that a busy machine changes no answer. */
const BUDGET = { insns: 5_000, milliseconds: 3_600_000 };

/** The message of a loop is the only one whose last line needs a log. */
const NEEDS_LOG = /^old state:/;

/**
 * What this verifier says, in the words of the cases; `trouble` where it gives no verdict. `brief` leaves out the log where its last line
 * is the reason anyway; `typed`: options of `verify` in place of the types that the cases' folder has.
 */
export function answerHere(verify, entry, kernel, { budget = BUDGET, brief = false, typed: types } = {}) {
  const { program, alignment, functions } = entry;
  const strictAlignment = alignment === "strict";
  const logLevel = brief ? 0 : 1;
  // The machines that were asked have one CPU, and types of functions came with programs that cannot do without.
  const typed = Object.keys(functions).length > 0 || hasCallback(program);
  const options = {
    kernel,
    logLevel,
    strictAlignment,
    functions: globalOnes(functions),
    budget,
    typed,
    cpus: 1,
    ...(types ?? typeOptions(entry, kernel)),
  };
  let result;
  try {
    result = verify(program, options);
  } catch (error) {
    return { trouble: `${error}`.split("\n")[0] };
  }
  if (!result.ok && result.budget !== undefined) return { trouble: `the budget of ${result.budget} is spent` };
  const processed = /processed (\d+) insns /.exec(result.log.at(-1) ?? "")?.[1];
  const count = processed === undefined ? {} : { processed: Number(processed) };
  if (result.ok) return { verdict: "accept", ...count };
  // The kernel that was asked did not know the names of the maps.
  const log = result.log.findLast((line) => !/^processed \d+ insns /.test(line)) ?? "";
  return { verdict: "reject", errno: result.errno, log: log.trimEnd().replace(/map '\w*'/, "map ''"), ...count };
}

function hasCallback({ insns }) {
  for (let i = 0; i < insns.length; i += insns.width(i)) if (insns.code(i) === 0x18 && insns.src(i) === 4) return true;
  return false;
}

const globalOnes = (functions) => Object.fromEntries(Object.entries(functions).filter(([, { global }]) => global));

/** The kind of what differs; undefined where both say the same. */
export function kindOfDifference(here, there) {
  if (here.trouble !== undefined) return KINDS[1];
  if (here.verdict !== there.verdict) return here.verdict === "accept" ? KINDS[0] : KINDS[2];
  if (here.log !== there.log) return KINDS[3];
  if (here.errno !== there.errno) return KINDS[4];
  return (here.processed ?? 0) === (there.processed ?? 0) ? undefined : KINDS[5];
}

/** Whether the kernels differ about a case; the older one is only worth asking about those when time is short. */
export function isDisputed({ expected }) {
  const [first, ...others] = Object.values(expected).map((answer) => JSON.stringify(answer));
  return others.some((other) => other !== first);
}

/** Compares on all cases: counts of agreement by subject, and the differences. */
export function agreementOf(verify, cases, kernel, brief = false) {
  const subjects = {};
  const differences = [];
  for (const entry of cases) {
    const there = entry.expected[kernel];
    if (there === undefined) continue;
    const here = answerHere(verify, entry, kernel, { brief: brief && !NEEDS_LOG.test(there.log ?? "") });
    const kind = kindOfDifference(here, there);
    const same = here.verdict === there.verdict;
    subjects[entry.subject] ??= { cases: 0, verdicts: 0, messages: 0, all: 0 };
    const counts = subjects[entry.subject];
    counts.cases++;
    if (same) counts.verdicts++;
    if (same && here.log === there.log) counts.messages++;
    if (kind === undefined) counts.all++;
    if (kind !== undefined) differences.push({ kind, subject: entry.subject, name: entry.name, here, there });
  }
  return { subjects, differences };
}

/** What is not known yet, or graver than what is known: `known` has the kind of each difference by `subject: name`. */
export function newDifferences(differences, known) {
  return differences.filter((difference) => {
    const before = known[nameOf(difference)];
    return before === undefined || KINDS.indexOf(difference.kind) < KINDS.indexOf(before);
  });
}

/** A case's full name. */
export const nameOf = ({ subject, name }) => `${subject}: ${name}`;

/** The differences as Markdown, the gravest kind first. */
export function differencesText(byKernel) {
  let text = "# Where this verifier and a kernel differ about the cases\n\n";
  text += "Written by `node tools/run.mjs oracle-verdicts --ours`; nothing here is written by hand.\n";
  for (const [kernel, differences] of Object.entries(byKernel)) {
    for (const kind of KINDS) {
      const rows = differences.filter((difference) => difference.kind === kind);
      if (rows.length === 0) continue;
      text += `\n## Linux ${kernel}: ${kind} (${rows.length})\n\n`;
      for (const { subject, name, here, there } of rows) {
        text += `- ${subject}: ${name}\n  - here: \`${wordsOf(here)}\`\n  - kernel: \`${wordsOf(there)}\`\n`;
      }
    }
  }
  return text;
}

function wordsOf({ trouble, verdict, errno, log, processed }) {
  if (trouble !== undefined) return trouble;
  return [verdict, errno, log, processed === undefined ? undefined : `${processed} instructions`]
    .filter((word) => word !== undefined)
    .join(", ");
}
