// What is made from the pages of the messages: their index, and their programs as cases that kernels are asked about. `npm run golden` rewrites both.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Document, parse } from "yaml";
import { MESSAGE_KINDS } from "../src/index.ts";
import { type Answers, casesOf, type PageProgram, readPages } from "./verifier/pages.mjs";

const CASES = new URL("verifier/cases/messages.yaml", import.meta.url);

const HEAD = `# What the verifier says, and what helps

One page for each kind of message: the words of Linux 7.2 and 6.12, what they mean, a small program that is rejected with them, why, and a
program that is accepted. \`bpfkit explain LOG\` finds the page for a kernel's log. The programs are tests; both kernels were asked about them.
This list is made from the catalogue in \`core/src/verifier/messages/\`.
`;

test("the index lists every kind by its class", async () => {
  const classes = [...new Set(MESSAGE_KINDS.map((kind) => kind.class))];
  const parts = classes.map((name) => {
    const kinds = MESSAGE_KINDS.filter((kind) => kind.class === name);
    return `\n## ${name}\n\n${kinds.map(({ id, title }) => `- [${title}](${id}.md)\n`).join("")}`;
  });
  await expect(`${HEAD}${parts.join("")}`).toMatchFileSnapshot("../../../docs/verifier-messages/README.md");
});

test("the programs of the pages are cases, with the answers that kernels gave", async () => {
  const { cases, ...file } = casesOf(readPages());
  const known = answersOf(readFileSync(CASES, "utf8"));
  const answered = cases.map((entry) => ({ ...entry, ...known(entry) }));
  const text = new Document({ ...file, cases: answered }, { aliasDuplicateObjects: false });
  for (let i = 0; i < cases.length; i++) {
    for (const kernel of ["6.12", "7.2"]) {
      const node = text.getIn(["cases", i, `linux-${kernel}`]) as { flow?: boolean } | undefined;
      if (node !== undefined) node.flow = true;
    }
  }
  await expect(text.toString({ lineWidth: 0 })).toMatchFileSnapshot("verifier/cases/messages.yaml");
});

/** The answers to a program, for as long as the program is the one that was asked about. */
function answersOf(text: string): (entry: PageProgram) => Answers {
  const { cases } = parse(text) as { cases: (PageProgram & Answers)[] };
  return (entry) => {
    const { "linux-6.12": older, "linux-7.2": newer, ...asked } = cases.find(({ name }) => name === entry.name) ?? {};
    if (JSON.stringify(asked) !== JSON.stringify(entry) || older === undefined || newer === undefined) return {};
    return { "linux-6.12": older, "linux-7.2": newer };
  };
}
