// The report of `npm run oracle`: what real kernels and CPUs say, next to what bpfkit says. Ends with 1 where they differ.
//
//   npm run oracle -- [--arch A,B] [--programs N] [--seed N] [--runs-per-row N] [--corpus-stride N]
//
// A full judgement: --programs 2000 --runs-per-row 1000 --corpus-stride 1; it takes an hour or two.
import { parseArgs } from "node:util";
import { arm64 } from "@bpfkit/arm64";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { compareCorpus } from "./corpus.mjs";
import { compareFirewall } from "./firewall.mjs";
import { compareFunctions } from "./kernel-functions.mjs";
import { comparePasses } from "./passes.mjs";
import { comparePrograms } from "./programs.mjs";
import { compareRows as compareRowsArm64 } from "./rows-arm64.mjs";
import { compareRows as compareRowsRiscv64 } from "./rows-riscv64.mjs";
import { compareRows as compareRowsX86 } from "./rows-x86-64.mjs";
import { compareSpec } from "./spec.mjs";
import { compareTailCalls } from "./tail-calls.mjs";
import { compareBehaviour } from "./trampoline-behaviour.mjs";
import { compareTrampolines } from "./trampolines.mjs";
import { compareVerdicts } from "./verdicts-figures.mjs";

const ARCHES = {
  "x86-64": { backend: x86_64, compareRows: compareRowsX86 },
  arm64: { backend: arm64, compareRows: compareRowsArm64 },
  riscv64: { backend: riscv64, compareRows: compareRowsRiscv64, insertsZext: true },
};

const number = (fallback) => ({ type: "string", default: String(fallback) });
const { values } = parseArgs({
  options: {
    arch: { type: "string", default: Object.keys(ARCHES).join() },
    programs: number(300),
    seed: number(1),
    "runs-per-row": number(50),
    "corpus-stride": number(20),
    only: { type: "string" }, // a word in the title of the parts that are wanted
  },
});
const [programs, seed, runsPerRow, stride] = ["programs", "seed", "runs-per-row", "corpus-stride"].map((key) =>
  Number(values[key]),
);

const parts = values.arch.split(",").flatMap((arch) => {
  const { backend, compareRows, insertsZext } = ARCHES[arch];
  return [
    ...(arch === "x86-64"
      ? [
          ["the example", compareFirewall],
          ["programs, helpers and maps", () => compareSpec()],
          ["verdicts", () => compareVerdicts()],
        ]
      : []),
    ...(programs > 0
      ? [[`generated programs, ${arch}`, () => comparePrograms(programs, seed, { backend, insertsZext })]]
      : []),
    [`passes, ${arch}`, () => comparePasses(backend, { insertsZext })],
    [`tail calls, ${arch}`, () => compareTailCalls(backend)],
    [`trampolines, ${arch}`, () => compareTrampolines(backend)],
    ...["7.2", "6.12"].map((version) => [
      `programs at functions of Linux ${version}, ${arch}`,
      () => compareBehaviour(backend, version),
    ]),
    [`functions of the kernel, ${arch}`, () => compareFunctions(backend)],
    [`the corpus, ${arch}`, () => compareCorpus(backend, stride)],
    [`rows of the ${arch} table`, () => compareRows({ runsPerRow, seed })],
  ];
});

const wanted = parts.filter(([name]) => values.only === undefined || name.includes(values.only));
let failed = 0;
for (const [name, compare] of wanted) {
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
