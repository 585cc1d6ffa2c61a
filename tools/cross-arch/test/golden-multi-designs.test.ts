// The comparison of designs in docs/trampolines.md, measured anew with the functions of a real kernel where BPFKIT_DESIGNS is set; `npm run golden` writes it.
import { readFileSync } from "node:fs";
import type { Backend, FuncModel } from "@bpfkit/core";
import type { FunctionModels } from "@bpfkit/object";
import { expect, test } from "vitest";
import { BACKENDS } from "../../../packages/cli/src/backends.ts";
import { type CompareReport, compareReport } from "../../../packages/cli/src/multi-compare.ts";

const PAGE = "../../../docs/trampolines.md";
const [BEGIN, END] = ["<!-- designs: npm run golden -->", "<!-- end of designs -->"];
/** All of it takes a minute. */
const IS_ASKED = globalThis.process?.env.BPFKIT_DESIGNS !== undefined;
/** Program B is attached to every function whose number this divides. */
const EVERY = 500;

interface KernelFunctions {
  readonly kernel: string;
  readonly models: readonly FuncModel[];
  readonly modelOf: Uint16Array;
}
const { countClasses, readKernelFunctions } = (await import("../../oracle/kernel-functions.mjs" as string)) as {
  countClasses(set: KernelFunctions): Readonly<Record<string, number>>;
  readKernelFunctions(): KernelFunctions;
};

/** The set as if read from BTF, without the names that it does not have. */
function functionsOf({ models, modelOf }: KernelFunctions): FunctionModels {
  const ids = Uint32Array.from(modelOf, (_, i) => i);
  const ofModels = Uint32Array.from(modelOf);
  return { names: Array.from(ids, String), ids, models, modelOf: ofModels, prototypeOf: ofModels, refused: [] };
}

const count = (value = Number.NaN): string => value.toLocaleString("en-US");

function table(head: readonly string[], rows: readonly (readonly string[])[], texts: number): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map((_, i) => (i < texts ? "---|" : "---:|")).join("")}`, ...rows.map(line)].join("\n");
}

/** What each change comes to in each design, and what is there behind it. */
function changesTable({ changes }: CompareReport): string {
  const names = ["A", "B"];
  const rows = changes.flatMap(({ change, program, functions, designs }) =>
    Object.entries(designs).map(([design, { made, retired, pokes, rows: written, waits, images, bytes }], i) => [
      i === 0 ? `${change} ${names[program]}: ${count(functions)}` : "",
      design,
      ...[made, retired, pokes, written, waits, images, bytes].map(count),
    ]),
  );
  const head = ["", "", "made", "given back", "pokes", "rows written", "waits", "there then", "bytes"];
  return table(head, rows, 2);
}

function callsTable({ calls }: CompareReport): string {
  const rows = calls.map(({ model, design, cookies, instructions, loads, stores }) => [
    `\`${model}\``,
    cookies ? `${design}, a cookie each` : design,
    ...[instructions, loads, stores].map((mean) => count(Number(mean.toFixed(1)))),
  ]);
  return table(["function", "", "instructions", "loads", "stores"], rows, 2);
}

function designs(): string {
  const set = readKernelFunctions();
  const functions = functionsOf(set);
  const all = Array.from(set.modelOf, (_, i) => i);
  const some = all.filter((i) => i % EVERY === 0);
  const reportOf = (backend: Backend): CompareReport => {
    const selections = [all, some].map((chosen) => ({ patterns: [], functions: chosen, refused: [] }));
    return compareReport(functions, selections, backend, "fexit", () => 0);
  };
  const { words, models, none: _none, ...arches } = countClasses(set);
  const classes = BACKENDS.map(({ arch }) => `${count(arches[arch])} on ${arch}`);
  const parts = BACKENDS.map((backend) => {
    const report = reportOf(backend);
    return `**${backend.arch}**\n\n${changesTable(report)}\n\nWhat a call costs more, with one program that does nothing:\n\n${callsTable(report)}`;
  });
  return [
    `All ${count(all.length)} functions of Linux ${set.kernel} that can be traced; A is attached to all, B to every ${EVERY}th of them, and they go in`,
    "this order. By the number of words of their arguments these functions would be",
    `${count(words)} classes, by sizes and signs of all arguments and the result ${count(models)}; what trampolines have to know of them makes`,
    `${classes.slice(0, -1).join(", ")} and ${classes.at(-1)}.`,
    "",
    parts.join("\n\n"),
  ].join("\n");
}

test.runIf(IS_ASKED)(
  "the page shows what three designs cost on a real kernel's functions",
  { timeout: 600_000 },
  async () => {
    const page = readFileSync(new URL(PAGE, import.meta.url), "utf8");
    const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
    expect(start).toBeGreaterThan(0);
    await expect(`${page.slice(0, start + BEGIN.length)}\n\n${designs()}\n\n${page.slice(end)}`).toMatchFileSnapshot(
      PAGE,
    );
  },
);
