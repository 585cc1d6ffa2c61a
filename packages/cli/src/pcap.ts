// Reads classic packet captures (the libpcap file format, draft-ietf-opsawg-pcap): micro- or nanoseconds, either byte order.
import { BpfError } from "@bpfkit/core";

/** Bytes that no capture holds more of in one packet; libpcap's own limit. */
const MAX_PACKET = 262_144;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** The magic number as it reads in little-endian order, and what it says about the rest. */
const MAGICS: ReadonlyMap<number, { readonly little: boolean; readonly nanoseconds: boolean }> = new Map([
  [0xa1b2c3d4, { little: true, nanoseconds: false }],
  [0xa1b23c4d, { little: true, nanoseconds: true }],
  [0xd4c3b2a1, { little: false, nanoseconds: false }],
  [0x4d3cb2a1, { little: false, nanoseconds: true }],
]);
const PCAPNG = 0x0a0d0d0a;

/** Link type of Ethernet frames. */
export const ETHERNET = 1;

/** One captured packet. */
export interface Packet {
  /** From 0. */
  readonly index: number;
  /** Byte offset of its record in the file. */
  readonly offset: number;
  /** When it was captured: nanoseconds since 1970. */
  readonly time: bigint;
  /** Bytes it had on the wire; more than `data` where the capture cut it. */
  readonly wireLength: number;
  /** A view into the file, not a copy. */
  readonly data: Uint8Array;
}

/** An opened capture. */
export interface Capture {
  readonly byteOrder: "little" | "big";
  readonly precision: "microseconds" | "nanoseconds";
  /** What the first byte of a packet is the beginning of: {@link ETHERNET}, … */
  readonly linkType: number;
  readonly snapLength: number;
  /**
   * The packets in file order, read as they are asked for.
   * @throws {BpfError} `malformed`, with the offset, at a record that is cut off or absurd
   */
  packets(): Generator<Packet, void, undefined>;
}

/**
 * Opens a capture; looks at its header only.
 * @throws {BpfError} `malformed` for what is no capture, `unsupported` for a pcapng file
 */
export function openCapture(bytes: Uint8Array): Capture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < FILE_HEADER)
    throw malformed(`a capture of ${bytes.length} bytes`, 0, `a header of ${FILE_HEADER} bytes`);
  const magic = view.getUint32(0, true);
  const kind = MAGICS.get(magic);
  if (magic === PCAPNG) {
    throw new BpfError("unsupported", "a pcapng file", {
      offset: 0,
      expected: "a classic capture",
      hint: "tcpdump -r FILE -w OUT.pcap and editcap -F pcap FILE OUT.pcap convert it",
    });
  }
  if (kind === undefined)
    throw malformed(`magic number 0x${hex(magic)}`, 0, "a1b2c3d4 or a1b23c4d in either byte order");
  const { little, nanoseconds } = kind;
  const major = view.getUint16(4, little);
  if (major !== 2) throw malformed(`version ${major}.${view.getUint16(6, little)}`, 4, "version 2");
  return {
    byteOrder: little ? "little" : "big",
    precision: nanoseconds ? "nanoseconds" : "microseconds",
    snapLength: view.getUint32(16, little),
    // The upper half holds the length of the frame check sequence, if any.
    linkType: view.getUint32(20, little) & 0xffff,
    packets: () => readPackets(bytes, view, little, nanoseconds ? 1n : 1000n),
  };
}

function* readPackets(
  bytes: Uint8Array,
  view: DataView,
  little: boolean,
  unit: bigint,
): Generator<Packet, void, undefined> {
  let offset = FILE_HEADER;
  for (let index = 0; offset < bytes.length; index++) {
    const left = bytes.length - offset;
    if (left < RECORD_HEADER)
      throw malformed(`${left} bytes behind the last packet`, offset, "a record header of 16 bytes");
    const length = view.getUint32(offset + 8, little);
    const start = offset + RECORD_HEADER;
    if (length > MAX_PACKET) throw malformed(`a packet of ${length} bytes`, offset + 8, `at most ${MAX_PACKET}`);
    if (length > bytes.length - start) {
      throw malformed(
        `a packet of ${length} bytes`,
        offset + 8,
        `at most the ${bytes.length - start} that are left of the file`,
      );
    }
    yield {
      index,
      offset,
      time: BigInt(view.getUint32(offset, little)) * 1_000_000_000n + BigInt(view.getUint32(offset + 4, little)) * unit,
      wireLength: view.getUint32(offset + 12, little),
      data: bytes.subarray(start, start + length),
    };
    offset = start + length;
  }
}

function malformed(message: string, offset: number, expected: string): BpfError {
  return new BpfError("malformed", message, { offset, expected });
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
