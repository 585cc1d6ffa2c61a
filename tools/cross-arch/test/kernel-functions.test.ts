// The functions of a real kernel, from the file that `npm run oracle` keeps true.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const { countClasses, pack, readKernelFunctions, unpack } = await import("../../oracle/kernel-functions.mjs" as string);
const SET = new URL("../../oracle/kernel-functions-linux-7.2-x86-64.txt", import.meta.url);
const set = readKernelFunctions();

test("the set of a real kernel's functions is large, and is what it would be written as again", () => {
  expect(set.modelOf.length).toBeGreaterThan(50_000);
  expect(Math.max(...set.modelOf)).toBe(set.models.length - 1);
  expect(pack(set)).toBe(readFileSync(SET, "utf8"));
});

test("a set is read as it was written, whatever the order of its models", () => {
  const { models } = set;
  const some = {
    kernel: "any",
    models: models.slice(0, 300),
    modelOf: Array.from({ length: 1000 }, (_, i) => (i * i) % 300),
  };
  const read = unpack(pack(some));
  const modelsOf = (one: { models: object[]; modelOf: number[] }) => Array.from(one.modelOf, (i) => one.models[i]);
  expect(modelsOf(read)).toEqual(modelsOf(some));
  expect(read.kernel).toBe("any");
});

test("functions of a real kernel fall into few classes where words decide, and into thousands where sizes do", () => {
  expect(countClasses(set)).toMatchInlineSnapshot(`
    {
      "arm64": 2283,
      "models": 2440,
      "none": 0,
      "riscv64": 2283,
      "words": 13,
      "x86-64": 62,
    }
  `);
});
