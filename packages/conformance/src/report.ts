// What judging an engine gives, as data: counts by group, and for each failure all that is needed to look into it.
import type { Group } from "./group.ts";

/** Counts of one group. */
export interface GroupResult {
  readonly cases: number;
  readonly failed: number;
}

/** A case, or a generated program, that came out wrong. */
export interface ConformanceFailure {
  readonly name: string;
  readonly group: Group | "lockstep" | "call trees";
  /** What differs, in words: `r3`, `r0`, `memory at 120, r3 after trial 0`, `stop`, … */
  readonly what: string;
  readonly expected: string;
  readonly found: string;
  /** The case as text; `parseCase` reads it back. Of call trees, their steps and programs. */
  readonly text: string;
  /** Where both engines first differ, the program, and its machine code. */
  readonly listing: string;
}

/** What was compared in lockstep. */
export interface LockstepTotals {
  readonly programs: number;
  /** BPF instructions, and places where both engines were compared. */
  readonly instructions: number;
  readonly boundaries: number;
  readonly failed: number;
}

/** What was compared of call trees. */
export interface TreeTotals {
  readonly trees: number;
  /** Places where both engines were compared. */
  readonly boundaries: number;
  readonly failed: number;
}

/** The judgement of an engine. */
export interface ConformanceReport {
  readonly engine: string;
  readonly seed: number;
  readonly shard: { readonly index: number; readonly count: number };
  readonly groups: Readonly<Partial<Record<Group, GroupResult>>>;
  readonly lockstep: LockstepTotals;
  readonly callTrees: TreeTotals;
  /** The first ones, in the order of the corpus; the counts have all. */
  readonly failures: readonly ConformanceFailure[];
}

/** True when nothing failed. */
export function passed({ groups, lockstep, callTrees }: ConformanceReport): boolean {
  return lockstep.failed === 0 && callTrees.failed === 0 && Object.values(groups).every(({ failed }) => failed === 0);
}

/** A failure for people, several lines. */
export function formatFailure({ name, group, what, expected, found, listing }: ConformanceFailure): string {
  return [`${group}: ${name}`, `  ${what}: expected ${expected}, found ${found}`, "", indent(listing)].join("\n");
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${line}`))
    .join("\n");
}
