// A program ready to run on what `--engine` asks for: one engine, or two in lockstep.
import {
  BpfError,
  type Engine,
  type Executable,
  interpreter,
  jit,
  type MapSpec,
  type Trap,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, type LoadedProgram, Lockstep, type RunResult } from "@bpfkit/kernel";
import type { ObjectProgram } from "@bpfkit/object";
import { BACKENDS } from "./backends.ts";
import { type SourceLine, sourceLineOf } from "./lines.ts";
import type { MapElement } from "./map-file.ts";
import type { Slot } from "./slots.ts";
import { accepted, type Vouch } from "./vouch.ts";

/** What `--engine` takes. */
export const ENGINES: readonly string[] = ["interpreter", ...BACKENDS.map(({ arch }) => arch), "all"];

/** How to set a session up. */
export interface SessionOptions {
  /** One of {@link ENGINES}; `all` runs the interpreter and machine code in lockstep. */
  readonly engine: string;
  /** What the maps hold before the first run. */
  readonly maps?: ReadonlyMap<string, readonly MapElement[]>;
  /** What prog arrays hold; the programs that can be reached are loaded, too. */
  readonly slots?: readonly Slot[];
  /** How programs enter: through the verifier, by the newest rules, unless told. */
  readonly vouch?: Vouch;
  readonly cpus?: number;
  readonly seed?: number;
  /** Most instructions of one run. */
  readonly budget?: number;
  readonly repeat?: number;
}

/** What goes into a run. */
export interface Input {
  readonly data?: Uint8Array;
  readonly context?: Uint8Array;
  readonly cpu?: number;
}

/** One engine and what it ran with. */
export interface Lane {
  readonly name: string;
  readonly kernel: Kernel;
  readonly loaded: LoadedProgram;
}

/** What was compared, where two engines ran. */
export interface Comparison {
  /** Places where a BPF instruction begins that both engines came to, and were compared at. */
  readonly boundaries: number;
  /** BPF instructions executed, each of which begins at such a place. */
  readonly instructions: number;
}

/** A program that can be run again and again; maps keep what runs leave in them. */
export interface Session {
  /** The engines, the interpreter first. */
  readonly lanes: readonly Lane[];
  /** Instructions executed so far by each lane, in its own unit. */
  readonly executed: readonly number[];
  readonly comparison: Comparison | undefined;
  /** Runs once; a result for each lane. @throws {BpfError} `divergence` where two engines differ, `argument` for input a kernel refuses */
  run(input: Input): readonly RunResult[];
}

/** Loads a program. @throws {RejectedProgram}; {BpfError} what verifying and loading it can throw */
export function openSession(program: ObjectProgram, options: SessionOptions): Session {
  const reached = reachedFrom(program, options.slots ?? [], options.vouch ?? ((each) => accepted(each).program));
  const setup = (kernel: Kernel): void => fillMaps(kernel, reached.programs, options.maps ?? new Map());
  const common = {
    setup,
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
  };
  const limits = {
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    ...(options.repeat === undefined ? {} : { repeat: options.repeat }),
  };
  if (options.engine === "all")
    return lockstepSession(
      new Lockstep({ ...common, engine: jit(BACKENDS[0]!), disassemble: BACKENDS[0]!.disassemble }),
      reached,
      limits,
    );
  const kernel = new Kernel({ ...common, engine: engineNamed(options.engine) });
  setup(kernel);
  const loaded = loadAll(reached, kernel);
  const executed = [0];
  return {
    lanes: [{ name: options.engine, kernel, loaded }],
    executed,
    comparison: undefined,
    run(input) {
      const result = loaded.run({ ...input, ...limits });
      executed[0]! += result.executed;
      return [result];
    },
  };
}

function lockstepSession(lockstep: Lockstep, reached: Reached, limits: { readonly budget?: number }): Session {
  const program = loadAll(reached, lockstep);
  return {
    lanes: [
      { name: "interpreter", kernel: lockstep.reference, loaded: program.reference },
      { name: lockstep.subject.engine.name, kernel: lockstep.subject, loaded: program.subject },
    ],
    get executed() {
      return [lockstep.counts.instructions, lockstep.counts.subjectInstructions];
    },
    get comparison() {
      return lockstep.counts;
    },
    run(input) {
      const result = program.run({ ...input, ...limits });
      if (result.difference !== undefined) {
        throw new BpfError("divergence", "the engines differ", {
          insn: result.difference.at,
          listing: result.difference.listing,
        });
      }
      if (result.undefinedUse !== undefined) {
        const { at, what } = result.undefinedUse;
        throw new BpfError(
          "divergence",
          `an undefined value decides ${what === "branch" ? "a branch" : "an address"}`,
          {
            insn: at,
            hint: "engines may differ from here on; the verifier lets no such program in",
          },
        );
      }
      if (result.programFault !== undefined) {
        const { at, detail } = result.programFault;
        throw new BpfError("divergence", `the program is wrong: ${detail}`, {
          insn: at,
          hint: "machine code goes on where the interpreter traps; the verifier lets no such program in",
        });
      }
      return [result.reference, result.subject];
    },
  };
}

function engineNamed(name: string): Engine {
  const backend = BACKENDS.find(({ arch }) => arch === name);
  return backend === undefined ? interpreter : jit(backend);
}

/** A program, those that its tail calls can lead to, and the slots that do it. */
interface Reached {
  /** The one that is started is the first. */
  readonly programs: readonly ObjectProgram[];
  readonly entered: ReadonlyMap<ObjectProgram, VerifiedProgram>;
  readonly slots: readonly { readonly array: MapSpec; readonly slot: number; readonly program: ObjectProgram }[];
}

function reachedFrom(program: ObjectProgram, slots: readonly Slot[], vouch: Vouch): Reached {
  const programs = new Set([program]);
  const filled = new Map<string, Reached["slots"][number]>();
  for (const { maps } of programs) {
    for (const { map, slot, program: next } of slots) {
      const array = maps.find(({ name }) => name === map);
      if (array === undefined) continue;
      programs.add(next);
      filled.set(`${map}[${slot}]`, { array, slot, program: next });
    }
  }
  const entered = new Map([...programs].map((each) => [each, vouch(each)]));
  return { programs: [...programs], entered, slots: [...filled.values()] };
}

/** Loads the programs, fills the slots and gives the program that is started: in one kernel, or in two in lockstep. */
function loadAll<P>(
  { programs, entered, slots }: Reached,
  kernel: { load(verified: VerifiedProgram): P; progArray(spec: MapSpec): { set(slot: number, program: P): void } },
): P {
  const loaded = new Map(programs.map((program) => [program, kernel.load(entered.get(program)!)]));
  for (const { array, slot, program } of slots) kernel.progArray(array).set(slot, loaded.get(program)!);
  return loaded.get(programs[0]!)!;
}

function fillMaps(
  kernel: Kernel,
  programs: readonly ObjectProgram[],
  contents: ReadonlyMap<string, readonly MapElement[]>,
): void {
  for (const spec of new Set(programs.flatMap(({ maps }) => maps))) kernel.createMap(spec);
  for (const [name, elements] of contents) {
    const map = kernel.map(name);
    for (const { key, value } of elements) map.update(key, value);
  }
}

/** The slot of the BPF instruction that a trap happened in; undefined where it is in none. */
function slotOf({ image, imageAddress }: Executable, { pc }: Trap): number | undefined {
  if (image === undefined || imageAddress === undefined) return Number(pc);
  const offset = Number(pc - imageAddress);
  const slot = image.boundaries.findIndex((start, i) => start <= offset && offset < image.ends[i]!);
  return slot < 0 ? undefined : slot;
}

/** The trap that a run of `started` ended with, in words: `insn 12: prog.c:30: load of 4 bytes at 0x…: 8 bytes past the end of …`. */
export function describeTrap(
  { executable }: Pick<RunResult, "executable">,
  trap: Trap,
  started: LoadedProgram,
): string {
  const { program } = executable.program;
  const other = executable === started.executable ? "" : `${program.name}: `;
  const slot = slotOf(executable, trap);
  const line: SourceLine | undefined = slot === undefined ? undefined : sourceLineOf(program, slot);
  const place = `${slot === undefined ? "" : `insn ${slot}: `}${line === undefined ? "" : `${line.file}:${line.line}: `}`;
  const access = trap.address === undefined ? "" : ` of ${trap.size ?? 0} bytes at 0x${trap.address.toString(16)}`;
  return `${other}${place}${trap.cause}${access}${trap.detail === undefined ? "" : `: ${trap.detail}`}`;
}
