// Rejections in the Static Analysis Results Interchange Format, SARIF 2.1.0 (OASIS Standard, 2020): one run, a rule for each kind of message that occurs.
import {
  type CausalStep,
  type Explanation,
  MESSAGE_KINDS,
  type MessageKind,
  type Place,
  type Program,
  type Rejected,
} from "@bpfkit/core";
import { MEANINGS } from "./message-meanings.ts";
import { verdictOf } from "./verdict.ts";
import { version } from "./version.ts";

const SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json";

export interface RejectedProgram {
  /** The object or text that it comes from. */
  readonly file: string;
  readonly program: Program;
  readonly result: Rejected;
}

/**
 * A SARIF log (section 3.13) of what was rejected; without results where nothing was.
 *
 * @param pages - where the pages of the messages are served, for `helpUri`; left out, rules have their help as text only
 */
export function sarifLog(rejected: readonly RejectedProgram[], pages?: string): unknown {
  const ids = [...new Set(rejected.map(({ result }) => result.explanation.kind))].sort();
  return {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "bpfkit", version: version(), rules: ids.map((id) => ruleOf(id, pages)) } },
        columnKind: "unicodeCodePoints",
        results: rejected.map((one) => resultOf(one, ids)),
      },
    ],
  };
}

/** A reporting descriptor (section 3.49). */
function ruleOf(id: string, pages: string | undefined): unknown {
  const kind: MessageKind | undefined = MESSAGE_KINDS.find((one) => one.id === id);
  if (kind === undefined) return { id, shortDescription: { text: "A message that is not in the catalogue" } };
  const meaning = MEANINGS[id] ?? kind.title;
  return {
    id,
    shortDescription: { text: `${kind.title}.` },
    fullDescription: { text: meaning.replaceAll("`", "") },
    help: {
      text: `${meaning.replaceAll("`", "")}\n\n${kind.suggestion}`,
      markdown: `${meaning}\n\n${kind.suggestion}`,
    },
    ...(pages === undefined ? {} : { helpUri: `${pages.replace(/\/$/, "")}/${id}.md` }),
    defaultConfiguration: { level: "error" },
    properties: { tags: [kind.class] },
  };
}

/** A result (section 3.27). A program that a budget left undecided is `open`. */
function resultOf({ file, program, result }: RejectedProgram, ids: readonly string[]): unknown {
  const { explanation, reason, errno, kernel } = result;
  const { kind, at, path, suggestion } = explanation;
  const undecided = verdictOf(result) === "undecided";
  return {
    ruleId: kind,
    ruleIndex: ids.indexOf(kind),
    ...(undecided ? { kind: "open", level: "none" } : { kind: "fail", level: "error" }),
    message: { text: `${program.name}: ${reason}. ${suggestion}`.trimEnd() },
    locations: [locationOf(file, program, at)],
    ...(path.length === 0 ? {} : { codeFlows: [codeFlow(file, program, explanation)] }),
    partialFingerprints: { "programReason/v1": `${program.name}:${kernel}:${kind}:${at?.insn ?? ""}` },
    properties: { kernel, errno, reason, program: program.name, type: program.type },
  };
}

/** A location (section 3.28): of the source where the program has lines, else of the file; and of the program with the instruction. */
function locationOf(file: string, program: Program, at: Place | undefined, text?: string): object {
  const source = at?.source;
  const function_ = at?.subprog === undefined || at.subprog === "" ? program.name : at.subprog;
  const logical = {
    name: function_,
    fullyQualifiedName: at === undefined ? program.name : `${program.name}/${function_}+${at.insn}`,
    kind: "function",
  };
  return {
    physicalLocation: {
      artifactLocation: { uri: uriOf(source === undefined ? file : source.file) },
      ...(source === undefined ? {} : { region: regionOf(source) }),
    },
    logicalLocations: [logical],
    ...(text === undefined ? {} : { message: { text } }),
  };
}

function regionOf({ line, column, text }: NonNullable<Place["source"]>): object {
  return {
    startLine: line,
    ...(column > 0 ? { startColumn: column } : {}),
    ...(text === "" ? {} : { snippet: { text } }),
  };
}

/** The steps that led there, and the instruction that was rejected, as one thread of one flow (sections 3.36 to 3.38). */
function codeFlow(file: string, program: Program, { path, at, reason }: Explanation): object {
  const steps = path.map((step) => ({
    location: locationOf(file, program, step, stepText(step)),
    executionOrder: step.step,
    nestingLevel: step.frame,
    importance: step.role === "control" ? "unimportant" : "important",
  }));
  const end =
    at === undefined
      ? []
      : [{ location: locationOf(file, program, at, `${at.text}: ${reason}`), importance: "essential" }];
  return { threadFlows: [{ locations: [...steps, ...end] }] };
}

function stepText({ text, what, value, after }: CausalStep): string {
  return `${text}: ${what}${after === undefined ? "" : ` (${value} = ${after})`}`;
}

/** A path as a URI reference (RFC 3986): relative as it is, absolute as a file's. */
function uriOf(path: string): string {
  const slashed = path.replaceAll("\\", "/").replace(/^(\.\/)+/, "");
  const encoded = slashed.split("/").map(encodeURIComponent).join("/");
  if (slashed.startsWith("/")) return `file://${encoded}`;
  return /^[A-Za-z]:\//.test(slashed) ? `file:///${encoded.replace("%3A", ":")}` : encoded;
}
