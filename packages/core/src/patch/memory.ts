// Memory that is used again: the first touch of new memory costs more than anything that patching then does in it.

/** How much larger than what is asked for the memory may be that is given for it. */
const SPARE = 4;

/** Buffers that nobody uses any more. Holds as many as were once in use at the same time. */
export class Memory {
  readonly #free: ArrayBuffer[] = [];

  /** At least so many bytes: the smallest free buffer that is not far too large, or a new one; `clear` makes those bytes zero. */
  take(bytes: number, clear: boolean): ArrayBuffer {
    const free = this.#free;
    let best = -1;
    let largest = -1;
    for (let i = 0; i < free.length; i++) {
      const size = free[i]!.byteLength;
      if (largest < 0 || size > free[largest]!.byteLength) largest = i;
      if (size >= bytes && size <= SPARE * bytes && (best < 0 || size < free[best]!.byteLength)) best = i;
    }
    if (best >= 0) {
      const buffer = this.#remove(best);
      if (clear) new Uint8Array(buffer, 0, bytes).fill(0);
      return buffer;
    }
    // Where needs grow, the new one takes the place of one that has become too small.
    if (largest >= 0 && free[largest]!.byteLength < bytes) this.#remove(largest);
    return new ArrayBuffer(bytes);
  }

  give(buffer: ArrayBufferLike): void {
    if (buffer instanceof ArrayBuffer && buffer.byteLength > 0) this.#free.push(buffer);
  }

  #remove(index: number): ArrayBuffer {
    const buffer = this.#free[index]!;
    const last = this.#free.pop()!;
    if (index < this.#free.length) this.#free[index] = last;
    return buffer;
  }
}

const memories: WeakMap<object, Memory> = new WeakMap();

/** The memory of a list, which lives as long as it does. */
export function memoryOf(list: object): Memory {
  let memory = memories.get(list);
  if (memory === undefined) {
    memory = new Memory();
    memories.set(list, memory);
  }
  return memory;
}

/** Columns made in a {@link Memory}, to which they go back. What a column holds at first is anything, unless `clear` is set. */
export class Columns {
  readonly #memory: Memory;
  readonly #made: Set<ArrayBufferLike> = new Set();

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  int32(length: number, clear = false): Int32Array {
    return new Int32Array(this.#take(4 * length, clear), 0, length);
  }

  uint32(length: number, clear = false): Uint32Array {
    return new Uint32Array(this.#take(4 * length, clear), 0, length);
  }

  uint16(length: number, clear = false): Uint16Array {
    return new Uint16Array(this.#take(2 * length, clear), 0, length);
  }

  uint8(length: number, clear = false): Uint8Array {
    return new Uint8Array(this.#take(length, clear), 0, length);
  }

  /** Whether a column is one of these. */
  holds({ buffer }: ArrayBufferView): boolean {
    return this.#made.has(buffer);
  }

  /** Gives one column back, which must not be used any more. */
  giveBack({ buffer }: ArrayBufferView): void {
    if (this.#made.delete(buffer)) this.#memory.give(buffer);
  }

  /** Gives all columns to a memory, their own unless told. */
  end(memory: Memory = this.#memory): void {
    for (const buffer of this.#made) memory.give(buffer);
    this.#made.clear();
  }

  #take(bytes: number, clear: boolean): ArrayBuffer {
    const buffer = this.#memory.take(bytes, clear);
    this.#made.add(buffer);
    return buffer;
  }
}
