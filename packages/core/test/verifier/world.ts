// Where accepted programs run: a context, a packet, maps and helpers that do all that their prototypes allow, on memory that traps.
import { BpfError } from "../../src/errors.ts";
import { MAP_TYPES } from "../../src/isa/maps.ts";
import type { GuestCall, Host, HostCall, HostFunction, Symbol as Reference } from "../../src/machine/engine.ts";
import { Access, type Allocation, Memory } from "../../src/machine/memory.ts";
import { PROG_ARRAY } from "../../src/machine/prog-array.ts";
import type { MapSpec } from "../../src/program.ts";
import { helperSpec } from "../../src/verifier/prototypes.ts";
import type { Random } from "./random-programs.ts";

/** Types of the programs that run here. */
export type WorldType = "syscall" | "xdp" | "sched_cls";

const map = (name: string, type: keyof typeof MAP_TYPES, keySize: number, valueSize: number, maxEntries: number) => ({
  name,
  type: MAP_TYPES[type],
  keySize,
  valueSize,
  maxEntries,
  flags: 0,
});

/** By the index that programs use. */
export const MAPS: readonly MapSpec[] = [
  map("one", "array", 4, 64, 1),
  map("few", "array", 4, 40, 4),
  map("hash", "hash", 8, 24, 4),
  map("ring", "ringbuf", 0, 0, 4096),
  map("queue", "queue", 0, 16, 4),
  map("programs", "prog_array", 4, 4, 2),
];
const [RING, QUEUE] = [3, 4];
/** Bytes of the context that are filled, by program type, and where it has the packet's addresses: data, end, metadata. */
const CONTEXTS: Readonly<Record<WorldType, readonly [bytes: number, ...packet: number[]]>> = {
  syscall: [64],
  xdp: [24, 0, 4, 8],
  sched_cls: [192, 76, 80, 140],
};
const CONTEXT_BYTES = 192;
const STACK_BYTES = 8192;
const [HEADROOM, PACKET_BYTES] = [64, 256];
const [RECORD_BYTES, RECORDS] = [64, 4];
const [EINVAL, ENOENT, E2BIG] = [-22n, -2n, -7n];
/** bpf_loop calls back as often, at most. */
const MAX_LOOPS = 1 << 23;
const BOTH = Access.READ | Access.WRITE;

/** Memory that a ring buffer has given out. */
interface RingRecord {
  readonly allocation: Allocation;
  /** −1 where it is free. */
  size: number;
}

export class World implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 16, stack: 1 << 16, data: 1 << 16, host: 1 << 16 } });
  /** The memory as words, from its base on. */
  readonly words: Int32Array = new Int32Array(this.memory.bytes.buffer);
  readonly base: number = Number(this.memory.base);
  readonly stack: Allocation = this.memory.allocate("stack", STACK_BYTES, "the stack");
  readonly stackTop: bigint = this.stack.address + BigInt(STACK_BYTES);
  readonly context: Allocation = this.memory.allocate("data", CONTEXT_BYTES, "the context");
  /** What stands for each map, its values, and the key that callbacks get. */
  readonly maps: readonly Allocation[] = MAPS.map(({ name }) =>
    this.memory.allocate("host", PROG_ARRAY.programs + 16, name, Access.READ),
  );
  readonly values: readonly (readonly Allocation[])[] = MAPS.map(({ name, valueSize, maxEntries }, index) =>
    index < RING
      ? Array.from({ length: maxEntries }, () => this.memory.allocate("data", valueSize, `a value of ${name}`))
      : [],
  );
  readonly key: Allocation = this.memory.allocate("data", 8, "a key");
  readonly records: readonly RingRecord[] = Array.from({ length: RECORDS }, () => ({
    allocation: this.memory.allocate("data", RECORD_BYTES, "a record", 0),
    size: -1,
  }));
  /** Where the packet can be: it moves from one to the other when a helper changes it. */
  readonly #packets = [0, 1].map(() => this.memory.allocate("data", PACKET_BYTES, "the packet", 0));
  readonly #present: boolean[] = [];
  readonly #keys: bigint[] = [];
  /** Addresses of the metadata, the packet and its end. */
  readonly packet: { meta: number; data: number; end: number } = { meta: 0, data: 0, end: 0 };
  #type: WorldType = "syscall";
  #random: Random = Math.random;
  readonly #helpers: ReadonlyMap<string, HostFunction> = new Map(Object.entries(this.#makeHelpers()));

  constructor() {
    const programs = this.maps[5]!;
    this.words[(Number(programs.address) + PROG_ARRAY.maxEntries - this.base) >> 2] = MAPS[5]!.maxEntries;
  }

  /** Everything anew, from chance. */
  begin(type: WorldType, random: Random): void {
    this.#type = type;
    this.#random = random;
    const [bytes, ...fields] = CONTEXTS[type];
    this.#fill(this.context, bytes);
    for (const [index, values] of this.values.entries())
      for (const value of values) this.#fill(value, MAPS[index]!.valueSize);
    for (let i = 0; i < 4; i++) {
      this.#present[i] = random() < 0.6;
      this.#keys[i] = BigInt(Math.floor(random() * 4));
    }
    for (const record of this.records) this.#close(record);
    if (fields.length > 0) {
      const meta = random() < 0.4 ? 4 * Math.floor(random() * 8) : 0;
      const length = random() < 0.5 ? Math.floor(random() * 24) : Math.floor(random() * 100);
      this.#place(meta, length, 0, true);
    }
  }

  /** How many records have been given out and not given back. */
  get references(): number {
    return this.records.reduce((count, { size }) => count + (size >= 0 ? 1 : 0), 0);
  }

  address(symbol: Reference): bigint {
    if (symbol.kind === "map") return this.maps[symbol.index]!.address;
    if (symbol.kind === "map-value") return this.values[symbol.index]![0]!.address + BigInt(symbol.offset);
    throw new BpfError("unknown-symbol", symbol.kind);
  }

  function(symbol: Reference): HostFunction {
    const name = symbol.kind === "helper" ? helperSpec(symbol.id)?.name : undefined;
    const helper = name === undefined ? undefined : this.#helpers.get(name);
    if (helper === undefined) throw new BpfError("unknown-symbol", name ?? symbol.kind);
    return helper;
  }

  /** A word of the kind that shows mistakes: anything, small, small and negative, 32 bits, small in its low half. */
  word(): bigint {
    const random = this.#random;
    const kind = Math.floor(random() * 5);
    const low = BigInt(Math.floor(random() * 2 ** 32));
    if (kind === 1) return low & 0xffn;
    if (kind === 2) return BigInt.asUintN(64, -(low & 0xffn));
    if (kind === 3) return low;
    return ((kind === 4 ? low & 0x3fn : low) << 32n) | BigInt(Math.floor(random() * (kind === 4 ? 64 : 2 ** 32)));
  }

  #fill({ address }: Allocation, bytes: number): void {
    let at = (Number(address) - this.base) >> 2;
    for (let i = 0; i < bytes; i += 8) {
      const word = this.word();
      this.words[at++] = Number(BigInt.asIntN(32, word));
      this.words[at++] = Number(BigInt.asIntN(32, word >> 32n));
    }
  }

  /** The packet goes to the other place, with `length` bytes and `meta` before them; what was known of the old one traps from now on. */
  #place(meta: number, length: number, headroom: number, anew: boolean): void {
    const { memory, packet } = this;
    const [from, to] = anew || packet.data < Number(this.#packets[1]!.address) ? [0, 1] : [1, 0];
    const before = this.#packets[from]!;
    const after = this.#packets[to]!;
    memory.protect(before.address, PACKET_BYTES, 0);
    memory.protect(after.address, PACKET_BYTES, 0);
    this.#fill(after, PACKET_BYTES);
    packet.data = Number(after.address) + HEADROOM + headroom;
    packet.meta = packet.data - meta;
    packet.end = packet.data + length;
    memory.protect(BigInt(packet.meta), meta + length, BOTH);
    const [, ...fields] = CONTEXTS[this.#type];
    const context = Number(this.context.address) - this.base;
    for (const [i, value] of [packet.data, packet.end, packet.meta].entries())
      this.words[(context + fields[i]!) >> 2] = value;
  }

  #close(record: RingRecord): void {
    if (record.size > 0) this.memory.protect(record.allocation.address, RECORD_BYTES, 0);
    record.size = -1;
  }

  #read(address: bigint, size: bigint): void {
    if (size > 0n) this.memory.check(Number(size), address, Access.READ, "load");
  }

  /** Writes what chance gives. */
  #write(address: bigint, size: bigint): void {
    if (size === 0n) return;
    const at = this.memory.check(Number(size), address, Access.WRITE, "store");
    for (let i = 0; i < Number(size); i++) this.memory.bytes[at + i] = Math.floor(this.#random() * 256);
  }

  #mapAt(address: bigint): number {
    return this.maps.findIndex((allocation) => allocation.address === address);
  }

  /** The element with the key at an address, −1 for none. */
  #find(index: number, key: bigint): number {
    const { keySize, maxEntries } = MAPS[index]!;
    const wanted = this.memory.load(keySize === 4 ? 4 : 8, key);
    if (keySize === 4) return wanted < BigInt(maxEntries) ? Number(wanted) : -1;
    return this.#keys.findIndex((known, i) => known === wanted && this.#present[i]);
  }

  #makeHelpers(): Readonly<Record<string, HostFunction>> {
    const failing = (): boolean => this.#random() < 0.3;
    const anyNumber = (): bigint => this.word();
    const sized =
      (pointer: 0 | 1 | 2 | 3, size: 1 | 2 | 3 | 4, way: "read" | "write"): HostFunction =>
      ({ args }: HostCall) => {
        if (way === "read") this.#read(args[pointer], args[size]);
        else this.#write(args[pointer], args[size]);
        return failing() ? EINVAL : 0n;
      };
    const change =
      (by: (args: HostCall["args"]) => readonly [meta: number, length: number, headroom: number]): HostFunction =>
      ({ args }) => {
        const [meta, length, headroom] = by(args);
        if (failing() || length < 0 || meta < 0 || headroom < -HEADROOM || length + headroom > 128) return EINVAL;
        this.#place(meta, length, headroom, false);
        return 0n;
      };
    const { packet } = this;
    const moved = (delta: bigint): readonly [number, number, number] => {
      const by = Math.max(-1000, Math.min(1000, Number(BigInt.asIntN(32, delta))));
      return [0, packet.end - packet.data - by, by];
    };
    const pop: HostFunction = ({ args }) => {
      if (failing()) return ENOENT;
      this.#write(args[1], BigInt(MAPS[QUEUE]!.valueSize));
      return 0n;
    };
    const close: HostFunction = ({ args }) => {
      const record = this.records.find(({ allocation, size }) => size >= 0 && allocation.address === args[0]);
      if (record === undefined) this.#read(0n, 1n);
      else this.#close(record);
      return 0n;
    };
    return {
      map_lookup_elem: ({ args: [map, key] }) => {
        const index = this.#mapAt(map);
        const at = this.#find(index, key);
        return at < 0 ? 0n : this.values[index]![at]!.address;
      },
      map_update_elem: ({ args: [map, key, value] }) => {
        const index = this.#mapAt(map);
        const at = this.#find(index, key);
        const { valueSize } = MAPS[index]!;
        this.#read(value, BigInt(valueSize));
        if (at < 0 || failing()) return E2BIG;
        this.memory.copy(this.values[index]![at]!.address, value, valueSize);
        return 0n;
      },
      map_delete_elem: ({ args: [map, key] }) => {
        const index = this.#mapAt(map);
        const at = this.#find(index, key);
        if (MAPS[index]!.keySize === 4) return EINVAL;
        if (at < 0) return ENOENT;
        this.#present[at] = false;
        return 0n;
      },
      map_push_elem: ({ args }) => {
        this.#read(args[1], BigInt(MAPS[QUEUE]!.valueSize));
        return failing() ? E2BIG : 0n;
      },
      map_pop_elem: pop,
      map_peek_elem: pop,
      ktime_get_ns: anyNumber,
      get_prandom_u32: () => this.word() & 0xffff_ffffn,
      get_smp_processor_id: () => BigInt(Math.floor(this.#random() * 4)),
      csum_diff: ({ args }) => {
        this.#read(args[0], args[1]);
        this.#read(args[2], args[3]);
        return anyNumber();
      },
      get_current_comm: sized(0, 1, "write"),
      probe_read_kernel: sized(0, 1, "write"),
      ringbuf_output: sized(1, 2, "read"),
      skb_load_bytes: sized(2, 3, "write"),
      skb_store_bytes: ({ args }) => {
        this.#read(args[2], args[3]);
        if (!failing()) this.#place(0, packet.end - packet.data, 0, false);
        return 0n;
      },
      xdp_load_bytes: sized(2, 3, "write"),
      xdp_store_bytes: sized(2, 3, "read"),
      xdp_adjust_head: change(([, delta]) => moved(delta)),
      xdp_adjust_meta: change(([, delta]) => {
        const meta = packet.data - packet.meta - Math.max(-99, Math.min(99, Number(BigInt.asIntN(32, delta))));
        return [meta > 32 ? -1 : meta, packet.end - packet.data, 0];
      }),
      xdp_adjust_tail: change(([, delta]) => {
        const [, length] = moved(-delta);
        return [packet.data - packet.meta, length, 0];
      }),
      skb_pull_data: change(() => [0, packet.end - packet.data, 0]),
      ringbuf_reserve: ({ args }) => {
        const size = Number(args[1]);
        const record = failing() || size > RECORD_BYTES ? undefined : this.records.find((free) => free.size < 0);
        if (record === undefined) return 0n;
        record.size = size;
        this.memory.protect(record.allocation.address, size, BOTH);
        return record.allocation.address;
      },
      ringbuf_submit: close,
      ringbuf_discard: close,
      loop: function* ({ args: [count, callback, context] }) {
        const turns = BigInt.asUintN(32, count);
        if (turns > BigInt(MAX_LOOPS)) return E2BIG;
        for (let i = 0n; i < turns; i++) if ((yield { address: callback, args: [i, context] }) !== 0n) return i + 1n;
        return turns;
      },
      for_each_map_elem: ({ args }) => this.#eachElement(args),
    };
  }

  *#eachElement([map, callback, context]: HostCall["args"]): Generator<GuestCall, bigint, bigint> {
    const index = this.#mapAt(map);
    const { keySize } = MAPS[index]!;
    const { memory, key } = this;
    let turns = 0n;
    for (const [i, value] of this.values[index]!.entries()) {
      if (keySize === 8 && !this.#present[i]) continue;
      turns++;
      memory.protect(key.address, 8, BOTH);
      memory.store(8, key.address, keySize === 8 ? this.#keys[i]! : BigInt(i));
      memory.protect(key.address, 8, 0);
      memory.protect(key.address, keySize, Access.READ);
      if ((yield { address: callback, args: [map, key.address, value.address, context] }) !== 0n) break;
    }
    return turns;
  }
}
