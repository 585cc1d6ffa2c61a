// One operation under a schedule: its steps, what each has to wait for, and what CPUs see of it.
import { Access, BpfError, type Memory } from "@bpfkit/core";
import type { ArmedTrap, Mutex, Operation, Step } from "../operation.ts";
import { describeReader, type Rcu, type Reader } from "../rcu.ts";
import type { LaneMove } from "./cpu-lane.ts";
import type { Fetches } from "./fetches.ts";

/** What all operations share. */
export interface OperationSite {
  readonly memory: Memory;
  readonly rcu: Rcu;
  readonly fetches: Fetches | undefined;
  readonly traps: Map<bigint, ArmedTrap>;
  /** Who holds a mutex, by name. */
  readonly holders: Map<Mutex, string>;
}

/** How an operation came out. `from` and `to` count moves of the schedule: it began with one and ended with the other. */
export type Outcome = { readonly from: number; readonly to: number } & (
  | { readonly kind: "done"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
);

export class OperationLane {
  readonly name: string;
  outcome: Outcome | undefined;
  /** Steps made, steps that take back included. */
  steps = 0;
  readonly #site: OperationSite;
  readonly #operation: Operation<unknown>;
  readonly #fails: number | undefined;
  #from: number | undefined;
  #next: Step | undefined;
  /** Where the next step waits for readers: when it was reached. */
  #moment = 0;

  /** @param fails - index of the step that fails */
  constructor(site: OperationSite, name: string, operation: Operation<unknown>, fails: number | undefined) {
    this.#site = site;
    this.name = name;
    this.#operation = operation;
    this.#fails = fails;
  }

  get isDone(): boolean {
    return this.outcome !== undefined;
  }

  /** What can happen next, when `now` moves have been made. */
  moves(now: number): LaneMove[] {
    if (this.isDone || this.#isBlocked()) return [];
    const step = this.#next;
    return [
      {
        who: this.name,
        get what() {
          return step === undefined ? "begins" : describeStep(step);
        },
        make: () => this.#make(now),
      },
    ];
  }

  /** Why nothing can happen next, in words. */
  waitsFor(): string {
    const step = this.#next;
    if (step === undefined) return "nothing";
    if (step.kind === "lock")
      return `${step.mutex.name}, held by ${this.#site.holders.get(step.mutex) ?? "somebody else"}`;
    const readers = this.#readers(step).map(describeReader).join(", ");
    if (step.kind === "wait-readers") return `readers (${step.readers.join(", ")}): ${readers}`;
    if (step.kind === "wait-clear-sites") return `CPUs in the middle of sites: ${readers}`;
    return step.kind === "wait-clear" ? `CPUs in ${rangeOf(step)}: ${readers}` : "nothing";
  }

  /** Has the next step fail and makes all others at once. */
  abandon(error: unknown, now: number): void {
    if (this.isDone) return;
    this.#from ??= now;
    if (this.#next === undefined) {
      this.outcome = { kind: "failed", error, from: now, to: now };
      return;
    }
    this.#resume(() => this.#operation.throw(error), now);
    while (!this.isDone) this.#resume(() => this.#operation.next(), now);
  }

  #isBlocked(): boolean {
    const step = this.#next;
    if (step === undefined) return false;
    if (step.kind === "lock") return step.mutex.held;
    return this.#readers(step).length > 0;
  }

  #readers(step: Step): Reader[] {
    const { rcu } = this.#site;
    if (step.kind === "wait-readers") return rcu.holders(step.readers, this.#moment);
    if (step.kind === "wait-clear-sites") return rcu.withinSites(step.addresses, step.from, step.to);
    return step.kind === "wait-clear" ? rcu.within(step.from, step.to) : [];
  }

  #make(now: number): void {
    this.#from ??= now;
    if (this.#next !== undefined && this.steps++ === this.#fails) {
      const error = new BpfError("argument", `step ${this.#fails} of ${this.name} fails`);
      this.#resume(() => this.#operation.throw(error), now);
    } else this.#resume(() => this.#operation.next(), now);
  }

  /** Has the step made that is due; what it does to memory is seen by what is there before and after. */
  #resume(go: () => IteratorResult<Step, unknown>, now: number): void {
    const { memory, fetches, traps, holders, rcu } = this.#site;
    const step = this.#next;
    const before = step?.kind === "write" ? memory.view(step.address, step.bytes.length).slice() : undefined;
    const sitesBefore = step?.kind === "write-sites" ? contentsOf(memory, step) : undefined;
    try {
      const { done, value } = go();
      if (done === true) this.outcome = { kind: "done", value, from: this.#from!, to: now };
      else {
        this.#next = value as Step;
        if (this.#next.kind === "wait-readers") this.#moment = rcu.moment();
      }
    } catch (error) {
      this.outcome = { kind: "failed", error, from: this.#from!, to: now };
    }
    if (step?.kind === "write" && (memory.accessAt(step.address) & Access.EXECUTE) !== 0) {
      const after = memory.view(step.address, step.bytes.length);
      if (after.some((byte, i) => byte !== before![i])) fetches?.wrote(step.address, before!);
      if (step.trap !== undefined) traps.set(step.trap.address, step.trap);
    } else if (step?.kind === "write-sites" && isCode(memory, step)) {
      for (const [i, after] of contentsOf(memory, step).entries()) {
        const old = sitesBefore![i]!;
        if (after.some((byte, at) => byte !== old[at])) fetches?.wrote(BigInt(step.addresses[i]!), old);
      }
      for (const trap of step.traps?.() ?? []) traps.set(trap.address, trap);
    } else if (step?.kind === "sync-cores") {
      fetches?.sync();
      for (const { address } of step.traps ?? []) traps.delete(address);
    } else if (step?.kind === "lock" && step.mutex.held) holders.set(step.mutex, this.name);
    else if (step?.kind === "unlock") holders.delete(step.mutex);
  }
}

function isCode(memory: Memory, { addresses }: Extract<Step, { kind: "write-sites" }>): boolean {
  return addresses.length > 0 && (memory.accessAt(BigInt(addresses[0]!)) & Access.EXECUTE) !== 0;
}

function contentsOf(memory: Memory, { addresses, size }: Extract<Step, { kind: "write-sites" }>): Uint8Array[] {
  return Array.from(addresses, (address) => memory.view(BigInt(address), size).slice());
}

function describeStep(step: Step): string {
  switch (step.kind) {
    case "lock":
      return `locks ${step.mutex.name}`;
    case "unlock":
      return `unlocks ${step.mutex.name}`;
    case "make":
      return `makes ${step.what}`;
    case "write":
    case "write-sites":
      return `writes ${step.what}`;
    case "sync-cores":
      return "synchronizes all CPUs";
    case "wait-clear":
      return `waits until no CPU is in ${rangeOf(step)}`;
    case "wait-clear-sites":
      return `waits until no CPU is in the middle of one of ${step.addresses.length} sites`;
    case "wait-readers":
      return `waits for readers (${step.readers.join(", ")})`;
  }
}

function rangeOf({ from, to }: Extract<Step, { kind: "wait-clear" }>): string {
  return `0x${from.toString(16)}..0x${to.toString(16)}`;
}
