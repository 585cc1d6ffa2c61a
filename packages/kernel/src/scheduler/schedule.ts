// Runs and operations of one kernel at the same time, interleaved step by step as somebody chooses.
import { BpfError, type Memory } from "@bpfkit/core";
import type { ArmedTrap, Mutex, Operation } from "../operation.ts";
import type { ProgramRun } from "../program.ts";
import type { Rcu } from "../rcu.ts";
import type { TextSites } from "../text/sites.ts";
import type { FunctionRun } from "../tracing/function.ts";
import { type ChoiceSource, Choices, type Move } from "./choices.ts";
import {
  CpuLane,
  type EndedCall,
  type EndedRun,
  type Granularity,
  type LaneMove,
  type LaneSite,
  type ScheduledCall,
  type ScheduledRun,
} from "./cpu-lane.ts";
import { Fetches, type FetchText } from "./fetches.ts";
import { OperationLane, type Outcome } from "./operation-lane.ts";

/** What moves, and who decides. */
export interface ScheduleOptions {
  /** What CPUs run. */
  readonly runs?: readonly ScheduledRun[];
  /** What other CPUs run: calls of functions. */
  readonly calls?: readonly ScheduledCall[];
  /** What the kernel does meanwhile, by name. An operation that is several goes on with `yield*`. */
  readonly operations?: Readonly<Record<string, Operation<unknown>>>;
  /** By operation, the index of the step that fails; lock and unlock count as steps. */
  readonly failing?: Readonly<Record<string, number>>;
  /** A seed, a schedule that was recorded, or a function that is asked; the seed 0 unless told. */
  readonly choose?: ChoiceSource;
  /** Machine instructions in one step of a CPU, 1 unless told; or `site`: as many as there are to the next patch site or call of the host. */
  readonly granularity?: Granularity;
  /** Most moves; 1,000,000 unless told. */
  readonly limit?: number;
  /** Told each move before it is made. What it throws ends the schedule. */
  readonly watch?: (move: Move, number: number) => void;
}

/** What came of a schedule. */
export interface Scheduled {
  /** All choices, for `choose: { replay }`: the same kernel state with the same runs and operations does the same again, bit for bit. */
  readonly schedule: string;
  readonly moves: number;
  /** Runs in the order in which they ended. */
  readonly runs: readonly EndedRun[];
  readonly calls: readonly EndedCall[];
  readonly operations: Readonly<Record<string, Outcome>>;
  /**
   * Undefined when all came to an end. Else nothing could move, or the limit was reached: who waits for what, and who holds it. Runs were ended where
   * they were, and operations taken back.
   */
  readonly stuck: string | undefined;
}

/** What it takes of a kernel. */
export interface ScheduleSite {
  readonly memory: Memory;
  readonly rcu: Rcu;
  readonly cpus: number;
  /** Undefined where the engine has no machine code. */
  readonly text: FetchText | undefined;
  readonly sites: TextSites | undefined;
  readonly runOn: (cpu: number) => object | undefined;
}

const LIMIT = 1_000_000;

/**
 * Lets runs and operations move in turn until all have ended. At each move it is chosen which of those moves that can; who is blocked (a mutex
 * that is held, readers in progress, a CPU in a range that has to be clear) is not offered. Where code has been written since the last
 * sync, it is also chosen what of the old and the new a CPU fetches there.
 *
 * Cost: moves × (CPUs + operations).
 */
export function schedule(site: ScheduleSite, options: ScheduleOptions): Scheduled {
  return new Schedule(site, options).play();
}

class Schedule {
  readonly #lanes: readonly (CpuLane | OperationLane)[];
  readonly #runs: readonly CpuLane<ProgramRun>[];
  readonly #calls: readonly CpuLane<FunctionRun>[];
  readonly #cpus: readonly CpuLane[];
  readonly #operations: readonly OperationLane[];
  readonly #choices: Choices;
  readonly #options: ScheduleOptions;
  readonly #sites: TextSites | undefined;
  #marks: { readonly version: number; readonly base: bigint; readonly marks: Uint8Array } | undefined;
  #moves = 0;

  constructor({ memory, rcu, cpus, text, sites, runOn }: ScheduleSite, options: ScheduleOptions) {
    const { runs = [], calls = [], operations = {}, failing = {}, choose = { seed: 0 }, granularity = 1 } = options;
    if (granularity !== "site" && (!Number.isInteger(granularity) || granularity < 1))
      throw new BpfError("argument", `granularity ${granularity}`, { expected: "1 or more, or 'site'" });
    const fetches = text && new Fetches(memory, text);
    const traps = new Map<bigint, ArmedTrap>();
    const lanes: LaneSite = { memory, fetches, traps, granularity, sites: () => this.#siteMarks(), runOn };
    const shared = { memory, rcu, fetches, traps, holders: new Map<Mutex, string>() };
    this.#options = options;
    this.#sites = sites;
    this.#choices = new Choices(choose);
    const checked = (cpu: number): number => {
      if (Number.isInteger(cpu) && cpu >= 0 && cpu < cpus) return cpu;
      throw new BpfError("argument", `cpu ${cpu}`, { expected: `a cpu below ${cpus}` });
    };
    this.#runs = runs.map(({ program, cpu: place, times, budget, ...options }, index) => {
      const start = (cpu: number): ProgramRun => program.start({ ...options, cpu });
      return new CpuLane(lanes, { start, times, budget }, checked(place ?? index));
    });
    this.#calls = calls.map(({ function: called, words, cpu: place, times, budget }, index) => {
      const start = (cpu: number): FunctionRun => called.start(words, { cpu });
      return new CpuLane(lanes, { start, times, budget }, checked(place ?? runs.length + index));
    });
    this.#cpus = [...this.#runs, ...this.#calls];
    this.#operations = Object.entries(operations).map(
      ([name, operation]) => new OperationLane(shared, name, operation, failing[name]),
    );
    this.#lanes = [...this.#cpus, ...this.#operations];
  }

  play(): Scheduled {
    const { watch, limit = LIMIT } = this.#options;
    let stuck: string | undefined;
    try {
      while (this.#lanes.some(({ isDone }) => !isDone)) {
        const moves: LaneMove[] = [];
        for (const lane of this.#lanes) for (const move of lane.moves(this.#moves)) moves.push(move);
        if (moves.length === 0 || this.#moves === limit) {
          stuck = this.#report(moves.length === 0 ? "nothing can move" : `${limit} moves were not enough`);
          break;
        }
        const move = moves[this.#choices.take(moves)]!;
        watch?.(move, this.#moves);
        move.make();
        this.#moves++;
      }
      this.#choices.end();
    } finally {
      for (const cpu of this.#cpus) cpu.stop();
      const error = new BpfError("argument", "an operation that cannot go on (EDEADLK)", {
        hint: stuck ?? "the schedule was ended",
      });
      for (const operation of this.#operations) operation.abandon(error, this.#moves);
    }
    const runs = this.#runs.flatMap(({ ended }) => ended).sort((a, b) => a.to - b.to);
    const calls = this.#calls.flatMap(({ ended }) => ended).sort((a, b) => a.to - b.to);
    const operations = Object.fromEntries(this.#operations.map(({ name, outcome }) => [name, outcome!]));
    return { schedule: this.#choices.recorded, moves: this.#moves, runs, calls, operations, stuck };
  }

  #report(why: string): string {
    const lines = this.#operations
      .filter(({ isDone }) => !isDone)
      .map((operation) => `${operation.name} waits for ${operation.waitsFor()}`);
    for (const cpu of this.#cpus)
      if (!cpu.isDone) lines.push(`${cpu.name} ${cpu.run === undefined ? "is taken by another run" : "is in a run"}`);
    return [why, ...lines].join("\n  ");
  }

  #siteMarks(): { readonly base: bigint; readonly marks: Uint8Array } {
    const sites = this.#sites?.all ?? [];
    const version = this.#sites?.version ?? 0;
    if (this.#marks?.version !== version) {
      if (sites.length === 0) return { base: 0n, marks: new Uint8Array() };
      const addresses = sites.map(({ address }) => Number(address));
      const base = Math.min(...addresses);
      const marks = new Uint8Array(Math.max(...sites.map(({ address, size }) => Number(address) + size)) - base);
      for (const { address, size } of sites) marks.fill(1, Number(address) - base, Number(address) + size - base);
      this.#marks = { version, base: BigInt(base), marks };
    }
    return this.#marks!;
  }
}
