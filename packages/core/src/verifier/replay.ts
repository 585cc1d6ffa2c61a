// A verification that is run again for somebody who takes notes: nothing is recorded the first time.
import { Log } from "./log.ts";
import type { State } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";

/** Takes notes on the way. */
export interface Recorder {
  /** An instruction is about to run; `v.counters.insns` is its number, from 1. */
  readonly step?: (v: Verification) => void;
  /** The current path forks: the other side waits. */
  readonly forked?: (other: State<StoredState>) => void;
  /** The current state was compared in vain. */
  readonly missed?: (v: Verification, stored: StoredState) => void;
  /** The current state is covered by a stored one. */
  readonly pruned?: (v: Verification, stored: StoredState) => void;
  /**
   * Values of a stored state count from now on: the marks that were added, as in `StoredState.precise`. The current instruction decided by
   * them; or the current path ends at the state `of`, which they count in.
   */
  readonly marked?: (v: Verification, stored: StoredState, added: Int32Array, of: StoredState | undefined) => void;
}

/**
 * Runs the verification again; it ends where it ended before, whatever the clock says. Gives its last state, or undefined where no path
 * was walked.
 */
export type Replay = (recorder: Recorder) => Verification | undefined;

/** A log that nobody reads: it passes on what happens. */
export class RecordingLog extends Log {
  override readonly records: boolean = true;
  readonly #recorder: Recorder;
  /** The state that the next walk back is made for, and the one that this walk is made for. */
  #next: StoredState | undefined;
  #of: StoredState | undefined;

  constructor(recorder: Recorder) {
    super(0, 0);
    this.#recorder = recorder;
  }

  override forked(other: State<StoredState>): void {
    this.#recorder.forked?.(other);
  }

  override inherits(_wanted: Int32Array, stored: StoredState): void {
    this.#next = stored;
  }

  override preciseStart(_v: Verification, _frame: number, _last: number, _first: number, later: number): void {
    if (later >= 0) return;
    this.#of = this.#next;
    this.#next = undefined;
  }

  override missed(v: Verification, stored: StoredState): void {
    this.#recorder.missed?.(v, stored);
  }

  override pruned(v: Verification, stored: StoredState): void {
    this.#recorder.pruned?.(v, stored);
  }

  override marked(v: Verification, stored: StoredState, added: Int32Array): void {
    this.#recorder.marked?.(v, stored, added, this.#of);
  }
}
