import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";

const ROOT = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), "utf8");

test("the program in the README is the one that is tested here", () => {
  const [, block] = /```ts\n(.*?)```/s.exec(read("README.md"))!;
  expect(block).toBe(read("packages/cli/test/readme-example.ts"));
});

test("the program in the README prints what the README says", async () => {
  const said = /prints `(\d+ \d+ equal)`/.exec(read("README.md"))![1];
  process.chdir(fileURLToPath(ROOT));
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import("./readme-example.ts");
  expect(log.mock.calls.map((words) => words.join(" "))).toEqual([said]);
  log.mockRestore();
});
