// One CPU under a schedule: runs one after the other, in steps.
import type { MachineRun, Memory, Stop } from "@bpfkit/core";
import type { ArmedTrap } from "../operation.ts";
import type { LoadedProgram, ProgramRun, RunResult, StepOptions } from "../program.ts";
import type { FunctionResult, FunctionRun, TracedFunction } from "../tracing/function.ts";
import type { Move } from "./choices.ts";
import type { Fetchable, Fetches } from "./fetches.ts";

/** Runs of a program on one CPU, one after the other. */
export interface ScheduledRun extends Omit<StepOptions, "frameAddress"> {
  readonly program: LoadedProgram;
  /** The CPU; the position in the list unless told. */
  readonly cpu?: number;
  /** How many; 1 unless told. */
  readonly times?: number;
  /** Most instructions of one of them; 100,000 unless told. */
  readonly budget?: number;
}

/** Calls of a function on one CPU, one after the other. */
export interface ScheduledCall {
  readonly function: TracedFunction;
  /** The words of its arguments. */
  readonly words: readonly bigint[];
  /** The CPU; the position in the list, behind all runs of programs, unless told. */
  readonly cpu?: number;
  /** How many; 1 unless told. */
  readonly times?: number;
  /** Most instructions of one of them; 100,000 unless told. */
  readonly budget?: number;
}

/** A run that has ended, or been ended. `from` and `to` count moves of the schedule: it began with one and ended with the other. */
export interface EndedRun {
  readonly cpu: number;
  readonly run: ProgramRun;
  readonly result: RunResult;
  readonly from: number;
  readonly to: number;
}

/** A call that has ended, or been ended; as {@link EndedRun}. */
export interface EndedCall {
  readonly cpu: number;
  readonly run: FunctionRun;
  readonly result: FunctionResult;
  readonly from: number;
  readonly to: number;
}

/** What a CPU does again and again. */
export interface LaneWork<Run> {
  readonly start: (cpu: number) => Run;
  readonly times: number | undefined;
  readonly budget: number | undefined;
}

/** A run as its CPU drives it. */
export interface LaneRun<Result> {
  readonly machine: MachineRun | undefined;
  readonly pc: bigint | undefined;
  readonly executed: number;
  readonly result: Result;
  run(budget: number): Stop;
  [Symbol.dispose](): void;
}

/** Instructions between two looks at others: a number, or `site`: as many as there are to the next patch site or call of the host. */
export type Granularity = number | "site";

/** What all lanes share. */
export interface LaneSite {
  readonly memory: Memory;
  /** Undefined where the engine has no machine code. */
  readonly fetches: Fetches | undefined;
  /** Breakpoints of plans in progress, by address. */
  readonly traps: ReadonlyMap<bigint, ArmedTrap>;
  readonly granularity: Granularity;
  /** Patch sites as marks for a CPU. */
  readonly sites: () => { readonly base: bigint; readonly marks: Uint8Array };
  /** The run that a CPU is taken by. */
  readonly runOn: (cpu: number) => object | undefined;
}

const BUDGET = 100_000;
/** Most instructions of one step to the next patch site. */
const STRETCH = 10_000;

export interface LaneMove extends Move {
  readonly make: () => void;
}

export class CpuLane<Run extends LaneRun<unknown> = LaneRun<unknown>> {
  readonly cpu: number;
  readonly name: string;
  readonly ended: {
    readonly cpu: number;
    readonly run: Run;
    readonly result: Run["result"];
    readonly from: number;
    readonly to: number;
  }[] = [];
  readonly #site: LaneSite;
  readonly #work: LaneWork<Run>;
  #left: number;
  #run: Run | undefined;
  #from = 0;
  #now = 0;

  constructor(site: LaneSite, work: LaneWork<Run>, cpu: number) {
    this.#site = site;
    this.#work = work;
    this.cpu = cpu;
    this.name = `cpu ${cpu}`;
    this.#left = work.times ?? 1;
  }

  get isDone(): boolean {
    return this.#run === undefined && this.#left === 0;
  }

  /** The run in progress. */
  get run(): Run | undefined {
    return this.#run;
  }

  /** What can happen next, when `now` moves have been made. */
  moves(now: number): LaneMove[] {
    this.#now = now;
    const run = this.#run;
    if (run === undefined) {
      const isFree = this.#left > 0 && this.#site.runOn(this.cpu) === undefined;
      return isFree ? [this.#move("begins a run", () => this.#begin())] : [];
    }
    const { machine } = run;
    const { fetches, granularity } = this.#site;
    if (machine === undefined || fetches === undefined) {
      return [this.#move("goes on", () => this.#note(run.run(granularity === "site" ? 1 : granularity)))];
    }
    if (!this.#isSpecial(machine.pc)) return [this.#move(undefined, () => this.#advance(machine))];
    return fetches.at(machine.pc).map((fetchable) => this.#fetchMove(machine, fetchable));
  }

  /** Ends the run in progress where it is. */
  stop(): void {
    this.#run?.[Symbol.dispose]();
    this.#run = undefined;
    this.#left = 0;
  }

  #begin(): void {
    this.#left--;
    this.#from = this.#now;
    this.#run = this.#work.start(this.cpu);
  }

  /** Whether a CPU at `pc` can fetch something else than what is there, or a breakpoint that is somebody's. */
  #isSpecial(pc: bigint): boolean {
    const { fetches, traps } = this.#site;
    return traps.has(pc) || fetches!.touches(pc);
  }

  #fetchMove(machine: MachineRun, { bytes, text }: Fetchable): LaneMove {
    const { pc } = machine;
    return this.#move(`0x${pc.toString(16)}: ${text}`, () =>
      this.#note(machine.execute(bytes, this.#site.traps.get(pc))),
    );
  }

  #advance(machine: MachineRun): void {
    const { granularity, sites } = this.#site;
    if (granularity === "site") {
      this.#note(machine.advance(STRETCH, sites()));
      return;
    }
    let stop: Stop | undefined;
    for (let i = 0; i < granularity && stop === undefined && (i === 0 || !this.#isSpecial(machine.pc)); i++)
      stop = machine.advance(1);
    this.#note(stop);
  }

  #note(stop: Stop | undefined): void {
    const run = this.#run!;
    const isOver = stop !== undefined && stop.kind !== "budget";
    if (!isOver && run.executed < (this.#work.budget ?? BUDGET)) return;
    if (isOver) run.run(0);
    run[Symbol.dispose]();
    this.ended.push({ cpu: this.cpu, run, result: run.result, from: this.#from, to: this.#now });
    this.#run = undefined;
  }

  #move(what: string | undefined, make: () => void): LaneMove {
    const run = this.#run;
    const { memory } = this.#site;
    return {
      who: this.name,
      get what() {
        return what ?? `0x${run!.pc!.toString(16)}: ${memory.describe(run!.pc!)}`;
      },
      make,
    };
  }
}
