// Calls that are in something that is given back when the last of them has left.
import { invariant } from "@bpfkit/core";

/** Counts the calls that are in something. */
export class CallsInside {
  #count = 0;
  #whenLeft: (() => void) | undefined;

  enter(): void {
    this.#count++;
  }

  left(): void {
    this.#count--;
    invariant(this.#count >= 0, "as many exits as enters");
    if (this.#count > 0 || this.#whenLeft === undefined) return;
    const left = this.#whenLeft;
    this.#whenLeft = undefined;
    left();
  }

  /** Calls `left` once nobody is in: at once where nobody is. Once at most. */
  whenLeft(left: () => void): void {
    if (this.#count === 0) left();
    else this.#whenLeft = left;
  }
}
