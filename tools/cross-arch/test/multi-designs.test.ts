// A part of the comparison of designs in docs/trampolines.md, measured anew in each run; all of it is measured where BPFKIT_DESIGNS is set.
import { readFileSync } from "node:fs";
import type { FuncModel } from "@bpfkit/core";
import { x86_64 } from "@bpfkit/x86-64";
import { expect, test } from "vitest";
import { type ChangeCost, DesignRun, type Standing } from "../../../packages/cli/src/design-run.ts";

const { readKernelFunctions } = (await import("../../oracle/kernel-functions.mjs" as string)) as {
  readKernelFunctions(): { readonly models: readonly FuncModel[]; readonly modelOf: Uint16Array };
};
/** Program B is attached to every function whose number this divides. */
const EVERY = 500;

/** The rows of a design in the table of an architecture: cells without the change, the design and the waits. */
function rowsOf(arch: string, design: string): readonly (readonly string[])[] {
  const page = readFileSync(new URL("../../../docs/trampolines.md", import.meta.url), "utf8");
  const start = page.indexOf(`**${arch}**`, page.indexOf("<!-- designs:"));
  const lines = page.slice(start, page.indexOf("What a call", start)).split("\n");
  return lines
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => cells[2] === design)
    .map((cells) => cells.slice(3, -1).toSpliced(4, 1));
}

test("the page shows what shared trampolines come to on all functions of a real kernel", () => {
  const { models, modelOf } = readKernelFunctions();
  const all = Array.from(modelOf, (_, i) => i);
  const asked = { ids: new Set(all), modelOf: (id: number) => models[modelOf[id]!]! };
  const run = new DesignRun(x86_64, "shared", "fexit", asked, () => 0);
  const rows: string[][] = [];
  const note = ({ made, retired, pokes, rows: written }: ChangeCost): void => {
    const { images, bytes }: Standing = run.standing;
    rows.push([made, retired, pokes, written, images, bytes].map((value) => value.toLocaleString("en-US")));
  };
  const links = [all, all.filter((i) => i % EVERY === 0)].map((ids) => {
    const { link, cost } = run.attach(ids);
    note(cost);
    return link;
  });
  for (const link of links) note(run.detach(link));
  expect(rowsOf("x86-64", "shared")).toEqual(rows);
});
