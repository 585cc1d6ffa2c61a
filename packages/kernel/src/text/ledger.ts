// What changing live code, and what leads to it, has cost so far.

/** Sums since the kernel was made. */
export interface LedgerCounts {
  /** Sites that got from one state to another. */
  readonly pokes: number;
  /** Stores into code, and their bytes. */
  readonly writes: number;
  readonly bytes: number;
  /** Times that all CPUs had to forget what they had fetched. */
  readonly syncs: number;
  /** Waits for CPUs: until they left some bytes, or until all runs in progress had ended. */
  readonly waits: number;
  /** Trampolines of functions that were made. */
  readonly trampolines: number;
  /** Rows of functions that were written, which trampolines find by the functions' addresses. */
  readonly rows: number;
}

/** Keeps {@link LedgerCounts}. */
export class Ledger implements LedgerCounts {
  pokes = 0;
  writes = 0;
  bytes = 0;
  syncs = 0;
  waits = 0;
  trampolines = 0;
  rows = 0;

  /** The sums as they are now. */
  get counts(): LedgerCounts {
    const { pokes, writes, bytes, syncs, waits, trampolines, rows } = this;
    return { pokes, writes, bytes, syncs, waits, trampolines, rows };
  }
}
