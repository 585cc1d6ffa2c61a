// Memory for the rows of functions: rows of one size lie together, and what is given back is used again.
import { Access, type Allocation, invariant, type Memory } from "@bpfkit/core";
import { CallsInside } from "../tracing/calls-inside.ts";

/** Most rows of a chunk: what one row keeps in memory. */
const MOST = 64;

/** Rows of one size that were asked for together. */
interface Chunk {
  readonly allocation: Allocation;
  /** Bytes of a row. */
  readonly size: number;
  readonly rows: (FunctionRow | undefined)[];
  /** Places without a row. */
  readonly free: number[];
}

/** A place for the row of a function. Counts the calls that call the original because of it. */
export class FunctionRow extends CallsInside {
  readonly address: number;
  /** Address of the function. */
  readonly ip: number;
  readonly chunk: Chunk;
  readonly place: number;

  constructor(ip: number, chunk: Chunk, place: number) {
    super();
    this.ip = ip;
    this.chunk = chunk;
    this.place = place;
    this.address = Number(chunk.allocation.address) + chunk.size * place;
  }
}

/** All rows of a kernel. */
export class RowPool {
  readonly #memory: Memory;
  /** By the size of their rows. */
  readonly #chunks = new Map<number, Set<Chunk>>();
  readonly #byAllocation = new Map<Allocation, Chunk>();
  #bytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Bytes that are taken for rows. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Places of `size` bytes for the rows of functions. O(functions + chunks of that size) @throws {BpfError} `limit` where memory is full; nothing is taken then */
  take(size: number, ips: ArrayLike<number>): FunctionRow[] {
    const rows: FunctionRow[] = [];
    const chunks = this.#chunks.get(size) ?? new Set();
    this.#chunks.set(size, chunks);
    const fill = (chunk: Chunk): void => {
      while (chunk.free.length > 0 && rows.length < ips.length) {
        const place = chunk.free.pop()!;
        const row = new FunctionRow(ips[rows.length]!, chunk, place);
        chunk.rows[place] = row;
        rows.push(row);
      }
    };
    for (const chunk of chunks) fill(chunk);
    try {
      while (rows.length < ips.length) {
        const count = Math.min(MOST, ips.length - rows.length);
        const allocation = this.#memory.allocate("data", size * count, "rows of functions", Access.READ);
        const free = Array.from({ length: count }, (_, i) => count - 1 - i);
        const chunk: Chunk = { allocation, size, rows: new Array(count), free };
        chunks.add(chunk);
        this.#byAllocation.set(allocation, chunk);
        this.#bytes += allocation.size;
        fill(chunk);
      }
    } catch (error) {
      for (const row of rows) this.give(row);
      throw error;
    }
    return rows;
  }

  /** The row at an address. O(log allocations) */
  at(address: bigint): FunctionRow {
    const found = this.#memory.allocationAt(address);
    const chunk = found?.live === true ? this.#byAllocation.get(found.allocation) : undefined;
    const row = chunk?.rows[Number(address - chunk.allocation.address) / chunk.size];
    invariant(row !== undefined, `a row at 0x${address.toString(16)}`);
    return row;
  }

  give({ chunk, place }: FunctionRow): void {
    invariant(chunk.rows[place] !== undefined, "a row that is given back once");
    chunk.rows[place] = undefined;
    chunk.free.push(place);
    if (chunk.free.length < chunk.rows.length) return;
    this.#memory.free(chunk.allocation);
    this.#byAllocation.delete(chunk.allocation);
    this.#bytes -= chunk.allocation.size;
    this.#chunks.get(chunk.size)!.delete(chunk);
  }
}
