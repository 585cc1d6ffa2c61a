// Little-endian bytes from strangers: every read is checked against the end, everything kept is counted against a budget.
import { BpfError } from "@bpfkit/core";

declare const TextDecoder: new (
  label: "utf-8",
  options: { ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

/** What a reader counts for a string or an object beside its contents. */
const OVERHEAD = 16;

/** Counts what a reader keeps, so that a small hostile file cannot ask for a large amount of memory, or of time to fill it. */
export class Budget {
  /** Bytes. */
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new BpfError("argument", `budget of ${limit} bytes`, { expected: "a whole number of bytes, not negative" });
    }
    this.limit = limit;
  }

  /** Bytes counted so far; never more than `limit`. */
  get used(): number {
    return this.#used;
  }

  /** @throws {BpfError} `limit` when `bytes` more would go over the budget. */
  take(bytes: number, what: string): void {
    if (bytes > this.limit - this.#used) {
      throw new BpfError("limit", `${what} needs more memory than the reader's budget`, {
        expected: `at most ${this.limit} bytes in all, of which ${this.#used} are used`,
      });
    }
    this.#used += bytes;
  }
}

/** A window of bytes with checked reads; offsets are relative to the window, errors name the offset in the whole input. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly budget: Budget;
  /** What the window holds, as errors name it. */
  readonly what: string;
  /** Where the window begins in the input. */
  readonly start: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, budget: Budget, what: string, start = 0) {
    this.bytes = bytes;
    this.budget = budget;
    this.what = what;
    this.start = start;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  /** @throws {BpfError} `malformed` unless `size` bytes lie at `at`. */
  need(at: number, size: number, what: string): void {
    if (at < 0 || size < 0 || at > this.length - size) {
      throw this.malformed(
        `${what} of ${size} bytes does not fit into ${this.what}`,
        at,
        `at most ${this.length} bytes from its start`,
      );
    }
  }

  u8(at: number): number {
    if (at < 0 || at >= this.length) this.need(at, 1, "a byte");
    return this.bytes[at]!;
  }

  u16(at: number): number {
    if (at < 0 || at > this.length - 2) this.need(at, 2, "a number");
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    if (at < 0 || at > this.length - 4) this.need(at, 4, "a number");
    return this.#view.getUint32(at, true);
  }

  i32(at: number): number {
    return this.u32(at) | 0;
  }

  /** A 64-bit file offset, size or value. @throws {BpfError} `malformed` above 2^53, which no file reaches. */
  u64(at: number, what: string): number {
    const value = this.u32(at) + this.u32(at + 4) * 2 ** 32;
    if (value > Number.MAX_SAFE_INTEGER) throw this.malformed(`${what} out of all bounds`, at, "a number below 2^53");
    return value;
  }

  /** The window of `size` bytes at `at`; shares the bytes, so it costs nothing. */
  window(at: number, size: number, what: string): Reader {
    this.need(at, size, what);
    return new Reader(this.bytes.subarray(at, at + size), this.budget, what, this.start + at);
  }

  /** A counted copy, which a later write to the input does not change. */
  copy(what: string): Uint8Array {
    this.budget.take(this.length + OVERHEAD, what);
    return new Uint8Array(this.bytes); // slice() of a Node.js Buffer would not copy
  }

  /** The NUL-terminated UTF-8 string at `at`; ill-formed sequences become U+FFFD. */
  string(at: number, what: string): string {
    this.need(at, 1, what);
    const end = this.bytes.indexOf(0, at);
    if (end < 0) throw this.malformed(`${what} without an end in ${this.what}`, at, "a zero byte after it");
    this.budget.take(OVERHEAD + 2 * (end - at), what);
    return decode(this.bytes.subarray(at, end));
  }

  /** An error at `at` of this window. */
  malformed(message: string, at: number, expected: string): BpfError {
    return new BpfError("malformed", message, { offset: this.start + at, expected });
  }
}

/** Everything up to the first zero byte or the end, as text. */
export function textOf(reader: Reader): string {
  const end = reader.bytes.indexOf(0);
  const bytes = end < 0 ? reader.bytes : reader.bytes.subarray(0, end);
  reader.budget.take(OVERHEAD + 2 * bytes.length, reader.what);
  return decode(bytes);
}

/** Most names are short and ASCII: they need no decoder. */
const SHORT = 48;

function decode(bytes: Uint8Array): string {
  let bits = 0;
  for (let i = 0; i < bytes.length; i++) bits |= bytes[i]!;
  if (bits >= 0x80 || bytes.length > SHORT) return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return Reflect.apply(String.fromCharCode, undefined, bytes);
}
