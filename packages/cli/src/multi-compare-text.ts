// Designs for programs on many functions, as people read them side by side.
import type { CallCost } from "./call-cost.ts";
import type { ComparedChange, CompareReport } from "./multi-compare.ts";
import { counted } from "./multi-plan.ts";
import { type Style, table } from "./output.ts";

/** Where a design is not built, so that there is nothing to measure. */
const NONE = "-";

/** The report for people. */
export function compareText(report: CompareReport, style: Style): string {
  const { arch, kind, changes, standing, calls } = report;
  return [
    style.bold(`${kind} programs on ${arch}\n`),
    ...changes.map((change) => `\n${style.bold(headOf(change))}\n${table(HEAD, rowsOf(change))}`),
    `\n${style.bold("with all programs attached")}\n`,
    table(
      ["design", "trampolines", "bytes"],
      Object.entries(standing).map(([design, { images, bytes = NONE }]) => [design, images, bytes]),
    ),
    ...(calls.length === 0 ? [] : [`\n${style.bold("what a call costs more, with one program that does nothing")}\n`]),
    ...(calls.length === 0
      ? []
      : [table(["function", "design", "instructions", "loads", "stores"], calls.map(callRow))]),
    "\npokes are entries rewritten, rows are entries of a table by function, waits are grace periods\n",
    "global: trampolines of this design are not built here, so they have no bytes and no calls\n",
  ].join("");
}

const HEAD = ["design", "made", "bytes", "given back", "pokes", "rows", "waits"];

function headOf({ change, program, functions, milliseconds }: ComparedChange): string {
  const on = `${change === "attach" ? "to" : "from"} ${counted(functions, "function")}`;
  return `${change} program ${program} ${on}: planned in ${milliseconds.toFixed(1)} ms`;
}

function rowsOf({ designs }: ComparedChange): (string | number)[][] {
  return Object.entries(designs).map(([design, { images, bytes = NONE, retired, pokes, rows, waits }]) => [
    design,
    images,
    bytes,
    retired,
    pokes,
    rows,
    waits,
  ]);
}

function callRow({ model, design, functions, instructions, loads, stores }: CallCost): (string | number)[] {
  const name = design === "shared, cookies" ? `shared, cookies of ${counted(functions, "function")}` : design;
  return [model, name, instructions, loads, stores];
}
