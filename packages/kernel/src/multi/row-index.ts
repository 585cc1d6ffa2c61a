// Which row a function has: a hash table in guest memory, by the functions' addresses, and the code that trampolines look it up with.
import {
  Access,
  type Allocation,
  assemble,
  type Engine,
  type Executable,
  invariant,
  type Memory,
  trust,
} from "@bpfkit/core";
import type { Rcu } from "../rcu.ts";
import { nothing } from "./cookies.ts";
import { WordChanges, type WordSite, wordsOf } from "./words.ts";

/** 2^32 divided by the golden ratio, as 32 bits with a sign: what addresses are multiplied by. */
const FACTOR = -1640531535;
/** Bits of the product that are dropped. */
const SHIFT = 8;

/**
 * r0 = the row of function r2 in the table that r1 leads to, or 0. The table: a mask, then slots of a function's address and its row, beside each
 * other where several functions hash to one slot; a slot without an address ends the search.
 */
const SEARCH = `
  r3 = *(u64 *)(r1 + 0)
  r4 = *(u64 *)(r3 + 0)
  w0 = w2
  w0 *= ${FACTOR}
  w0 >>= ${SHIFT}
next:
  r0 &= r4
  r5 = r3
  r5 += r0
  r1 = *(u64 *)(r5 + 8)
  if r1 == r2 goto found
  r0 += 16
  if r1 != 0 goto next
  r0 = 0
  exit
found:
  r0 = *(u64 *)(r5 + 16)
  exit`;

/** Bytes in front of the slots, and of a slot. */
const HEAD = 8;
const SLOT = 16;
/** Fewest slots; there are at least twice as many as addresses. */
const FEWEST = 16;
/** Most slots: the bits of the mask are those that are left of the product. */
const MOST = 2 ** (32 - SHIFT - 4);

/** A table in memory. */
interface Table {
  readonly allocation: Allocation;
  readonly address: number;
  /** Of bytes behind the head. */
  readonly mask: number;
  /** Addresses in it; those of functions without a row are there until the table is made anew. */
  addresses: number;
}

/** What leads functions to other rows. */
export interface RowSwap {
  readonly changes: WordChanges;
  /** The change has become so, or not: gives back the table that is not needed any more, once no CPU can be in it. */
  end(isKept: boolean): void;
}

/** The rows of functions by their addresses. */
export class RowIndex {
  readonly #site: WordSite;
  readonly #memory: Memory;
  /** All of it. */
  readonly #view: DataView;
  readonly #engine: Engine;
  readonly #rcu: Rcu;
  /** Leads to the table. */
  #cell: Allocation | undefined;
  #search: Executable | undefined;
  #table: Table | undefined;
  /** All that CPUs can be in. */
  readonly #tables = new Set<Table>();
  #holders = 0;

  constructor(site: WordSite, engine: Engine, rcu: Rcu) {
    this.#site = site;
    this.#memory = site.memory;
    const { bytes } = site.memory;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#engine = engine;
    this.#rcu = rcu;
  }

  /** Where the rows are, for {@link search}. For holders. */
  get address(): bigint {
    return this.#cell!.address;
  }

  /** Where the code begins that looks rows up. For holders. */
  get search(): bigint {
    return this.#search!.subprogAddress(0);
  }

  /** Bytes of the tables. */
  get bytes(): number {
    let bytes = this.#cell?.size ?? 0;
    for (const { allocation } of this.#tables) bytes += allocation.size;
    return bytes;
  }

  /** It stays until its last holder lets go. @throws {BpfError} `limit` where memory is full; it is not held then */
  hold(): void {
    if (this.#holders === 0) {
      this.#search = this.#engine.load(trust(assemble(SEARCH, { name: "row search" })), nothing(this.#memory));
      try {
        this.#cell = this.#memory.allocate("data", 8, "where the rows of functions are", Access.READ);
        this.#lead(this.#make(0));
      } catch (error) {
        this.#tidy();
        throw error;
      }
    }
    this.#holders++;
  }

  drop(): void {
    if (--this.#holders === 0) this.#tidy();
  }

  /** The row of a function, or 0. */
  rowOf(ip: number): number {
    return this.#view.getUint32(this.#slotOf(this.#table!, ip) + 8 - Number(this.#memory.base), true);
  }

  /**
   * Prepares that functions, each named once, get rows; 0 for none. For holders.
   *
   * Cost: linear in the functions; where there are more addresses than half the slots, a table of all functions that have a row is made.
   *
   * @throws {BpfError} `limit` where memory is full; nothing has changed then
   */
  swap(ips: Float64Array, rows: Uint32Array): RowSwap {
    const table = this.#table!;
    const view = this.#view;
    const base = Number(this.#memory.base);
    const slots = ips.map((ip) => this.#slotOf(table, ip));
    const missing = slots.filter((slot) => view.getUint32(slot - base, true) === 0).length;
    if (table.addresses + missing > slotsOf(table) / 2) return this.#swapTable(ips, rows);
    // An address without a row is as none.
    for (let i = 0; missing > 0 && i < ips.length; i++) {
      const slot = this.#slotOf(table, ips[i]!);
      slots[i] = slot;
      if (view.getUint32(slot - base, true) !== 0) continue;
      this.#memory.write(BigInt(slot), wordsOf(Uint32Array.of(ips[i]!)));
      table.addresses++;
    }
    const words = slots.map((slot) => slot + 8);
    const before = Uint32Array.from(words, (word) => view.getUint32(word - base, true));
    return { changes: new WordChanges(this.#site, "rows of functions", words, before, rows), end: () => {} };
  }

  /** A function is without a row, if it still has this one: in no table that a CPU can be in. */
  clear(ip: number, row: number): void {
    const base = Number(this.#memory.base);
    for (const table of this.#tables) {
      const word = this.#slotOf(table, ip) + 8;
      if (this.#view.getUint32(word - base, true) === row) this.#memory.write(BigInt(word), new Uint8Array(8));
    }
  }

  #swapTable(ips: Float64Array, rows: Uint32Array): RowSwap {
    const old = this.#table!;
    const table = this.#make(old.addresses + ips.length, old);
    this.#fill(table, ips, rows);
    const [cell, before] = [Float64Array.of(Number(this.#cell!.address)), Uint32Array.of(old.address)];
    const changes = new WordChanges(this.#site, "the table of rows", cell, before, Uint32Array.of(table.address));
    const end = (isKept: boolean): void => {
      if (isKept) this.#table = table;
      const gone = isKept ? old : table;
      this.#rcu.defer(() => this.#free(gone), ["tasks"]);
    };
    return { changes, end };
  }

  /** A table with what another one has. */
  #make(addresses: number, from?: Table): Table {
    let slots = FEWEST;
    while (slots < 2 * addresses) slots *= 2;
    invariant(slots <= MOST, `a table of ${slots} slots`);
    const allocation = this.#memory.allocate("data", HEAD + SLOT * slots, "rows by functions", Access.READ);
    const table: Table = { allocation, address: Number(allocation.address), mask: SLOT * (slots - 1), addresses: 0 };
    this.#memory.write(allocation.address, wordsOf(Uint32Array.of(table.mask)));
    this.#tables.add(table);
    if (from === undefined) return table;
    const view = this.#view;
    const [ips, rows]: [number[], number[]] = [[], []];
    const start = from.address + HEAD - Number(this.#memory.base);
    for (let at = start; at <= start + from.mask; at += SLOT) {
      const row = view.getUint32(at + 8, true);
      if (row === 0) continue;
      ips.push(view.getUint32(at, true));
      rows.push(row);
    }
    this.#fill(table, ips, rows);
    return table;
  }

  /** Puts functions into a table that nothing leads to. */
  #fill(table: Table, ips: ArrayLike<number>, rows: ArrayLike<number>): void {
    const { address, size } = table.allocation;
    const bytes = this.#memory.view(address, size).slice();
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < ips.length; i++) {
      const at = findSlot(view, HEAD, table.mask, ips[i]!);
      if (view.getUint32(at, true) === 0) table.addresses++;
      view.setUint32(at, ips[i]!, true);
      view.setUint32(at + 8, rows[i]!, true);
    }
    this.#memory.write(address, bytes);
  }

  /** Address of a function's slot, or of that which it would get. */
  #slotOf({ address, mask }: Table, ip: number): number {
    const base = Number(this.#memory.base);
    return findSlot(this.#view, address + HEAD - base, mask, ip) + base;
  }

  #lead(table: Table): void {
    this.#table = table;
    this.#memory.write(this.#cell!.address, wordsOf(Uint32Array.of(table.address)));
  }

  #free(table: Table): void {
    if (!this.#tables.delete(table)) return;
    this.#memory.free(table.allocation);
  }

  #tidy(): void {
    for (const table of this.#tables) this.#free(table);
    if (this.#cell !== undefined) this.#memory.free(this.#cell);
    this.#search?.release();
    this.#table = undefined;
    this.#cell = undefined;
    this.#search = undefined;
  }
}

function slotsOf({ mask }: Table): number {
  return mask / SLOT + 1;
}

/** Where in a view a function's slot is, as {@link SEARCH} goes; or the first free one. */
function findSlot(view: DataView, start: number, mask: number, ip: number): number {
  let hash = Math.imul(ip, FACTOR) >>> SHIFT;
  for (;;) {
    hash &= mask;
    const found = view.getUint32(start + hash, true);
    if (found === 0 || found === ip) return start + hash;
    hash += SLOT;
  }
}
