// Counts how runs ended, in the words of the program's type.
import { type RunResult, XDP_ACTIONS } from "@bpfkit/kernel";

/** What is counted for an input that the kernel's test run does not take. */
export const REFUSED = "refused";

/** A return value, or the way a run ended without one. */
export type Outcome = number | "trap" | "budget" | typeof REFUSED;

/** How a run ended. */
export function outcomeOf({ stop, returnValue }: RunResult): Outcome {
  return stop.kind === "returned" ? returnValue! : stop.kind;
}

/** A return value in words: `pass`, `drop`, …; the number where there are none. */
export function nameOf(type: string, outcome: Outcome): string {
  if (typeof outcome !== "number") return outcome;
  return (
    (type === "xdp" ? XDP_ACTIONS[outcome]?.replace("XDP_", "").toLowerCase() : undefined) ?? `returned ${outcome}`
  );
}

/** Outcomes of one or more engines. */
export class Tally {
  readonly #type: string;
  readonly #outcomes: readonly Outcome[][];

  constructor(engines: readonly string[], type: string) {
    this.#type = type;
    this.#outcomes = engines.map(() => []);
  }

  add(lane: number, outcome: Outcome): void {
    this.#outcomes[lane]!.push(outcome);
  }

  /** How often each outcome came, by name, in the order of the values. */
  counts(lane: number): ReadonlyMap<string, number> {
    const counts = new Map<Outcome, number>();
    for (const outcome of this.#outcomes[lane]!) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const order = (outcome: Outcome) => (typeof outcome === "number" ? outcome : Number.POSITIVE_INFINITY);
    const sorted = [...counts].sort(([a], [b]) => (order(a) === order(b) ? 0 : order(a) - order(b)));
    return new Map(sorted.map(([outcome, count]) => [nameOf(this.#type, outcome), count]));
  }

  /** Return values in the order of the runs, null for runs without. */
  returns(lane: number): (number | null)[] {
    return this.#outcomes[lane]!.map((outcome) => (typeof outcome === "number" ? outcome : null));
  }
}
