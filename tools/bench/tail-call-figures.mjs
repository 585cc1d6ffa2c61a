// The figures of docs/tail-calls-figures.md, made of what the tail-call benchmark counts: node tools/bench/tail-call-figures.mjs rewrites them.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { plainPrograms, situations } from "./tail-call-programs.mjs";
import { CONFIGURATIONS, rows, SAVING } from "./tail-calls.mjs";

export const PAGE = new URL("../../docs/tail-calls-figures.md", import.meta.url);
const [BEGIN, END] = ["<!-- figures: node tools/bench/tail-call-figures.mjs -->", "<!-- end of figures -->"];

const WITH_TAIL_CALLS = [
  "one tail call, slot known",
  "one tail call behind two empty slots, slot known",
  "a chain of 33, slot known",
  "a chain of 33, slot loaded",
  "a subprogram's tail call, slot known",
  "a tree of two subprograms, 33 in all, slot loaded",
  "dissector, all of them",
];
const METRICS = ["instructions", "loads", "stores", "branches", "stack bytes"];

/** The page with its figures as they are now. */
export function withFigures(page) {
  const [start, end] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  return `${page.slice(0, start)}\n${tables()}\n${page.slice(end)}`;
}

function tables() {
  const all = [...situations(), ...plainPrograms()];
  const part = (names, configurations) =>
    names.map((name) => {
      const situation = all.find((one) => one.name === name);
      const lines = configurations.flatMap((configuration) => {
        const values = rows(configuration, situation).map(({ value }) => value);
        return values.length === 0 ? [] : [`| ${configuration[0].replace("/", " ")} | ${values.join(" | ")} |`];
      });
      return `**${name}**\n\n| | ${METRICS.join(" | ")} |\n|---|${"---:|".repeat(METRICS.length)}\n${lines.join("\n")}`;
    });
  const plain = plainPrograms().map(({ name }) => name);
  return `\n${[...part(WITH_TAIL_CALLS, CONFIGURATIONS), ...part(plain, SAVING)].join("\n\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, withFigures(readFileSync(PAGE, "utf8")));
