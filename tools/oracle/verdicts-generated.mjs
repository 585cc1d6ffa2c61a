// Generated programs near the border of acceptance: a kernel's verdicts against ours.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assemble, verify } from "@bpfkit/core";
import { answerHere, KINDS, kindOfDifference } from "../../packages/core/test/verifier/agreement.mjs";
import { askVerdicts } from "./verdict-guest.mjs";
import { generateCases, RECORDS, readRecord, writeRecord } from "./verdicts-recorded.mjs";

/** Programs that one guest answers before the next is booted. */
const PART = 500;
/** A little more than the kernels' own limit; a count and no time, so that a busy machine changes no answer. */
const BUDGET = { insns: 1_100_000, milliseconds: 3_600_000 };
const SHOWN = 5;
/** Of each kind, how many programs become cases when they are to be kept. */
const KEPT = 12;
/** Kinds whose programs are listed whole: those with another verdict. */
const WHOLE = new Set(KINDS.slice(0, 3));

/** Asks a kernel about `count` programs, by seed. With `record`, its answers are kept; with `keepIn`, some that differ become cases there. */
export function compareGenerated(count, first, kernel, { keepIn, record }) {
  const cases = [];
  const answers = [];
  for (let done = 0; done < count; done += PART) {
    const part = generateCases(first + done, Math.min(PART, count - done), assemble);
    cases.push(...part);
    answers.push(...askVerdicts(part, kernel));
    console.log(`  Linux ${kernel}: ${cases.length} asked`);
  }
  if (record) writeRecord(kernel, first, cases, answers);
  const result = judge(kernel, first, cases, answers);
  print(result);
  if (keepIn !== undefined) keep(keepIn, result.differences);
  return result;
}

/** The same with the answers that are kept; writes the list of what differs. */
export function compareRecorded(kernels) {
  const results = kernels.flatMap((kernel) => {
    const record = readRecord(kernel, assemble);
    return record === undefined ? [] : [judge(kernel, record.first, record.cases, record.answers)];
  });
  for (const result of results) print(result);
  writeFileSync(join(RECORDS, "generated-disagreements.md"), listOf(results));
  return results;
}

function judge(kernel, first, cases, answers) {
  const differences = [];
  const counts = { accept: 0, reject: 0, same: 0, messages: 0, rejectedBoth: 0, lastLines: 0, unanswered: 0 };
  for (const [i, there] of answers.entries()) {
    if (there.trouble !== undefined) {
      counts.unanswered++;
      continue;
    }
    const here = answerHere(verify, cases[i], kernel, { budget: BUDGET });
    const kind = kindOfDifference(here, there);
    const sameLine = here.log === there.log;
    counts[there.verdict]++;
    if (here.verdict === there.verdict) {
      counts.same++;
      if (sameLine) counts.messages++;
      if (there.verdict === "reject") {
        counts.rejectedBoth++;
        if (sameLine) counts.lastLines++;
      }
    }
    if (kind !== undefined) differences.push({ kind, entry: cases[i], here, there });
  }
  const asked = counts.accept + counts.reject;
  const unsafe = differences.filter(({ kind }) => kind === KINDS[0]).length;
  return { kernel, first, asked, counts, differences, agreement: counts.same / asked, unsafe };
}

const percent = (part, whole) => `${((100 * part) / whole).toFixed(2)} %`;

function summaryOf({ kernel, first, asked, counts, differences }) {
  return (
    `Linux ${kernel}, seeds ${first} to ${first + asked + counts.unanswered - 1}: ${asked} programs, ${counts.accept} accepted and ${counts.reject} rejected by the kernel; ` +
    `same verdict ${percent(counts.same, asked)}, same message, too ${percent(counts.messages, asked)}, everything ${percent(asked - differences.length, asked)}; ` +
    `of ${counts.rejectedBoth} rejected by both, the last line of the log is the same for ${counts.lastLines}` +
    (counts.unanswered > 0 ? `; ${counts.unanswered} without an answer` : "")
  );
}

function print(result) {
  console.log(summaryOf(result));
  for (const kind of KINDS) {
    const rows = result.differences.filter((difference) => difference.kind === kind);
    console.log(`  ${kind}: ${rows.length}`);
    if (!WHOLE.has(kind)) continue;
    for (const { entry, here, there } of rows.slice(0, SHOWN))
      console.log(`    ${entry.name}: ${wordsOf(here, there)}`);
  }
}

const wordsOf = (here, there) =>
  `here ${here.trouble ?? here.log ?? "accepted"} (${here.processed ?? 0}); kernel ${there.log ?? "accepted"} (${there.processed ?? 0})`;

/** Adds cases without answers; `--write` asks for those. */
function keep(path, differences) {
  let text = readFileSync(path, "utf8");
  for (const kind of KINDS.slice(0, -1)) {
    const rows = differences.filter((difference) => difference.kind === kind).slice(0, KEPT);
    for (const { entry } of rows) {
      if (text.includes(`- name: ${entry.name}\n`)) continue;
      const asm = entry.asm.trimEnd().replaceAll(/^/gm, "      ");
      text += `  - name: ${entry.name}\n    type: ${entry.type}\n    asm: |\n${asm}\n`;
    }
  }
  writeFileSync(path, text);
}

function listOf(results) {
  let text = "# Where this verifier and a kernel differ about generated programs\n\n";
  text +=
    "Written by `node tools/run.mjs oracle-verdicts --recorded`; nothing here is written by hand. A program is what its seed makes:\n";
  text += "`node tools/run.mjs oracle-verdicts --show SEED` prints it. Counts are of processed instructions.\n\n";
  for (const result of results) text += `${summaryOf(result)}.\n\n`;
  for (const { kernel, differences } of results) {
    for (const kind of KINDS) {
      const rows = differences.filter((difference) => difference.kind === kind);
      if (rows.length === 0) continue;
      text += `## Linux ${kernel}: ${kind} (${rows.length})\n\n`;
      for (const { entry, here, there } of rows) {
        text += `- ${entry.name}, ${entry.type}: \`${wordsOf(here, there)}\`\n`;
        if (WHOLE.has(kind)) text += `\n  \`\`\`text\n${entry.asm.trimEnd().replaceAll(/^/gm, "  ")}\n  \`\`\`\n\n`;
      }
      text += "\n";
    }
  }
  return `${text.trimEnd().replaceAll(/\n{3,}/g, "\n\n")}\n`;
}
