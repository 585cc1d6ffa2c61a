// Hash maps, LRU or not, per CPU or not: elements come and go, each with memory of its own (kernel/bpf/hashtab.c states the rules).
import { type Allocation, BpfError, type MapSpec } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import { hex } from "../guest.ts";
import { ALL_CPUS, LiveMap, type MapSite, type Visit } from "./map.ts";

interface Element {
  readonly id: number | string;
  readonly key: Uint8Array;
  /** One value, or one per CPU. */
  readonly values: readonly Allocation[];
}

/** A place in the order of elements; the ring's own place holds none. */
interface Place {
  element: Element | undefined;
  before: Place;
  behind: Place;
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
  readonly #places = new Map<number | string, Place>();
  /** Behind it is the first place, before it the last. The Map's own order would make the first one slow to find after deletions. */
  readonly #ring: Place = emptyRing();

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
    return this.#places.size;
  }

  find(keys: Uint8Array, at: number, cpu: number): bigint {
    const place = this.#places.get(this.#id(keys, at));
    if (place === undefined) return 0n;
    if (this.#lru) this.#use(place);
    return this.#address(place.element!, cpu);
  }

  peek(keys: Uint8Array, at: number, cpu: number): bigint {
    const element = this.#places.get(this.#id(keys, at))?.element;
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
    const place = this.#places.get(id);
    if (place !== undefined && flags === 1n) return "EEXIST";
    if (place === undefined && flags === 2n) return "ENOENT";
    if (place !== undefined && this.perCpu) this.#fill(place.element!, values, valueAt, cpu);
    else {
      if (place === undefined && this.#places.size >= this.spec.maxEntries) {
        if (!this.#lru) return "E2BIG";
        this.#drop(this.#ring.behind);
      }
      const element = this.#make(id, keys.slice(keyAt, keyAt + this.spec.keySize));
      if (element === undefined) return "ENOMEM";
      this.#fill(element, values, valueAt, cpu);
      if (place === undefined) this.#places.set(id, this.#append(element));
      else {
        this.free(place.element!.values);
        place.element = element;
      }
      this.mix(INSERT, element.key, 0);
    }
    if (place !== undefined && this.#lru) this.#use(place);
    return undefined;
  }

  remove(keys: Uint8Array, at: number): ErrnoName | undefined {
    const place = this.#places.get(this.#id(keys, at));
    if (place === undefined) return "ENOENT";
    this.#drop(place);
    return undefined;
  }

  /** Elements there at the start, as far as they are still there when their turn comes. */
  *visit(cpu: number): Iterable<Visit> {
    for (const element of [...this.#inOrder()]) {
      if (this.#places.get(element.id)?.element === element) {
        yield { key: element.key, address: this.#address(element, cpu) };
      }
    }
  }

  protected *allocations(): Iterable<Allocation> {
    for (const { values } of this.#inOrder()) yield* values;
  }

  protected *keys(): Iterable<Uint8Array> {
    for (const { key } of this.#inOrder()) yield key;
  }

  #address({ values }: Element, cpu: number): bigint {
    return values[this.perCpu ? cpu : 0]!.address;
  }

  *#inOrder(): Iterable<Element> {
    for (let place = this.#ring.behind; place.element !== undefined; place = place.behind) yield place.element;
  }

  /** A place at the end of the order. */
  #append(element: Element): Place {
    const place: Place = { element, before: this.#ring, behind: this.#ring };
    this.#moveToEnd(place);
    return place;
  }

  #moveToEnd(place: Place): void {
    const last = this.#ring.before;
    place.before = last;
    place.behind = this.#ring;
    last.behind = place;
    this.#ring.before = place;
  }

  #use(place: Place): void {
    unlink(place);
    this.#moveToEnd(place);
    this.mix(USE, place.element!.key, 0);
  }

  #drop(place: Place): void {
    const { id, key, values } = place.element!;
    unlink(place);
    this.#places.delete(id);
    this.mix(REMOVE, key, 0);
    this.free(values);
  }

  /** Zeroed memory for an element, undefined when there is no room. */
  #make(id: number | string, key: Uint8Array): Element | undefined {
    try {
      return {
        id,
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

function emptyRing(): Place {
  const ring = { element: undefined } as Place;
  ring.before = ring;
  ring.behind = ring;
  return ring;
}

function unlink({ before, behind }: Place): void {
  before.behind = behind;
  behind.before = before;
}
