// The report of `npm run oracle`: what real kernels and CPUs say, next to what bpfkit says. Ends with 1 where they differ.
//
//   npm run oracle -- [--programs N] [--seed N] [--runs-per-row N]
import { parseArgs } from "node:util";
import { compareFirewall } from "./firewall.mjs";
import { comparePrograms } from "./programs.mjs";
import { compareRows } from "./rows-x86-64.mjs";

const number = (fallback) => ({ type: "string", default: String(fallback) });
const { values } = parseArgs({ options: { programs: number(400), seed: number(1), "runs-per-row": number(50) } });
const [programs, seed, runsPerRow] = [values.programs, values.seed, values["runs-per-row"]].map(Number);

const parts = [
  ["the example", compareFirewall],
  ["generated programs", () => comparePrograms(programs, seed)],
  ["rows of the x86-64 table", () => compareRows({ runsPerRow, seed })],
];

let failed = 0;
for (const [name, compare] of parts) {
  console.log(`\n== ${name}`);
  const result = await compare();
  if (result === undefined) {
    console.log("the runner of raw machine code is not set up: skipped");
    continue;
  }
  const { differences, summary, sizes } = result;
  if (sizes) printSizes(sizes);
  for (const difference of differences.slice(0, 20)) console.log(`  DIFFERS ${difference}`);
  if (differences.length > 20) console.log(`  … and ${differences.length - 20} more`);
  console.log(summary);
  failed += differences.length;
}
console.log(failed === 0 ? "\nno difference" : `\n${failed} differences`);
process.exitCode = failed === 0 ? 0 : 1;

/** Bytes of ours and the kernel's per program: all whose instructions reach both compilers unchanged, and those that do not apart. */
function printSizes(sizes) {
  for (const [title, rows] of [
    ["code size, same instructions (ours/kernel)", sizes.filter(({ unchanged }) => unchanged)],
    [
      "code size, rewritten by the verifier first, not counted (ours/kernel)",
      sizes.filter(({ unchanged }) => !unchanged),
    ],
  ]) {
    console.log(`  ${title}:`);
    const cells = rows.map(({ name, ours, theirs }) => `${name.replace(/^seed |, plain$/g, "")}: ${ours}/${theirs}`);
    for (let i = 0; i < cells.length; i += 8)
      console.log(
        `    ${cells
          .slice(i, i + 8)
          .map((cell) => cell.padEnd(16))
          .join("")}`,
      );
  }
}
