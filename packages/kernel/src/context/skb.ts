// Programs of type socket_filter and sched_cls: struct __sk_buff as user space knows it (UAPI linux/bpf.h), and the packet behind it.
import { Access, type Allocation, BpfError, type ContextLayout, type Memory, programType } from "@bpfkit/core";
import type { Context, ContextInput, ContextKind } from "./context.ts";

/*
 * struct __sk_buff, 192 bytes; 32-bit fields unless told:
 *   0 len   4 pkt_type   8 mark   12 queue_mapping   16 protocol   20 vlan_present   24 vlan_tci   28 vlan_proto   32 priority
 *   36 ingress_ifindex   40 ifindex   44 tc_index   48 cb[5]   68 hash   72 tc_classid   76 data   80 data_end   84 napi_id
 *   140 data_meta   152 tstamp, 64 bits   160 wire_len   164 gso_segs   176 gso_size   180 tstamp_type, 8 bits   184 hwtstamp, 64 bits
 *
 * The packet of a test run starts with its Ethernet header. To a socket filter offsets count from behind it, to a classifier from the
 * header, which is where data points. A packet load also takes
 *   -0x100000 + n   n bytes into the network header, behind the Ethernet header
 *   -0x200000 + n   n bytes into the Ethernet header
 *
 * What the kernel would have lies behind the structure, where rewritten programs look:
 *   192 data   200 data_end   208 data_meta   216 dev → 232 ifindex, 32 bits   224 len   228 protocol, 16 bits   230 packet type, bits 0 to 2
 */
const SIZE = 192;
const [LEN, PKT_TYPE, PROTOCOL, IFINDEX, WIRE_LEN, GSO_SEGS] = [0, 4, 16, 40, 160, 164] as const;
const [DATA, DATA_END, DATA_META, NATIVE, DEVICE, END] = [76, 80, 140, 192, 232, 236] as const;
const NATIVE_FIELDS: ContextLayout = [
  { name: "len", offset: LEN, size: 4, at: NATIVE + 32, bytes: 4 },
  { name: "pkt_type", offset: PKT_TYPE, size: 4, at: NATIVE + 38, bytes: 1, mask: 7 },
  { name: "protocol", offset: PROTOCOL, size: 4, at: NATIVE + 36, bytes: 2 },
  { name: "ifindex", offset: IFINDEX, size: 4, via: [NATIVE + 24], at: 0, bytes: 4 },
];

/** What a program type may do, in spans of offset and size, and from where its offsets into the packet count. */
interface View {
  readonly type: string;
  readonly readable: readonly (readonly [offset: number, size: number])[];
  readonly writable: readonly (readonly [offset: number, size: number])[];
  /** Bytes of the packet before offset 0. */
  readonly skipped: number;
  /** Whether it may access the packet itself. */
  readonly direct: boolean;
  readonly layout: ContextLayout;
}

/** Runs of bytes that programs of a type may read or write, whole fields. A socket is not there: what reads it finds a null pointer. */
function spansOf(type: "socket_filter" | "sched_cls", what: "read" | "write"): View["readable"] {
  const spans: [number, number][] = [];
  for (const { offset, size, ...field } of programType(type)!.context.fields) {
    const last = spans.at(-1);
    if (field[what] === 0) continue;
    if (last !== undefined && last[0] + last[1] === offset) last[1] += size;
    else spans.push([offset, size]);
  }
  return spans;
}

const FILTER: View = {
  type: "socket_filter",
  readable: spansOf("socket_filter", "read"),
  writable: spansOf("socket_filter", "write"),
  skipped: 14,
  direct: false,
  layout: NATIVE_FIELDS,
};

const CLASSIFIER: View = {
  type: "sched_cls",
  readable: spansOf("sched_cls", "read"),
  writable: spansOf("sched_cls", "write"),
  skipped: 0,
  direct: true,
  layout: [
    ...NATIVE_FIELDS,
    { name: "data", offset: DATA, size: 4, at: NATIVE, bytes: 8 },
    { name: "data_end", offset: DATA_END, size: 4, at: NATIVE + 8, bytes: 8 },
    { name: "data_meta", offset: DATA_META, size: 4, at: NATIVE + 16, bytes: 8 },
  ],
};
/** Spans that a caller may set: mark, priority to ifindex, cb, tstamp to gso_segs, gso_size, hwtstamp. */
const SETTABLE = [
  [8, 12],
  [32, 44],
  [48, 68],
  [152, 168],
  [176, 180],
  [184, 192],
] as const;

const ETH_HLEN = 14;
const MAX_PACKET = 0xffff;
const NETWORK = -0x10_0000;
const LINK = -0x20_0000;
const LOOPBACK = 1;
/** What shares a byte with the packet type. */
const OTHER_BITS = 0x48;
const MAX_WIRE_LEN = 0x1_0000;
const MAX_SEGMENTS = 0xffff;
const [PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST] = [0, 2, 3] as const;
/** Values of the type field from here on are protocols; below, they are lengths. */
const MIN_PROTOCOL = 0x600;
const [PROTOCOL_802_3, PROTOCOL_802_2] = [1, 4] as const;
/** Bytes of header that a packet of a protocol has to have. */
const HEADERS: Readonly<Record<number, number>> = { 2048: 20, 34525: 40 };

/** r1 points to a struct __sk_buff; packet loads reach the packet. */
export const socketFilter: ContextKind = kindOf(FILTER);

/** The same with more fields, and data and data_end around a packet that can be read and written. */
export const schedCls: ContextKind = kindOf(CLASSIFIER);

function kindOf(view: View): ContextKind {
  return {
    type: view.type,
    packetLoads: true,
    layout: view.layout,
    create(memory, cpu) {
      let buffer: SkBuff | undefined;
      return (input) => {
        buffer ??= new SkBuff(memory, cpu, view);
        buffer.prepare(input);
        return buffer;
      };
    },
  };
}

/** The socket buffer of one CPU. */
export class SkBuff implements Context {
  readonly #memory: Memory;
  readonly #view: View;
  readonly #fields: Allocation;
  /** Where the packet lies, for those who may access it. */
  readonly #room: Allocation | undefined;
  /** Ethernet header and all behind it. */
  #packet: Uint8Array = new Uint8Array(ETH_HLEN);
  /** What the caller gave: fields that the program does not see among it. */
  #given: Uint8Array = new Uint8Array(SIZE);

  constructor(memory: Memory, cpu: number, view: View) {
    this.#memory = memory;
    this.#view = view;
    this.#fields = memory.allocate("data", END, `__sk_buff of cpu ${cpu}`, 0);
    if (view.direct) this.#room = memory.allocate("data", MAX_PACKET, `packet buffer of cpu ${cpu}`, 0);
    for (const [offset, size] of view.readable) memory.protect(this.#at(offset), size, Access.READ);
    for (const [offset, size] of view.writable) memory.protect(this.#at(offset), size, Access.READ | Access.WRITE);
    memory.protect(this.#at(NATIVE), END - NATIVE, Access.READ);
  }

  get address(): bigint {
    return this.#fields.address;
  }

  prepare({ data = new Uint8Array(ETH_HLEN), context }: ContextInput): void {
    const payload = data.length - ETH_HLEN;
    const header = new DataView(data.buffer, data.byteOffset, data.length);
    const type = payload < 0 ? 0 : header.getUint16(12);
    const least = HEADERS[type] ?? 0;
    if (payload < least) refuse(`a packet of ${data.length} bytes (EINVAL)`, `${ETH_HLEN + least} bytes or more`);
    if (data.length > MAX_PACKET) {
      throw new BpfError("unsupported", `a packet of ${data.length} bytes`, { expected: `at most ${MAX_PACKET}` });
    }
    const length = data.length - this.#view.skipped;
    this.#given = fieldsOf(context, length);
    this.#packet = this.#place(data);
    this.#publish(length, packetType(data), protocolOf(type, data));
  }

  /** The packet's bytes: the guest's own, or a copy that it does not see. */
  #place(data: Uint8Array): Uint8Array {
    if (this.#room === undefined) return Uint8Array.from(data);
    const { address, size } = this.#room;
    this.#memory.protect(address, size, 0);
    this.#memory.write(address, data);
    this.#memory.protect(address, data.length, Access.READ | Access.WRITE);
    return this.#memory.view(address, data.length);
  }

  #publish(length: number, packet: number, protocol: number): void {
    const fields = new Uint8Array(END);
    for (const [from, to] of SETTABLE) fields.set(this.#given.subarray(from, to), from);
    const view = new DataView(fields.buffer);
    view.setUint32(LEN, length, true);
    view.setUint32(PKT_TYPE, packet, true);
    // In the order of the network, as the kernel keeps it: what a little-endian machine reads is swapped.
    view.setUint16(PROTOCOL, protocol);
    view.setUint32(IFINDEX, LOOPBACK, true);
    if (this.#room !== undefined) {
      const data = this.#room.address;
      const end = data + BigInt(length);
      for (const [offset, value] of [
        [DATA, data],
        [DATA_END, end],
        [DATA_META, data],
      ] as const)
        view.setUint32(offset, Number(value), true);
      for (const [i, value] of [data, end, data].entries()) view.setBigUint64(NATIVE + 8 * i, value, true);
    }
    view.setBigUint64(NATIVE + 24, this.#at(DEVICE), true);
    view.setUint32(NATIVE + 32, length, true);
    view.setUint16(NATIVE + 36, protocol);
    fields[NATIVE + 38] = OTHER_BITS | packet;
    view.setUint32(DEVICE, LOOPBACK, true);
    this.#memory.write(this.address, fields);
  }

  /** What the packet holds at an offset, in host order; undefined where it does not hold all of it. */
  load(offset: number, size: number): bigint | undefined {
    const at =
      offset >= 0 ? offset + this.#view.skipped : offset >= NETWORK ? offset - NETWORK + ETH_HLEN : offset - LINK;
    if (at < 0 || at + size > this.#packet.length) return undefined;
    let value = 0n;
    for (const byte of this.#packet.subarray(at, at + size)) value = (value << 8n) | BigInt(byte);
    return value;
  }

  /** Bytes of the packet at an offset; undefined where it does not hold all of them. */
  bytes(offset: number, size: number): Uint8Array | undefined {
    const at = offset + this.#view.skipped;
    return at + size > this.#packet.length ? undefined : this.#packet.subarray(at, at + size);
  }

  /** The packet; the kernel clears the Ethernet header where the program did not see it. */
  dataOut(): Uint8Array {
    return this.#packet.slice().fill(0, 0, this.#view.skipped);
  }

  /** As user space gets it: what a caller may set, with what the program made of it. */
  contextOut(): Uint8Array {
    const bytes = new Uint8Array(SIZE);
    for (const [from, to] of SETTABLE) bytes.set(this.#given.subarray(from, to), from);
    for (const [from, to] of SETTABLE) {
      for (const [offset, size] of this.#view.writable) {
        const [first, end] = [Math.max(from, offset), Math.min(to, offset + size)];
        if (first < end) bytes.set(this.#memory.view(this.#at(first), end - first), first);
      }
    }
    new DataView(bytes.buffer).setUint32(IFINDEX, LOOPBACK, true);
    return bytes;
  }

  describe(): undefined {}

  #at(offset: number): bigint {
    return this.#fields.address + BigInt(offset);
  }
}

function packetType(data: Uint8Array): number {
  const [first] = data;
  const isLoopback = data.subarray(0, 6).every((byte) => byte === 0);
  return isLoopback ? PACKET_HOST : (first! & 1) !== 0 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

function protocolOf(type: number, data: Uint8Array): number {
  if (type >= MIN_PROTOCOL) return type;
  return data[ETH_HLEN] === 0xff && data[ETH_HLEN + 1] === 0xff ? PROTOCOL_802_3 : PROTOCOL_802_2;
}

/** A caller's struct __sk_buff, by the rules of the test run; a shorter one is filled up with zeroes. */
function fieldsOf(context: Uint8Array | undefined, length: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  if (context === undefined) {
    view.setUint32(WIRE_LEN, length, true);
    return bytes;
  }
  if (context.subarray(SIZE).some((byte) => byte !== 0))
    refuse(`a context of ${context.length} bytes (E2BIG)`, `${SIZE} bytes, struct __sk_buff`);
  bytes.set(context.subarray(0, SIZE));
  const set = bytes.findIndex(
    (byte, offset) => byte !== 0 && !SETTABLE.some(([from, to]) => offset >= from && offset < to),
  );
  if (set >= 0) refuse(`byte ${set} of the context, ${bytes[set]} (EINVAL)`, "0");
  const field = (offset: number): number => view.getUint32(offset, true);
  if (field(IFINDEX) > LOOPBACK)
    refuse(`ifindex ${field(IFINDEX)} in the context (ENODEV)`, "0, or 1: the loopback device");
  if (field(WIRE_LEN) === 0) view.setUint32(WIRE_LEN, length, true);
  else if (field(WIRE_LEN) < length || field(WIRE_LEN) > MAX_WIRE_LEN)
    refuse(`wire_len ${field(WIRE_LEN)} in the context (EINVAL)`, `${length} to ${MAX_WIRE_LEN}`);
  if (field(GSO_SEGS) > MAX_SEGMENTS)
    refuse(`gso_segs ${field(GSO_SEGS)} in the context (EINVAL)`, `at most ${MAX_SEGMENTS}`);
  return bytes;
}

function refuse(what: string, expected: string): never {
  throw new BpfError("argument", what, { expected });
}
