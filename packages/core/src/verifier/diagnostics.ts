// Explanations as text, in the form that Linux 7.3 prints. Headings and layout follow what is publicly quoted of it; the sentences are ours.
import type { CausalStep, Explanation, Place } from "./explanation.ts";
import type { MessageClass } from "./messages/kind.ts";

/** The first half of the headline. That of `uninitialised` is the kernel's; the others are named after it. */
const CLASSES: Readonly<Record<MessageClass, string>> = {
  structure: "Program Structure",
  uninitialised: "Register Type Safety",
  null: "Register Type Safety",
  pointer: "Register Type Safety",
  memory: "Memory Safety",
  packet: "Memory Safety",
  stack: "Memory Safety",
  context: "Memory Safety",
  call: "Call Safety",
  map: "Call Safety",
  reference: "Resource Lifetime",
  lock: "Resource Lifetime",
  return: "Return Value",
  loop: "Program Termination",
  limit: "Program Complexity",
  program: "Program Load",
};
/** The second half, where the kernel's is known. */
const SHORT: Readonly<Record<string, string>> = { "uninitialised-register": "Unreadable register" };

/** What stands for a path without a step. */
const NO_STEPS = "  no retained diagnostic events on this path";
/** What stands under a line of source, and before the bar of what belongs to it. */
const MARGIN = 8;

/**
 * An explanation as the lines of a report: `Verification failed: …`, then `Reason:`, `At:`, `Causal path:` and `Suggestion:`, with empty
 * lines between them.
 *
 * @example
 * ```ts
 * import { assemble, formatExplanation, verify } from "@bpfkit/core";
 * const result = verify(assemble("exit", { type: "socket_filter" }));
 * if (!result.ok) console.log(formatExplanation(result.explanation)[0]); // Verification failed: Register Type Safety: Unreadable register
 * ```
 */
export function formatExplanation(explanation: Explanation): string[] {
  const { kind, short, reason, at, path, suggestion } = explanation;
  const headline = CLASSES[explanation.class as MessageClass] ?? "Verifier";
  const lines = [
    `Verification failed: ${headline}: ${SHORT[kind] ?? short}`,
    "",
    "Reason:",
    ...reasonLines(explanation),
  ];
  if (at !== undefined) lines.push("", "At:", ...placeLines(at, `^-- error: ${reason}`), ...contextLines(explanation));
  if (at !== undefined || path.length > 0) lines.push("", "Causal path:", ...pathLines(explanation));
  if (suggestion !== "") lines.push("", "Suggestion:", `  ${suggestion}`);
  return lines;
}

function sentence(text: string): string {
  return `  ${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function reasonLines({ reason, fact, requirement }: Explanation): string[] {
  const lines = [...(fact === undefined ? [] : [sentence(fact)])];
  if (requirement !== undefined) lines.push(sentence(`needed: ${requirement}`));
  return lines.length === 0 ? [sentence(reason)] : lines;
}

const withBar = (left: string, text: string): string => `${left.padStart(MARGIN - 1)} | ${text}`.trimEnd();

/** The instruction, its source line where there is one, and a remark under it. */
function placeLines({ insn, source }: Place, remark: string, text: string = ""): string[] {
  if (source === undefined) return [`  insn ${insn}${text}`, withBar("", remark)];
  return [
    `  insn ${insn}${text} (${source.file}:${source.line})`,
    ...(source.text === "" ? [] : [withBar(String(source.line), source.text.trimStart())]),
    withBar("", remark),
  ];
}

function contextLines({ at, context }: Explanation): string[] {
  const width = Math.max(...context.map(({ insn }) => String(insn).length));
  return [
    "  Instruction context:",
    ...context.map(
      ({ insn, text }) => `  ${insn === at?.insn ? ">>>" : "   "} ${String(insn).padStart(width)} | ${text}`,
    ),
  ];
}

function pathLines({ path }: Explanation): string[] {
  // What a program begins with is no event.
  const events = path.filter(({ role }) => role !== "entry");
  return events.length === 0 ? [NO_STEPS] : events.flatMap(stepLines);
}

function stepLines(step: CausalStep): string[] {
  const { what, value, before, after, repeats, omitted } = step;
  const change = before === undefined || after === undefined || before === after ? undefined : `${before} -> ${after}`;
  return [
    ...(omitted === undefined ? [] : [`  ... ${omitted} more`]),
    ...placeLines(step, what, `: ${step.text}`),
    ...(change === undefined ? [] : [withBar("", `${value}: ${change}`)]),
    ...(repeats === undefined ? [] : [withBar("", `and ${repeats} more times`)]),
  ];
}
