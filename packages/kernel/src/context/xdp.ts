// Programs of type xdp: struct xdp_md as user space knows it (UAPI linux/bpf.h), and the packet buffer behind it.
import { Access, type Allocation, BpfError, type ContextLayout, type Memory } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import type { Context, ContextInput, ContextKind } from "./context.ts";

/** Names of XDP verdicts; the place is the number. */
export const XDP_ACTIONS: readonly string[] = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"];

/*
 * One page per CPU, as the kernel's test run lays it out:
 *
 *   0        40                256                                     3776       4096
 *   | frame  | headroom        | packet                                | tailroom |
 *   | header |      [ metadata ][ data .......... data_end )           | (skb)    |
 *            ^ data_hard_start                                         ^ data_hard_end
 *
 * Only metadata and packet can be accessed. struct xdp_md, 32-bit fields:
 *   0 data   4 data_end   8 data_meta   12 ingress_ifindex   16 rx_queue_index   20 egress_ifindex
 * What the kernel would have lies behind it, where rewritten programs look; pointers are whole there:
 *   32 data   40 data_end   48 data_meta   56 rxq → 64 dev → 80 ifindex, 32 bits
 *                                                   72 queue_index, 32 bits
 */
const FRAME = 4096;
const FRAME_HEADER = 40;
const HEADROOM = 256;
const TAILROOM = 320;
const ETH_HLEN = 14;
const MAX_METADATA = HEADROOM - FRAME_HEADER;
const MD_SIZE = 24;
const [BUFF, RXQ, DEVICE, MD_END] = [32, 64, 80, 84] as const;
/** Index of the loopback device, where a test run's packets come from. */
const LOOPBACK = 1;

const LAYOUT: ContextLayout = [
  { name: "data", offset: 0, size: 4, at: BUFF, bytes: 8 },
  { name: "data_end", offset: 4, size: 4, at: BUFF + 8, bytes: 8 },
  { name: "data_meta", offset: 8, size: 4, at: BUFF + 16, bytes: 8 },
  { name: "ingress_ifindex", offset: 12, size: 4, via: [BUFF + 24, 0], at: 0, bytes: 4 },
  { name: "rx_queue_index", offset: 16, size: 4, via: [BUFF + 24], at: 8, bytes: 4 },
];

/** r1 points to a struct xdp_md; the bytes of a packet lie in a buffer with 256 bytes of headroom. */
export const xdp: ContextKind = {
  type: "xdp",
  packetLoads: false,
  layout: LAYOUT,
  create(memory, cpu) {
    let buffer: XdpBuffer | undefined;
    return (input) => {
      buffer ??= new XdpBuffer(memory, cpu);
      buffer.prepare(input);
      return buffer;
    };
  },
};

/** The packet of one CPU and the struct xdp_md that describes it. Offsets are from the start of the frame. */
export class XdpBuffer implements Context {
  /** Set by the redirect helpers. */
  redirect: { readonly ifindex: number } | undefined;
  readonly #memory: Memory;
  readonly #frame: Allocation;
  readonly #md: Allocation;
  #meta = HEADROOM;
  #data = HEADROOM;
  #end = HEADROOM;
  /** As the caller gave it: 0 stands for the loopback device. */
  #ingress = LOOPBACK;
  #queue = 0;

  constructor(memory: Memory, cpu: number) {
    this.#memory = memory;
    this.#frame = memory.allocate("data", FRAME, `packet buffer of cpu ${cpu}`, 0);
    this.#md = memory.allocate("data", MD_END, `xdp_md of cpu ${cpu}`, Access.READ);
  }

  get address(): bigint {
    return this.#md.address;
  }

  /** Bytes from data to data_end. */
  get length(): number {
    return this.#end - this.#data;
  }

  /**
   * Lays out a packet as the kernel's test run does: `data` is metadata and packet in a row, and the context's `data` field says how
   * long the metadata is.
   */
  prepare({ data = new Uint8Array(ETH_HLEN), context }: ContextInput): void {
    const md = contextFields(context, data.length);
    const packet = data.length - md.metadata;
    if (packet < ETH_HLEN) {
      throw new BpfError("argument", `a packet of ${packet} bytes (EINVAL)`, {
        expected: `an Ethernet header, ${ETH_HLEN} bytes, or more`,
      });
    }
    if (packet > FRAME - HEADROOM - TAILROOM) {
      throw new BpfError("unsupported", `a packet of ${packet} bytes`, {
        expected: `at most ${FRAME - HEADROOM - TAILROOM}, one buffer`,
        hint: "packets in several buffers are not built yet",
      });
    }
    this.redirect = undefined;
    this.#data = HEADROOM;
    this.#meta = HEADROOM - md.metadata;
    this.#end = HEADROOM + packet;
    this.#ingress = md.ingress;
    this.#queue = md.queue;
    this.#memory.view(this.#frame.address, FRAME).fill(0);
    this.#memory.write(this.#at(this.#meta), data);
    this.#publish();
  }

  /** `bpf_xdp_adjust_head`: moves data, and the metadata with it. */
  adjustHead(delta: number): ErrnoName | undefined {
    const metadata = this.#data - this.#meta;
    const data = this.#data + delta;
    if (data < FRAME_HEADER + metadata || data > this.#end - ETH_HLEN) return "EINVAL";
    if (metadata > 0) this.#memory.write(this.#at(this.#meta + delta), this.#bytes(this.#meta, this.#data).slice());
    this.#meta += delta;
    this.#data = data;
    this.#publish();
    return undefined;
  }

  /** `bpf_xdp_adjust_tail`: moves data_end; what it grows by is zero. */
  adjustTail(delta: number): ErrnoName | undefined {
    const end = this.#end + delta;
    if (end > FRAME - TAILROOM || end < this.#data + ETH_HLEN) return "EINVAL";
    if (delta > 0) this.#memory.write(this.#at(this.#end), new Uint8Array(delta));
    this.#end = end;
    this.#publish();
    return undefined;
  }

  /** `bpf_xdp_adjust_meta`: moves data_meta. */
  adjustMeta(delta: number): ErrnoName | undefined {
    const meta = this.#meta + delta;
    if (meta < FRAME_HEADER || meta > this.#data) return "EINVAL";
    if (isBadMetadata(this.#data - meta)) return "EACCES";
    this.#meta = meta;
    this.#publish();
    return undefined;
  }

  /** Guest address of `size` bytes of the packet at `offset`; undefined when they are not all in it. */
  slice(offset: number, size: number): bigint | undefined {
    return offset + size > this.length ? undefined : this.#at(this.#data + offset);
  }

  /** Metadata and packet in a row. */
  dataOut(): Uint8Array {
    return this.#bytes(this.#meta, this.#end).slice();
  }

  /** As user space gets it: data and data_end count from the start of the metadata. */
  contextOut(): Uint8Array {
    const bytes = new Uint8Array(MD_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.#data - this.#meta, true);
    view.setUint32(4, this.#end - this.#meta, true);
    view.setUint32(12, this.#ingress, true);
    view.setUint32(16, this.#queue, true);
    return bytes;
  }

  describe(address: bigint): string | undefined {
    const offset = Number(address - this.#frame.address);
    if (offset < 0 || offset >= FRAME) return undefined;
    const { length } = this;
    if (offset >= this.#end) return `${offset - this.#end} bytes past the end of a packet of ${length} bytes`;
    return offset < this.#meta ? `${this.#meta - offset} bytes before a packet of ${length} bytes` : undefined;
  }

  /** Shows the offsets to the program: fields of struct xdp_md and what is behind it, and what it can access. */
  #publish(): void {
    const bytes = new Uint8Array(MD_END);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(BUFF, this.#at(this.#data), true);
    view.setBigUint64(BUFF + 8, this.#at(this.#end), true);
    view.setBigUint64(BUFF + 16, this.#at(this.#meta), true);
    view.setBigUint64(BUFF + 24, this.address + BigInt(RXQ), true);
    view.setBigUint64(RXQ, this.address + BigInt(DEVICE), true);
    view.setUint32(RXQ + 8, this.#queue, true);
    view.setUint32(DEVICE, this.#ingress || LOOPBACK, true);
    view.setUint32(0, Number(this.#at(this.#data)), true);
    view.setUint32(4, Number(this.#at(this.#end)), true);
    view.setUint32(8, Number(this.#at(this.#meta)), true);
    view.setUint32(12, this.#ingress || LOOPBACK, true);
    view.setUint32(16, this.#queue, true);
    this.#memory.write(this.#md.address, bytes);
    this.#memory.protect(this.#frame.address, FRAME, 0);
    this.#memory.protect(this.#at(this.#meta), this.#end - this.#meta, Access.READ | Access.WRITE);
  }

  #at(offset: number): bigint {
    return this.#frame.address + BigInt(offset);
  }

  #bytes(from: number, to: number): Uint8Array {
    return this.#memory.view(this.#at(from), to - from);
  }
}

/** Reads a caller's struct xdp_md by the rules of the test run; a shorter one is filled up with zeroes. */
function contextFields(
  context: Uint8Array | undefined,
  size: number,
): { readonly metadata: number; readonly ingress: number; readonly queue: number } {
  if (context === undefined) return { metadata: 0, ingress: LOOPBACK, queue: 0 };
  if (context.subarray(MD_SIZE).some((byte) => byte !== 0))
    refuse(`a context of ${context.length} bytes (E2BIG)`, `${MD_SIZE} bytes, struct xdp_md`);
  const bytes = new Uint8Array(MD_SIZE);
  bytes.set(context.subarray(0, MD_SIZE));
  const view = new DataView(bytes.buffer);
  const field = (offset: number): number => view.getUint32(offset, true);
  const [metadata, end, meta, ingress, queue, egress] = [field(0), field(4), field(8), field(12), field(16), field(20)];
  if (meta !== 0) refuse(`data_meta ${meta} in the context (EINVAL)`, "0");
  if (end > size) refuse(`data_end ${end} in the context (EINVAL)`, `the size of the data, ${size}`);
  if (end < size)
    throw new BpfError("unsupported", `a packet that goes on behind data_end ${end} in another buffer`, {
      expected: `${size}`,
    });
  if (metadata > end || isBadMetadata(metadata))
    refuse(
      `data ${metadata} in the context (EINVAL)`,
      `the size of the metadata: a multiple of 4, at most ${MAX_METADATA}`,
    );
  if (egress !== 0) refuse(`egress_ifindex ${egress} in the context (EINVAL)`, "0");
  if (ingress === 0 && queue !== 0)
    refuse(`rx_queue_index ${queue} without a device in the context (EINVAL)`, "ingress_ifindex");
  return { metadata, ingress, queue };
}

function isBadMetadata(size: number): boolean {
  return size % 4 !== 0 || size > MAX_METADATA;
}

function refuse(what: string, expected: string): never {
  throw new BpfError("argument", what, { expected });
}
