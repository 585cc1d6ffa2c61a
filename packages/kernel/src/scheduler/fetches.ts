// What CPUs can fetch while code is being rewritten: of each unit the value at the last sync, or any newer one.
import type { Backend, Memory } from "@bpfkit/core";

/** Longest instruction of all architectures, in bytes. */
const LONGEST = 16;

/** What of an architecture it takes. */
export type FetchText = Pick<Backend, "capabilities" | "disassemble">;

/** An instruction that can be fetched. */
export interface Fetchable {
  /** What the CPU sees from its pc on; as many bytes as the longest instruction may have. */
  readonly bytes: Uint8Array;
  readonly text: string;
}

/**
 * Older contents of code that CPUs can still have. Each CPU may take any of them at any time, and another one the next time, as if it had
 * fetched all instructions long ago and again just now.
 */
export class Fetches {
  readonly #memory: Memory;
  readonly #text: FetchText;
  readonly #unit: number;
  /** By the address of a unit: contents that were overwritten since the last sync, newest first. */
  readonly #older = new Map<number, Uint8Array[]>();
  readonly #known = new Map<bigint, readonly Fetchable[]>();

  constructor(memory: Memory, text: FetchText) {
    this.#memory = memory;
    this.#text = text;
    this.#unit = text.capabilities.fetchUnit;
  }

  /** Bytes that were at `address` until a store that has just been made. */
  wrote(address: bigint, before: Uint8Array): void {
    this.#known.clear();
    const unit = this.#unit;
    const start = Number(address);
    const end = start + before.length;
    for (let at = start - (start % unit); at < end; at += unit) {
      const content = this.#memory.view(BigInt(at), unit).slice();
      for (let i = 0; i < unit; i++) if (at + i >= start && at + i < end) content[i] = before[at + i - start]!;
      this.#older.set(at, [content, ...(this.#older.get(at) ?? [])]);
    }
  }

  /** All CPUs forget. */
  sync(): void {
    this.#known.clear();
    this.#older.clear();
  }

  /** Whether a CPU at `pc` can fetch anything but what is there now. */
  touches(pc: bigint): boolean {
    if (this.#older.size === 0) return false;
    const start = Number(pc);
    for (let at = start - (start % this.#unit); at < start + LONGEST; at += this.#unit)
      if (this.#older.has(at)) return true;
    return false;
  }

  /** All instructions that a CPU at `pc` can fetch; the first is what is there now. */
  at(pc: bigint): readonly Fetchable[] {
    let known = this.#known.get(pc);
    if (known === undefined) {
      known = this.#find(pc);
      this.#known.set(pc, known);
    }
    return known;
  }

  /**
   * Goes through the units from the first on, and takes each of its contents as far as the instruction that begins before it reaches.
   * Cost: instructions found × their units.
   */
  #find(pc: bigint): readonly Fetchable[] {
    const found = new Map<string, Fetchable>();
    const visit = (bytes: Uint8Array, from: number): void => {
      const [line] = this.#text.disassemble(bytes, pc);
      const length = line === undefined ? this.#unit : line.bytes.length;
      if (from < length) {
        const at = Number(pc) + from;
        const contents = [bytes.slice(from, from + this.#unit), ...(this.#older.get(at) ?? [])];
        const different = new Map(contents.map((content) => [content.join(), content]));
        for (const content of different.values()) {
          const next = bytes.slice();
          next.set(content, from);
          visit(next, from + this.#unit);
        }
        return;
      }
      const key = bytes.subarray(0, length).join();
      if (!found.has(key)) found.set(key, { bytes, text: line?.text ?? "nothing" });
    };
    const room = Number(this.#memory.base) + this.#memory.size - Number(pc);
    visit(this.#memory.view(pc, Math.min(LONGEST, room)).slice(), 0);
    return [...found.values()];
  }
}
