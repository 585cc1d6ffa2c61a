// Schedules as strings from which they can be played again, move by move and instruction by instruction.
import { BpfError } from "@bpfkit/core";
import { type ScheduleStep, stepOf } from "./explore.ts";
import type { ExecutedLine, Granularity } from "./machine-reader.ts";
import { POKE_RULES } from "./mutants.ts";
import { Rules, UPDATER } from "./rules.ts";
import type { MachineScenario } from "./scene.ts";
import type { Callee } from "./trace.ts";

/** One move, not in words. */
export type PlannedMove = Pick<ScheduleStep, "who" | "choice">;

/** Everything that decides what happens. */
export interface Replay {
  readonly arch: string;
  /** Name of a protocol or mutant. */
  readonly rules: string;
  readonly granularity: Granularity;
  readonly history: readonly Callee[];
  readonly schedule: readonly PlannedMove[];
}

/** A move that was played, with the instructions that it executed. */
export interface PlayedMove extends ScheduleStep {
  readonly lines: readonly ExecutedLine[];
}

/** What came of a replay. */
export interface Played {
  readonly moves: readonly PlayedMove[];
  /** What went wrong in the end; undefined where nothing did. */
  readonly what: string | undefined;
}

const FORM = "ARCH/PROTOCOL/GRANULARITY/HISTORY/SCHEDULE, as in x86-64/bypass-first/site/f/u2.0.0.0:1.0.0";
const GRANULARITIES: readonly string[] = ["site", "instruction"] satisfies readonly Granularity[];
const CALLEES: readonly string[] = ["none", "f", "g"] satisfies readonly Callee[];
/** Most runs of a reader in a replay. */
const MOST_PASSES = 9;

/** `u3.0.1:2`: the updater three times, reader 0, and reader 1 by the third of its moves. */
export function scheduleWord(schedule: readonly PlannedMove[]): string {
  const words: string[] = [];
  for (let i = 0; i < schedule.length; i++) {
    const { who, choice } = schedule[i]!;
    if (who !== UPDATER) words.push(`${who}${choice === 0 ? "" : `:${choice}`}`);
    else {
      const first = i;
      while (schedule[i + 1]?.who === UPDATER) i++;
      words.push(i === first ? "u" : `u${i - first + 1}`);
    }
  }
  return words.join(".");
}

/** The string that {@link parseReplay} reads. */
export function formatReplay({ arch, rules, granularity, history, schedule }: Replay): string {
  return [arch, rules, granularity, history.join(), scheduleWord(schedule)].join("/");
}

/** @throws {BpfError} `syntax` that names the part that is wrong; which architectures there are the caller has to know */
export function parseReplay(text: string): Replay {
  const parts = text.trim().split("/");
  if (parts.length !== 5) throw new BpfError("syntax", `a replay string of ${parts.length} parts`, { expected: FORM });
  const [arch, rules, granularity, historyText, word] = parts as [string, string, string, string, string];
  oneOf("protocol or mutant", rules, [...POKE_RULES.keys()]);
  oneOf("granularity", granularity, GRANULARITIES);
  const history = historyText.split(",");
  for (const callee of history) oneOf("value in the history", callee, CALLEES);
  const schedule = word.split(".").flatMap((token, i) => {
    const [, times, who, choice = "0"] = /^(?:u(\d{0,4})|(\d)(?::(\d{1,4}))?)$/.exec(token) ?? [];
    if (times === undefined && who === undefined) {
      const expected = "u or u3 for the updater, or the number of a reader, as 0 or 0:2";
      throw new BpfError("syntax", `'${token}', part ${i + 1} of the schedule`, { expected });
    }
    if (who !== undefined) return [{ who: Number(who), choice: Number(choice) }];
    return Array.from({ length: times === "" ? 1 : Number(times) }, () => ({ who: UPDATER, choice: 0 }));
  });
  return { arch, rules, granularity: granularity as Granularity, history: history as Callee[], schedule };
}

function oneOf(what: string, word: string, words: readonly string[]): void {
  if (!words.includes(word)) throw new BpfError("syntax", `${what} '${word}'`, { expected: words.join(", ") });
}

/** How many readers a schedule has, and how many runs of one it can need. */
export function sizeOf(schedule: readonly PlannedMove[]): { readonly readers: number; readonly passes: number } {
  const moves = new Map<number, number>();
  for (const { who } of schedule) if (who !== UPDATER) moves.set(who, (moves.get(who) ?? 0) + 1);
  return {
    readers: Math.max(0, ...moves.keys()) + 1,
    passes: Math.min(MOST_PASSES, Math.max(1, ...moves.values())),
  };
}

/**
 * Plays a schedule.
 *
 * @throws {BpfError} `argument` for a move that cannot be made, with its number
 */
export function play(
  scenario: MachineScenario & { readonly passes: number },
  schedule: readonly PlannedMove[],
): Played {
  const rules = new Rules(scenario);
  const moves: PlayedMove[] = [];
  let state = rules.initial;
  for (const [i, { who, choice }] of schedule.entries()) {
    const name = who === UPDATER ? "the updater" : `reader ${who}`;
    const found = rules.successors(state);
    const wanted = rules.move(who, choice);
    const at = rules.moves.subarray(0, found).indexOf(wanted);
    if (at < 0) {
      const ways = rules.moves.subarray(0, found).filter((move) => rules.who(move) === who).length;
      throw new BpfError("argument", `move ${i + 1} of the schedule: ${name}, its move ${choice}`, {
        expected: ways === 0 ? "another: it cannot go on now" : `a number below ${ways}`,
      });
    }
    const next = rules.states[at]!;
    const end = rules.ends[at];
    const place = who === UPDATER ? undefined : rules.place(state, who);
    const lines = place === undefined ? [] : scenario.readers[who]!.trail(place, rules.count(state), choice);
    moves.push({ ...stepOf(scenario, rules, state, wanted), lines });
    if (next < 0) {
      if (i + 1 < schedule.length)
        throw new BpfError("argument", `${schedule.length - i - 1} moves behind the violation`, { expected: "none" });
      return { moves, what: `${who === UPDATER ? "the updater" : `cpu ${who}`} ${end}` };
    }
    state = next;
  }
  const isStuck = rules.successors(state) === 0 && rules.count(state) < scenario.trace.steps.length;
  return { moves, what: isStuck ? "nobody can go on" : undefined };
}

/** What was played as a table: a column for the updater and one for each reader, a row for each step and each executed instruction. */
export function formatPlayed({ moves }: Played, readers: number, nameOf: (address: bigint) => string): string {
  const rows = moves.flatMap(({ who, what, lines }) => {
    const texts =
      lines.length === 0 ? [what] : lines.map(({ pc, text }) => `${pc.toString(16)} ${nameOf(pc)}: ${text}`);
    return texts.map((text) => ({ who, text }));
  });
  return scheduleTable(rows, readers);
}

/** Rows with one text each, in the column of whoever it belongs to. */
export function scheduleTable(
  texts: readonly { readonly who: number; readonly text: string }[],
  readers: number,
): string {
  const heads = ["updater", ...Array.from({ length: readers }, (_, i) => `cpu ${i}`)];
  const rows = texts.map(({ who, text }) => heads.map((_, column) => (column === who + 1 ? text : "")));
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(heads), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n");
}
