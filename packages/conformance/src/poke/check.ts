// All histories of updates up to a length, each searched in full: the first violation of the shortest history, or none.
import { type Found, type ScheduleStep, type Search, search } from "./explore.ts";
import type { Callee, Trace } from "./trace.ts";

/** What a check takes. */
export interface CheckOptions {
  /** Longest history. */
  readonly length: number;
  readonly readers: number;
  /** Runs of each reader; 2 unless told. */
  readonly passes?: number;
}

/** What came of it. */
export interface Checked {
  readonly histories: number;
  readonly states: number;
  readonly violation: Violation | undefined;
}

/** The shortest way to something that must not happen. */
export interface Violation {
  readonly history: readonly Callee[];
  readonly what: string;
  readonly schedule: readonly ScheduleStep[];
}

const CALLEES: readonly Callee[] = ["none", "f", "g"];

/** All sequences of `length` values for the slot. */
export function* historiesOf(length: number): Iterable<readonly Callee[]> {
  for (let number = 0; number < CALLEES.length ** length; number++)
    yield Array.from(
      { length },
      (_, i) => CALLEES[Math.floor(number / CALLEES.length ** (length - 1 - i)) % CALLEES.length]!,
    );
}

/**
 * Searches every history of 1 to `length` updates, shorter ones first. Stops at the first violation.
 *
 * @param searchOf - what to search for a history, its readers and passes left out
 */
export function checkHistories(
  { length, readers, passes = 2 }: CheckOptions,
  searchOf: (history: readonly Callee[], readers: number) => Omit<Search, "passes">,
): Checked {
  let histories = 0;
  let states = 0;
  for (let n = 1; n <= length; n++) {
    for (const history of historiesOf(n)) {
      const found: Found = search({ ...searchOf(history, readers), passes });
      histories++;
      states += found.states;
      if (found.violation !== undefined) return { histories, states, violation: { history, ...found.violation } };
    }
  }
  return { histories, states, violation: undefined };
}

/** A schedule as text, one column a reader and one for the updater. */
export function formatSchedule({ schedule }: Violation, readers: number): string {
  const heads = ["updater", ...Array.from({ length: readers }, (_, i) => `cpu ${i}`)];
  const rows = schedule.map(({ who, what }) => heads.map((_, column) => (column === who + 1 ? what : "")));
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(heads), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n");
}

/** A schedule as a word: who moves, and which of its moves where there are several. `u` is the updater. */
export function scheduleWord(schedule: readonly ScheduleStep[]): string {
  return schedule.map(({ who, choice }) => (who < 0 ? "u" : `${who}${choice === 0 ? "" : `:${choice}`}`)).join(" ");
}

/** The steps of a history. */
export type { Trace };
