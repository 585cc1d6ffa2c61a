// The engine `interpreter`: BPF's own meanings in the run reading, one instruction at a time.
import type { VerifiedProgram } from "../program.ts";
import type { Engine, Executable, Execution, Host, LoadOptions, StartOptions } from "./engine.ts";
import { type FrameOps, type FrameReading, Invocation, REGISTERS } from "./frames.ts";
import { Loaded } from "./loaded.ts";
import type { Memory } from "./memory.ts";
import type { Size } from "./ops.ts";
import { Run } from "./run.ts";

/** The run reading with BPF's words. */
class BpfRun extends Run implements FrameReading<bigint> {
  readonly #words: FrameOps<bigint>;

  constructor(memory: Memory, words: FrameOps<bigint>, checked: boolean) {
    super({ memory, registers: REGISTERS, checked });
    this.#words = words;
  }

  numberOf(value: bigint): bigint {
    return value;
  }

  decidedBy(value: bigint): bigint {
    return value;
  }

  leftover(number: bigint): bigint {
    return number;
  }

  programEntered(): void {}

  frameEntered(): void {}

  call(target: number): void {
    this.#words.call(target);
  }

  helper(id: number): void {
    this.#words.helper(id);
  }

  kfunc(index: number): void {
    this.#words.kfunc(index);
  }

  tailCall(): void {
    this.#words.tailCall();
  }

  symbol(at: number): bigint {
    return this.#words.symbol(at);
  }

  packetLoad(size: Size, offset: bigint): bigint {
    return this.#words.packetLoad(size, offset);
  }

  exit(condition?: bigint): void {
    this.#words.exit(condition);
  }
}

/** An {@link Executable} with executions of some kind. */
export interface ExecutableOf<E extends Execution> extends Executable {
  start(options: StartOptions): E;
}

/** Loads a program for interpretation in the reading that `start` makes. */
export function interpret<E extends Execution>(
  program: VerifiedProgram,
  host: Host,
  options: LoadOptions | undefined,
  start: (loaded: Loaded, options: StartOptions) => E,
): ExecutableOf<E> {
  return new Loaded(program, host, options ?? {}, start).executable as ExecutableOf<E>;
}

/** An interpreter that, when `checked`, throws on a meaning that is not one parallel assignment; for tests. */
export function interpreterWith({ checked }: { readonly checked: boolean }): Engine {
  return {
    name: "interpreter",
    load: (program, host, options) =>
      interpret(program, host, options, (loaded, start) => {
        return new Invocation<bigint, BpfRun>(loaded, start, (words) => new BpfRun(host.memory, words, checked));
      }),
  };
}

/**
 * Runs programs as the BPF specification reads, without machine code. A subprogram may touch its own stack only while its frame is
 * live, so programs that leave their memory trap here even where compiled code happens to survive.
 *
 * @example
 * ```ts
 * import { assemble, interpreter, Memory, trust } from "@bpfkit/core";
 * const memory = new Memory();
 * const stack = memory.allocate("stack", 4096, "stack");
 * const none = (): never => {
 *   throw new Error("no maps and helpers here");
 * };
 * const program = interpreter.load(trust(assemble("r0 = r1\nr0 += 2\nexit")), { memory, address: none, function: none });
 * const high = stack.address + 4096n;
 * console.log(program.start({ args: [40n], stack: { low: stack.address, high } }).run(100)); // { kind: "returned", value: 42n }
 * ```
 */
export const interpreter: Engine = interpreterWith({ checked: false });
