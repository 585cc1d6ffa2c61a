// Rows that no call finds any more, until the last call has left them, and the links whose programs they run.
import type { Rcu } from "../rcu.ts";
import type { LiveLink } from "./design.ts";
import type { FunctionRow } from "./rows.ts";

/** Links that rows name which are not in force any more. */
export class RetiredLinks {
  readonly #links = new Map<number, { readonly live: LiveLink; holders: number }>();

  /** Also of links that are still there. */
  get(id: number): LiveLink | undefined {
    return this.#links.get(id)?.live;
  }

  hold(live: LiveLink): void {
    const { id } = live.link;
    const held = this.#links.get(id);
    if (held !== undefined) held.holders++;
    else this.#links.set(id, { live, holders: 1 });
    live.program.hold();
  }

  drop({ link: { id }, program }: LiveLink): void {
    const held = this.#links.get(id)!;
    if (--held.holders === 0) this.#links.delete(id);
    program.drop();
  }
}

/**
 * Calls `free` when no CPU can be in any of some rows that nobody finds from now on: whoever was about to (tasks), calls of originals (counted), programs
 * that may sleep, and who is behind them (tasks).
 */
export function retireRows(rcu: Rcu, rows: readonly FunctionRow[], free: () => void): void {
  let left = 1;
  const one = (): void => {
    if (--left === 0) rcu.defer(() => rcu.defer(free, ["tasks"]), ["sleepable"]);
  };
  rcu.defer(() => {
    left += rows.length;
    for (const row of rows) row.whenLeft(one);
    one();
  }, ["tasks"]);
}
