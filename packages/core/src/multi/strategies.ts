// Three designs for many functions and few programs, and what each would have to do for the same plan.
import type { MultiPlan } from "./plan.ts";
import { type ClassKey, type MultiState, NO_CLASS } from "./state.ts";

/** What a plan makes a design do. */
export interface MultiNeeds {
  /** Trampolines to generate, and to give back when nobody is in them. */
  readonly images: number;
  readonly retired: number;
  /** Entries of functions to rewrite. */
  readonly pokes: number;
  /** Rows to write: programs and cookies of one function each. */
  readonly rows: number;
  /** Grace periods: one for all that is given back together. */
  readonly waits: number;
}

/** A way to lead many functions to programs. */
export interface MultiStrategy {
  readonly name: MultiStrategyName;
  /** What it has to do to get from the state a plan was made in to where it leads. O(moves + classes) */
  needs(state: MultiState, plan: MultiPlan): MultiNeeds;
  /** Trampolines in a state. O(classes) */
  images(state: MultiState): number;
}

export type MultiStrategyName = "shared" | "per-function" | "global";

/** All three. */
export const MULTI_STRATEGIES: Readonly<Record<MultiStrategyName, MultiStrategy>> = {
  /** One trampoline per class: functions of equal models that run the same programs in the same order (the proposal of July 2025). */
  shared: {
    name: "shared",
    needs: (_, { moves, functions }) => {
      const images = moves.filter(({ kind }) => kind === "made" || kind === "renamed").length;
      const retired = moves.filter(({ kind }) => kind !== "made").length;
      return { images, retired, pokes: functions.length, rows: 0, waits: Math.min(retired, 1) };
    },
    images: (state) => state.classes,
  },
  /** One trampoline per function, entries rewritten in batches (Linux in 2026). */
  "per-function": {
    name: "per-function",
    needs: (_, { moves, functions }) => {
      const images = functionsIn(moves, ({ after }) => after !== undefined);
      const retired = functionsIn(moves, ({ before }) => before !== undefined);
      return { images, retired, pokes: functions.length, rows: 0, waits: Math.min(retired, 1) };
    },
    images: (state) => state.attached,
  },
  /**
   * One trampoline per model, which looks up by the function's address what to run (the global trampoline of July 2025): entries change only where a function
   * gets its first link or loses its last. A function with a typed link has a trampoline of its own.
   */
  global: {
    name: "global",
    needs: (state, { moves }) => {
      const change = new Map<number, number>();
      for (const { before, after, start, end } of moves) {
        const by = (Number(hasRow(after)) - Number(hasRow(before))) * (end - start);
        const { model } = (before ?? after)!;
        change.set(model, (change.get(model) ?? 0) + by);
      }
      let images = functionsIn(moves, ({ after }) => isSingle(after));
      let retired = functionsIn(moves, ({ before }) => isSingle(before));
      const old = rowsByModel(state);
      for (const [model, by] of change) {
        const rows = old.get(model) ?? 0;
        if (rows === 0 && by > 0) images++;
        if (rows > 0 && rows + by === 0) retired++;
      }
      const pokes = functionsIn(moves, ({ before, after }) => !hasRow(before) || !hasRow(after));
      const rows = functionsIn(moves, ({ after }) => hasRow(after));
      const replaced = functionsIn(moves, ({ before }) => before !== undefined);
      return { images, retired, pokes, rows, waits: Math.min(replaced, 1) };
    },
    images: (state) => {
      let singles = 0;
      for (const id of state.classIds()) if (isSingle(state.class(id))) singles++;
      return rowsByModel(state).size + singles;
    },
  },
};

function isSingle(key: ClassKey | undefined): boolean {
  return key !== undefined && key.single !== NO_CLASS;
}

/** Whether functions of a class go by rows. */
function hasRow(key: ClassKey | undefined): boolean {
  return key !== undefined && key.single === NO_CLASS;
}

/** Functions that go by rows, of each model that has any. */
function rowsByModel(state: MultiState): Map<number, number> {
  const rows = new Map<number, number>();
  for (const id of state.classIds()) {
    const row = state.class(id);
    if (hasRow(row)) rows.set(row.model, (rows.get(row.model) ?? 0) + row.size);
  }
  return rows;
}

function functionsIn(moves: MultiPlan["moves"], of: (move: MultiPlan["moves"][number]) => boolean): number {
  return moves.reduce((sum, move) => sum + (of(move) ? move.end - move.start : 0), 0);
}
