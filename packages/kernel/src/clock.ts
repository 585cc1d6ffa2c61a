// Virtual time: a program's clock moves only when something reads it, so runs repeat to the nanosecond.
import { BpfError } from "@bpfkit/core";

/** Nanoseconds of one jiffy at 250 Hz, the grain of coarse clocks. */
const JIFFY = 4_000_000n;

/** A clock in nanoseconds since boot, one second at first; each reading moves it on by `step`. */
export class VirtualClock {
  /** What one reading costs, in nanoseconds. */
  step = 1_000n;
  #now = 1_000_000_000n;

  /** The current time; reading it here does not move it. */
  get now(): bigint {
    return this.#now;
  }

  /** Sets the time, also backwards. @throws {BpfError} `argument` when it does not fit 64 bits */
  set now(nanoseconds: bigint) {
    if (nanoseconds !== BigInt.asUintN(64, nanoseconds)) {
      throw new BpfError("argument", `time ${nanoseconds}`, { expected: "nanoseconds in 64 bits" });
    }
    this.#now = nanoseconds;
  }

  /** A program's reading: gives the time, then moves it on. */
  read(): bigint {
    const now = this.#now;
    this.#now = BigInt.asUintN(64, now + this.step);
    return now;
  }

  /** A program's reading of the coarse clock, which stands still between ticks of 4 ms. */
  readCoarse(): bigint {
    const now = this.read();
    return now - (now % JIFFY);
  }
}
