// Guest memory: one window of addresses with a permission for every byte, an allocator that leaves guard zones, and a write journal.
import { BpfError } from "../errors.ts";
import { Fault } from "./fault.ts";
import type { WriteJournal } from "./journal.ts";
import type { Size } from "./ops.ts";

// The window lives in one WebAssembly memory so that translated code can reach it; the es2023 library does not declare it.
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

/** Permission bits of a guest byte; 0 is a guard. `HOST` marks entry points that leave the machine when a CPU fetches there. */
export const Access: { readonly READ: 1; readonly WRITE: 2; readonly EXECUTE: 4; readonly HOST: 8 } = {
  READ: 1,
  WRITE: 2,
  EXECUTE: 4,
  HOST: 8,
};
const VERBS = ["reading", "writing", "execution", "host calls"];

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
  /**
   * First guest address, a multiple of 64 KiB and not 0; 0x1000_0000 unless told. The whole window has to end below 4 GiB, where
   * 32-bit context fields reach.
   */
  readonly base?: bigint;
  readonly sizes?: Partial<Readonly<Record<Region, number>>>;
}

const REGIONS: readonly Region[] = ["host", "text", "stack", "data"];
const DEFAULT_SIZES: Readonly<Record<Region, number>> = {
  host: 64 << 10,
  text: 16 << 20,
  stack: 1 << 20,
  data: 47 << 20,
};
const PAGE = 64 << 10;
/** Bytes without permission on both sides of an allocation. */
const GUARD = 64;
/** Bytes that one reservation covers: a store anywhere in them breaks it. */
const GRANULE = 64;

interface Block extends Allocation {
  /** Offset and reach in the window, guards excluded; what `reuse` hands out again is the same span. */
  readonly at: number;
  readonly span: number;
  live: boolean;
}

/** Offsets of freed spans of one size, oldest first; taking the oldest is O(1) on average. */
class FreedSpans {
  #offsets: number[] = [];
  #oldest = 0;

  add(offset: number): void {
    this.#offsets.push(offset);
  }

  /** The oldest that is aligned; undefined when there is none. */
  take(align: number): number | undefined {
    const offsets = this.#offsets;
    let at = this.#oldest;
    while (at < offsets.length && offsets[at]! % align !== 0) at++;
    const offset = offsets[at];
    if (offset === undefined) return undefined;
    if (at > this.#oldest) offsets.splice(at, 1);
    else if (++this.#oldest > offsets.length / 2) {
      this.#offsets = offsets.slice(this.#oldest);
      this.#oldest = 0;
    }
    return offset;
  }
}

interface Arena {
  readonly start: number;
  readonly end: number;
  next: number;
  /** In address order. */
  readonly blocks: Block[];
  /** Freed spans by size, oldest first; used only when the arena is full, so that use after free shows for as long as possible. */
  readonly freed: Map<number, FreedSpans>;
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
  /** Rises whenever executable bytes may have changed, whoever changed them: decoded instructions are stale then. */
  codeVersion = 0;
  /** Bytes of all allocations that have not been freed. */
  allocated = 0;
  /** When set, records what every write replaced. */
  journal: WriteJournal | undefined = undefined;
  /** When set, the bits of each byte that hold no value anybody gave; writes clear them, the definedness reading sets them. */
  undefinedBits: Uint8Array | undefined = undefined;
  /** Over `bytes` and, from `size` on, `shadow`. */
  readonly #view: DataView;
  readonly #baseNumber: number;
  readonly #arenas: Readonly<Record<Region, Arena>>;
  /** What was ever executable lies between these offsets. */
  #codeStart = 0;
  #codeEnd = 0;
  /** Granule that each holder has reserved, as its offset. */
  readonly #reservations = new Map<object, number>();

  constructor(options: MemoryOptions = {}) {
    const sizes = { ...DEFAULT_SIZES, ...options.sizes };
    this.base = options.base ?? 0x1000_0000n;
    this.size = REGIONS.reduce((sum, region) => sum + sizes[region], 0);
    const parts = [Number(this.base), ...REGIONS.map((region) => sizes[region])];
    if (parts.some((part) => !(part > 0) || part % PAGE !== 0) || this.base + BigInt(this.size) > 1n << 32n) {
      throw new BpfError("argument", `a window of ${this.size} bytes at 0x${this.base.toString(16)}`, {
        expected: "a base and regions in multiples of 64 KiB that end below 4 GiB",
      });
    }
    const buffer = new WebAssembly.Memory({ initial: (2 * this.size) / PAGE }).buffer;
    this.bytes = new Uint8Array(buffer, 0, this.size);
    this.shadow = new Uint8Array(buffer, this.size, this.size);
    this.#view = new DataView(buffer);
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
   * Reserves zeroed bytes between guard zones. Deterministic: the same calls give the same addresses. O(1) until the region is full, then O(log allocations).
   *
   * @param access - {@link Access} bits; readable and writable unless told
   * @param align - a power of two, 16 unless told
   * @throws {BpfError} `limit` when the region is full
   */
  allocate(
    region: Region,
    size: number,
    owner: string,
    access: number = Access.READ | Access.WRITE,
    align = 16,
  ): Allocation {
    const arena = this.#arenas[region];
    const span = Math.max(8, Math.ceil(size / 8) * 8);
    if (!(size >= 0 && Number.isSafeInteger(span))) throw new BpfError("argument", `${size} bytes of ${owner}`);
    const at = Math.ceil(arena.next / align) * align;
    if (at + span + GUARD <= arena.end) {
      arena.next = at + span + GUARD;
      return this.#place(arena, arena.blocks.length, { at, span, size, owner, region, access });
    }
    const offset = arena.freed.get(span)?.take(align);
    if (offset === undefined) {
      throw new BpfError("limit", `no room for ${size} bytes of ${owner} in the ${region} region`, {
        hint: `the region has ${arena.end - arena.start} bytes; Memory takes its size as an option`,
      });
    }
    const index = this.#blockBefore(arena, offset);
    this.bytes.fill(0, offset, offset + span);
    this.undefinedBits?.fill(0, offset, offset + span);
    return this.#place(arena, index, { at: offset, span, size, owner, region, access });
  }

  /** Takes an allocation's permissions away; @throws {BpfError} `argument` when it is not live. */
  free(allocation: Allocation): void {
    const arena = this.#arenas[allocation.region];
    const block = arena.blocks[this.#blockBefore(arena, this.#offset(allocation.address))];
    if (block === undefined || block.address !== allocation.address || !block.live) {
      throw new BpfError("argument", `0x${allocation.address.toString(16)} (${allocation.owner}) is not allocated`);
    }
    block.live = false;
    this.allocated -= block.size;
    this.#setAccess(block.at, block.span, 0);
    let freed = arena.freed.get(block.span);
    if (freed === undefined) {
      freed = new FreedSpans();
      arena.freed.set(block.span, freed);
    }
    freed.add(block.at);
  }

  /** Changes the permissions of bytes inside the window; @throws {BpfError} `argument` outside it. O(size) */
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
    this.#changed(at, size);
  }

  /**
   * Offset in `bytes` of an access whose every byte has the permissions `need`.
   *
   * @throws {Fault}
   */
  check(size: number, address: bigint, need: number, cause: "load" | "store" | "fetch"): number {
    const at = Number(address) - this.#baseNumber;
    if (at >= 0 && at + size <= this.size && this.#allows(at, size, need)) return at;
    throw new Fault(cause, this.describe(address, size), address, size);
  }

  #allows(at: number, size: number, need: number): boolean {
    const shadowAt = this.size + at;
    const view = this.#view;
    switch (size) {
      case 1:
        return (view.getUint8(shadowAt) & need) === need;
      case 2: {
        const all = need * 0x0101;
        return (view.getUint16(shadowAt, true) & all) === all;
      }
      case 4: {
        const all = need * 0x0101_0101;
        return (view.getInt32(shadowAt, true) & all) === all;
      }
      case 8: {
        const all = need * 0x0101_0101;
        return (view.getInt32(shadowAt, true) & view.getInt32(shadowAt + 4, true) & all) === all;
      }
      default:
        return (this.#commonAccess(at, size) & need) === need;
    }
  }

  /** Remembers that `holder` has loaded from here, until somebody stores nearby; it forgets the holder's earlier reservation. */
  reserve(holder: object, address: bigint): void {
    this.#reservations.set(holder, granuleOf(this.#offset(address)));
  }

  /** Ends the holder's reservation and tells whether it was still one of this address. */
  takeReservation(holder: object, address: bigint): boolean {
    const held = this.#reservations.get(holder);
    this.#reservations.delete(holder);
    return held === granuleOf(this.#offset(address));
  }

  /** After every change of bytes: who reserved them has lost them, and who decoded them has to look again. */
  #changed(at: number, size: number): void {
    if (at < this.#codeEnd && at + size > this.#codeStart) this.codeVersion++;
    this.undefinedBits?.fill(0, at, at + size);
    if (this.#reservations.size === 0) return;
    for (const [holder, granule] of this.#reservations) {
      if (granule < at + size && granule + GRANULE > at) this.#reservations.delete(holder);
    }
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
    this.#changed(at, bytes.length);
  }

  /**
   * {@link write} at many addresses, `size` bytes at each, which lie one behind the other in `bytes`.
   *
   * @throws {BpfError} `argument` outside the window
   */
  writeSites(addresses: Float64Array, size: number, bytes: Uint8Array): void {
    let [low, high] = [this.size, 0];
    for (const address of addresses) {
      const at = address - this.#baseNumber;
      if (at < low) low = at;
      if (at > high) high = at;
    }
    if (addresses.length === 0) return;
    this.#range(BigInt(this.#baseNumber + low), high + size - low);
    for (let site = 0; site < addresses.length; site++) {
      const at = addresses[site]! - this.#baseNumber;
      this.journal?.record(this.bytes, at, size);
      for (let i = 0; i < size; i++) this.bytes[at + i] = bytes[size * site + i]!;
      if (this.undefinedBits !== undefined || this.#reservations.size > 0) this.#changed(at, size);
    }
    if (low < this.#codeEnd && high + size > this.#codeStart) this.codeVersion++;
  }

  /** A host write of `size` guest bytes from elsewhere in the window; what is undefined there is undefined here too. */
  copy(to: bigint, from: bigint, size: number): void {
    const source = this.#range(from, size);
    const undefinedBits = this.undefinedBits?.slice(source, source + size);
    this.write(to, this.bytes.slice(source, source + size));
    if (undefinedBits !== undefined) this.undefinedBits?.set(undefinedBits, this.#range(to, size));
  }

  /** Puts back the bytes that the journal recorded and empties it; permissions and allocations stay as they are. O(bytes recorded) */
  undo(journal: WriteJournal): void {
    for (let i = 0; i < journal.length; i++) this.#changed(journal.offset(i), journal.size(i));
    journal.undo(this.bytes);
  }

  /** The live or freed allocation nearest below or around an address. */
  allocationAt(address: bigint): { readonly allocation: Allocation; readonly live: boolean } | undefined {
    const arena = this.#arenaOf(address);
    const block = arena?.blocks[this.#blockBefore(arena, this.#offset(address))];
    return block && { allocation: block, live: block.live };
  }

  /** Where an access of `size` bytes goes, in words, for traps. */
  describe(address: bigint, size = 1): string {
    const arena = this.#arenaOf(address);
    if (arena === undefined) {
      if (address < 4096n) return address === 0n ? "a null pointer" : `${address} bytes past a null pointer`;
      return `outside the window 0x${this.base.toString(16)}..0x${(this.base + BigInt(this.size)).toString(16)}`;
    }
    const offset = this.#offset(address);
    const index = this.#blockBefore(arena, offset);
    const below = arena.blocks[index];
    const above = arena.blocks[index + 1];
    if (below !== undefined && offset < below.at + below.size) {
      return `${offset - below.at} bytes into ${nameOf(below)}${this.#complaint(below, offset, size)}`;
    }
    const past = below === undefined ? Number.POSITIVE_INFINITY : offset - below.at - below.size;
    const before = above === undefined ? Number.POSITIVE_INFINITY : above.at - offset;
    if (above !== undefined && before < past) return `${before} bytes before ${nameOf(above)}`;
    return below === undefined ? "nothing is allocated there" : `${past} bytes past the end of ${nameOf(below)}`;
  }

  #complaint(block: Block, offset: number, size: number): string {
    if (!block.live) return "";
    const left = block.at + block.size - offset;
    if (size > left) return `, of which ${left} bytes remain`;
    const access = this.#commonAccess(offset, size);
    const verbs = VERBS.filter((_, bit) => (access & (1 << bit)) !== 0);
    if (verbs.length > 0) return `, which allows only ${verbs.join(" and ")}`;
    return block.region === "stack" ? ", outside the live frames" : ", which allows no access";
  }

  /** FNV-1a over bytes, permissions and allocations, a word at a time: equal states have equal hashes. O(bytes ever allocated) */
  hash(): number {
    let hash = 0x811c9dc5;
    const fold = (word: number): void => {
      hash = Math.imul(hash ^ word, 0x01000193);
    };
    const words = new Int32Array(this.bytes.buffer, 0, this.size / 2);
    for (const region of REGIONS) {
      const { start, next, blocks } = this.#arenas[region];
      for (let i = start >>> 2; i < next >>> 2; i++) {
        fold(words[i]!);
        fold(words[(this.size >>> 2) + i]!);
      }
      for (const { at, size, live } of blocks) {
        fold(at);
        fold(live ? size : -1);
      }
    }
    return hash >>> 0;
  }

  #place(
    arena: Arena,
    index: number,
    { at, span, size, owner, region, access }: Omit<Block, "address" | "live"> & { access: number },
  ): Allocation {
    const placed: Block = { address: this.base + BigInt(at), live: true, at, span, size, owner, region };
    arena.blocks[index] = placed;
    this.allocated += size;
    this.#setAccess(at, size, access);
    return placed;
  }

  #setAccess(at: number, size: number, access: number): void {
    if ((access & Access.EXECUTE) !== 0) {
      this.#codeStart = this.#codeEnd === 0 ? at : Math.min(this.#codeStart, at);
      this.#codeEnd = Math.max(this.#codeEnd, at + size);
    }
    this.shadow.fill(access, at, at + size);
    if (at < this.#codeEnd && at + size > this.#codeStart) this.codeVersion++;
  }

  #commonAccess(at: number, size: number): number {
    let access = 0xff;
    for (let i = at; i < at + size; i++) access &= this.shadow[i]!;
    return access;
  }

  #offset(address: bigint): number {
    return Number(address) - this.#baseNumber;
  }

  #range(address: bigint, size: number): number {
    const at = this.#offset(address);
    if (at >= 0 && size >= 0 && at + size <= this.size) return at;
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

function granuleOf(offset: number): number {
  return offset - (offset % GRANULE);
}

function nameOf({ owner, address, size, live }: Block): string {
  return `${owner} (0x${address.toString(16)}, ${size} bytes${live ? "" : ", freed"})`;
}
