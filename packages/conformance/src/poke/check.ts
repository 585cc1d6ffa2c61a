// All histories of updates up to a length, each searched in full: the first violation of the shortest history, or none.
import { type Found, type ScheduleStep, type Search, search } from "./explore.ts";
import { scheduleTable } from "./replay.ts";
import type { Callee } from "./trace.ts";

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
  /** Bytes of the largest search's tables. */
  readonly bytes: number;
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
 * @param progress - told the share of histories that are done
 */
export function checkHistories(
  { length, readers, passes = 2 }: CheckOptions,
  searchOf: (history: readonly Callee[], readers: number) => Omit<Search, "passes">,
  progress?: (share: number) => void,
): Checked {
  let [histories, states, bytes] = [0, 0, 0];
  let all = 0;
  for (let n = 1; n <= length; n++) all += CALLEES.length ** n;
  for (let n = 1; n <= length; n++) {
    for (const history of historiesOf(n)) {
      const found: Found = search({ ...searchOf(history, readers), passes });
      histories++;
      states += found.states;
      bytes = Math.max(bytes, found.bytes);
      if (found.violation !== undefined)
        return { histories, states, bytes, violation: { history, ...found.violation } };
      progress?.(histories / all);
    }
  }
  return { histories, states, bytes, violation: undefined };
}

/** A schedule as text, one column a reader and one for the updater. */
export function formatSchedule({ schedule }: Violation, readers: number): string {
  return scheduleTable(
    schedule.map(({ who, what }) => ({ who, text: what })),
    readers,
  );
}
