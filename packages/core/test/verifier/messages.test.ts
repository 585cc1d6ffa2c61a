// The catalogue of messages: it knows the words of kernels and of this verifier, and each kind has a page whose programs show it.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { MESSAGE_KINDS, messageKind, verify } from "../../src/index.ts";
import { answerHere, type Verify } from "./agreement.mjs";
import { type Case, KERNELS, readCases } from "./cases.mjs";
import { type PageProgram, readPages } from "./pages.mjs";

const CASES = new URL("cases/", import.meta.url);
const SOURCES = new URL("../../src/verifier/", import.meta.url);

const PAGES = readPages();
const INSN = /^\d+: \(/;
/** A million instructions take a while: only where the environment asks for it. */
const isSlow = ({ id }: { readonly id: string }) => id === "too-many-insns" && process.env.BPFKIT_MILLION === undefined;
const kindsOf = (text: string) => MESSAGE_KINDS.filter(({ pattern }) => pattern.test(text)).map(({ id }) => id);

describe("kinds", () => {
  test("have names and titles of their own, and patterns of whole lines", () => {
    expect(new Set(MESSAGE_KINDS.map(({ id }) => id)).size).toBe(MESSAGE_KINDS.length);
    expect(new Set(MESSAGE_KINDS.map(({ title }) => title)).size).toBe(MESSAGE_KINDS.length);
    for (const { id, pattern } of MESSAGE_KINDS) {
      expect(pattern.source, id).toMatch(/^\^.+\$$/);
      expect(id).toMatch(/^[a-z0-9-]+$/);
    }
  });

  test("are told apart by the line above where the last line is the same", () => {
    const last = "R2 min value is outside of the allowed memory range";
    expect(messageKind(last)?.id).toBe("outside-memory");
    expect(messageKind(`invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)\n${last}`)?.id).toBe(
      "outside-packet",
    );
    expect(messageKind(`2: (71) r0 = *(u8 *)(r2 +0)\n${last}\n`)?.id).toBe("outside-memory");
    expect(messageKind("no kernel says this")).toBeUndefined();
  });

  test("one for every message that a kernel gave about a case", () => {
    const lines = new Set<string>();
    for (const file of readdirSync(CASES).filter((name) => name.endsWith(".yaml"))) {
      for (const [, log] of readFileSync(new URL(file, CASES), "utf8").matchAll(
        /, log: (.+?)(?:, processed: \d+)? \}$/gm,
      ))
        lines.add(log!.startsWith('"') ? JSON.parse(log!) : log!);
    }
    expect(lines.size).toBeGreaterThan(400);
    // Where a kernel does not have the type of program, it says nothing; and of some accesses nothing but the instruction.
    const unknown = [...lines].filter((line) => line !== "" && !INSN.test(line) && kindsOf(line).length !== 1);
    expect(unknown).toEqual([]);
  });

  test("one for every message that stands in the verifier's sources", () => {
    const texts = readdirSync(SOURCES)
      .filter((name) => name.endsWith(".ts"))
      .flatMap((name) => refusedTexts(readFileSync(new URL(name, SOURCES), "utf8")));
    expect(texts.length).toBeGreaterThan(90);
    expect(texts.filter((text) => messageKind(text) === undefined)).toEqual([]);
  });
});

describe("pages", () => {
  test("one for each kind, under its title", () => {
    expect(PAGES.map(({ id, title }) => ({ id, title }))).toEqual(
      MESSAGE_KINDS.map(({ id, title }) => ({ id, title })).sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
  });

  test.each(PAGES)("$id: the words are of this kind, and the kernels' own", ({ id, messages, asked, rejected }) => {
    const answers = asked ? answersTo(rejected.name) : undefined;
    for (const [kernel, words] of Object.entries(messages)) {
      expect(messageKind(words)?.id).toBe(id);
      if (answers !== undefined) expect(answers[kernel]?.log).toBe(words.split("\n").at(-1));
    }
    if (asked)
      for (const kernel of KERNELS)
        expect(answersTo(PAGES_BY_ID.get(id)!.accepted.name)[kernel]?.verdict).toBe("accept");
  });

  test.each(PAGES.filter((page) => !isSlow(page)))(
    "$id: one program is rejected with the words, the other one accepted",
    (page) => {
      for (const [kernel, words] of Object.entries(page.messages)) {
        if (page.pending.includes(kernel)) continue;
        const [rejected, accepted] = [page.rejected, page.accepted].map((program) =>
          answer(program, page.maps, kernel),
        );
        const lines = words.split("\n");
        const reason = lines.find((line) => line.startsWith("infinite loop")) ?? lines.at(-1);
        expect(rejected).toMatchObject({ ok: false, reason });
        if (rejected!.ok) throw new Error("narrowed above");
        for (const line of lines)
          if (!/ state:/.test(line)) expect(rejected!.log.map((text) => text.trimEnd())).toContain(line);
        expect(accepted).toMatchObject({ ok: true });
      }
    },
    600_000,
  );
});

const PAGES_BY_ID = new Map(PAGES.map((page) => [page.id, page]));

let answered: Map<string, Case["expected"]> | undefined;

/** What kernels said about a program of a page. */
function answersTo(name: string): Case["expected"] {
  answered ??= new Map(
    readCases(readFileSync(new URL("messages.yaml", CASES), "utf8")).map((entry) => [entry.name, entry.expected]),
  );
  return answered.get(name)!;
}

/** What this verifier says about a program of a page. */
function answer({ budget, ...program }: PageProgram, maps: unknown, kernel: string): ReturnType<typeof verify> {
  const [entry] = readCases(stringify({ subject: "pages", maps, cases: [program] }));
  let result: ReturnType<typeof verify> | undefined;
  const keep: Verify = (...given) => {
    result = verify(...given);
    return result;
  };
  const { trouble } = answerHere(keep, entry!, kernel, { brief: true, budget: { insns: Number(budget ?? 2_000_000) } });
  if (result === undefined) throw new Error(trouble);
  return result;
}

/** The texts in calls that end a verification, with a likely word for everything that is filled in. */
function refusedTexts(source: string): string[] {
  const texts: string[] = [];
  for (const { 0: call, index } of source.matchAll(/\b(?:refuse|deny|leak|Refusal)\(/g)) {
    let depth = 1;
    for (let at = index + call.length; at < source.length && depth > 0; ) {
      const c = source[at]!;
      if (c === '"' || c === "`") {
        const { text, end } = literalAt(source, at);
        if (depth === 1 && /[a-z] [a-z]/i.test(text) && !/^invalid access to /.test(text)) texts.push(text);
        at = end;
        continue;
      }
      if (c === "(") depth++;
      if (c === ")") depth--;
      at++;
    }
  }
  return texts;
}

/** A string or template, and where it ends. */
function literalAt(source: string, start: number): { readonly text: string; readonly end: number } {
  const quote = source[start];
  let text = "";
  let at = start + 1;
  while (source[at] !== quote) {
    if (quote === "`" && source.startsWith("${", at)) {
      const inner = expressionAt(source, at + 2);
      text += text.endsWith("invalid read from ")
        ? "stack R1"
        : WORDS.find(([expression]) => expression.test(inner.text))![1];
      at = inner.end;
    } else {
      if (source[at] === "\\") at++;
      text += source[at++];
    }
  }
  return { text, end: at + 1 };
}

/** What is filled in, up to its closing brace. */
function expressionAt(source: string, start: number): { readonly text: string; readonly end: number } {
  let at = start;
  while (source[at] !== "}") at = source[at] === '"' || source[at] === "`" ? literalAt(source, at).end : at + 1;
  return { text: source.slice(start, at), end: at + 1 };
}

/** By what the expression looks like. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^named\(/, "bpf_helper#1"],
  [/^(typeName|name$|wanted|given|structName|hashName)/, "ptr_task"],
  [/args#/, "args#0"],
  [/arg ?#/, "R1"],
  [/^label$|\? label/, "R1"],
  [/^(pair)$/, "R1, R2"],
  [/bitsText/, "(0x0; 0x7)"],
  [/^way$/, "write to"],
  [/^how$/, "invalid"],
  [/^where$/, "off=11"],
  [/^fixed \?/, ""],
  [/^what$/, "stores into"],
  [/KIND_NAMES/, "stack "],
  [/^signOf/, "+="],
  [/htab/, "bpf_htab"],
  [/"\+0"/, ""],
  [/DYNPTR_NAMES/, "ringbuf"],
  [/./, "11"],
];
