// Carrying out plans for many sites together, and taking them back where a step fails.
import { type BpfError, type Memory, type PokePhase, type PokePlan, type ZippedPhase, zipPlans } from "@bpfkit/core";
import { type ArmedTrap, type Operation, one, type Step, surely } from "../operation.ts";
import type { Ledger } from "./ledger.ts";

/** A plan for one site. */
export interface SitePlan {
  /** The site in words. */
  readonly what: string;
  readonly plan: PokePlan;
  /** The site's code when the plan has been carried out. */
  readonly code: Uint8Array;
  /** The plan that leads back. */
  readonly back: () => PokePlan;
  /** The error for bytes that are not what was expected. */
  readonly mismatch: (found: Uint8Array, expected: Uint8Array) => BpfError;
}

type Write = Extract<ZippedPhase, { kind: "write" }>;
type Pause = Extract<Step, { kind: "sync-cores" | "wait-clear" | "wait-readers" }>;

/**
 * Carries out plans for different sites at once: they share their syncs, and waits in a row count as one, as one look at all CPUs serves
 * them. Where a step fails, all sites are as before: what was written since a sync is written back, last first, and behind each sync, CPUs
 * leave the places that a plan in either direction has them leave.
 *
 * Cost: linear in the phases of all plans; as many syncs as the longest plan has.
 */
export class Rewrite {
  readonly #memory: Memory;
  readonly #ledger: Ledger;
  readonly #sites: readonly SitePlan[];
  readonly #traps: readonly (ArmedTrap | undefined)[];
  /** What was written, by the syncs made before. */
  readonly #written: Write[][] = [[]];

  constructor(memory: Memory, ledger: Ledger, sites: readonly SitePlan[]) {
    this.#memory = memory;
    this.#ledger = ledger;
    this.#sites = sites;
    this.#traps = sites.map(({ plan: { trap }, code }) => trap && { ...trap, code });
  }

  *run(): Operation<void> {
    const phases = zipPlans(this.#sites.map(({ plan }) => plan));
    const lastSync = new Map<number, number>();
    for (const [i, phase] of phases.entries())
      if (phase.kind === "sync-cores") for (const plan of phase.plans) lastSync.set(plan, i);
    try {
      let waiting = false;
      for (const [i, phase] of phases.entries()) {
        if (phase.kind === "write") yield* this.#store(phase);
        else if (phase.kind === "sync-cores") {
          const ending = phase.plans.filter((plan) => lastSync.get(plan) === i);
          yield* this.#sync(ending);
          this.#written.push([]);
        } else yield* this.#wait(phase, waiting);
        waiting = phase.kind === "wait-clear";
      }
    } catch (error) {
      yield* surely(this.#undo());
      throw error;
    }
  }

  *#undo(): Operation<void> {
    const left = new Map<number, number>();
    for (const { plan } of this.#written.flat()) left.set(plan, (left.get(plan) ?? 0) + 1);
    for (const writes of this.#written.toReversed()) {
      if (writes.length === 0) continue;
      const ending: number[] = [];
      for (const write of writes.toReversed()) {
        yield* this.#put(write, write.expect);
        const rest = left.get(write.plan)! - 1;
        left.set(write.plan, rest);
        if (rest === 0) ending.push(write.plan);
      }
      yield* this.#sync(ending);
      let waiting = false;
      for (const plan of new Set(writes.map((write) => write.plan))) {
        const site = this.#sites[plan]!;
        for (const wait of waitsOf([...site.plan.phases, ...site.back().phases])) {
          yield* this.#wait(wait, waiting);
          waiting = true;
        }
      }
    }
  }

  *#store(write: Write): Operation<void> {
    yield* this.#announce(write, write.bytes);
    const { mismatch } = this.#sites[write.plan]!;
    const found = this.#memory.view(write.address, write.expect.length);
    if (!found.every((byte, i) => byte === write.expect[i])) throw mismatch(found, write.expect);
    this.#write(write.address, write.bytes);
    this.#written.at(-1)!.push(write);
  }

  /** Writes without a look at what is there. */
  *#put(write: Write, bytes: Uint8Array): Operation<void> {
    yield* this.#announce(write, bytes);
    this.#write(write.address, bytes);
  }

  *#announce({ plan, address }: Write, bytes: Uint8Array): Operation<void> {
    const trap = this.#traps[plan];
    const { what } = this.#sites[plan]!;
    yield { kind: "write", what, address, bytes, ...(trap === undefined ? {} : { trap }) };
  }

  *#sync(ending: readonly number[]): Operation<void> {
    const traps = ending.flatMap((plan) => this.#traps[plan] ?? []);
    yield* one({ kind: "sync-cores", ...(traps.length === 0 ? {} : { traps }) });
    this.#ledger.syncs++;
  }

  *#wait({ from, to }: Extract<PokePhase, { kind: "wait-clear" }>, isSame: boolean): Operation<void> {
    yield { kind: "wait-clear", from, to } satisfies Pause;
    if (!isSame) this.#ledger.waits++;
  }

  #write(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
    this.#ledger.writes++;
    this.#ledger.bytes += bytes.length;
  }
}

function waitsOf(phases: readonly PokePhase[]): Extract<PokePhase, { kind: "wait-clear" }>[] {
  const waits = new Map<string, Extract<PokePhase, { kind: "wait-clear" }>>();
  for (const phase of phases) if (phase.kind === "wait-clear") waits.set(`${phase.from} ${phase.to}`, phase);
  return [...waits.values()];
}
