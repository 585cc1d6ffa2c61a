// Runs cases of the corpus on one engine, and says what is wrong where something is.
import {
  type Allocation,
  type Backend,
  BpfError,
  type Engine,
  type Execution,
  type Stop,
  tryTrust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, type LoadedProgram } from "@bpfkit/kernel";
import type { CaseRun, ConformanceCase, Expectation } from "./case.ts";
import { placeInTrials } from "./corpus/trials.ts";
import { setUpKernel } from "./host.ts";

/** What came of a case that failed. */
export interface CaseFailure {
  /** Index of the run; -1 where it did not come to one. */
  readonly run: number;
  /** What differs: `r0`, `memory at 120: r3 after trial 0`, `stop`, `verdict`, … */
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

const BUDGET = 100_000;
const MIB = 1 << 20;

/** An engine in a kernel that is used for one case after another. */
export class CaseRunner {
  readonly engine: Engine;
  readonly #kernel: Kernel;
  readonly #preserved: readonly number[];
  /** Memory that programs get, by size. */
  readonly #rooms = new Map<number, Allocation>();

  /** `preserved` are the BPF registers whose places belong to the caller of the program: it finds them as they were. */
  constructor(engine: Engine, preserved: readonly number[] = []) {
    this.engine = engine;
    this.#preserved = preserved;
    this.#kernel = new Kernel({ engine, memory: { sizes: { host: MIB, text: 32 * MIB, data: 8 * MIB } } });
    setUpKernel(this.#kernel);
  }

  /** What is wrong with the engine's answer; undefined when nothing is. */
  run({ program, runs, budget = BUDGET }: ConformanceCase): CaseFailure | undefined {
    const rejects = runs.some(({ expect }) => expect.kind === "reject");
    const trusted = tryTrust(program);
    if (!trusted.ok) return rejects ? undefined : refused(trusted.error);
    if (rejects) return { run: -1, what: "verdict", expected: "refused", found: "accepted" };
    let loaded: LoadedProgram;
    try {
      loaded = this.#kernel.load(trusted.program);
    } catch (error) {
      return refused(error);
    }
    try {
      for (const [index, run] of runs.entries()) {
        const difference = this.#compare(loaded, run, budget);
        if (difference !== undefined) return { run: index, ...difference };
      }
    } catch (error) {
      return refused(error);
    } finally {
      loaded.release();
    }
    return undefined;
  }

  #compare(loaded: LoadedProgram, run: CaseRun, budget: number): Omit<CaseFailure, "run"> | undefined {
    if (loaded.program.program.type !== "syscall") {
      const { memory, context } = run;
      const { stop } = loaded.run({ budget, ...(memory && { data: memory }), ...(context && { context }) });
      return compareStop(run.expect, stop);
    }
    const room = run.memory === undefined ? undefined : this.#room(run.memory);
    const stack = this.#kernel.stackOf(0);
    const args = run.args ?? (room === undefined ? [] : [room.address]);
    const execution = loaded.executable.start({ args, stack });
    const before = this.#preserved.map((register) => execution.register(register));
    const stop = execution.run(budget);
    const difference = compareStop(run.expect, stop) ?? this.#compareCaller(execution, stop, before);
    if (difference !== undefined || room === undefined) return difference;
    return compareMemory(run.expect, this.#kernel.memory.view(room.address, room.size));
  }

  #compareCaller(execution: Execution, stop: Stop, before: readonly bigint[]): Omit<CaseFailure, "run"> | undefined {
    if (stop.kind !== "returned") return undefined;
    for (const [i, register] of this.#preserved.entries()) {
      const found = execution.register(register);
      if (found === before[i]) continue;
      return {
        what: `the caller's register in the place of r${register}`,
        expected: hex(before[i]!),
        found: hex(found),
      };
    }
    return undefined;
  }

  #room(bytes: Uint8Array): Allocation {
    let room = this.#rooms.get(bytes.length);
    if (room === undefined) {
      room = this.#kernel.memory.allocate("data", bytes.length, "memory");
      this.#rooms.set(bytes.length, room);
    }
    this.#kernel.memory.write(room.address, bytes);
    return room;
  }
}

/** A program that does not come to run. Mistakes of the engine are its failure, not the suite's. */
function refused(error: unknown): CaseFailure {
  const found = error instanceof BpfError ? `${error.code}: ${error.message.split("\n")[0]}` : String(error);
  return { run: -1, what: "verdict", expected: "it runs", found };
}

function compareStop(expect: Expectation, stop: Stop): Omit<CaseFailure, "run"> | undefined {
  const found = stopText(stop);
  if (expect.kind === "trap") {
    const causes = expect.cause === "access" ? ["load", "store"] : [expect.cause];
    const isSame = stop.kind === "trap" && causes.includes(stop.cause);
    return isSame ? undefined : { what: "stop", expected: `trap: ${expect.cause}`, found };
  }
  if (expect.kind === "reject") return undefined;
  if (stop.kind !== "returned") return { what: "stop", expected: "it returns", found };
  if (expect.value === undefined || expect.value === stop.value) return undefined;
  return { what: "r0", expected: hex(expect.value), found: hex(stop.value) };
}

function compareMemory(expect: Expectation, found: Uint8Array): Omit<CaseFailure, "run"> | undefined {
  if (expect.kind !== "result" || expect.memory === undefined) return undefined;
  const { memory } = expect;
  let at = 0;
  while (at < memory.length && memory[at] === found[at]) at++;
  if (at === memory.length) return undefined;
  const start = at - (at % 8);
  const text = (bytes: Uint8Array): string =>
    `0x${Array.from(bytes.subarray(start, start + 8), (byte) => byte.toString(16).padStart(2, "0"))
      .reverse()
      .join("")}`;
  return { what: `memory at ${start}, ${placeInTrials(start)}`, expected: text(memory), found: text(found) };
}

function stopText(stop: Stop): string {
  if (stop.kind === "returned") return `returned ${hex(stop.value)}`;
  if (stop.kind === "budget") return "goes on";
  const where = stop.address === undefined ? "" : ` at ${hex(stop.address)}`;
  return `trap: ${stop.cause}${where}${stop.detail === undefined ? "" : `, ${stop.detail}`}`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** The BPF registers that live where the backend's calls change nothing. */
export function preservedBy({ abi: { bpf, preserved } }: Backend): readonly number[] {
  return bpf.flatMap((register, i) => (preserved.includes(register) ? [i] : []));
}

/** The program as engines take it, for those who run a case in another way. */
export function trustedOf({ program }: ConformanceCase): VerifiedProgram | undefined {
  const trusted = tryTrust(program);
  return trusted.ok ? trusted.program : undefined;
}
