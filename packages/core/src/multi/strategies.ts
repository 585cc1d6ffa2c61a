// Three designs for many functions and few programs, and what each would have to do for the same plan.
import type { MultiPlan } from "./plan.ts";
import type { MultiState } from "./state.ts";

/** What a plan makes a design do. */
export interface MultiNeeds {
  /** Trampolines to generate, and to give back when nobody is in them. */
  readonly images: number;
  readonly retired: number;
  /** Entries of functions to rewrite. */
  readonly pokes: number;
  /** Rows of per-function data to write: programs and cookies of one function. */
  readonly rows: number;
  /** Grace periods: one for all that is given back together. */
  readonly waits: number;
}

/** A way to lead many functions to programs. */
export interface MultiStrategy {
  readonly name: MultiStrategyName;
  /** What it has to do to get from the state a plan was made in to where it leads. O(moves) */
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
   * gets its first link or loses its last.
   */
  global: {
    name: "global",
    needs: (state, { moves, functions }) => {
      const change = new Map<number, number>();
      for (const { before, after, start, end } of moves) {
        if (before !== undefined && after !== undefined) continue;
        const model = (before ?? after)!.model;
        change.set(model, (change.get(model) ?? 0) + (before === undefined ? end - start : start - end));
      }
      let [images, retired] = [0, 0];
      for (const [model, by] of change) {
        const old = state.attachedOf(model);
        if (old === 0 && by > 0) images++;
        if (old > 0 && old + by === 0) retired++;
      }
      const pokes = functionsIn(moves, ({ before, after }) => before === undefined || after === undefined);
      const replaced = functionsIn(moves, ({ before }) => before !== undefined);
      return { images, retired, pokes, rows: functions.length, waits: replaced > 0 ? 1 : 0 };
    },
    images: (state) => {
      const models = new Set<number>();
      for (const id of state.classIds()) models.add(state.class(id).model);
      return models.size;
    },
  },
};

function functionsIn(moves: MultiPlan["moves"], of: (move: MultiPlan["moves"][number]) => boolean): number {
  return moves.reduce((sum, move) => sum + (of(move) ? move.end - move.start : 0), 0);
}
