// The write journal: what every write to guest memory replaced, in order, for undo and for comparing engines.

/** A growing log of (offset, size, old bytes); offsets are from the memory window's base. */
export class WriteJournal {
  #offsets = new Int32Array(256);
  #sizes = new Int32Array(256);
  #starts = new Int32Array(256);
  #old = new Uint8Array(2048);
  #length = 0;
  #oldLength = 0;

  /** Number of writes recorded. */
  get length(): number {
    return this.#length;
  }

  /** Window offset and bytes of write `i`. */
  offset(i: number): number {
    return this.#offsets[i]!;
  }

  size(i: number): number {
    return this.#sizes[i]!;
  }

  /** The bytes that write `i` replaced. */
  old(i: number): Uint8Array {
    return this.#old.subarray(this.#starts[i]!, this.#starts[i]! + this.#sizes[i]!);
  }

  /** To be called before the write. */
  record(bytes: Uint8Array, at: number, size: number): void {
    if (this.#length === this.#offsets.length) {
      this.#offsets = doubled(this.#offsets);
      this.#sizes = doubled(this.#sizes);
      this.#starts = doubled(this.#starts);
    }
    if (this.#oldLength + size > this.#old.length) {
      const grown = new Uint8Array(2 * (this.#oldLength + size));
      grown.set(this.#old);
      this.#old = grown;
    }
    this.#offsets[this.#length] = at;
    this.#sizes[this.#length] = size;
    this.#starts[this.#length] = this.#oldLength;
    for (let i = 0; i < size; i++) this.#old[this.#oldLength + i] = bytes[at + i]!;
    this.#oldLength += size;
    this.#length++;
  }

  /** Writes the old bytes back, last write first, and forgets them. */
  undo(bytes: Uint8Array): void {
    for (let i = this.#length - 1; i >= 0; i--) bytes.set(this.old(i), this.#offsets[i]!);
    this.clear();
  }

  clear(): void {
    this.#length = 0;
    this.#oldLength = 0;
  }
}

function doubled(column: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(2 * column.length);
  grown.set(column);
  return grown;
}
