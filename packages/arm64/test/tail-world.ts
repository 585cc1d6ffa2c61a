// A small world with one prog array: its programs call each other's tails as machine code, and whoever calls them looks at the registers.
import {
  type Allocation,
  assemble,
  type CompileOptions,
  type Engine,
  type Executable,
  type Execution,
  type Host,
  type HostFunction,
  jit,
  MAP_TYPES,
  type MapSpec,
  Memory,
  type PatchSite,
  type PokePlan,
  PROG,
  PROG_ARRAY,
  type SiteState,
  type Stop,
  type Symbol as SymbolRef,
  type TextSite,
  trust,
} from "@bpfkit/core";
import { expect } from "vitest";
import { type Arm64Cpu, arm64, createCpu, type Reg } from "../src/index.ts";

export const ENTRIES: number = 4;
export const MAP: MapSpec = {
  name: "table",
  type: MAP_TYPES.prog_array,
  keySize: 4,
  valueSize: 4,
  maxEntries: ENTRIES,
  flags: 0,
};

const STACK = 1 << 15;
const NOP: SiteState = { kind: "nop" };

/** What a function of the host has in the registers that a call must leave alone. */
const KEPT: ReadonlyMap<Reg, bigint> = new Map(
  Array.from({ length: 11 }, (_, i) => [`x${19 + i}` as Reg, 0x1919_0000_0000_0000n + BigInt(i)]),
);

/** Applies a plan while no CPU runs; what is there has to be what the plan expects. */
export function apply(memory: Memory, { phases }: PokePlan): void {
  for (const phase of phases) {
    if (phase.kind !== "write") continue;
    expect(memory.view(phase.address, phase.expect.length).slice()).toEqual(phase.expect);
    memory.write(phase.address, phase.bytes);
  }
}

/** A patch site of a program that is in memory. */
export function placed({ imageAddress }: Executable, { offset, size, far }: PatchSite): TextSite {
  const at = (place: number): bigint => imageAddress! + BigInt(place);
  return {
    address: at(offset),
    size,
    ...(far === undefined ? {} : { far: { code: at(far.code), slot: at(far.slot) } }),
  };
}

/** The prog array `table`, and 256 bytes at `log`, which is every program's r1. Helper 5 gives the sum of its arguments. */
export class TailWorld implements Host {
  readonly memory: Memory;
  readonly log: bigint;
  readonly engine: Engine;
  readonly #stack: Allocation;
  readonly #table: bigint;
  readonly #slots: (Executable | undefined)[] = new Array(ENTRIES).fill(undefined);
  readonly #loaded: Executable[] = [];
  readonly #cpus: Arm64Cpu[] = [];

  /**
   * @param engine - another one than machine code
   * @param between - bytes between code and data
   */
  constructor(options: CompileOptions = {}, engine?: Engine, between: number = 1 << 17) {
    this.memory = new Memory({ sizes: { text: 1 << 18, stack: between, data: 1 << 16 } });
    this.log = this.memory.allocate("data", 256, "log").address;
    this.#stack = this.memory.allocate("stack", STACK, "stack");
    this.#table = this.memory.allocate("data", PROG_ARRAY.programs + 8 * ENTRIES, "table").address;
    this.memory.store(4, this.#table + BigInt(PROG_ARRAY.maxEntries), BigInt(ENTRIES));
    const backend = {
      ...arm64,
      createCpu: (memory: Memory) => {
        const cpu = createCpu(memory);
        this.#cpus.push(cpu);
        return cpu;
      },
    };
    this.engine = engine ?? jit(backend, options);
  }

  address(): bigint {
    return this.#table;
  }

  function(symbol: SymbolRef): HostFunction {
    expect(symbol).toEqual({ kind: "helper", id: 5 });
    return ({ args }) => args.reduce((sum, value) => sum + value);
  }

  load(text: string): Executable {
    const executable = this.engine.load(trust(assemble(text, { maps: [MAP] })), this);
    this.#loaded.push(executable);
    for (const [key, callee] of this.#slots.entries()) this.#poke(executable, key, undefined, callee);
    return executable;
  }

  /** Puts a program into the array, or takes it out, and tells the direct tail calls of all programs. */
  set(key: number, callee: Executable | undefined): void {
    const { memory } = this;
    const old = this.#slots[key];
    this.#slots[key] = callee;
    let program = 0n;
    if (callee !== undefined) {
      program = memory.allocate("data", PROG.entry + 8, "program").address;
      memory.store(8, program + BigInt(PROG.entry), callee.subprogAddress(0));
    }
    memory.store(8, this.#table + BigInt(PROG_ARRAY.programs + 8 * key), program);
    for (const executable of this.#loaded) this.#poke(executable, key, old, callee);
  }

  #poke(executable: Executable, slot: number, old?: Executable, callee?: Executable): void {
    for (const { key, bypass, target } of executable.image?.pokes ?? []) {
      if (key !== slot) continue;
      const site = placed(executable, target);
      const way = placed(executable, bypass);
      const past: SiteState = { kind: "jump", target: site.address + BigInt(site.size) };
      const stateOf = (to?: Executable): SiteState =>
        to === undefined ? NOP : { kind: "jump", target: to.imageAddress! + BigInt(to.image!.landing) };
      apply(this.memory, arm64.poke(way, old === undefined ? past : NOP, callee === undefined ? past : NOP));
      apply(this.memory, arm64.poke(site, stateOf(old), stateOf(callee)));
    }
  }

  /** Starts a program, while no other one runs. */
  begin(executable: Executable): Execution {
    const { address } = this.#stack;
    const stack = { low: address, high: address + BigInt(STACK) };
    const execution = executable.start({ args: [this.log], stack });
    for (const cpu of this.#cpus) for (const [register, value] of KEPT) cpu.set(register, value);
    return execution;
  }

  /** Runs a program; where it returns, the host has its registers back. */
  run(executable: Executable, budget = 100_000): Stop {
    return this.finish(this.begin(executable), budget);
  }

  finish(execution: Execution, budget = 100_000): Stop {
    const stop = execution.run(budget);
    if (stop.kind === "returned") {
      for (const cpu of this.#cpus) {
        expect(new Map([...KEPT.keys()].map((register) => [register, cpu.get(register)]))).toEqual(KEPT);
        expect(cpu.get("sp")).toBe(this.#stack.address + BigInt(STACK));
      }
    }
    return stop;
  }

  /** The 8 bytes number `index` of the log. */
  logged(index: number): bigint {
    return this.memory.load(8, this.log + BigInt(8 * index));
  }
}
