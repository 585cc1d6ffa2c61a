// Programs of type socket_filter: struct __sk_buff as user space knows it (UAPI linux/bpf.h), and the packet that packet loads reach.
import { Access, type Allocation, BpfError, type Memory } from "@bpfkit/core";
import type { Context, ContextInput, ContextKind } from "./context.ts";

/*
 * struct __sk_buff, 192 bytes; 32-bit fields unless told. A socket filter may read all that is named here and write only `cb`:
 *   0 len   4 pkt_type   8 mark   12 queue_mapping   16 protocol   20 vlan_present   24 vlan_tci   28 vlan_proto   32 priority
 *   36 ingress_ifindex   40 ifindex   44 tc_index   48 cb[5]   68 hash   84 napi_id   164 gso_segs   176 gso_size
 * What lies between, data and data_end among it, is for other program types.
 *
 * The packet of a test run starts with its Ethernet header; the program's offsets count from behind it. A packet load also takes
 *   -0x100000 + n   n bytes into the network header, where offsets count from
 *   -0x200000 + n   n bytes into the Ethernet header
 */
const SIZE = 192;
const [LEN, PKT_TYPE, PROTOCOL, IFINDEX, CB, WIRE_LEN, GSO_SEGS] = [0, 4, 16, 40, 48, 160, 164] as const;
const CB_SIZE = 20;
/** Spans that can be read, as offset and size. */
const READABLE = [
  [0, 72],
  [84, 4],
  [164, 4],
  [176, 4],
] as const;
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
const MAX_WIRE_LEN = 0x1_0000;
const MAX_SEGMENTS = 0xffff;
const [PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST] = [0, 2, 3] as const;
/** Values of the type field from here on are protocols; below, they are lengths. */
const MIN_PROTOCOL = 0x600;
const [PROTOCOL_802_3, PROTOCOL_802_2] = [1, 4] as const;
/** Bytes of header that a packet of a protocol has to have. */
const HEADERS: Readonly<Record<number, number>> = { 2048: 20, 34525: 40 };

/** r1 points to a struct __sk_buff; packet loads reach the packet. */
export const socketFilter: ContextKind = {
  type: "socket_filter",
  packetLoads: true,
  create(memory, cpu) {
    let buffer: SkBuff | undefined;
    return (input) => {
      buffer ??= new SkBuff(memory, cpu);
      buffer.prepare(input);
      return buffer;
    };
  },
};

/** The socket buffer of one CPU. */
export class SkBuff implements Context {
  readonly #memory: Memory;
  readonly #fields: Allocation;
  /** Ethernet header and all behind it. */
  #packet: Uint8Array = new Uint8Array(ETH_HLEN);
  /** What the caller gave: fields that the program does not see among it. */
  #given: Uint8Array = new Uint8Array(SIZE);

  constructor(memory: Memory, cpu: number) {
    this.#memory = memory;
    this.#fields = memory.allocate("data", SIZE, `__sk_buff of cpu ${cpu}`, 0);
    for (const [offset, size] of READABLE) memory.protect(this.#at(offset), size, Access.READ);
    memory.protect(this.#at(CB), CB_SIZE, Access.READ | Access.WRITE);
  }

  get address(): bigint {
    return this.#fields.address;
  }

  prepare({ data = new Uint8Array(ETH_HLEN), context }: ContextInput): void {
    const length = data.length - ETH_HLEN;
    const header = new DataView(data.buffer, data.byteOffset, data.length);
    const type = length < 0 ? 0 : header.getUint16(12);
    const least = HEADERS[type] ?? 0;
    if (length < least) refuse(`a packet of ${data.length} bytes (EINVAL)`, `${ETH_HLEN + least} bytes or more`);
    if (data.length > MAX_PACKET) {
      throw new BpfError("unsupported", `a packet of ${data.length} bytes`, { expected: `at most ${MAX_PACKET}` });
    }
    const given = fieldsOf(context, length);
    this.#given = given;
    this.#packet = Uint8Array.from(data);
    const fields = new Uint8Array(SIZE);
    for (const [from, to] of SETTABLE) fields.set(given.subarray(from, to), from);
    const view = new DataView(fields.buffer);
    view.setUint32(LEN, length, true);
    view.setUint32(PKT_TYPE, packetType(data), true);
    // In the order of the network, as the kernel keeps it: what a little-endian machine reads is swapped.
    view.setUint16(PROTOCOL, protocolOf(type, data));
    view.setUint32(IFINDEX, LOOPBACK, true);
    this.#memory.write(this.address, fields);
  }

  /** What the packet holds at an offset, in host order; undefined where it does not hold all of it. */
  load(offset: number, size: number): bigint | undefined {
    const at = offset >= 0 ? offset + ETH_HLEN : offset >= NETWORK ? offset - NETWORK + ETH_HLEN : offset - LINK;
    if (at < 0 || at + size > this.#packet.length) return undefined;
    let value = 0n;
    for (const byte of this.#packet.subarray(at, at + size)) value = (value << 8n) | BigInt(byte);
    return value;
  }

  /** Bytes of the packet at an offset; undefined where it does not hold all of them. */
  bytes(offset: number, size: number): Uint8Array | undefined {
    const at = offset + ETH_HLEN;
    return at + size > this.#packet.length ? undefined : this.#packet.subarray(at, at + size);
  }

  /** The packet; the kernel clears the Ethernet header of a packet that came in without one. */
  dataOut(): Uint8Array {
    return this.#packet.slice().fill(0, 0, ETH_HLEN);
  }

  /** As user space gets it: what a caller may set, with what the program made of it. */
  contextOut(): Uint8Array {
    const bytes = new Uint8Array(SIZE);
    for (const [from, to] of SETTABLE) bytes.set(this.#given.subarray(from, to), from);
    bytes.set(this.#memory.view(this.#at(CB), CB_SIZE), CB);
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
