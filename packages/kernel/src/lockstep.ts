// Lockstep: two engines run the same program, and are compared wherever one of its instructions begins.
import {
  BpfError,
  type Engine,
  type Executable,
  type Line,
  type MapSpec,
  type TrackedEngine,
  trackedInterpreter,
  type UndefinedUse,
  type VerifiedProgram,
} from "@bpfkit/core";
import { hex } from "./guest.ts";
import { Kernel, type KernelOptions } from "./kernel.ts";
import type { ProgramFault } from "./lockstep-fault.ts";
import { type Difference, type Kernels, Pair, sameBytes } from "./lockstep-pair.ts";
import type { ProgArray } from "./prog-array.ts";
import type { LoadedProgram, RunOptions, RunResult } from "./program.ts";

/** What a {@link Lockstep} is made with; both kernels get the same options. */
export interface LockstepOptions extends KernelOptions {
  /** The engine under test. */
  readonly engine: Engine;
  /** What it is compared with; core's `trackedInterpreter` unless told. */
  readonly reference?: TrackedEngine;
  /** Called with each kernel, to make maps and helpers. */
  readonly setup?: (kernel: Kernel) => void;
  /** A backend's `disassemble`, so that differences show machine code. */
  readonly disassemble?: (code: Uint8Array, address?: bigint) => Iterable<Line>;
}

/** What was compared. */
export interface LockstepCounts {
  /** Places where both engines stood at the same instruction and were compared. */
  readonly boundaries: number;
  /** BPF instructions that the reference executed. */
  readonly instructions: number;
  /** Instructions that the subject executed, in its own unit. */
  readonly subjectInstructions: number;
}

/** How a run in lockstep ended. */
export interface LockstepResult extends LockstepCounts {
  readonly equal: boolean;
  readonly difference: Difference | undefined;
  /** Where the program let an undefined value decide; the comparison ends there, and so do both runs. */
  readonly undefinedUse: UndefinedUse | undefined;
  /** What the program did that no verified program does, where only the reference sees it; the comparison ends there, too. */
  readonly programFault: ProgramFault | undefined;
  /** The program whose instruction ran last, where tail calls led: `difference.at` and the like are slots of it. */
  readonly program: VerifiedProgram;
  readonly subject: RunResult;
  readonly reference: RunResult;
}

const DEFAULT_BUDGET = 100_000_000;

/**
 * Two kernels that are set up alike, one for each engine. Because both allocate alike, and the reference takes frame and callback
 * addresses from the subject, pointers are equal bit by bit.
 *
 * @example
 * ```ts
 * const lockstep = new Lockstep({ engine: jit(backend), disassemble: backend.disassemble });
 * const program = lockstep.load(verified);
 * const { equal, difference } = program.run({ data: packet });
 * if (!equal) console.log(difference.listing);
 * ```
 */
export class Lockstep {
  readonly reference: Kernel;
  readonly subject: Kernel;
  readonly #disassemble: LockstepOptions["disassemble"];
  readonly #counterparts = new WeakMap<Executable, Executable>();
  #counts: LockstepCounts = { boundaries: 0, instructions: 0, subjectInstructions: 0 };

  constructor({ engine, reference = trackedInterpreter, setup, disassemble, ...options }: LockstepOptions) {
    this.reference = new Kernel({ ...options, engine: reference });
    this.subject = new Kernel({ ...options, engine });
    this.#disassemble = disassemble;
    if (setup !== undefined) this.apply(setup);
  }

  /** Makes a change from outside in both kernels: map updates between runs, the clock, … */
  apply(change: (kernel: Kernel) => void): void {
    change(this.subject);
    change(this.reference);
  }

  /** The sums of all runs. */
  get counts(): LockstepCounts {
    return this.#counts;
  }

  /** Puts a program into both kernels; @throws {BpfError} as `Kernel.load` */
  load(verified: VerifiedProgram): LockstepProgram {
    const subject = this.subject.load(verified);
    let reference: LoadedProgram;
    try {
      const { executable } = subject;
      reference = this.reference.load(verified, { subprogAddress: (index) => executable.subprogAddress(index) });
    } catch (error) {
      subject.release();
      throw error;
    }
    this.#counterparts.set(subject.executable, reference.executable);
    const kernels = { subject: this.subject, reference: this.reference, counterparts: this.#counterparts };
    return new LockstepProgram(kernels, subject, reference, this.#disassemble, (counts) => {
      this.#counts = {
        boundaries: this.#counts.boundaries + counts.boundaries,
        instructions: this.#counts.instructions + counts.instructions,
        subjectInstructions: this.#counts.subjectInstructions + counts.subjectInstructions,
      };
    });
  }

  /** A prog array in both kernels, to put programs into. @throws {BpfError} as `Kernel.progArray` */
  progArray(nameOrSpec: string | MapSpec): LockstepProgArray {
    return new LockstepProgArray(this.subject.progArray(nameOrSpec), this.reference.progArray(nameOrSpec));
  }

  /**
   * Compares all maps, key by key and byte by byte, and gives the first difference in words. Runs compare every write and the sets
   * of keys on their way, so this finds only what no run could see.
   */
  compareMaps(): string | undefined {
    const others = this.reference.maps;
    for (const [i, map] of this.subject.maps.entries()) {
      const entries = others[i]!.entries();
      for (const { key, values } of map.entries()) {
        const other = entries.next().value;
        if (other === undefined || !sameBytes(key, other.key)) return `keys of map '${map.name}'`;
        if (values.some((value, cpu) => !sameBytes(value, other.values[cpu]!)))
          return `values of map '${map.name}' key ${hex(key)}`;
      }
      if (entries.next().done !== true) return `keys of map '${map.name}'`;
    }
    return undefined;
  }
}

/** A program in both kernels; made by {@link Lockstep.load}. */
export class LockstepProgram {
  readonly subject: LoadedProgram;
  readonly reference: LoadedProgram;
  readonly #kernels: Kernels;
  readonly #disassemble: LockstepOptions["disassemble"];
  readonly #count: (counts: LockstepCounts) => void;

  /** For {@link Lockstep}. */
  constructor(
    kernels: Kernels,
    subject: LoadedProgram,
    reference: LoadedProgram,
    disassemble: LockstepOptions["disassemble"],
    count: (counts: LockstepCounts) => void,
  ) {
    this.#kernels = kernels;
    this.subject = subject;
    this.reference = reference;
    this.#disassemble = disassemble;
    this.#count = count;
  }

  /**
   * Runs the program once in both kernels, boundary by boundary, until it ends or they differ. The budget counts BPF instructions.
   * After a difference the two kernels are no longer alike.
   *
   * @throws {BpfError} `argument` for input that the kernel's test run refuses, and for a `repeat` other than 1
   */
  run(options: RunOptions = {}): LockstepResult {
    const { repeat = 1, budget = DEFAULT_BUDGET, ...start } = options;
    if (repeat !== 1) throw new BpfError("argument", `repeat ${repeat} in lockstep`, { expected: "1" });
    const pair = new Pair(this.#kernels, this.subject, this.reference, start);
    try {
      const finding = pair.follow(budget);
      const result = {
        equal: finding === undefined,
        difference: finding && pair.explain(finding, this.#disassemble),
        undefinedUse: pair.undefinedUse,
        programFault: pair.programFault,
        program: pair.program,
        subject: pair.subject.result,
        reference: pair.reference.result,
        boundaries: pair.boundaries,
        instructions: pair.reference.executed,
        subjectInstructions: pair.subject.executed,
      };
      this.#count(result);
      return result;
    } finally {
      pair.end();
    }
  }

  /** Gives the engines' memory back. */
  release(): void {
    this.subject.release();
    this.reference.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A prog array in both kernels; made by {@link Lockstep.progArray}. */
export class LockstepProgArray {
  readonly subject: ProgArray;
  readonly reference: ProgArray;

  /** For {@link Lockstep}. */
  constructor(subject: ProgArray, reference: ProgArray) {
    this.subject = subject;
    this.reference = reference;
  }

  /** Puts a program into a slot, on each side its own. @throws {BpfError} as `ProgArray.set` */
  set(index: number, program: LockstepProgram): void {
    this.subject.set(index, program.subject);
    this.reference.set(index, program.reference);
  }

  /** Empties a slot and tells whether there was a program. @throws {BpfError} as `ProgArray.delete` */
  delete(index: number): boolean {
    this.subject.delete(index);
    return this.reference.delete(index);
  }
}
