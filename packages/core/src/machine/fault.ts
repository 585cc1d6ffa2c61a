// How a row's access fails inside a reading: thrown by memory, caught by the run loop, which makes a Trap of it.
import type { Trap, TrapCause } from "./stop.ts";

/** Unwinds one instruction; never leaves an engine. */
export class Fault extends Error {
  override readonly name: string = "Fault";
  readonly trapCause: TrapCause;
  readonly address: bigint | undefined;
  readonly size: number | undefined;
  readonly detail: string | undefined;

  constructor(cause: TrapCause, detail?: string, address?: bigint, size?: number) {
    super(detail ?? cause);
    this.trapCause = cause;
    this.detail = detail;
    this.address = address;
    this.size = size;
  }

  /** The value that a run at `pc` ends with. */
  toTrap(pc: bigint): Trap {
    return {
      kind: "trap",
      cause: this.trapCause,
      pc,
      ...(this.address === undefined ? {} : { address: this.address }),
      ...(this.size === undefined ? {} : { size: this.size }),
      ...(this.detail === undefined ? {} : { detail: this.detail }),
    };
  }
}

/** Runs `body`; a {@link Fault} becomes a trap at `pc()`, anything else goes on. */
export function trapping<T>(body: () => T, pc: () => bigint): T | Trap {
  try {
    return body();
  } catch (error) {
    if (error instanceof Fault) return error.toTrap(pc());
    throw error;
  }
}
