// Functions of the host whose calls programs can watch and change, as those of a kernel: machine code at the entry, and a body in TypeScript.
import {
  type ArgPlaces,
  BpfError,
  type CpuCounts,
  type FuncModel,
  type FunctionExecution,
  type GuestCall,
  type MachineRun,
  type PlacedCode,
  type StackSpace,
  type Stop,
} from "@bpfkit/core";
import type { Kernel } from "../kernel.ts";
import type { Reader } from "../rcu.ts";

/** What the body of a function is called with. */
export interface BodyCall {
  /** The words of the arguments, 64 bits each: a struct by value may be two of them, and bits above a small argument are anything. */
  readonly words: readonly bigint[];
  /** The virtual CPU. */
  readonly cpu: number;
}

/** What a function does: gives its result; a generator may yield calls of other functions ({@link TracedFunction.call}) and gets their results. */
export type FunctionBody = (call: BodyCall, kernel: Kernel) => bigint | Generator<GuestCall, bigint, bigint>;

/** Properties that decide which programs a function takes. */
export interface FunctionOptions {
  /** Its body may sleep, so that programs that may sleep can be attached, and waits for tasks do not wait for it; no unless told. */
  readonly sleeps?: boolean;
  /** Its result may be replaced by `fmod_ret` programs (the kernel's `ALLOW_ERROR_INJECTION`); no unless told. */
  readonly errorInjection?: boolean;
  /**
   * Another user of the entry, as a livepatch: told how a new trampoline would find the original, it says whether both can be there. Where a known
   * address is in its way, the trampoline is made once more, to go by the return address. Always, unless told.
   */
  readonly shares?: (original: "known" | "from-stack") => boolean;
}

/** How one call of a function ended. */
export interface FunctionResult {
  readonly stop: Stop;
  /** All 64 bits of the register that results are in; undefined when it did not return. */
  readonly value: bigint | undefined;
  /** Machine instructions in all, those of trampolines and programs included. */
  readonly executed: number;
}

/** Where a call goes on. */
export interface CallOptions {
  /** The CPU, 0 unless told. */
  readonly cpu?: number;
  /** Most machine instructions; 100 million unless told. */
  readonly budget?: number;
}

/** What a function needs of its kernel. */
export interface FunctionSite {
  stackOf(cpu: number): StackSpace;
  /** @throws {BpfError} `argument` when there is no such CPU, or it is taken */
  take(cpu: number): void;
  enter(run: Reader): void;
  leave(run: Reader): void;
}

const DEFAULT_BUDGET = 100_000_000;

/** A function of the host; made by `Kernel.defineFunction`. */
export class TracedFunction {
  readonly name: string;
  readonly model: FuncModel;
  readonly options: FunctionOptions;
  /** Where its words are expected. */
  readonly places: ArgPlaces;
  /** @hidden */
  readonly code: PlacedCode;
  /** @hidden Its number among the functions of its kernel. */
  id = -1;
  readonly #site: FunctionSite;

  /** For {@link Kernel}. */
  constructor(
    site: FunctionSite,
    name: string,
    model: FuncModel,
    options: FunctionOptions,
    places: ArgPlaces,
    code: PlacedCode,
  ) {
    this.#site = site;
    this.name = name;
    this.model = model;
    this.options = options;
    this.places = places;
    this.code = code;
  }

  /** Address of its entry. */
  get address(): bigint {
    return this.code.address;
  }

  /** A call of it, for a body or a kfunc to yield. @throws {BpfError} `argument` for another number of words than its model has */
  call(...words: readonly bigint[]): GuestCall {
    this.#checkWords(words);
    return { address: this.address, args: words, places: this.places };
  }

  /**
   * Calls it on a CPU, with the programs that are attached to it.
   *
   * @throws {BpfError} `argument` for another number of words than its model has, and for a CPU that is not there or is taken
   *
   * @example
   * ```ts
   * const { value, stop } = open.run([path, 0n], { cpu: 1 });
   * ```
   */
  run(words: readonly bigint[], { budget = DEFAULT_BUDGET, ...options }: CallOptions = {}): FunctionResult {
    const run = this.start(words, options);
    try {
      run.run(budget);
      return run.result;
    } finally {
      run[Symbol.dispose]();
    }
  }

  /** Starts a call that the caller drives; the CPU is taken until it ends or is disposed of. @throws {BpfError} as {@link run} */
  start(words: readonly bigint[], { cpu = 0 }: Pick<CallOptions, "cpu"> = {}): FunctionRun {
    this.#checkWords(words);
    this.#site.take(cpu);
    return new FunctionRun(this.#site, this, words, cpu);
  }

  #checkWords(words: readonly bigint[]): void {
    const { length } = this.places.slots;
    if (words.length === length) return;
    throw new BpfError("argument", `${words.length} words for ${this.name}`, { expected: `${length}` });
  }
}

/** One call in progress. */
export class FunctionRun implements Reader {
  readonly kind = "task";
  readonly function: TracedFunction;
  readonly cpu: number;
  readonly #site: FunctionSite;
  readonly #execution: FunctionExecution;
  #stop: Stop = { kind: "budget" };
  #ended = false;

  /** For {@link TracedFunction}. */
  constructor(site: FunctionSite, traced: TracedFunction, words: readonly bigint[], cpu: number) {
    this.#site = site;
    this.function = traced;
    this.cpu = cpu;
    this.#execution = traced.code.start({ words, places: traced.places, stack: site.stackOf(cpu), cpu });
    site.enter(this);
  }

  /** Name of the function. */
  get name(): string {
    return this.function.name;
  }

  get machine(): MachineRun {
    return this.#execution.machine;
  }

  /** Address of the next instruction. */
  get pc(): bigint {
    return this.machine.pc;
  }

  get executed(): number {
    return this.#execution.executed;
  }

  get counts(): CpuCounts | undefined {
    return this.#execution.counts;
  }

  /** Goes on for at most `budget` instructions. */
  run(budget: number): Stop {
    if (!this.#ended) {
      this.#stop = this.#execution.run(budget);
      if (this.#stop.kind !== "budget") this[Symbol.dispose]();
    }
    return this.#stop;
  }

  /** What has come of it so far, or in the end. */
  get result(): FunctionResult {
    const stop = this.#stop;
    return { stop, value: stop.kind === "returned" ? stop.value : undefined, executed: this.executed };
  }

  /** Ends the call where it is, if it has not ended. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#site.leave(this);
  }
}
