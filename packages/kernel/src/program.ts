// A program in a kernel, and its runs: the kernel's BPF_PROG_TEST_RUN.
import {
  BpfError,
  type CpuCounts,
  type Executable,
  type Execution,
  type MachineRun,
  type StackSpace,
  type Stop,
  type VerifiedProgram,
} from "@bpfkit/core";
import type { VirtualClock } from "./clock.ts";
import type { Context, ContextInput } from "./context/context.ts";
import { XdpBuffer } from "./context/xdp.ts";
import { type Reader, readerKind } from "./rcu.ts";
import { type Resident, standFor } from "./resident.ts";

/** One test run; the names are those of ebpf-go's `RunOptions`. */
export interface RunOptions {
  /** The packet, for xdp, sched_cls and socket_filter; the shortest one of zero bytes unless told. */
  readonly data?: Uint8Array;
  /** The context: `struct xdp_md` or `struct __sk_buff` as user space sees it, or the bytes of a syscall program's context. */
  readonly context?: Uint8Array;
  /** Runs in a row, 1 unless told. As in the kernel, context and packet are not put back between them. */
  readonly repeat?: number;
  /** Most instructions in all, in the engine's own unit; 100 million unless told. */
  readonly budget?: number;
  /** The CPU it runs on, 0 unless told. */
  readonly cpu?: number;
}

/** How a run ended, and what it left. */
export interface RunResult {
  readonly stop: Stop;
  /** The program that it ended in: the one that was started, or one that it tail-called. */
  readonly executable: Executable;
  /** r0 as the kernel reports it, 32 bits; undefined when the program did not return. */
  readonly returnValue: number | undefined;
  /** The packet, behind its metadata where there is any. */
  readonly dataOut: Uint8Array | undefined;
  readonly contextOut: Uint8Array | undefined;
  /** Where bpf_redirect sends the packet. */
  readonly redirect: { readonly ifindex: number } | undefined;
  /** Instructions in all, in the engine's own unit. */
  readonly executed: number;
  /** Virtual nanoseconds of one run, on average. */
  readonly duration: bigint;
}

/** How to start a run that is stepped. */
export interface StepOptions extends Omit<RunOptions, "repeat" | "budget"> {
  /** The value of r10 in the frame about to be entered, when another engine is followed. */
  readonly frameAddress?: () => bigint;
}

/** What a program needs of its kernel. */
export interface ProgramSite {
  readonly cpus: number;
  readonly clock: VirtualClock;
  stackOf(cpu: number): StackSpace;
  prepare(cpu: number, input: ContextInput): Context;
  enter(run: Reader, context: Context): void;
  leave(run: Reader): void;
}

const DEFAULT_BUDGET = 100_000_000;

/** A program in place; made by `Kernel.load`. */
export class LoadedProgram {
  /** The kernel's number for it, from 1 in the order of loading. */
  readonly id: number;
  readonly program: VerifiedProgram;
  /** The engine's side: its machine code, where there is any. */
  readonly executable: Executable;
  readonly #site: ProgramSite;
  readonly #resident: Resident;
  #released = false;

  /** For {@link Kernel}. */
  constructor(site: ProgramSite, resident: Resident) {
    this.#site = site;
    this.#resident = resident;
    this.id = resident.id;
    this.program = resident.verified;
    this.executable = resident.executable;
    standFor(this, resident);
  }

  get name(): string {
    return this.program.program.name;
  }

  /** Whether its handle was given back. It may still be in prog arrays. */
  get isReleased(): boolean {
    return this.#released;
  }

  /**
   * Runs the program to its end, or until the budget is used up.
   *
   * @throws {BpfError} `argument` for input that the kernel's test run refuses
   *
   * @example
   * ```ts
   * const { stop, returnValue, dataOut } = program.run({ data: packet, cpu: 1 });
   * if (stop.kind === "trap") console.log(stop.detail);
   * ```
   */
  run(options: RunOptions = {}): RunResult {
    const { repeat = 1, budget = DEFAULT_BUDGET } = options;
    if (!Number.isInteger(repeat) || repeat < 1)
      throw new BpfError("argument", `repeat ${repeat}`, { expected: "1 or more" });
    const { clock } = this.#site;
    const [cpu, context] = this.#prepare(options);
    const start = clock.now;
    let executed = 0;
    let stop: Stop = { kind: "budget" };
    let { executable } = this;
    let runs = 0;
    do {
      const run = new ProgramRun(this.#site, this.executable, context, cpu);
      try {
        stop = run.run(budget - executed);
        executable = run.executable;
        executed += run.executed;
      } finally {
        run[Symbol.dispose]();
      }
      runs++;
    } while (runs < repeat && stop.kind === "returned");
    return resultOf(context, executable, stop, executed, (clock.now - start) / BigInt(runs));
  }

  /**
   * Starts a run that the caller drives. The CPU is taken until the run ends or is disposed of.
   *
   * @throws {BpfError} `argument` for input that the kernel's test run refuses, and when the CPU is running a program
   */
  start(options: StepOptions = {}): ProgramRun {
    const [cpu, context] = this.#prepare(options);
    return new ProgramRun(this.#site, this.executable, context, cpu, options.frameAddress);
  }

  /**
   * Gives the handle back, and with it the program's memory once nothing else holds it: runs in progress, slots of prog arrays, links of
   * extensions. Maps stay.
   */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#resident.drop();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #prepare({ cpu = 0, data, context, repeat }: RunOptions): [number, Context] {
    if (this.#released) throw new BpfError("argument", `program '${this.name}' was released`);
    if (this.program.program.type === "ext") {
      throw new BpfError("argument", `a run of extension '${this.name}' (ENOTSUPP)`, {
        expected: "a program that it extends",
      });
    }
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= this.#site.cpus) {
      throw new BpfError("argument", `cpu ${cpu}`, { expected: `a cpu below ${this.#site.cpus}` });
    }
    const input: ContextInput = {
      ...(data === undefined ? {} : { data }),
      ...(context === undefined ? {} : { context }),
      ...(repeat === undefined ? {} : { repeat }),
    };
    return [cpu, this.#site.prepare(cpu, input)];
  }
}

/** One run in progress. It is an engine's {@link Execution}, and tells the result when it has ended. */
export class ProgramRun implements Execution, Reader {
  /** The engine's side. */
  readonly execution: Execution;
  readonly cpu: number;
  readonly #site: ProgramSite;
  readonly #context: Context;
  readonly #started: bigint;
  /** What was started. */
  readonly #program: Executable;
  #stop: Stop = { kind: "budget" };
  #ended = false;

  /** For {@link LoadedProgram}. */
  constructor(site: ProgramSite, executable: Executable, context: Context, cpu: number, frameAddress?: () => bigint) {
    this.#site = site;
    this.#context = context;
    this.cpu = cpu;
    this.#started = site.clock.now;
    this.#program = executable;
    this.execution = executable.start({
      args: [context.address],
      stack: site.stackOf(cpu),
      cpu,
      ...(frameAddress === undefined ? {} : { frameAddress }),
    });
    site.enter(this, context);
  }

  /** Whether it is a run that may sleep, for those who wait. */
  get kind(): Reader["kind"] {
    return readerKind(this.#program.program);
  }

  /** Name of the program that was started. */
  get name(): string {
    return this.#program.program.program.name;
  }

  get machine(): MachineRun | undefined {
    return this.execution.machine;
  }

  /** Address of the next instruction, where it is machine code. */
  get pc(): bigint | undefined {
    return this.machine?.pc;
  }

  get executable(): Executable {
    return this.execution.executable;
  }

  get at(): number {
    return this.execution.at;
  }

  get tailCalls(): number {
    return this.execution.tailCalls;
  }

  get counts(): CpuCounts | undefined {
    return this.execution.counts;
  }

  get executed(): number {
    return this.execution.executed;
  }

  register(index: number): bigint {
    return this.execution.register(index);
  }

  run(budget: number): Stop {
    return this.#ended ? this.#stop : this.#note(this.execution.run(budget));
  }

  step(budget: number): Stop | undefined {
    if (this.#ended) return this.#stop;
    const stop = this.execution.step(budget);
    return stop && this.#note(stop);
  }

  /** What the run has left so far, or in the end. */
  get result(): RunResult {
    return resultOf(this.#context, this.executable, this.#stop, this.executed, this.#site.clock.now - this.#started);
  }

  /** Ends the run where it is, if it has not ended: the CPU is free again, and what the run held is given back. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#site.leave(this);
  }

  #note(stop: Stop): Stop {
    this.#stop = described(stop, this.#context);
    if (stop.kind !== "budget") this[Symbol.dispose]();
    return this.#stop;
  }
}

/** A trap in a context's buffers says where it is in the program's own terms. */
function described(stop: Stop, context: Context): Stop {
  if (stop.kind !== "trap" || stop.address === undefined) return stop;
  const detail = context.describe(stop.address);
  return detail === undefined ? stop : { ...stop, detail };
}

function resultOf(context: Context, executable: Executable, stop: Stop, executed: number, duration: bigint): RunResult {
  return {
    stop,
    executable,
    returnValue: stop.kind === "returned" ? Number(BigInt.asUintN(32, stop.value)) : undefined,
    dataOut: context.dataOut(),
    contextOut: context.contextOut(),
    redirect: context instanceof XdpBuffer ? context.redirect : undefined,
    executed,
    duration,
  };
}
