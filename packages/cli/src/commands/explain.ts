// `bpfkit explain`: what a message of a kernel's verifier means. It takes a log as a loader prints it, and needs neither program nor kernel.
import { MESSAGE_KINDS, type MessageKind, messageKind } from "@bpfkit/core";
import { type Command, UsageError } from "../arguments.ts";
import { MEANINGS } from "../message-meanings.ts";
import { EXIT, printJson, readInput, type Style } from "../output.ts";
import { wrap } from "../wrap.ts";

/** Explains a log. */
export const explain: Command = {
  name: "explain",
  operands: ["[LOG]"],
  summary: "say what the last message of a verifier's log means, and what usually helps",
  options: {
    text: { short: "t", value: "MESSAGE", help: "this message, in place of a log" },
    list: { help: "list the kinds of messages" },
  },
  examples: ["verifier.log", "- < verifier.log", '--text "R0 !read_ok"'],
  run({ io, style, arguments: args }) {
    const [file] = args.operands;
    const json = args.has("json") || args.has("pretty");
    if (args.has("list")) {
      if (json) printJson(io, MESSAGE_KINDS.map(summaryOf), args.has("pretty"));
      else io.out(MESSAGE_KINDS.map(({ id, title }) => `${id}: ${title}\n`).join(""));
      return EXIT.OK;
    }
    const text = args.text("text");
    if ((text === undefined) === (file === undefined))
      throw new UsageError("explain needs a LOG, or a message by --text");
    const log = text ?? new TextDecoder().decode(readInput(io, file!));
    const found = findMessage(log);
    if (found === undefined) {
      io.err(`bpfkit: ${file ?? "--text"}: no message that is in the catalogue\n`);
      return EXIT.NEGATIVE;
    }
    if (json) printJson(io, toJson(found), args.has("pretty"));
    else io.out(toText(found, style));
    return EXIT.OK;
  },
};

/** A message that was found in a log. */
export interface FoundMessage {
  readonly kind: MessageKind;
  readonly message: string;
  /** The instruction that the log names last before it. */
  readonly insn?: number;
  readonly text?: string;
  /** The line of source that the log names last before it, as it stands there. */
  readonly source?: string;
}

/** Lines of this many characters and more are no messages: dumps of states are. */
const LONGEST = 1000;

/** The last message of a log that is in the catalogue; undefined where there is none. */
export function findMessage(log: string): FoundMessage | undefined {
  const lines = log.split(/\r?\n/).map(bareLine);
  for (let i = lines.length - 1; i >= 0; i--) {
    if (lines[i]!.length >= LONGEST) continue;
    const found = messageOf(lines[i]!, lines[i - 1] ?? "");
    if (found === undefined) continue;
    const before = lines.slice(0, i + 1);
    const source = before.findLast((line) => SOURCE.test(line));
    const [, slot, text] =
      placeIn(before.findLast((line) => INSN.test(line))) ??
      placeIn(lines.slice(i).find((line) => MARKED.test(line))) ??
      [];
    return {
      ...found,
      ...(slot === undefined ? {} : { insn: Number(slot), text: text! }),
      ...(source === undefined ? {} : { source: source.slice(2) }),
    };
  }
  return undefined;
}

const INSN = /^(\d+): (\([0-9a-f]{2}\) .+?)(?:\s+; .*)?$/;
const SOURCE = /^; .* @ .+:\d+$/;
/** In a report of Linux 7.3, behind the message. */
const MARKED = /^>>> (\d+) \| (\([0-9a-f]{2}\) .+)$/;

function placeIn(line: string | undefined): RegExpExecArray | undefined {
  return line === undefined ? undefined : (INSN.exec(line) ?? MARKED.exec(line) ?? undefined);
}

/** Without the marks of the kernel's own log, and of the report of Linux 7.3. */
function bareLine(line: string): string {
  return line
    .replace(/^\[ *\d+\.\d+\] /, "")
    .replace(/^\s*\| \^-- error: /, "")
    .trim();
}

/** The message may stand behind the words of a loader: `load program: permission denied: R0 !read_ok (3 line(s) omitted)`. */
function messageOf(line: string, above: string): Pick<FoundMessage, "kind" | "message"> | undefined {
  let message = line.replace(/ \(\d+ line\(s\) omitted\)$/, "");
  while (message !== "") {
    const kind = messageKind(`${above}\n${message}`);
    if (kind !== undefined) return { kind, message };
    const colon = message.indexOf(": ");
    if (colon < 0) return undefined;
    message = message.slice(colon + 2);
  }
  return undefined;
}

const pageOf = ({ id }: MessageKind): string => `docs/verifier-messages/${id}.md`;

function summaryOf(kind: MessageKind): object {
  return { id: kind.id, class: kind.class, title: kind.title, suggestion: kind.suggestion, page: pageOf(kind) };
}

function toJson({ kind, message, insn, text, source }: FoundMessage): object {
  const at = insn === undefined ? undefined : { insn, text, source };
  const { id, ...rest } = summaryOf(kind) as { readonly id: string };
  return { message, kind: id, ...rest, meaning: MEANINGS[kind.id], at };
}

function toText({ kind, message, insn, text, source }: FoundMessage, style: Style): string {
  const lines = [style.bold(message)];
  if (insn !== undefined) lines.push(`  at ${insn}: ${text}`);
  if (source !== undefined) lines.push(style.dim(`  ; ${source}`));
  lines.push("", `${kind.title}.`, "", ...wrap(MEANINGS[kind.id] ?? ""), "", ...wrap(kind.suggestion, "What helps: "));
  lines.push("", style.dim(`${pageOf(kind)} has a program that is rejected with it, and one that is accepted`));
  return `${lines.join("\n")}\n`;
}
