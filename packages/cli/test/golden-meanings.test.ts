// The first paragraph of each page of docs/verifier-messages, which the command prints; `npm run golden` rewrites the file.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const PAGES = new URL("../../../docs/verifier-messages/", import.meta.url);
const HEAD = `// What each message of the verifier means: the first paragraph of its page. Made from docs/verifier-messages by \`npm run golden\`.

/** By the id of the kind, as Markdown. */
export const MEANINGS: Readonly<Record<string, string>> = {
`;

test("the meanings are those of the pages", async () => {
  const ids = readdirSync(PAGES)
    .filter((file) => file.endsWith(".md") && file !== "README.md")
    .map((file) => file.slice(0, -".md".length))
    .sort();
  const rows = ids.map((id) => {
    const key = /^[a-z]+$/.test(id) ? id : JSON.stringify(id);
    const value = JSON.stringify(meaningOf(readFileSync(new URL(`${id}.md`, PAGES), "utf8")));
    const line = `  ${key}: ${value},`;
    // As the formatter leaves it.
    return line.length <= 120 ? line : `  ${key}:\n    ${value},`;
  });
  await expect(`${HEAD}${rows.join("\n")}\n};\n`).toMatchFileSnapshot("../src/message-meanings.ts");
});

/** What stands between the words of the kernels and the first program. */
function meaningOf(page: string): string {
  const before = page.slice(0, page.indexOf("\n```asm"));
  const paragraphs = before
    .slice(before.lastIndexOf("```") + 3)
    .trim()
    .split("\n\n");
  return paragraphs[0]!.replaceAll("\n", " ");
}
