// The code in the documentation compiles as it stands there, and does what the text says.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ConformanceReport, passed } from "@bpfkit/conformance";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const PAGES = ["adding-a-backend.md", "adding-an-instruction.md", "verifier.md"];
/** Inside this package, so that imports of others are found. */
let folder = "";

/** Code blocks by file name: "```ts demo/cpu.ts". A block without a name would not be checked, so there may be none. */
function blocksOf(page: string): readonly (readonly [file: string, code: string])[] {
  const text = readFileSync(join(root, "docs", page), "utf8");
  return [...text.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language, file, code]) => {
    expect(language, page).toBe("ts");
    expect(file, `${page}: ${code!.slice(0, 60)}`).toMatch(/^[\w-]+\/[\w.-]+\.ts$/);
    return [file!, code!];
  });
}

const load = (file: string): Promise<Record<string, unknown>> => import(pathToFileURL(join(folder, file)).href);

beforeAll(() => {
  const home = join(root, "tools", "cross-arch", ".reports");
  mkdirSync(home, { recursive: true });
  folder = mkdtempSync(join(home, "docs-"));
  for (const [file, code] of PAGES.flatMap(blocksOf)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), code);
  }
  const config = {
    extends: join(root, "tsconfig.base.json"),
    compilerOptions: {
      noEmit: true,
      isolatedDeclarations: false,
      declaration: false,
      declarationMap: false,
      types: ["node"],
    },
    include: ["**/*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the code in the documentation compiles", { timeout: 120_000 }, () => {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test("the backend of the documentation passes the cases that it compiles", { timeout: 120_000 }, async () => {
  const { judge } = (await load("demo/judge.ts")) as { judge: () => ConformanceReport };
  const report = judge();
  expect(report.failures).toEqual([]);
  expect(passed(report)).toBe(true);
  expect(report.groups.base64!.cases).toBeGreaterThan(50);
});

test("the instruction of the documentation is what the text says", { timeout: 60_000 }, async () => {
  const { row, roundTrip } = (await load("insn/row.ts")) as { row: { off: number }; roundTrip: () => string };
  expect([row.off, roundTrip()]).toEqual([16, "r1 = (s16)r2"]);
  const { run } = (await load("insn/case.ts")) as { run: () => unknown[] };
  expect(run()).toEqual([undefined, undefined]);
  const { text } = (await load("insn/machine.ts")) as { text: string[] };
  expect(text).toEqual(["movsx rax, ax"]);
});

test("the programs of the verifier's page get the verdicts that the text says", { timeout: 60_000 }, async () => {
  const { reason, at, log, result } = await load("verifier/verdict.ts");
  const page = readFileSync(join(root, "docs", "verifier.md"), "utf8");
  const said = /`reason` is `(.*)`, `at` is (\d+), and `result` is (\d+)\./.exec(page)!;
  expect(said.slice(1)).toEqual([reason, `${at}`, `${result}`]);
  expect(log).toContain(reason);
});

test("a kernel's types decide as the verifier's page says", { timeout: 60_000 }, async () => {
  const { inside, behind } = await load("verifier/types.ts");
  const page = readFileSync(join(root, "docs", "verifier.md"), "utf8");
  const said = /`inside` is `(.*)`, and `behind` is `(.*)`\./.exec(page)!;
  expect(said.slice(1)).toEqual([inside, behind]);
});

test("a rejection explains itself as the verifier's page says", { timeout: 60_000 }, async () => {
  const { fact, requirement, steps, last, report, pointer, about } = await load("verifier/explain.ts");
  const page = readFileSync(join(root, "docs", "verifier.md"), "utf8").replaceAll(/\s+/g, " ");
  expect(page).toContain(`\`fact\` is \`${fact}\`, and \`requirement\` is \`${requirement}\``);
  expect(page).toContain(`\`steps\` is \`${(steps as number[]).join(", ")}\``);
  expect(page).toContain(`The last step says \`${last}\``);
  expect(page).toContain(`\`pointer\` is \`${pointer}\``);
  expect([about, (report as string[]).filter((line) => /^[A-Z][a-z ]+:$/.test(line))]).toEqual([
    "R2",
    ["Reason:", "At:", "Causal path:", "Suggestion:"],
  ]);
});
