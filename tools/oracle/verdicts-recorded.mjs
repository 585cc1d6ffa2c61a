// What kernels said about generated programs, kept beside the cases: compared with this verifier without a kernel.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { root } from "../workspace.mjs";
import { generateCase } from "./verdicts-generate.mjs";

export const RECORDS = join(root, "packages", "core", "test", "verifier");

const pathOf = (kernel) => join(RECORDS, `generated-${kernel}.json.gz`);

/** Programs by seed: `count` from `first` on. */
export function generateCases(first, count, assemble) {
  return Array.from({ length: count }, (_, i) => generateCase(first + i, assemble));
}

/** Keeps the answers about programs `first`, `first` + 1, …; `programs` is what they were about, so that another generator is noticed. */
export function writeRecord(kernel, first, cases, answers) {
  const record = { kernel, first, count: cases.length, programs: digestOf(cases), answers };
  writeFileSync(pathOf(kernel), gzipSync(JSON.stringify(record), { level: 9 }));
}

/** The kept answers with their programs; undefined where there are none. @throws {Error} when the generator makes other programs than they were about */
export function readRecord(kernel, assemble) {
  if (!existsSync(pathOf(kernel))) return undefined;
  const { first, count, programs, answers } = JSON.parse(gunzipSync(readFileSync(pathOf(kernel))).toString());
  const cases = generateCases(first, count, assemble);
  if (digestOf(cases) !== programs)
    throw new Error(
      `the answers of Linux ${kernel} are about other programs: ask again with --generated ${count} --record`,
    );
  return { first, cases, answers };
}

function digestOf(cases) {
  const hash = createHash("sha256");
  for (const { type, asm } of cases) hash.update(`${type}\n${asm}\n`);
  return hash.digest("hex");
}
