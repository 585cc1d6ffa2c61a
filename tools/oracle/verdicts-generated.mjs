// Generated programs near the border of acceptance: a kernel's verdicts against ours.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assemble, verify } from "@bpfkit/core";
import { answerHere, KINDS, kindOfDifference } from "../../packages/core/test/verifier/agreement.mjs";
import { root } from "../workspace.mjs";
import { askVerdicts } from "./verdict-guest.mjs";
import { generateCase } from "./verdicts-generate.mjs";

/** Programs that one guest answers before the next is booted. */
const PART = 500;
/** A little more than the kernels' own limit, and as long as anybody would wait. */
const BUDGET = { insns: 1_100_000, milliseconds: 20_000 };
const SHOWN = 5;

/** Of each kind, how many programs become cases when they are to be kept. */
const KEPT = 12;

/**
 * Prints the agreement of `count` programs with a kernel; the programs that differ go to a file under `.reports`, by kind. With `keepIn`,
 * the first ones whose verdict or reason differs are added to that file of cases.
 */
export function compareGenerated(count, firstSeed, kernel, keepIn) {
  const differences = [];
  const counts = { accept: 0, reject: 0, same: 0, messages: 0, unanswered: 0 };
  for (let done = 0; done < count; done += PART) {
    const cases = Array.from({ length: Math.min(PART, count - done) }, (_, i) =>
      generateCase(firstSeed + done + i, assemble),
    );
    const answers = askVerdicts(cases, kernel);
    for (const [i, there] of answers.entries()) {
      if (there.trouble !== undefined) {
        counts.unanswered++;
        continue;
      }
      const here = answerHere(verify, cases[i], kernel, { budget: BUDGET });
      const kind = kindOfDifference(here, there);
      counts[there.verdict]++;
      if (here.verdict === there.verdict) {
        counts.same++;
        if (here.log === there.log) counts.messages++;
      }
      if (kind !== undefined) differences.push({ kind, entry: cases[i], here, there });
    }
    const other = counts.accept + counts.reject - counts.same;
    console.log(
      `  ${done + cases.length} asked, ${other} with another verdict, ${differences.length} differ in something`,
    );
  }
  const asked = counts.accept + counts.reject;
  const share = (part) => `${((100 * part) / asked).toFixed(2)} %`;
  console.log(
    `Linux ${kernel}, seeds from ${firstSeed}: ${asked} programs, ${counts.accept} accepted and ${counts.reject} rejected by the kernel; ` +
      `same verdict ${share(counts.same)}, same message, too ${share(counts.messages)}, everything ${share(asked - differences.length)}` +
      (counts.unanswered > 0 ? `; ${counts.unanswered} without an answer` : ""),
  );
  for (const kind of KINDS) {
    const rows = differences.filter((difference) => difference.kind === kind);
    console.log(`  ${kind}: ${rows.length}`);
    if (kind === KINDS.at(-1)) continue;
    for (const { entry, here, there } of rows.slice(0, SHOWN))
      console.log(`    ${entry.name}: ${wordsOf(here, there)}`);
  }
  writeList(kernel, differences);
  if (keepIn !== undefined) keep(keepIn, differences);
  return { agreement: counts.same / asked, unsafe: differences.filter(({ kind }) => kind === KINDS[0]).length };
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

function writeList(kernel, differences) {
  const path = join(root, ".reports", `verdicts-linux-${kernel}.md`);
  const text = KINDS.flatMap((kind) => {
    const rows = differences.filter((difference) => difference.kind === kind);
    return [
      `# ${kind} (${rows.length})\n`,
      ...rows.map(
        ({ entry, here, there }) =>
          `## ${entry.name}, ${entry.type}\n\n${wordsOf(here, there)}\n\n\`\`\`\n${entry.asm}\`\`\`\n`,
      ),
    ];
  }).join("\n");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  console.log(`  all of them: ${path}`);
}
