// What the verifier said to a program, in words: the verdict, the reason, and the place that it is about.
import { type Program, printInsn, type Rejected, type Verified } from "@bpfkit/core";
import { type SourceLine, sourceLineOf } from "./lines.ts";
import { EXIT, type Style } from "./output.ts";

export type Verdict = "accepted" | "rejected" | "undecided";

/** What a command ends with. */
export const VERDICT_EXIT: Readonly<Record<Verdict, number>> = {
  accepted: EXIT.OK,
  rejected: EXIT.NEGATIVE,
  undecided: EXIT.LIMIT,
};
export const COLOURS: Readonly<Record<Verdict, "green" | "red" | "yellow">> = {
  accepted: "green",
  rejected: "red",
  undecided: "yellow",
};

/** The instruction that a rejection is about. */
export interface Place {
  readonly insn: number;
  readonly text: string;
  readonly source?: SourceLine;
}

/** Undecided is what a budget ended. */
export function verdictOf(result: Verified | Rejected): Verdict {
  if (result.ok) return "accepted";
  return result.budget === undefined ? "rejected" : "undecided";
}

/** Where a rejected program is wrong; undefined where that is no instruction. */
export function placeOf(program: Program, result: Verified | Rejected): Place | undefined {
  if (result.ok || result.insn === undefined || result.insn >= program.insns.length) return undefined;
  const { insn } = result;
  const source = sourceLineOf(program, insn);
  const text = printInsn(program.insns, insn, { dialect: "kernel", program });
  return { insn, text, ...(source === undefined ? {} : { source }) };
}

/** The verdict in a line, and, where it is no good one, the reason and the place in lines of their own. */
export function verdictLines(program: Program, result: Verified | Rejected, style?: Style): string[] {
  const verdict = verdictOf(result);
  const by = verdict === "undecided" ? "with" : "by";
  const head = `${program.name} (${program.type}): ${verdict} ${by} the rules of Linux ${result.kernel}`;
  const lines = [style === undefined ? head : style.bold(style[COLOURS[verdict]](head))];
  if (result.ok) return lines;
  const place = placeOf(program, result);
  lines.push(`  ${result.reason}${result.budget === undefined ? ` (error ${result.errno})` : ""}`);
  if (place !== undefined) lines.push(`  at ${place.insn}: ${place.text}`);
  if (place?.source === undefined) return lines;
  const { file, line, text } = place.source;
  const source = `  ; ${text} @ ${file}:${line}`;
  lines.push(style === undefined ? source : style.dim(source));
  return lines;
}
