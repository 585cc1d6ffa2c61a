// Read-copy update, as far as programs see it: what a run may still hold is given back when the last run ends.

/** Counts runs in progress and holds back what they may still look at. */
export class Rcu {
  #readers = 0;
  #deferred: (() => void)[] = [];

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
