// Read-copy update, as far as programs see it: what a run may still hold is given back when the last run ends.
import { BpfError } from "@bpfkit/core";
import type { Step } from "./operation.ts";

/** Counts runs in progress and holds back what they may still look at. */
export class Rcu {
  #readers = 0;
  #deferred: (() => void)[] = [];

  /** Runs in progress. */
  get readers(): number {
    return this.#readers;
  }

  /** Why a step cannot be made at once, with what runs and is held now. */
  blocks(step: Step): BpfError | undefined {
    if (step.kind === "lock" && step.mutex.held) return new BpfError("argument", `${step.mutex.name} is held (EBUSY)`);
    if ((step.kind !== "wait-readers" && step.kind !== "wait-clear") || this.#readers === 0) return undefined;
    return new BpfError("argument", `a change of live code with ${this.#readers} runs in progress (EBUSY)`, {
      expected: "no run in progress",
      hint: "it would have to wait for them",
    });
  }

  enter(): void {
    this.#readers++;
  }

  leave(): void {
    if (--this.#readers > 0) return;
    const due = this.#deferred;
    this.#deferred = [];
    for (const give of due) give();
  }

  /** Calls `give` once nobody who runs now can hold what it gives back: at once when nothing runs. */
  defer(give: () => void): void {
    if (this.#readers === 0) give();
    else this.#deferred.push(give);
  }
}
