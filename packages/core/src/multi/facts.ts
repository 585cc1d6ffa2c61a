// What multi-attach has to know of functions, in columns: nothing else about a function is ever asked.

/** Bits of {@link FunctionFacts.flags}. */
export const FunctionFlag = {
  /** Its entry has a site that can lead to a trampoline. */
  TRACEABLE: 1,
  /** Programs that may sleep can be attached to it. */
  MAY_SLEEP: 2,
  /** No pattern means it. */
  UNNAMED: 4,
} as const;

/** Functions by dense ids, from 0. The columns may be longer than `count`, and may be replaced by longer ones as functions come. */
export interface FunctionFacts {
  readonly count: number;
  /**
   * Per function, a small number from 0 that is equal just for functions that can share trampolines (see {@link ModelKeys}); -1 where no
   * trampoline can be made, because the arguments take too many words.
   */
  readonly models: Int32Array;
  /** Per function, bits of {@link FunctionFlag}. */
  readonly flags: Uint8Array;
  /** Its name, for messages and patterns. */
  name(id: number): string;
  /** Why nothing can be attached now although the columns allow it, in words; undefined where it can. Asked once per function of a request. */
  readonly busy?: (id: number) => string | undefined;
}

/**
 * Numbers for texts: equal texts, equal numbers, from 0 in the order in which they come.
 *
 * @example
 * ```ts
 * const keys = new ModelKeys();
 * models[id] = keys.of(placesKey(backend.classifyArgs(model)));
 * ```
 */
export class ModelKeys {
  readonly #numbers = new Map<string, number>();

  get count(): number {
    return this.#numbers.size;
  }

  of(key: string): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(key, number);
    }
    return number;
  }
}
