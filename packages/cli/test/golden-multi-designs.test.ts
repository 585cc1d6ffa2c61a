// The comparison of designs in docs/trampolines.md, counted anew for the functions of a real kernel; `npm run golden` writes it anew.
import { readFileSync } from "node:fs";
import type { Backend, FuncModel } from "@bpfkit/core";
import type { FunctionModels } from "@bpfkit/object";
import { expect, test } from "vitest";
import { BACKENDS } from "../src/backends.ts";
import { type CompareReport, compareReport } from "../src/multi-compare.ts";

const PAGE = "../../../docs/trampolines.md";
const [BEGIN, END] = ["<!-- designs: npm run golden -->", "<!-- end of designs -->"];
/** Program B is attached to every function whose number this divides. */
const EVERY = 500;
const NOTHING = "–";

interface KernelFunctions {
  readonly kernel: string;
  readonly models: readonly FuncModel[];
  readonly modelOf: Uint16Array;
}
const { countClasses, readKernelFunctions } = (await import(
  "../../../tools/oracle/kernel-functions.mjs" as string
)) as {
  countClasses(set: KernelFunctions): Readonly<Record<string, number>>;
  readKernelFunctions(): KernelFunctions;
};

/** The set as if read from BTF, without the names that it does not have. */
function functionsOf({ models, modelOf }: KernelFunctions): FunctionModels {
  const ids = Uint32Array.from(modelOf, (_, i) => i);
  const ofModels = Uint32Array.from(modelOf);
  return { names: Array.from(ids, String), ids, models, modelOf: ofModels, prototypeOf: ofModels, refused: [] };
}

const count = (value: number | undefined): string => (value === undefined ? NOTHING : value.toLocaleString("en-US"));

function table(head: readonly string[], rows: readonly (readonly string[])[], texts: number): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map((_, i) => (i < texts ? "---|" : "---:|")).join("")}`, ...rows.map(line)].join("\n");
}

/** What each change makes each design do, and what is there between. */
function changesTable({ changes, standing }: CompareReport): string {
  const names = ["A", "B"];
  const rows = changes.flatMap(({ change, program, functions, designs }) =>
    Object.entries(designs).map(([design, { images, bytes, retired, pokes, rows: written, waits }], i) => [
      i === 0 ? `${change} ${names[program]}: ${count(functions)}` : "",
      design,
      ...[images, bytes, retired, pokes, written, waits].map(count),
    ]),
  );
  const there = Object.entries(standing).map(([design, { images, bytes }], i) => [
    i === 0 ? "there with A and B" : "",
    design,
    count(images),
    count(bytes),
    "",
    "",
    "",
    "",
  ]);
  const half = rows.length / 2;
  const head = ["", "", "made", "bytes", "given back", "entries written", "rows written", "waits"];
  return table(head, [...rows.slice(0, half), ...there, ...rows.slice(half)], 2);
}

function callsTable({ calls }: CompareReport): string {
  const rows = calls.map(({ model, design, functions, instructions, loads, stores }) => [
    `\`${model}\``,
    functions > 1 ? `${design}, ${count(functions)} functions` : design,
    ...[instructions, loads, stores].map(count),
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

test("the page shows what three designs cost on a real kernel's functions", { timeout: 120_000 }, async () => {
  const page = readFileSync(new URL(PAGE, import.meta.url), "utf8");
  const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  expect(start).toBeGreaterThan(0);
  await expect(`${page.slice(0, start + BEGIN.length)}\n\n${designs()}\n\n${page.slice(end)}`).toMatchFileSnapshot(
    PAGE,
  );
});
