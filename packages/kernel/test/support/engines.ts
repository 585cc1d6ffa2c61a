// Engines for lockstep: one that looks like compiled code, and one that gets an instruction wrong.
import {
  Access,
  assemble,
  type CpuCounts,
  type Engine,
  type Executable,
  type Execution,
  type Image,
  Insns,
  interpreter,
  type StartOptions,
  type Stop,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";

/** Bytes of the pretended code of one slot. */
const SLOT = 8;

/**
 * The interpreter made to look like a compiler: it has an image in which `merged` slots share the place of the slot behind them,
 * larger frames, and it scribbles over its stack below them.
 */
export function compiled(merged: readonly number[] = []): Engine {
  return {
    name: "compiled",
    load: (program, host, options) => {
      const inner = interpreter.load(program, host, options);
      const image = imageOf(program, merged);
      const executable: Placed = {
        program,
        image,
        imageAddress: 0x4000n,
        subprogAddress: (index) => inner.subprogAddress(index),
        release: () => inner.release(),
        start: (start) =>
          new Merged(inner.start({ ...start, frameAddress: frames(program, start) }), executable, () => {
            host.memory.write(start.stack.low, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
          }),
      };
      return executable;
    },
  };
}

type Placed = Executable & { readonly image: Image };

function imageOf({ program }: VerifiedProgram, merged: readonly number[]): Image {
  const slots = program.insns.length;
  const boundaries = Uint32Array.from({ length: slots }, (_, slot) => SLOT * slot);
  for (const slot of [...merged].sort((a, b) => b - a)) boundaries[slot] = boundaries[slot + 1]!;
  return {
    arch: "none",
    code: Uint8Array.from({ length: SLOT * slots }, (_, i) => i),
    relocations: [],
    patchSites: [],
    pokes: [],
    landing: 0,
    counterCode: [],
    subprogs: [],
    boundaries,
    ends: Uint32Array.from({ length: slots }, (_, slot) => SLOT * (slot + 1)),
    layout: "plain",
  };
}

/** Frames 96 bytes further apart than the interpreter's own. Right only for programs that never return to call again. */
function frames({ structure }: VerifiedProgram, { stack }: StartOptions): () => bigint {
  let next = stack.high;
  return () => {
    const base = next - 32n;
    next = base - BigInt(Math.max(...structure.subprogs.map(({ stackDepth }) => stackDepth)) + 96);
    next &= -16n;
    return base;
  };
}

/**
 * The interpreter with its whole stack open, as machine code has it: no frame begins or ends. Each frame is `distance` bytes below the
 * one before; right only for programs that never return to call again.
 */
export function unguarded(distance = 512n): Engine {
  return {
    name: "unguarded",
    load(program, host, options) {
      const inner = interpreter.load(program, host, options);
      const executable: Executable = {
        program,
        subprogAddress: (index) => inner.subprogAddress(index),
        release: () => inner.release(),
        start(start) {
          const { low, high } = start.stack;
          let next = high;
          const frameAddress = (): bigint => {
            next -= distance;
            return next + distance;
          };
          const execution = inner.start({ ...start, frameAddress });
          const step = execution.step.bind(execution);
          execution.step = (budget) => {
            if (execution.at >= 0) host.memory.protect(low, Number(high - low), Access.READ | Access.WRITE);
            return step(budget);
          };
          return Object.defineProperty(execution, "executable", { value: executable });
        },
      };
      return executable;
    },
  };
}

class Merged implements Execution {
  /** The one that was started: such programs make no tail calls. */
  readonly executable: Executable;
  readonly #inner: Execution;
  readonly #places: Uint32Array;
  readonly #scribble: () => void;

  constructor(inner: Execution, executable: Placed, scribble: () => void) {
    this.#inner = inner;
    this.executable = executable;
    this.#places = executable.image.boundaries;
    this.#scribble = scribble;
  }

  get at(): number {
    const { at } = this.#inner;
    return at < 0 ? at : this.#places.indexOf(this.#places[at]!);
  }

  get executed(): number {
    return this.#inner.executed;
  }

  get tailCalls(): number {
    return this.#inner.tailCalls;
  }

  get counts(): CpuCounts | undefined {
    return this.#inner.counts;
  }

  register(index: number): bigint {
    return this.#inner.register(index);
  }

  run(budget: number): Stop {
    return this.#inner.run(budget);
  }

  step(budget: number): Stop | undefined {
    for (;;) {
      const from = this.#inner.at;
      const stop = this.#inner.step(budget);
      this.#scribble();
      const { at } = this.#inner;
      if (stop !== undefined || from < 0 || at <= from || this.#places[at] !== this.#places[from]) return stop;
    }
  }
}

/** An engine that takes the instruction at `slot` for another one of the same width. */
export function faulty(slot: number, text: string, inner: Engine = interpreter): Engine {
  return {
    name: "faulty",
    load: (verified, host, options) => {
      const words = verified.program.insns.words.slice();
      const other = assemble(`${text}\nexit`).insns;
      words.set(other.words.subarray(0, -2), 2 * slot);
      return inner.load(trust({ ...verified.program, insns: new Insns(words) }), host, options);
    },
  };
}
