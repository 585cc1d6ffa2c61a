// Read-copy update, as far as programs see it: who is reading, and what is given back once nobody can hold it any more.
import { BpfError, type VerifiedProgram } from "@bpfkit/core";
import type { Step } from "./operation.ts";

/**
 * Whom a wait is for. `rcu`: runs of programs that may not sleep. `sleepable`: runs of those that may, which an ordinary grace period does not
 * cover. `tasks`: every CPU that is in code that can be rewritten or given back, whatever it runs; a CPU between two runs is not, nor is one in
 * a function that sleeps.
 */
export type ReaderKind = "rcu" | "sleepable" | "tasks";

/** A run in progress, as those see it who wait for it. */
export interface Reader {
  /** Whether its program may sleep; `task` is a call of a function of the host, which only waits for tasks look at. */
  readonly kind: "rcu" | "sleepable" | "task";
  /** A program that runs within another run of its CPU: waits for tasks look at that one. */
  readonly isNested?: boolean;
  readonly cpu: number;
  /** Name of the program that was started. */
  readonly name: string;
  /** Address of its next instruction, where it is machine code. */
  readonly pc: bigint | undefined;
}

/** What is to be done when a grace period has ended: readers that began before `until` are gone. */
interface Deferred {
  readonly until: number;
  readonly give: () => void;
}

/** Knows the runs in progress, and holds back what they may still look at. */
export class Rcu {
  /** Where functions sleep: a run whose next instruction is there is in no code that can be rewritten. */
  readonly sleepingAt: Set<bigint> = new Set();
  /** By whom waits are for, when each reader began; oldest first. */
  readonly #active: Readonly<Record<ReaderKind, Map<Reader, number>>> = {
    rcu: new Map(),
    sleepable: new Map(),
    tasks: new Map(),
  };
  /** By the kinds that are waited for, oldest first. */
  readonly #deferred = new Map<string, { readonly kinds: readonly ReaderKind[]; due: Deferred[] }>();
  #time = 0;

  /** Runs in progress. */
  get readers(): number {
    return this.#active.tasks.size;
  }

  /** Runs in progress of some kinds that began before a {@link moment}; all of them unless told. */
  holders(kinds: readonly ReaderKind[], before: number = this.#time + 1): Reader[] {
    const holders = new Set<Reader>();
    for (const kind of kinds) {
      for (const [reader, begun] of this.#active[kind]) {
        if (begun >= before) break;
        if (kind !== "tasks" || !this.#isAsleep(reader)) holders.add(reader);
      }
    }
    return [...holders];
  }

  /** What tells runs that have begun by now from later ones. */
  moment(): number {
    return ++this.#time;
  }

  /** Runs in progress whose next instruction lies from `from` to below `to`. O(runs) */
  within(from: bigint, to: bigint): Reader[] {
    return [...this.#active.tasks.keys()].filter(({ pc }) => pc !== undefined && pc >= from && pc < to);
  }

  /** The same for bytes of many sites. O(runs × sites) */
  withinSites(addresses: Float64Array, from: number, to: number): Reader[] {
    return [...this.#active.tasks.keys()].filter(({ pc }) => {
      const at = Number(pc ?? -1n);
      return pc !== undefined && addresses.some((address) => at >= address + from && at < address + to);
    });
  }

  /** Why a step cannot be made at once, with what runs and is held now. */
  blocks(step: Step): BpfError | undefined {
    if (step.kind === "lock" && step.mutex.held) return new BpfError("argument", `${step.mutex.name} is held (EBUSY)`);
    const holders =
      step.kind === "wait-readers"
        ? this.holders(step.readers)
        : step.kind === "wait-clear"
          ? this.within(step.from, step.to)
          : step.kind === "wait-clear-sites"
            ? this.withinSites(step.addresses, step.from, step.to)
            : [];
    if (holders.length === 0) return undefined;
    return new BpfError("argument", `a change of live code with ${holders.length} runs in progress (EBUSY)`, {
      expected: "no run in progress that it has to wait for",
      hint: holders.map(describeReader).join(", "),
    });
  }

  enter(reader: Reader): void {
    const now = ++this.#time;
    if (reader.kind !== "task") this.#active[reader.kind].set(reader, now);
    if (reader.isNested !== true) this.#active.tasks.set(reader, now);
  }

  leave(reader: Reader): void {
    if (reader.kind !== "task") this.#active[reader.kind].delete(reader);
    this.#active.tasks.delete(reader);
    this.#giveBack();
  }

  /** It has slept, and to waits for tasks it is as if it began now. */
  woke(reader: Reader): void {
    if (!this.#active.tasks.delete(reader)) return;
    this.#active.tasks.set(reader, ++this.#time);
    this.#giveBack();
  }

  #giveBack(): void {
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
    for (const kind of kinds) {
      for (const [reader, begun] of this.#active[kind]) {
        if (kind === "tasks" && this.#isAsleep(reader)) continue;
        oldest = Math.min(oldest, begun);
        break;
      }
    }
    return oldest;
  }

  #isAsleep({ pc }: Reader): boolean {
    return pc !== undefined && this.sleepingAt.has(pc);
  }
}

/** A run in words. */
export function describeReader({ name, cpu, kind }: Reader): string {
  if (kind === "task") return `a call of ${name} on cpu ${cpu}`;
  return `a ${kind === "rcu" ? "" : "sleepable "}run of '${name}' on cpu ${cpu}`;
}

/** What runs of a program are to those who wait. */
export function readerKind({ program }: VerifiedProgram): "rcu" | "sleepable" {
  return program.sleepable === true ? "sleepable" : "rcu";
}
