// Hash maps, LRU or not, per CPU or not: elements come and go, each with memory of its own (kernel/bpf/hashtab.c states the rules).
import { type Allocation, BpfError, type MapSpec } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import { hex } from "../guest.ts";
import { ALL_CPUS, LiveMap, type MapSite, type Visit } from "./map.ts";

interface Element {
  readonly key: Uint8Array;
  /** One value, or one per CPU. */
  readonly values: readonly Allocation[];
}

/** What goes into the digest. */
const INSERT = 1;
const REMOVE = 2;
const USE = 3;

/**
 * `hash`, `lru_hash` and their per-CPU forms. Memory is taken per element, never up front. As in the kernel, an update of an element
 * that exists makes a new one (per-CPU maps write in place); a pointer to the old value keeps its memory until the run ends.
 *
 * Elements are kept in the order in which they were made. In an LRU map every lookup and update by a program, and every update by
 * the host, moves an element to the end, and a full map drops the first: exact LRU over all CPUs. The kernel's own choice is an
 * approximation of that, with reference bits and batches per CPU, and may drop elements before the map is full.
 */
export class HashMap extends LiveMap {
  readonly #lru: boolean;
  readonly #elements = new Map<number | string, Element>();

  constructor(
    site: MapSite,
    spec: MapSpec,
    type: string,
    { lru, perCpu }: { readonly lru: boolean; readonly perCpu: boolean },
  ) {
    super(site, spec, type, perCpu);
    this.#lru = lru;
  }

  get size(): number {
    return this.#elements.size;
  }

  find(keys: Uint8Array, at: number, cpu: number): bigint {
    const id = this.#id(keys, at);
    const element = this.#elements.get(id);
    if (element === undefined) return 0n;
    if (this.#lru) this.#use(id, element);
    return this.#address(element, cpu);
  }

  peek(keys: Uint8Array, at: number, cpu: number): bigint {
    const element = this.#elements.get(this.#id(keys, at));
    return element === undefined ? 0n : this.#address(element, cpu);
  }

  put(
    keys: Uint8Array,
    keyAt: number,
    values: Uint8Array,
    valueAt: number,
    flags: bigint,
    cpu: number,
  ): ErrnoName | undefined {
    if (flags > 2n) return "EINVAL";
    const id = this.#id(keys, keyAt);
    const old = this.#elements.get(id);
    if (old !== undefined && flags === 1n) return "EEXIST";
    if (old === undefined && flags === 2n) return "ENOENT";
    if (old !== undefined && this.perCpu) {
      this.#fill(old, values, valueAt, cpu);
      if (this.#lru) this.#use(id, old);
      return undefined;
    }
    if (old === undefined && this.#elements.size >= this.spec.maxEntries) {
      if (!this.#lru) return "E2BIG";
      const [oldest] = this.#elements;
      this.#drop(oldest![0], oldest![1]);
    }
    const element = this.#make(new Uint8Array(keys.subarray(keyAt, keyAt + this.spec.keySize)));
    if (element === undefined) return "ENOMEM";
    this.#fill(element, values, valueAt, cpu);
    if (old !== undefined) {
      this.free(old.values);
      if (this.#lru) this.#elements.delete(id);
    }
    this.#elements.set(id, element);
    this.mix(INSERT, element.key, 0);
    return undefined;
  }

  remove(keys: Uint8Array, at: number): ErrnoName | undefined {
    const id = this.#id(keys, at);
    const element = this.#elements.get(id);
    if (element === undefined) return "ENOENT";
    this.#drop(id, element);
    return undefined;
  }

  /** Elements there at the start, as far as they are still there when their turn comes. */
  *visit(cpu: number): Iterable<Visit> {
    for (const [id, element] of [...this.#elements]) {
      if (this.#elements.get(id) === element) yield { key: element.key, address: this.#address(element, cpu) };
    }
  }

  protected *allocations(): Iterable<Allocation> {
    for (const { values } of this.#elements.values()) yield* values;
  }

  protected *keys(): Iterable<Uint8Array> {
    for (const { key } of this.#elements.values()) yield key;
  }

  #address({ values }: Element, cpu: number): bigint {
    return values[this.perCpu ? cpu : 0]!.address;
  }

  #use(id: number | string, element: Element): void {
    this.#elements.delete(id);
    this.#elements.set(id, element);
    this.mix(USE, element.key, 0);
  }

  #drop(id: number | string, element: Element): void {
    this.#elements.delete(id);
    this.mix(REMOVE, element.key, 0);
    this.free(element.values);
  }

  /** Zeroed memory for an element, undefined when there is no room. */
  #make(key: Uint8Array): Element | undefined {
    try {
      return {
        key,
        values: this.allocate(this.spec.valueSize, this.owners(`value of map '${this.name}' key ${hex(key)}`)),
      };
    } catch (error) {
      if (error instanceof BpfError && error.code === "limit") return undefined;
      throw error;
    }
  }

  #fill({ values }: Element, bytes: Uint8Array, at: number, cpu: number): void {
    if (cpu !== ALL_CPUS) this.store(values[this.perCpu ? cpu : 0]!.address, bytes, at, 0);
    else for (const [lane, { address }] of values.entries()) this.store(address, bytes, at, lane);
  }

  /** The key as something a JavaScript Map finds: a number up to 4 bytes, else a string with two bytes a character. */
  #id(keys: Uint8Array, at: number): number | string {
    const { keySize } = this.spec;
    if (keySize <= 4) {
      let number = 0;
      for (let i = 0; i < keySize; i++) number |= keys[at + i]! << (8 * i);
      return number;
    }
    let text = "";
    for (let i = 0; i < keySize; i += 2)
      text += String.fromCharCode(keys[at + i]! | ((i + 1 < keySize ? keys[at + i + 1]! : 0) << 8));
    return text;
  }
}
