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
  /** Values of a stored state count from now on: the marks that were added, as in `StoredState.precise`. */
  readonly marked?: (v: Verification, stored: StoredState, added: Int32Array) => void;
}

/**
 * Runs the verification again; it ends where it ended before, whatever the clock says. Gives its last state, or undefined where no path
 * was walked.
 */
export type Replay = (recorder: Recorder) => Verification | undefined;

/** A log that nobody reads: it passes on what happens. */
export class RecordingLog extends Log {
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    super(0, 0);
    this.#recorder = recorder;
  }

  override forked(other: State<StoredState>): void {
    this.#recorder.forked?.(other);
  }

  override missed(v: Verification, stored: StoredState): void {
    this.#recorder.missed?.(v, stored);
  }

  override pruned(v: Verification, stored: StoredState): void {
    this.#recorder.pruned?.(v, stored);
  }

  override marked(v: Verification, stored: StoredState, added: Int32Array): void {
    this.#recorder.marked?.(v, stored, added);
  }
}
