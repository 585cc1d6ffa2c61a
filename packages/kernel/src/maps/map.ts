// What all maps share: the host's view with its checks and errors, and what helpers call.
import { Access, type Allocation, BpfError, MAP_FLAGS, type MapSpec, type Memory } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import { hex } from "../guest.ts";
import type { Rcu } from "../rcu.ts";

/** `flags` of an update: create or replace, only create, only replace (the kernel's `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`). */
export type UpdateFlags = 0 | 1 | 2;

/** One element as the host sees it; copies, so that writing them changes nothing. */
export interface MapEntry {
  readonly key: Uint8Array;
  /** The value; in a per-CPU map that of CPU 0. */
  readonly value: Uint8Array;
  /** The value of each CPU; one in maps that are not per CPU. */
  readonly values: readonly Uint8Array[];
}

/**
 * A live map from the side of the host, with the rules that the bpf() system call has. Keys and values are bytes in guest order
 * (little-endian).
 *
 * @example
 * ```ts
 * import { interpreter } from "@bpfkit/core";
 * import { Kernel } from "@bpfkit/kernel";
 * const kernel = new Kernel({ engine: interpreter });
 * const blocked = kernel.createMap({ name: "blocked", type: 1, keySize: 4, valueSize: 1, maxEntries: 64, flags: 0 });
 * blocked.update(Uint8Array.of(10, 0, 0, 1), Uint8Array.of(1));
 * console.log(blocked.size); // 1
 * ```
 */
export interface KernelMap {
  readonly spec: MapSpec;
  readonly name: string;
  /** The map type in the kernel's words: `hash`, `array`, `lru_hash`, `percpu_array`, … */
  readonly type: string;
  /** Whether each CPU has values of its own. */
  readonly perCpu: boolean;
  /** What programs hold as the map's pointer; it cannot be read through. */
  readonly address: bigint;
  /** Elements in it now; of an array, all. */
  readonly size: number;
  /**
   * A copy of a value, undefined when there is no such element. Does not count as a use in an LRU map.
   *
   * @param cpu - whose value, in a per-CPU map
   * @throws {BpfError} `argument` when the key has another size, the CPU does not exist or the host may not read the map
   */
  lookup(key: Uint8Array, cpu?: number): Uint8Array | undefined;
  /**
   * Sets a value; in a per-CPU map one value for all CPUs, or a list with one for each.
   *
   * @throws {BpfError} `limit` when the map is full or an index too large; `argument` for every other reason the kernel has
   */
  update(key: Uint8Array, value: Uint8Array | readonly Uint8Array[], flags?: UpdateFlags): void;
  /** Removes an element and tells whether there was one; @throws {BpfError} `argument` in arrays, whose elements stay */
  delete(key: Uint8Array): boolean;
  /** All elements: arrays by index, hashes oldest first, LRU hashes least recently used first. */
  entries(): IterableIterator<MapEntry>;
}

/** What a map needs from the kernel it lives in. */
export interface MapSite {
  readonly memory: Memory;
  readonly rcu: Rcu;
  readonly cpus: number;
}

/** An element as a callback of `bpf_for_each_map_elem` meets it. */
export interface Visit {
  readonly key: Uint8Array;
  readonly address: bigint;
}

/** An update for every CPU: the value holds one value after another. */
export const ALL_CPUS = -1;

/** Bytes of the stand-in for the kernel's `struct bpf_map`; nothing may look into it. */
const OBJECT_SIZE = 64;

/** A map in guest memory. Keys and values come as bytes with an offset, so that helpers need no copies. */
export abstract class LiveMap implements KernelMap {
  readonly spec: MapSpec;
  readonly type: string;
  readonly perCpu: boolean;
  /** Changes with every change of the set of keys and its order; equal histories have equal digests. */
  digest = 0x811c9dc5;
  protected readonly site: MapSite;
  /** Values of one element: 1, or one per CPU. */
  protected readonly lanes: number;
  /** The stand-in for the kernel's `struct bpf_map`. */
  protected readonly object: Allocation;

  /** @param object - size and access of what programs hold as the map's pointer, where it is more than a number */
  constructor(
    site: MapSite,
    spec: MapSpec,
    type: string,
    perCpu: boolean,
    object: { readonly size: number; readonly access: number } = { size: OBJECT_SIZE, access: 0 },
  ) {
    this.site = site;
    this.spec = spec;
    this.type = type;
    this.perCpu = perCpu;
    this.lanes = perCpu ? site.cpus : 1;
    this.object = site.memory.allocate("data", object.size, `map '${spec.name}'`, object.access);
  }

  abstract get size(): number;
  /** A program's lookup: the value's address on `cpu`, or 0. */
  abstract find(keys: Uint8Array, at: number, cpu: number): bigint;
  /** The same without counting as a use. */
  abstract peek(keys: Uint8Array, at: number, cpu: number): bigint;
  /** Updates the value of `cpu`, or all from {@link ALL_CPUS} values in a row. */
  abstract put(
    keys: Uint8Array,
    keyAt: number,
    values: Uint8Array,
    valueAt: number,
    flags: bigint,
    cpu: number,
  ): ErrnoName | undefined;
  abstract remove(keys: Uint8Array, at: number): ErrnoName | undefined;
  /** Elements for a callback on `cpu`; it may change the map while it goes. */
  abstract visit(cpu: number): Iterable<Visit>;
  protected abstract keys(): Iterable<Uint8Array>;
  protected abstract allocations(): Iterable<Allocation>;

  get name(): string {
    return this.spec.name;
  }

  get address(): bigint {
    return this.object.address;
  }

  lookup(key: Uint8Array, cpu = 0): Uint8Array | undefined {
    this.#checkKey(key);
    this.#checkHost(MAP_FLAGS.wronly, "read");
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= this.site.cpus) {
      throw new BpfError("argument", `cpu ${cpu}`, { expected: `a cpu below ${this.site.cpus}` });
    }
    return this.#copy(key, cpu);
  }

  update(key: Uint8Array, value: Uint8Array | readonly Uint8Array[], flags: UpdateFlags = 0): void {
    this.#checkKey(key);
    this.#checkHost(MAP_FLAGS.rdonly, "write");
    if (this.spec.frozen) throw new BpfError("argument", `update of frozen map '${this.name}' (EPERM)`);
    const error = this.put(key, 0, this.#lanesOf(value), 0, BigInt(flags), ALL_CPUS);
    if (error !== undefined) {
      throw new BpfError(
        error === "E2BIG" || error === "ENOMEM" ? "limit" : "argument",
        `update of map '${this.name}' key ${hex(key)} (${error})`,
        REASONS[error] === undefined ? {} : { hint: REASONS[error].replace("MAX", String(this.spec.maxEntries)) },
      );
    }
  }

  delete(key: Uint8Array): boolean {
    this.#checkKey(key);
    this.#checkHost(MAP_FLAGS.rdonly, "write");
    const error = this.remove(key, 0);
    if (error === undefined || error === "ENOENT") return error === undefined;
    throw new BpfError("argument", `delete from ${this.type} map '${this.name}' (${error})`, {
      hint: "elements of an array are always there",
    });
  }

  *entries(): IterableIterator<MapEntry> {
    this.#checkHost(MAP_FLAGS.wronly, "read");
    for (const key of this.keys()) {
      const values = Array.from({ length: this.lanes }, (_, lane) => this.#copy(key, lane)!);
      yield { key: key.slice(), value: values[0]!, values };
    }
  }

  /** Gives all memory back, when nobody can have seen the map yet. */
  release(): void {
    for (const allocation of this.allocations()) this.site.memory.free(allocation);
    this.site.memory.free(this.object);
  }

  /** Permissions of programs, for values and for the map as a whole. */
  get access(): number {
    const { flags, frozen } = this.spec;
    return (
      (flags & MAP_FLAGS.wronly_prog ? 0 : Access.READ) | (flags & MAP_FLAGS.rdonly_prog || frozen ? 0 : Access.WRITE)
    );
  }

  /** Names of the memory of `what`, one per lane. */
  protected owners(what: string): string[] {
    return Array.from({ length: this.lanes }, (_, cpu) => (this.perCpu ? `${what} on cpu ${cpu}` : what));
  }

  /** Copies an update's value into place; `lane` says which of the values in a row it is. */
  protected store(address: bigint, values: Uint8Array, valueAt: number, lane: number): void {
    const { memory } = this.site;
    const { valueSize } = this.spec;
    const start = valueAt + lane * valueSize;
    if (values === memory.bytes) memory.copy(address, memory.base + BigInt(start), valueSize);
    else memory.write(address, values.subarray(start, start + valueSize));
  }

  /** Notes a change of the key set in the digest. */
  protected mix(change: number, keys: Uint8Array, at: number): void {
    let digest = Math.imul(this.digest ^ change, 0x01000193);
    for (let i = 0; i < this.spec.keySize; i++) digest = Math.imul(digest ^ keys[at + i]!, 0x01000193);
    this.digest = digest >>> 0;
  }

  /** Zeroed memory for values, one for each owner; nothing is taken when there is no room for all. @throws {BpfError} `limit` */
  protected allocate(size: number, owners: readonly string[]): Allocation[] {
    const { memory } = this.site;
    const made: Allocation[] = [];
    try {
      for (const owner of owners) made.push(memory.allocate("data", size, owner, this.access));
      return made;
    } catch (error) {
      for (const allocation of made) memory.free(allocation);
      throw error;
    }
  }

  /** Gives memory back once no run can hold a pointer into it. */
  protected free(allocations: readonly Allocation[]): void {
    this.site.rcu.defer(() => {
      for (const allocation of allocations) this.site.memory.free(allocation);
    });
  }

  #copy(key: Uint8Array, cpu: number): Uint8Array | undefined {
    const address = this.peek(key, 0, cpu);
    return address === 0n ? undefined : this.site.memory.view(address, this.spec.valueSize).slice();
  }

  #lanesOf(value: Uint8Array | readonly Uint8Array[]): Uint8Array {
    const { valueSize } = this.spec;
    const list = value instanceof Uint8Array ? Array.from({ length: this.lanes }, () => value) : value;
    const wrong = list.find(({ length }) => length !== valueSize);
    if (wrong !== undefined || list.length !== this.lanes) {
      throw new BpfError(
        "argument",
        `${wrong === undefined ? `${list.length} values` : `a value of ${wrong.length} bytes`} for map '${this.name}'`,
        { expected: this.lanes === 1 ? `${valueSize} bytes` : `${this.lanes} values of ${valueSize} bytes` },
      );
    }
    if (list.length === 1) return list[0]!;
    const row = new Uint8Array(valueSize * this.lanes);
    for (const [lane, bytes] of list.entries()) row.set(bytes, lane * valueSize);
    return row;
  }

  /** @throws {BpfError} `argument` where the host may not do this, or the key has another size */
  protected checkAccess(key: Uint8Array, what: "read" | "write"): void {
    this.#checkKey(key);
    this.#checkHost(what === "read" ? MAP_FLAGS.wronly : MAP_FLAGS.rdonly, what);
  }

  #checkKey(key: Uint8Array): void {
    if (key.length !== this.spec.keySize) {
      throw new BpfError("argument", `a key of ${key.length} bytes for map '${this.name}'`, {
        expected: `${this.spec.keySize} bytes`,
      });
    }
  }

  #checkHost(forbidden: number, what: string): void {
    if (this.spec.flags & forbidden) {
      throw new BpfError("argument", `the host may not ${what} map '${this.name}' (EPERM)`);
    }
  }
}

const REASONS: { readonly [K in ErrnoName]?: string } = {
  E2BIG: "the map has room for MAX elements",
  ENOMEM: "the data region of guest memory is full; KernelOptions.memory makes it larger",
  EEXIST: "flags 1 (BPF_NOEXIST) only makes new elements",
  ENOENT: "flags 2 (BPF_EXIST) only replaces elements",
};
