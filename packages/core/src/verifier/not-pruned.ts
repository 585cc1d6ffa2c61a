// Why paths went on where others had been before: what differed between the states that were compared.
import type { Replay } from "./replay.ts";

/** What one comparison after another found to differ first. */
export interface PruneMiss {
  /** `R6`, `fp-8`, `R6 of frame 1`, `references`, `calls`. */
  readonly place: string;
  readonly count: number;
  /** The first pair that was compared, as the log prints it. */
  readonly stored: string;
  readonly current: string;
  /** Where the stored value counts because a decision depended on it: the instruction that decided. */
  readonly preciseSince?: number;
  /** In words. */
  readonly what: string;
}

/** The comparisons in vain at one instruction. */
export interface NotPruned {
  readonly insn: number;
  /** Comparisons that failed, and those that ended a path. */
  readonly misses: number;
  readonly hits: number;
  /** The most frequent first. */
  readonly causes: readonly PruneMiss[];
}

/** The comparisons in vain of a verification. */
export interface PruneMisses {
  /** Of each instruction that had any, the one with the most first. */
  readonly all: readonly NotPruned[];
  at(insn: number): NotPruned;
}

export function notPrunedOf(_replay: Replay): PruneMisses {
  return { all: [], at: (insn) => ({ insn, misses: 0, hits: 0, causes: [] }) };
}
