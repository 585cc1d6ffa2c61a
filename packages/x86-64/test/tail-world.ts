// Programs that tail-call each other through one prog array, which is written into guest memory by hand.
import {
  type Allocation,
  assemble,
  type Engine,
  type Executable,
  type Execution,
  type Host,
  type HostFunction,
  MAP_TYPES,
  type MapSpec,
  Memory,
  type PokePlan,
  PROG,
  PROG_ARRAY,
  type SiteState,
  type Symbol as SymbolRef,
  trust,
} from "@bpfkit/core";
import { expect } from "vitest";
import { x86_64 } from "../src/index.ts";

const ENTRIES = 8;
export const ARRAY: MapSpec = {
  name: "array",
  type: MAP_TYPES.prog_array,
  keySize: 4,
  valueSize: 4,
  maxEntries: ENTRIES,
  flags: 0,
};
const STACK = 8192;
const NOP: SiteState = { kind: "nop" };

/** Writes what a plan says, each byte after a look at what is there. */
export function apply({ memory }: Host, { phases }: PokePlan): void {
  for (const phase of phases) {
    if (phase.kind !== "write") continue;
    expect(memory.view(phase.address, phase.expect.length)).toEqual(phase.expect);
    memory.write(phase.address, phase.bytes);
  }
}

/** A world with the array, and 256 bytes at `log`, which r1 of every program points to. Helper 5 gives the sum of its arguments. */
export class TailWorld implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 18, stack: 1 << 16, data: 1 << 16 } });
  readonly stack: Allocation = this.memory.allocate("stack", STACK, "stack");
  readonly log: Allocation = this.memory.allocate("data", 256, "log");
  readonly array: Allocation = this.memory.allocate("data", PROG_ARRAY.programs + 8 * ENTRIES, "array");
  readonly #engine: Engine;
  readonly #loaded: Executable[] = [];
  readonly #slots: (Executable | undefined)[] = [];
  /** What each site holds, by address, where that is not what it began with. */
  readonly #states: Map<bigint, SiteState> = new Map();

  constructor(engine: Engine) {
    this.#engine = engine;
    this.memory.store(4, this.array.address + BigInt(PROG_ARRAY.maxEntries), BigInt(ENTRIES));
  }

  address(): bigint {
    return this.array.address;
  }

  function(symbol: SymbolRef): HostFunction {
    expect(symbol).toEqual({ kind: "helper", id: 5 });
    return ({ args }) => args.reduce((sum, value) => sum + value);
  }

  load(text: string, name = "test"): Executable {
    const loaded = this.#engine.load(trust({ ...assemble(text, { maps: [ARRAY] }), name }), this);
    this.#loaded.push(loaded);
    for (const [slot, executable] of this.#slots.entries()) this.#rewrite(loaded, slot, executable);
    return loaded;
  }

  /** Puts a program into a slot, or empties it, and rewrites the direct tail calls of all programs. */
  set(slot: number, executable: Executable | undefined): void {
    const { memory } = this;
    let program = 0n;
    if (executable !== undefined) {
      program = memory.allocate("data", PROG.entry + 8, "program").address;
      memory.store(8, program + BigInt(PROG.entry), executable.subprogAddress(0));
    }
    memory.store(8, this.array.address + BigInt(PROG_ARRAY.programs + 8 * slot), program);
    this.#slots[slot] = executable;
    for (const loaded of this.#loaded) this.#rewrite(loaded, slot, executable);
  }

  #rewrite({ image, imageAddress = 0n }: Executable, slot: number, callee: Executable | undefined): void {
    for (const { key, bypass, target } of image?.pokes ?? []) {
      if (key !== slot) continue;
      const out: SiteState = { kind: "jump", target: imageAddress + BigInt(target.offset + target.size) };
      const callees: SiteState =
        callee === undefined ? NOP : { kind: "jump", target: callee.subprogAddress(0) + BigInt(image!.landing) };
      this.#poke(imageAddress + BigInt(target.offset), NOP, callees);
      this.#poke(imageAddress + BigInt(bypass.offset), out, callee === undefined ? out : NOP);
    }
  }

  #poke(address: bigint, first: SiteState, to: SiteState): void {
    apply(this, x86_64.poke({ address, size: 5 }, this.#states.get(address) ?? first, to));
    this.#states.set(address, to);
  }

  /** Starts a program with the log, and the stack, or with one half of each. */
  begin(executable: Executable, half?: 0 | 1): Execution {
    const { address, size } = this.stack;
    const high = address + BigInt(half === 0 ? size / 2 : size);
    const low = address + BigInt(half === 1 ? size / 2 : 0);
    return executable.start({ args: [this.log.address + BigInt(half === 1 ? 128 : 0)], stack: { low, high } });
  }

  /** The 8 bytes number `index` of the log. */
  logged(index: number): bigint {
    return this.memory.load(8, this.log.address + BigInt(8 * index));
  }
}
