// The picture of a split in docs/multi-attach.md, drawn anew.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const { PICTURE, draw } = await import("../../bench/multi-split.mjs" as string);

test("A-4 partial overlap: the picture shows the classes that plans lead to", () => {
  expect(draw()).toBe(readFileSync(PICTURE, "utf8"));
});
