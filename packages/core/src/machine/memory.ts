// Guest memory: one window of addresses with a permission for every byte, an allocator that leaves guard zones, and a write journal.
import { BpfError } from "../errors.ts";
import { Fault } from "./fault.ts";
import { WriteJournal } from "./journal.ts";
import type { Size } from "./ops.ts";

// The window lives in one WebAssembly memory so that translated code can reach it; the es2023 library does not declare it.
declare const WebAssembly: { readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer } };

/** Permission bits of a guest byte; 0 is a guard. `HOST` marks entry points that leave the machine when a CPU fetches there. */
export const Access: { readonly READ: 1; readonly WRITE: 2; readonly EXECUTE: 4; readonly HOST: 8 } = { READ: 1, WRITE: 2, EXECUTE: 4, HOST: 8 };

/** The parts of the window; each has an allocator of its own, so that what one part holds does not move what another holds. */
export type Region = "host" | "text" | "stack" | "data";

/** A piece of guest memory with an owner. */
export interface Allocation {
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  /** Named in traps. */
  readonly owner: string;
  readonly region: Region;
}

/** Sizes of the window's parts in bytes, multiples of 64 KiB. */
export interface MemoryOptions {
  /** First guest address; 0x1000_0000 unless told. The whole window has to end below 4 GiB, where 32-bit context fields reach. */
  readonly base?: bigint;
  readonly sizes?: Partial<Readonly<Record<Region, number>>>;
}

const REGIONS: readonly Region[] = ["host", "text", "stack", "data"];
const DEFAULT_SIZES: Readonly<Record<Region, number>> = { host: 64 << 10, text: 16 << 20, stack: 1 << 20, data: 47 << 20 };
const PAGE = 64 << 10;
/** Bytes without permission on both sides of an allocation. No hole is smaller than 8 bytes: `check` relies on it. */
const GUARD = 64;

interface Block extends Allocation {
  /** Offset and reach in the window, guards excluded; what `reuse` hands out again is the same span. */
  readonly at: number;
  readonly span: number;
  live: boolean;
}

interface Arena {
  readonly start: number;
  readonly end: number;
  next: number;
  /** In address order. */
  readonly blocks: Block[];
  /** Freed spans by size, oldest first; used only when the arena is full, so that use after free shows for as long as possible. */
  readonly freed: Map<number, number[]>;
}

/**
 * One window of guest addresses. Every access is checked to the byte; one outside, to freed memory or against permissions throws a
 * {@link Fault}, which engines turn into a trap that names the nearest allocation.
 *
 * @example
 * ```ts
 * import { Memory } from "@bpfkit/core";
 * const memory = new Memory();
 * const packet = memory.allocate("data", 64, "packet");
 * memory.store(4, packet.address, 0x2an);
 * console.log(memory.load(8, packet.address)); // 42n
 * ```
 */
export class Memory {
  /** First guest address and bytes of the window. */
  readonly base: bigint;
  readonly size: number;
  /** The window's bytes, and one permission byte each ({@link Access}). Indexed by offset from `base`. */
  readonly bytes: Uint8Array;
  readonly shadow: Uint8Array;
  /** Rises whenever executable bytes may have changed: decoded instructions are stale then. */
  codeVersion = 0;
  /** When set, records what every write replaced. */
  journal: WriteJournal | undefined;
  readonly #view: DataView;
  readonly #baseNumber: number;
  readonly #arenas: Readonly<Record<Region, Arena>>;

  constructor(options: MemoryOptions = {}) {
    const sizes = { ...DEFAULT_SIZES, ...options.sizes };
    this.base = options.base ?? 0x1000_0000n;
    this.size = REGIONS.reduce((sum, region) => sum + sizes[region], 0);
    if (REGIONS.some((region) => sizes[region] % PAGE !== 0) || this.base + BigInt(this.size) > 1n << 32n) {
      throw new BpfError("argument", `a window of ${this.size} bytes at 0x${this.base.toString(16)}`, {
        expected: "regions in multiples of 64 KiB that end below 4 GiB",
      });
    }
    const buffer = new WebAssembly.Memory({ initial: (2 * this.size) / PAGE }).buffer;
    this.bytes = new Uint8Array(buffer, 0, this.size);
    this.shadow = new Uint8Array(buffer, this.size, this.size);
    this.#view = new DataView(buffer, 0, this.size);
    this.#baseNumber = Number(this.base);
    let start = 0;
    const arena = (region: Region): Arena => {
      const end = start + sizes[region];
      const made: Arena = { start, end, next: start + GUARD, blocks: [], freed: new Map() };
      start = end;
      return made;
    };
    this.#arenas = { host: arena("host"), text: arena("text"), stack: arena("stack"), data: arena("data") };
  }

  /**
   * Reserves zeroed bytes between guard zones. Deterministic: the same calls give the same addresses.
   *
   * @param access - {@link Access} bits; readable and writable unless told
   * @param align - a power of two, 16 unless told
   * @throws {BpfError} `limit` when the region is full
   */
  allocate(region: Region, size: number, owner: string, access: number = Access.READ | Access.WRITE, align = 16): Allocation {
    const arena = this.#arenas[region];
    const span = Math.max(8, (size + 7) & ~7);
    const at = (arena.next + align - 1) & -align;
    if (at + span + GUARD <= arena.end) {
      arena.next = at + span + GUARD;
      return this.#place(arena, arena.blocks.length, { at, span, size, owner, region, access });
    }
    const reused = arena.freed.get(span)?.findIndex((offset) => offset % align === 0) ?? -1;
    if (reused < 0) {
      throw new BpfError("limit", `no room for ${size} bytes of ${owner} in the ${region} region`, {
        hint: `the region has ${arena.end - arena.start} bytes; Memory takes its size as an option`,
      });
    }
    const [offset] = arena.freed.get(span)!.splice(reused, 1);
    const index = this.#blockBefore(arena, offset!);
    this.bytes.fill(0, offset!, offset! + span);
    return this.#place(arena, index, { at: offset!, span, size, owner, region, access });
  }

  /** Takes an allocation's permissions away; @throws {BpfError} `argument` when it is not live. */
  free(allocation: Allocation): void {
    const arena = this.#arenas[allocation.region];
    const block = arena.blocks[this.#blockBefore(arena, this.#offset(allocation.address))];
    if (block === undefined || block.address !== allocation.address || !block.live) {
      throw new BpfError("argument", `0x${allocation.address.toString(16)} (${allocation.owner}) is not allocated`);
    }
    block.live = false;
    this.#setAccess(block.at, block.span, 0);
    const list = arena.freed.get(block.span);
    if (list === undefined) arena.freed.set(block.span, [block.at]);
    else list.push(block.at);
  }

  /** Changes the permissions of bytes inside the window; holes have to stay 8 bytes or larger. */
  protect(address: bigint, size: number, access: number): void {
    this.#setAccess(this.#range(address, size), size, access);
  }

  /** Permission bits of one guest byte; 0 outside the window. */
  accessAt(address: bigint): number {
    const at = Number(address) - this.#baseNumber;
    return at >= 0 && at < this.size ? this.shadow[at]! : 0;
  }

  /** @throws {Fault} */
  load(size: Size, address: bigint): bigint {
    const at = this.check(size, address, Access.READ, "load");
    switch (size) {
      case 1:
        return BigInt(this.bytes[at]!);
      case 2:
        return BigInt(this.#view.getUint16(at, true));
      case 4:
        return BigInt(this.#view.getUint32(at, true));
      case 8:
        return this.#view.getBigUint64(at, true);
    }
  }

  /** Stores the low `size` bytes of `value`; @throws {Fault} */
  store(size: Size, address: bigint, value: bigint): void {
    const at = this.check(size, address, Access.WRITE, "store");
    this.journal?.record(this.bytes, at, size);
    switch (size) {
      case 1:
        this.bytes[at] = Number(value & 0xffn);
        break;
      case 2:
        this.#view.setUint16(at, Number(value & 0xffffn), true);
        break;
      case 4:
        this.#view.setUint32(at, Number(value & 0xffff_ffffn), true);
        break;
      case 8:
        this.#view.setBigUint64(at, value, true);
        break;
    }
  }

  /**
   * Offset in `bytes` of an access of at most 8 bytes. Looking at both ends is enough, because no hole is smaller than 8 bytes.
   *
   * @throws {Fault}
   */
  check(size: number, address: bigint, need: number, cause: "load" | "store" | "fetch"): number {
    const at = Number(address) - this.#baseNumber;
    const { shadow } = this;
    if (at >= 0 && at + size <= this.size && (shadow[at]! & shadow[at + size - 1]! & need) === need) return at;
    throw new Fault(cause, this.describe(address), address, size);
  }

  /** The host's view of guest bytes, whatever their permissions; writing through it is not journalled. @throws {BpfError} `argument` outside the window */
  view(address: bigint, size: number): Uint8Array {
    const at = this.#range(address, size);
    return this.bytes.subarray(at, at + size);
  }

  /** A host write, whatever the permissions; journalled, and noticed by CPUs when it changes code. */
  write(address: bigint, bytes: Uint8Array): void {
    const at = this.#range(address, bytes.length);
    this.journal?.record(this.bytes, at, bytes.length);
    this.bytes.set(bytes, at);
    if (this.#isCode(at, bytes.length)) this.codeVersion++;
  }

  /** Puts back what the journal recorded and empties it. */
  undo(journal: WriteJournal): void {
    journal.undo(this.bytes);
    this.codeVersion++;
  }

  /** The live or freed allocation nearest below or around an address. */
  allocationAt(address: bigint): { readonly allocation: Allocation; readonly live: boolean } | undefined {
    const arena = this.#arenaOf(address);
    const block = arena?.blocks[this.#blockBefore(arena, this.#offset(address))];
    return block && { allocation: block, live: block.live };
  }

  /** Where an address is, in words, for traps. */
  describe(address: bigint): string {
    const arena = this.#arenaOf(address);
    if (arena === undefined) {
      return address < 4096n ? "a null pointer" : `outside the window 0x${this.base.toString(16)}..0x${(this.base + BigInt(this.size)).toString(16)}`;
    }
    const offset = this.#offset(address);
    const index = this.#blockBefore(arena, offset);
    const below = arena.blocks[index];
    const above = arena.blocks[index + 1];
    if (below !== undefined && offset < below.at + below.size) {
      return `${offset - below.at} bytes into ${nameOf(below)}${below.live ? ", which does not allow it" : ", which was freed"}`;
    }
    const past = below === undefined ? Number.POSITIVE_INFINITY : offset - below.at - below.size;
    const before = above === undefined ? Number.POSITIVE_INFINITY : above.at - offset;
    if (above !== undefined && before < past) return `${before} bytes before ${nameOf(above)}`;
    return below === undefined ? "nothing is allocated there" : `${past} bytes past the end of ${nameOf(below)}`;
  }

  /** FNV-1a over the window's bytes, permissions and allocations: equal states have equal hashes. */
  hash(): number {
    let hash = 0x811c9dc5;
    for (const region of REGIONS) {
      const { start, next } = this.#arenas[region];
      for (let i = start; i < next; i++) {
        hash = Math.imul(hash ^ this.bytes[i]!, 0x01000193);
        hash = Math.imul(hash ^ this.shadow[i]!, 0x01000193);
      }
    }
    return hash >>> 0;
  }

  #place(arena: Arena, index: number, { at, span, access, ...rest }: Omit<Block, "address" | "live"> & { readonly access: number }): Allocation {
    const block: Block = { address: this.base + BigInt(at), at, span, live: true, ...rest };
    arena.blocks[index] = block;
    this.#setAccess(at, rest.size, access);
    return block;
  }

  #setAccess(at: number, size: number, access: number): void {
    if (access & Access.EXECUTE || this.#isCode(at, size)) this.codeVersion++;
    this.shadow.fill(access, at, at + size);
  }

  /** Code is placed and taken away in whole allocations, so looking at both ends is enough. */
  #isCode(at: number, size: number): boolean {
    return size > 0 && ((this.shadow[at]! | this.shadow[at + size - 1]!) & Access.EXECUTE) !== 0;
  }

  #offset(address: bigint): number {
    return Number(address) - this.#baseNumber;
  }

  #range(address: bigint, size: number): number {
    const at = this.#offset(address);
    if (at >= 0 && at + size <= this.size) return at;
    throw new BpfError("argument", `${size} bytes at 0x${address.toString(16)} are ${this.describe(address)}`);
  }

  #arenaOf(address: bigint): Arena | undefined {
    const at = this.#offset(address);
    return REGIONS.map((region) => this.#arenas[region]).find(({ start, end }) => at >= start && at < end);
  }

  /** Index of the last block that starts at or before `offset`, -1 when there is none. O(log blocks). */
  #blockBefore({ blocks }: Arena, offset: number): number {
    let low = 0;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (blocks[middle]!.at <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function nameOf({ owner, address, size }: Block): string {
  return `${owner} (0x${address.toString(16)}, ${size} bytes)`;
}
