// A kernel with a prog array and an array of counters, and programs that use them.
import {
  assemble,
  type Engine,
  MAP_TYPES,
  type MapSpec,
  type Program,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, type KernelLoadOptions, type LoadedProgram, type ProgArray } from "@bpfkit/kernel";

const SLOTS = 4;

/** Makes a tail call through slot `key` of `table`, with the context in r1; what is behind it runs where it does not happen. */
export function tailCall(key: number): string {
  return `r2 = map[idx:0]\nr3 = ${key}\ncall tail_call`;
}

/** Puts the context into r6 and counts up counter `index`. */
export function count(index = 0): string {
  return `
    r6 = r1
    r2 = map[idx:1][0]+${8 * index}
    r3 = 1
    lock *(u64 *)(r2 + 0) += r3
    r1 = r6`;
}

export interface World {
  readonly kernel: Kernel;
  readonly table: ProgArray;
  /** What the counters have come to. */
  counts(): number[];
  /** Of type xdp unless told; the maps are `table` and `counts`. */
  program(name: string, text: string, rest?: Partial<Program>): VerifiedProgram;
  load(name: string, text: string, rest?: Partial<Program>, options?: KernelLoadOptions): LoadedProgram;
}

export function world(engine: Engine): World {
  const kernel = new Kernel({ engine, memory: { sizes: { text: 1 << 20, data: 1 << 20 } } });
  const flat = { keySize: 4, valueSize: 4, maxEntries: SLOTS, flags: 0 };
  const table: MapSpec = { ...flat, name: "table", type: MAP_TYPES.prog_array };
  const counters: MapSpec = { ...flat, name: "counts", type: MAP_TYPES.array, valueSize: 64, maxEntries: 1 };
  kernel.createMap(table);
  kernel.createMap(counters);
  const program: World["program"] = (name, text, rest = {}) =>
    trust({ ...assemble(text, { name, type: "xdp", maps: [table, counters] }), ...rest });
  return {
    kernel,
    table: kernel.progArray(table),
    counts: () => {
      const bytes = kernel.map(counters).lookup(new Uint8Array(4))!;
      return Array.from(new BigUint64Array(bytes.buffer), Number);
    },
    program,
    load: (name, text, rest, options) => kernel.load(program(name, text, rest), options),
  };
}
