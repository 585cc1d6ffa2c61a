// Read-copy update, as far as programs see it: who is reading, and what is given back once nobody can hold it any more.
import { BpfError, type VerifiedProgram } from "@bpfkit/core";
import type { Step } from "./operation.ts";

/**
 * Whom a wait is for. `rcu`: runs of programs that may not sleep. `sleepable`: runs of those that may, which an ordinary grace period does not
 * cover. `tasks`: every CPU that is in code that can be rewritten or given back, whatever it runs; a CPU between two runs is not.
 */
export type ReaderKind = "rcu" | "sleepable" | "tasks";

/** A run in progress, as those see it who wait for it. */
export interface Reader {
  /** Whether its program may sleep. */
  readonly kind: "rcu" | "sleepable";
  readonly cpu: number;
  /** Name of the program that was started. */
  readonly name: string;
  /** Address of its next instruction, where it is machine code. */
  readonly pc: bigint | undefined;
}

/** Kinds of {@link Reader} that belong to a kind of wait. */
const COVERED: Readonly<Record<ReaderKind, readonly Reader["kind"][]>> = {
  rcu: ["rcu"],
  sleepable: ["sleepable"],
  tasks: ["rcu", "sleepable"],
};

/** What is to be done when a grace period has ended: readers that began before `until` are gone. */
interface Deferred {
  readonly until: number;
  readonly give: () => void;
}

/** Knows the runs in progress, and holds back what they may still look at. */
export class Rcu {
  /** By kind, when each reader began; oldest first. */
  readonly #active: Readonly<Record<Reader["kind"], Map<Reader, number>>> = { rcu: new Map(), sleepable: new Map() };
  /** By the kinds that are waited for, oldest first. */
  readonly #deferred = new Map<string, { readonly kinds: readonly ReaderKind[]; due: Deferred[] }>();
  #time = 0;

  /** Runs in progress. */
  get readers(): number {
    return this.#active.rcu.size + this.#active.sleepable.size;
  }

  /** Runs in progress of some kinds that began before a {@link moment}; all of them unless told. */
  holders(kinds: readonly ReaderKind[], before: number = this.#time + 1): Reader[] {
    const holders: Reader[] = [];
    for (const kind of coveredBy(kinds)) {
      for (const [reader, begun] of this.#active[kind]) {
        if (begun >= before) break;
        holders.push(reader);
      }
    }
    return holders;
  }

  /** What tells runs that have begun by now from later ones. */
  moment(): number {
    return ++this.#time;
  }

  /** Runs in progress whose next instruction lies from `from` to below `to`. O(runs) */
  within(from: bigint, to: bigint): Reader[] {
    const { rcu, sleepable } = this.#active;
    return [...rcu.keys(), ...sleepable.keys()].filter(({ pc }) => pc !== undefined && pc >= from && pc < to);
  }

  /** Why a step cannot be made at once, with what runs and is held now. */
  blocks(step: Step): BpfError | undefined {
    if (step.kind === "lock" && step.mutex.held) return new BpfError("argument", `${step.mutex.name} is held (EBUSY)`);
    const holders =
      step.kind === "wait-readers"
        ? this.holders(step.readers)
        : step.kind === "wait-clear"
          ? this.within(step.from, step.to)
          : [];
    if (holders.length === 0) return undefined;
    return new BpfError("argument", `a change of live code with ${holders.length} runs in progress (EBUSY)`, {
      expected: "no run in progress that it has to wait for",
      hint: holders.map(describeReader).join(", "),
    });
  }

  enter(reader: Reader): void {
    this.#active[reader.kind].set(reader, ++this.#time);
  }

  leave(reader: Reader): void {
    this.#active[reader.kind].delete(reader);
    for (const queue of this.#deferred.values()) {
      if (queue.due.length === 0) continue;
      const oldest = this.#oldest(queue.kinds);
      const ready = queue.due.filter(({ until }) => until <= oldest);
      if (ready.length === 0) continue;
      queue.due = queue.due.slice(ready.length);
      for (const { give } of ready) give();
    }
  }

  /**
   * Calls `give` once nobody who runs now can hold what it gives back: at once when nothing of these kinds runs.
   *
   * Cost: constant, and what is due when a run ends is looked at once per run that ends meanwhile.
   */
  defer(give: () => void, kinds: readonly ReaderKind[] = ["rcu", "sleepable"]): void {
    const until = this.moment();
    if (this.#oldest(kinds) >= until) {
      give();
      return;
    }
    const key = kinds.join();
    let queue = this.#deferred.get(key);
    if (queue === undefined) {
      queue = { kinds, due: [] };
      this.#deferred.set(key, queue);
    }
    queue.due.push({ until, give });
  }

  /** When the oldest run of some kinds began. */
  #oldest(kinds: readonly ReaderKind[]): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const kind of coveredBy(kinds)) {
      for (const begun of this.#active[kind].values()) {
        oldest = Math.min(oldest, begun);
        break;
      }
    }
    return oldest;
  }
}

function coveredBy(kinds: readonly ReaderKind[]): Set<Reader["kind"]> {
  return new Set(kinds.flatMap((kind) => COVERED[kind]));
}

/** A run in words. */
export function describeReader({ name, cpu, kind }: Reader): string {
  return `a ${kind === "rcu" ? "" : "sleepable "}run of '${name}' on cpu ${cpu}`;
}

/** What runs of a program are to those who wait. */
export function readerKind({ program }: VerifiedProgram): Reader["kind"] {
  return program.sleepable === true ? "sleepable" : "rcu";
}
