// Words of memory that CPUs read and that change together, and back.
import type { Memory } from "@bpfkit/core";
import { type Operation, one, surely } from "../operation.ts";

/** Bytes of a word. */
const WORD = 8;

/** What stores words. */
export interface WordSite {
  readonly memory: Memory;
  /** Words from which on they are stored together. */
  readonly writeTogether: number;
}

/** Words at addresses, which are below 2^32 before and after. Few are stored one by one, so that CPUs can go on in between; many in one step. */
export class WordChanges {
  readonly #site: WordSite;
  readonly #what: string;
  readonly #addresses: Float64Array;
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;

  constructor(site: WordSite, what: string, addresses: Float64Array, before: Uint32Array, after: Uint32Array) {
    this.#site = site;
    this.#what = what;
    this.#addresses = addresses;
    this.#before = wordsOf(before);
    this.#after = wordsOf(after);
  }

  /** All of them, or none where a step fails. */
  *forth(): Operation<void> {
    yield* this.#store(this.#after, this.#before);
  }

  *back(): Operation<void> {
    yield* this.#store(this.#before, this.#after);
  }

  *#store(words: Uint8Array, old: Uint8Array): Operation<void> {
    const { memory, writeTogether } = this.#site;
    const [what, addresses] = [this.#what, this.#addresses];
    if (addresses.length === 0) return;
    if (addresses.length >= writeTogether) {
      yield { kind: "write-sites", what, addresses, size: WORD, bytes: words };
      memory.writeSites(addresses, WORD, words);
      return;
    }
    let stored = 0;
    try {
      for (; stored < addresses.length; stored++) yield* this.#storeOne(stored, words);
    } catch (error) {
      while (stored > 0) yield* surely(this.#storeOne(--stored, old));
      throw error;
    }
  }

  *#storeOne(index: number, words: Uint8Array): Operation<void> {
    const bytes = words.subarray(WORD * index, WORD * (index + 1));
    const address = BigInt(this.#addresses[index]!);
    yield* one({ kind: "write", what: this.#what, address, bytes });
    this.#site.memory.write(address, bytes);
  }
}

/** Numbers as the bytes of words, low first. */
export function wordsOf(numbers: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(WORD * numbers.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < numbers.length; i++) view.setUint32(WORD * i, numbers[i]!, true);
  return bytes;
}
