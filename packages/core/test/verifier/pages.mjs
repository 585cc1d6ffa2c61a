// Reads the pages of docs/verifier-messages. A page is its title, what the kernels print, what it means, a program that is rejected with it and the
// program that is accepted; the form stands in cases/README.md.
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { KERNELS } from "./cases.mjs";

const FOLDER = new URL("../../../../docs/verifier-messages/", import.meta.url);

/** All pages, in the order of their names. */
export function readPages() {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".md") && file !== "README.md")
    .map((file) => file.slice(0, -".md".length))
    .sort()
    .map((id) => readPage(id, readFileSync(new URL(`${id}.md`, FOLDER), "utf8")));
}

/** @throws {Error} for a page that has not the form */
export function readPage(id, text) {
  const fail = (what) => {
    throw new Error(`docs/verifier-messages/${id}.md: ${what}`);
  };
  const [, front = "", body] = /^(?:---\n([\s\S]*?)---\n+)?([\s\S]*)$/.exec(text);
  const { maps = {}, asked = true, pending = [], only, ...options } = parse(front) ?? {};
  const title = /^# (.+)\n/.exec(body)?.[1] ?? fail("no title");
  const blocks = Array.from(body.matchAll(/^```(\w+)(.*)\n([\s\S]*?)^```$/gm), ([, language, info, content]) => ({
    language,
    info: Object.fromEntries(Array.from(info.matchAll(/([\w.-]+)=(\S+)/g), ([, key, value]) => [key, parse(value)])),
    content,
  }));
  const logs = blocks.filter(({ language }) => language === "log");
  const programs = blocks.filter(({ language }) => language === "asm");
  if (programs.length !== 2) fail(`${programs.length} programs instead of a rejected and an accepted one`);
  const messages = Object.fromEntries(
    KERNELS.filter((kernel) => only === undefined || only === kernel).map((kernel) => {
      const log =
        logs.find(({ info }) => `${info.linux}` === kernel) ?? logs.find(({ info }) => info.linux === undefined);
      return [kernel, (log ?? fail(`no message of Linux ${kernel}`)).content.trimEnd()];
    }),
  );
  const meaning = body.slice(body.lastIndexOf("```", body.indexOf("```asm") - 1));
  const paragraph = /\n\n([^#`\n][\s\S]*?)\n\n/.exec(meaning)?.[1] ?? fail("no meaning");
  const [rejected, accepted] = programs.map(({ info, content }, index) => ({
    name: `${id}: ${index === 0 ? "rejected" : "accepted"}`,
    ...options,
    ...info,
    asm: content,
  }));
  return { id, title, meaning: paragraph.replaceAll("\n", " "), messages, maps, asked, pending, rejected, accepted };
}

/** The case file that the pages are, as data: what kernels say about them is kept elsewhere. */
export function casesOf(pages) {
  const maps = {};
  for (const page of pages) {
    for (const [name, map] of Object.entries(page.maps)) {
      if (name in maps && JSON.stringify(maps[name]) !== JSON.stringify(map))
        throw new Error(`${page.id}: another page has another map ${name}`);
      maps[name] = map;
    }
  }
  const asked = pages.filter((page) => page.asked);
  return { subject: "messages", maps, cases: asked.flatMap(({ rejected, accepted }) => [rejected, accepted]) };
}
