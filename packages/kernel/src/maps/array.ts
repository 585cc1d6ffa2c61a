// Arrays and per-CPU arrays: all elements exist from the start, at fixed addresses (kernel/bpf/arraymap.c states the rules).
import type { Allocation, MapSpec } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import { u32 } from "../guest.ts";
import { ALL_CPUS, LiveMap, type MapSite, type Visit } from "./map.ts";

/** `BPF_F_LOCK`: it needs a spin lock in the value, which no map here has; the kernel notices last. */
const LOCK = 4n;

/** `array` and `percpu_array`. Elements lie `valueSize`, rounded up to 8 bytes, apart. */
export class ArrayMap extends LiveMap {
  readonly #stride: number;
  /** One allocation with all elements, or one per CPU. */
  readonly #values: readonly Allocation[];

  constructor(site: MapSite, spec: MapSpec, type: string, perCpu: boolean) {
    super(site, spec, type, perCpu);
    this.#stride = (spec.valueSize + 7) & ~7;
    try {
      this.#values = this.allocate(this.#stride * spec.maxEntries, this.owners(`values of map '${spec.name}'`));
    } catch (error) {
      site.memory.free(this.object);
      throw error;
    }
    if (spec.initial !== undefined) {
      for (const { address } of this.#values) site.memory.write(address, spec.initial);
    }
  }

  get size(): number {
    return this.spec.maxEntries;
  }

  /** Address of element 0, for direct value loads. */
  get firstValue(): bigint {
    return this.#values[0]!.address;
  }

  find(keys: Uint8Array, at: number, cpu: number): bigint {
    const index = u32(keys, at);
    if (index >= this.spec.maxEntries) return 0n;
    return this.#values[this.perCpu ? cpu : 0]!.address + BigInt(index * this.#stride);
  }

  peek(keys: Uint8Array, at: number, cpu: number): bigint {
    return this.find(keys, at, cpu);
  }

  put(
    keys: Uint8Array,
    keyAt: number,
    values: Uint8Array,
    valueAt: number,
    flags: bigint,
    cpu: number,
  ): ErrnoName | undefined {
    if ((flags & ~LOCK) > 2n) return "EINVAL";
    if (u32(keys, keyAt) >= this.spec.maxEntries) return "E2BIG";
    if ((flags & 1n) !== 0n) return "EEXIST";
    if ((flags & LOCK) !== 0n) return "EINVAL";
    if (cpu !== ALL_CPUS) this.store(this.find(keys, keyAt, cpu), values, valueAt, 0);
    else {
      for (let lane = 0; lane < this.lanes; lane++) this.store(this.find(keys, keyAt, lane), values, valueAt, lane);
    }
    return undefined;
  }

  remove(): ErrnoName {
    return "EINVAL";
  }

  *visit(cpu: number): Iterable<Visit> {
    for (const key of this.keys()) yield { key, address: this.find(key, 0, cpu) };
  }

  protected allocations(): Iterable<Allocation> {
    return this.#values;
  }

  protected *keys(): Iterable<Uint8Array> {
    for (let index = 0; index < this.spec.maxEntries; index++) {
      yield Uint8Array.of(index, index >>> 8, index >>> 16, index >>> 24);
    }
  }
}
