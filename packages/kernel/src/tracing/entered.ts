// Programs that trampolines have entered, per CPU: who may run, what its helpers find, and what is given back when a run is broken off.
import type { LinkKind, Memory } from "@bpfkit/core";
import type { Rcu, Reader } from "../rcu.ts";
import { readerKind } from "../rcu.ts";
import type { Resident } from "../resident.ts";

/** What a program wants back when it is left: not 0, or it would not have run. */
const ENTERED = 1n;

/** A program that is in. */
export interface Entered {
  readonly program: Resident;
  readonly kind: LinkKind;
  /** Address of its run context: the cookie, and what was the run context before. */
  readonly context: bigint;
  readonly reader: Reader | undefined;
}

/** A trampoline that waits for its original. */
export interface Calling {
  left(): void;
}

/**
 * The two calls around every program in a trampoline (the kernel's `__bpf_prog_enter_recur` and `__bpf_prog_exit_recur`): a program that is
 * already running on the CPU is not let in again, and one that is in holds off those who wait for readers.
 */
export class EnteredPrograms {
  readonly #memory: Memory;
  readonly #rcu: Rcu;
  readonly #byCpu: Entered[][];
  /** Per CPU, trampolines whose original it is in, or on the way to or from it. */
  readonly #calling: Calling[][];
  readonly #misses = new Map<Resident, number>();

  constructor(memory: Memory, rcu: Rcu, cpus: number) {
    this.#memory = memory;
    this.#rcu = rcu;
    this.#byCpu = Array.from({ length: cpus }, () => []);
    this.#calling = Array.from({ length: cpus }, () => []);
  }

  /** The program that is in on a CPU, the innermost one. */
  on(cpu: number): Entered | undefined {
    return this.#byCpu[cpu]!.at(-1);
  }

  /** How often a program was not let in because it was running there already. */
  missesOf(program: Resident): number {
    return this.#misses.get(program) ?? 0;
  }

  /** Gives 0 where the program has to be skipped; {@link exit} follows in any case. O(programs that are in on the CPU) */
  enter(program: Resident, kind: LinkKind, cpu: number, context: bigint): bigint {
    const entered = this.#byCpu[cpu]!;
    const isIn = entered.some((other) => other.program === program && other.reader !== undefined);
    this.#memory.store(8, context + 8n, entered.at(-1)?.context ?? 0n);
    const reader: Reader | undefined = isIn
      ? undefined
      : { kind: readerKind(program.verified), isNested: true, cpu, name: program.name, pc: undefined };
    entered.push({ program, kind, context, reader });
    if (reader === undefined) {
      this.#misses.set(program, this.missesOf(program) + 1);
      return 0n;
    }
    this.#rcu.enter(reader);
    return ENTERED;
  }

  exit(cpu: number): void {
    const left = this.#byCpu[cpu]!.pop();
    if (left?.reader !== undefined) this.#rcu.leave(left.reader);
  }

  /** A trampoline is about to call its original. */
  call(cpu: number, trampoline: Calling): void {
    this.#calling[cpu]!.push(trampoline);
  }

  /** The original of the innermost one has returned, and its programs have run. */
  returned(cpu: number): void {
    this.#calling[cpu]!.pop()?.left();
  }

  /** A run has ended, wherever it was. */
  clear(cpu: number): void {
    while (this.#byCpu[cpu]!.length > 0) this.exit(cpu);
    while (this.#calling[cpu]!.length > 0) this.returned(cpu);
  }
}
