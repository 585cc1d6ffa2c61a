// The plan of a multi-attach as people read it.
import type { LinkKind } from "@bpfkit/core";
import { counted, type PlannedProgram, type PlanReport, type Refused } from "./multi-plan.ts";
import { grouped, type Style, table } from "./output.ts";

/** Classes or functions, and names of a class, that are shown unless all are asked for. */
const [SOME, FEW] = [20, 3];

/** The report for people. */
export function planText(report: PlanReport, all: boolean, style: Style): string {
  const { arch, kind, known, traceable, programs, classes, refused, counts } = report;
  const shown = all ? classes : classes.slice(0, SOME);
  const rows = shown.map(({ programs: links, arguments: text, functions }) => [
    functions.length,
    ...(programs.length > 1 ? [links.join(", ")] : []),
    text,
    all ? functions.join(", ") : fewOf(functions),
  ]);
  const without = all ? refused : refused.slice(0, SOME);
  const { words, prototypes, ...byArch } = counts;
  return [
    `${style.bold(`${counted(known, "function")}, of which ${grouped(traceable)} have arguments that can be handed on`)}\n`,
    ...programs.map((program, i) => `${programText(program, programs.length > 1 ? `program ${i}, ` : "", kind)}\n`),
    `\n${style.bold(`${counted(classes.length, "class", "classes")} on ${arch}`)}\n`,
    table(["functions", ...(programs.length > 1 ? ["programs"] : []), "arguments", "of them"], rows),
    more(classes.length - shown.length, "class", "classes"),
    ...(refused.length === 0 ? [] : [`\n${style.bold(refusedText(refused))}\n`, refusedTable(without)]),
    more(refused.length - without.length, "function", "functions"),
    `\n${style.bold("classes of the same functions for one program")}\n`,
    table(
      ["by", "classes"],
      [
        ["number of words", words!],
        ...Object.entries(byArch).map(([name, count]) => [`what ${name} compares`, count]),
        ["exact prototype", prototypes!],
      ],
    ),
  ].join("");
}

function programText(program: PlannedProgram, name: string, kind: LinkKind): string {
  const { functions, made, split, inPlace, refusedFor } = program;
  const parts = [
    ...(made > 0 ? [counted(made, "new class", "new classes")] : []),
    ...(split > 0 ? [`${grouped(split)} split off others`] : []),
    ...(inPlace > 0 ? [`${grouped(inPlace)} changed in place`] : []),
  ];
  const refusal =
    refusedFor.length === 0 ? "" : `; the kernel refuses all of it, since it names ${refusedFor.join(", ")}`;
  return `${name}${kind} on ${counted(functions, "function")}: ${parts.join(", ") || "nothing to do"}${refusal}`;
}

/** What refused functions have in common. */
const CAUSES: Readonly<Record<Refused["cause"], string>> = {
  arguments: "for more than 12 arguments",
  variadic: "for a variable number",
  argument: "for an argument",
  result: "for the result",
  state: "for what is attached, or for more than 12 words",
};

/** `8 refused: 4 for the result, …` */
function refusedText(refused: readonly Refused[]): string {
  const counts = new Map<Refused["cause"], number>();
  for (const { cause } of refused) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([cause, count]) => `${grouped(count)} ${CAUSES[cause]}`);
  return `${grouped(refused.length)} refused: ${parts.join(", ")}`;
}

function refusedTable(refused: readonly Refused[]): string {
  const rows = refused.map(({ function: name, reason }) => [name, reason]);
  return table(["function", "why"], rows);
}

function fewOf(names: readonly string[]): string {
  const rest = names.length - FEW;
  return `${names.slice(0, FEW).join(", ")}${rest > 0 ? `, … ${grouped(rest)} more` : ""}`;
}

function more(count: number, what: string, many: string): string {
  return count > 0 ? `  … ${counted(count, `more ${what}`, `more ${many}`)}\n` : "";
}
