// Carrying out stages for very many sites together, and taking them back where a step fails.
import type { BpfError, Memory, PokeStages } from "@bpfkit/core";
import { type ArmedTrap, type Operation, one, surely } from "../operation.ts";
import type { Ledger } from "./ledger.ts";

/** What a {@link RewriteMany} is made of. */
export interface ManySites {
  readonly addresses: Float64Array;
  readonly size: number;
  readonly stages: PokeStages;
  /** The error for bytes of a site that are not what was expected. */
  readonly mismatch: (site: number, found: Uint8Array, expected: Uint8Array) => BpfError;
  /** What CPUs do at breakpoints. */
  readonly traps: () => readonly ArmedTrap[];
}

/**
 * Writes the contents of one stage after the other, each in one step for all sites, with a sync behind it. Where a step fails, the stages are written
 * back, last first, with a sync and the wait behind each.
 *
 * Cost: bytes of the sites × stages; as many syncs as stages.
 */
export class RewriteMany {
  readonly #memory: Memory;
  readonly #ledger: Ledger;
  readonly #sites: ManySites;
  /** Stages whose contents may be in memory. */
  #written = 0;

  constructor(memory: Memory, ledger: Ledger, sites: ManySites) {
    this.#memory = memory;
    this.#ledger = ledger;
    this.#sites = sites;
  }

  *run(): Operation<void> {
    const { contents, clear } = this.#sites.stages;
    this.check(0);
    try {
      for (let stage = 1; stage < contents.length; stage++) {
        yield* this.#announce(stage);
        this.check(stage - 1);
        this.#write(contents[stage - 1]!, contents[stage]!);
        this.#written = stage;
        yield* this.#sync(stage === contents.length - 1);
        if (stage === 1 && clear !== undefined) yield* this.#wait();
      }
    } catch (error) {
      yield* surely(this.#undo());
      throw error;
    }
  }

  /** Whether all sites hold what a stage leaves. @throws {BpfError} for the first that does not */
  check(stage: number): void {
    const { addresses, size, stages, mismatch } = this.#sites;
    const expected = stages.contents[stage]!;
    const { bytes, base } = this.#memory;
    const start = Number(base);
    for (let site = 0; site < addresses.length; site++) {
      const at = addresses[site]! - start;
      for (let i = 0; i < size; i++) {
        if (bytes[at + i] === expected[size * site + i]) continue;
        throw mismatch(site, bytes.slice(at, at + size), expected.slice(size * site, size * (site + 1)));
      }
    }
  }

  *#undo(): Operation<void> {
    const { contents } = this.#sites.stages;
    while (this.#written > 0) {
      const from = this.#written--;
      yield* this.#announce(this.#written);
      this.#write(contents[from]!, contents[this.#written]!);
      yield* this.#sync(this.#written === 0);
      yield* this.#wait();
    }
  }

  *#announce(stage: number): Operation<void> {
    const { addresses, size, stages, traps } = this.#sites;
    const what = `stage ${stage} of ${addresses.length} sites`;
    const bytes = stages.contents[stage]!;
    yield { kind: "write-sites", what, addresses, size, bytes, ...(stages.traps ? { traps } : {}) };
  }

  *#sync(isLast: boolean): Operation<void> {
    const { stages, traps } = this.#sites;
    yield* one(
      isLast && stages.traps
        ? {
            kind: "sync-cores",
            get traps() {
              return traps();
            },
          }
        : { kind: "sync-cores" },
    );
    this.#ledger.syncs++;
  }

  *#wait(): Operation<void> {
    const { addresses, stages } = this.#sites;
    if (stages.clear === undefined) return;
    const { from, to } = stages.clear;
    yield { kind: "wait-clear-sites", addresses, from, to };
    this.#ledger.waits++;
  }

  #write(before: Uint8Array, bytes: Uint8Array): void {
    const { addresses, size } = this.#sites;
    this.#memory.writeSites(addresses, size, bytes);
    for (let at = 0; at < bytes.length; at += size) {
      let changed = 0;
      for (let i = at; i < at + size; i++) if (before[i] !== bytes[i]) changed++;
      if (changed === 0) continue;
      this.#ledger.writes++;
      this.#ledger.bytes += changed;
    }
  }
}
