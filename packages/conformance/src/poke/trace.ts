// A history of updates as the steps that were made, and what CPUs can fetch between any two of them.
import type { PokePlan } from "@bpfkit/core";

/** What a slot can hold in a history: nothing, or one of two programs. */
export type Callee = "none" | "f" | "g";

/** Whom a wait is for, as the kernel's steps say it; see its `Reader`. */
export type ReaderKind = "rcu" | "sleepable" | "tasks";

/** One step, in the order in which they were made. */
export type TraceStep =
  | {
      readonly kind: "write";
      /** What is written over, in words. */
      readonly what: string;
      readonly address: bigint;
      readonly before: Uint8Array;
      readonly bytes: Uint8Array;
    }
  /** From here on every CPU fetches what is there by now. */
  | { readonly kind: "sync-cores" }
  /**
   * Not made until every CPU has been seen outside of `from` to below `to`. They need not be outside at the same time: the kernel's own step asks
   * for more, and what holds for this one holds for that.
   */
  | { readonly kind: "wait-clear"; readonly from: bigint; readonly to: bigint }
  /** Not made while a run of these kinds is in progress that had begun when the step was reached; of all kinds unless told. */
  | { readonly kind: "wait-readers"; readonly readers?: readonly ReaderKind[] }
  /** An update begins: from here on its value may be seen. */
  | { readonly kind: "begin"; readonly update: number }
  /** An update has ended: runs that begin from here on see it, or a later one. */
  | { readonly kind: "end"; readonly update: number }
  /** The update could not be made. */
  | { readonly kind: "refused"; readonly reason: string };

/** A history and its steps. */
export interface Trace {
  /** The values that one slot is given, one after the other; it starts empty. */
  readonly history: readonly Callee[];
  /** What the last update would have put into the slot, where it fails and is taken back: the history has what was there before. */
  readonly attempt?: Callee;
  readonly steps: readonly TraceStep[];
  /** Per step count, what a CPU does that stops at a breakpoint while so many steps have been made. */
  readonly traps: readonly (readonly NonNullable<PokePlan["trap"]>[])[];
}

/** A place of code that is rewritten. */
export interface Site {
  readonly name: string;
  readonly address: bigint;
  /** What stands there before the first step. */
  readonly bytes: Uint8Array;
}

/**
 * What CPUs may fetch at the sites. Between two of its syncs a CPU may fetch, for each unit by itself, the old value or any newer one: a byte
 * on x86-64, an aligned word on arm64, a parcel of 2 bytes on riscv64. A sync reaches all CPUs, so this depends on the step count alone.
 * One fetch says nothing of the next: a CPU may see the new value and then the old one again, which is more than real ones do.
 */
export class Timeline {
  readonly #sites: readonly Site[];
  readonly #unit: number;
  /** Per step count and site: the contents that can be fetched. */
  readonly #variants: readonly (readonly (readonly Uint8Array[])[])[];

  constructor(sites: readonly Site[], unit: number, steps: readonly TraceStep[]) {
    this.#sites = sites;
    this.#unit = unit;
    let current: Uint8Array[] = sites.map(({ bytes }) => bytes.slice());
    let since: Uint8Array[][] = current.map((bytes) => [bytes]);
    const variants = [sites.map((_, site) => this.#mix(since[site]!))];
    for (const step of steps) {
      if (step.kind === "sync-cores") since = current.map((bytes) => [bytes]);
      else if (step.kind === "write") {
        current = current.map((bytes, site) => written(sites[site]!, bytes, step));
        since = since.map((seen, site) => [...seen, current[site]!]);
      }
      variants.push(sites.map((_, site) => this.#mix(since[site]!)));
    }
    this.#variants = variants;
  }

  /** Index of the site that an address lies in, or -1. */
  siteAt(address: bigint): number {
    return this.#sites.findIndex(
      ({ address: start, bytes }) => address >= start && address < start + BigInt(bytes.length),
    );
  }

  /** Where a site is. */
  extent(site: number): { readonly start: bigint; readonly end: bigint } {
    const { address, bytes } = this.#sites[site]!;
    return { start: address, end: address + BigInt(bytes.length) };
  }

  /** The contents that a site can have for a CPU after `count` steps. */
  variants(count: number, site: number): readonly Uint8Array[] {
    return this.#variants[count]![site]!;
  }

  /** Every choice of a value for each unit. */
  #mix(seen: readonly Uint8Array[]): Uint8Array[] {
    let mixes: Uint8Array[] = [new Uint8Array(seen[0]!.length)];
    for (let at = 0; at < seen[0]!.length; at += this.#unit) {
      const values = new Map(seen.map((bytes) => [bytes.slice(at, at + this.#unit).join(), bytes]));
      mixes = mixes.flatMap((mix) =>
        [...values.values()].map((bytes) => {
          const next = mix.slice();
          next.set(bytes.subarray(at, at + this.#unit), at);
          return next;
        }),
      );
    }
    return mixes;
  }
}

function written(site: Site, bytes: Uint8Array, step: Extract<TraceStep, { kind: "write" }>): Uint8Array {
  const at = Number(step.address - site.address);
  if (at < 0 || at >= bytes.length) return bytes;
  const next = bytes.slice();
  next.set(step.bytes, at);
  return next;
}

/** A step of the updater in words. */
export function stepText({ steps, history, attempt }: Trace, count: number): string {
  const step = steps[count]!;
  switch (step.kind) {
    case "write":
      return `${step.what}: ${hex(step.before)} becomes ${hex(step.bytes)}`;
    case "sync-cores":
      return "all CPUs forget what they fetched";
    case "wait-clear":
      return `no CPU stands from 0x${step.from.toString(16)} to 0x${step.to.toString(16)}`;
    case "wait-readers":
      return "all runs have ended that had begun";
    case "begin": {
      const isLast = step.update + 1 === history.length;
      return `begins to put ${(isLast ? attempt : undefined) ?? history[step.update]} into the slot`;
    }
    case "end":
      return "is done";
    case "refused":
      return `is refused: ${step.reason}`;
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
