// What `bpfkit verify` prints for people: tables of verdicts and statistics, states, and why paths went on.
import { formatExplanation, type Program, type PruneMiss, printInsn, type Rejected, type Verified } from "@bpfkit/core";
import { grouped, type Style, table } from "./output.ts";
import { chainText, stackChains } from "./stack-chains.ts";
import { COLOURS, type Verdict, verdictOf } from "./verdict.ts";

/** A program, and what the verifier said to it. */
export interface Checked {
  readonly program: Program & { readonly section?: string };
  readonly result: Verified | Rejected;
  readonly microseconds: number;
}

/** In veristat's words, which has none for a budget that is spent. */
const VERISTAT: Readonly<Record<Verdict, string>> = {
  accepted: "success",
  rejected: "failure",
  undecided: "undecided",
};
/** Chains of calls that are printed of a program. */
const CHAINS = 3;

/** By veristat's names; undefined where there is no value. */
export function statsOf({ program, result, microseconds }: Checked): Record<string, string | number | undefined> {
  const { totalInsns, totalStates, peakStates, maxStatesPerInsn, stackBytes } = result.stats;
  return {
    prog_name: program.name,
    verdict: VERISTAT[verdictOf(result)],
    duration: microseconds,
    total_insns: totalInsns,
    total_states: totalStates,
    peak_states: peakStates,
    max_states_per_insn: maxStatesPerInsn,
    prog_size: program.insns.length,
    // Known of programs that are accepted; veristat adds up the subprograms as well.
    stack_depth: result.ok ? stackBytes.reduce((sum, bytes) => sum + bytes, 0) : undefined,
    prog_type: program.type,
    attach_type: program.attachType,
  };
}

/** A table in veristat's columns, and the worst chains of calls where there are any. */
export function statsText(file: string, checked: readonly Checked[]): string {
  const name = file.replace(/^.*[\\/]/, "");
  const rows = checked.map((one) => ({ file_name: name, ...statsOf(one) }));
  const stacks = checked.flatMap(({ program, result }) =>
    stackChains(program, result.stats.stackBytes)
      .filter(({ frames }) => frames.length > 1)
      .slice(0, CHAINS)
      .map((chain) => `  ${program.name}: stack of ${chainText(chain)}\n`),
  );
  const columns = table(
    Object.keys(rows[0]!),
    rows.map((row) => Object.values(row).map((value) => value ?? "-")),
  );
  return `${columns}${stacks.length === 0 ? "" : `\n${stacks.join("")}`}`;
}

/** A row for each program, a column for each kernel. */
export function verdictTable(checked: readonly Checked[], kernels: readonly string[], style: Style): string {
  const programs = [...new Set(checked.map(({ program }) => program))];
  const rows = programs.map((program) => [
    program.name,
    program.type,
    ...kernels.map((kernel) =>
      verdictOf(checked.find((one) => one.program === program && one.result.kernel === kernel)!.result),
    ),
  ]);
  // Colours come last: they would count as columns.
  return table(["program", "type", ...kernels], rows).replaceAll(/\b(accepted|rejected|undecided)\b(?=\s)/g, (word) =>
    style[COLOURS[word as Verdict]](word),
  );
}

/** The explanation of a rejection as the report of Linux 7.3. */
export function explanationLines({ result }: Checked): string[] {
  return result.ok ? [] : ["", ...formatExplanation(result.explanation), ""];
}

/** Every instruction that was reached, with the states in which that was. */
export function stateLines({ program, result }: Checked, style: Style): string[] {
  const lines: string[] = [];
  for (let i = 0; i < program.insns.length; i += program.insns.width(i)) {
    const states = result.states.at(i);
    if (states.length === 0) continue;
    lines.push(insnText(program, i));
    for (const { text } of states) lines.push(style.dim(`    ${text.trim()}`));
    const more = result.states.omitted(i);
    if (more > 0) lines.push(style.dim(`    and ${grouped(more)} more`));
  }
  return lines;
}

/** Where states were compared in vain, and what differed; the instruction with the most of it first. */
export function notPrunedLines({ program, result }: Checked, style: Style): string[] {
  const { all } = result.notPruned;
  if (all.length === 0) return ["no state was compared in vain"];
  return all.flatMap(({ insn, misses, hits, causes }) => [
    `${insnText(program, insn)}: ${grouped(misses)} in vain, ${grouped(hits)} ended a path`,
    ...causes.map((cause) => style.dim(`    ${causeText(cause)}`)),
  ]);
}

function causeText({ place, count, stored, current, what }: PruneMiss): string {
  return `${grouped(count)} × ${place}: ${what} (stored ${stored}, now ${current})`;
}

function insnText(program: Program, insn: number): string {
  return `${insn}: ${printInsn(program.insns, insn, { dialect: "kernel", program })}`;
}
