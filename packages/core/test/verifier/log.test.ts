// Logs of level 2 against those of a kernel, line by line.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type VerifyOptions, verify } from "../../src/verifier/verify.ts";
import { answerHere } from "./agreement.mjs";
import { CASES } from "./all-cases.ts";
import type { Case } from "./cases.mjs";

const TEXT = readFileSync(new URL("logs-linux-7.2.txt", import.meta.url), "utf8");
const LOGS = TEXT.trimEnd()
  .split("\n=== ")
  .slice(1)
  .map((part): [string, readonly string[]] => {
    const [name, ...lines] = part.split("\n");
    return [name!, lines];
  });

function logOf(given: Case): readonly string[] {
  let log: readonly string[] = [];
  const seen = (program: Case["program"], options: VerifyOptions): object => {
    const result = verify(program, { ...options, logLevel: 2 });
    log = result.log;
    return result;
  };
  answerHere(seen, given, "7.2");
  return log;
}

/** The kernel prints addresses where the log here has maps, which changes the column of what follows, too. */
const comparable = (line: string): string =>
  line.trimEnd().replace(/(r\d+ = )(<address>|map\[\S+\]\S*)\s*/, (_, before: string) => `${before}map `);

test.each(LOGS)("%s", (name, lines) => {
  const given = CASES.find((one) => `${one.subject}: ${one.name}` === name);
  while (lines.at(-1) === "") lines = lines.slice(0, -1);
  expect(logOf(given!).map(comparable)).toEqual(lines.map(comparable));
});
