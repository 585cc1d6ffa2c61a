// Designs for programs on many functions, as people read them side by side.
import type { CallCost } from "./call-cost.ts";
import type { ComparedChange, CompareReport } from "./multi-compare.ts";
import { counted } from "./multi-plan.ts";
import { type Style, table } from "./output.ts";

/** The report for people. */
export function compareText(report: CompareReport, style: Style): string {
  const { arch, kind, changes, standing, calls } = report;
  return [
    style.bold(`${kind} programs on ${arch}\n`),
    ...changes.map((change) => `\n${style.bold(headOf(change))}\n${table(HEAD, rowsOf(change))}`),
    `\n${style.bold("with all programs attached")}\n`,
    table(
      ["design", "trampolines", "bytes"],
      Object.entries(standing).map(([design, { images, bytes }]) => [design, images, bytes]),
    ),
    ...(calls.length === 0
      ? []
      : [
          `\n${style.bold(`what a call costs more, with one program that does nothing on ${counted(calls[0]!.functions, "function")}`)}\n`,
          table(["function", "design", "instructions", "loads", "stores"], calls.map(callRow)),
        ]),
    "\npokes are places of code rewritten, rows are lists of programs written for one function each, waits are grace periods;\n",
    "bytes are those of trampolines and rows that there are then; times are of one attach or detach, while nobody calls\n",
  ].join("");
}

const HEAD = ["design", "made", "given back", "pokes", "rows", "waits", "bytes", "ms"];

function headOf({ change, program, functions }: ComparedChange): string {
  return `${change} program ${program} ${change === "attach" ? "to" : "from"} ${counted(functions, "function")}`;
}

function rowsOf({ designs }: ComparedChange): (string | number)[][] {
  return Object.entries(designs).map(([design, { made, retired, pokes, rows, waits, bytes, milliseconds }]) => [
    design,
    made,
    retired,
    pokes,
    rows,
    waits,
    bytes,
    milliseconds.toFixed(1),
  ]);
}

function callRow({ model, design, cookies, instructions, loads, stores }: CallCost): (string | number)[] {
  const counts = [instructions, loads, stores].map((count) => Number(count.toFixed(1)));
  return [model, cookies ? `${design}, a cookie each` : design, ...counts];
}
