import { BpfError } from "@bpfkit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hexBytes } from "../src/output.ts";
import { openCapture, type Packet } from "../src/pcap.ts";
import { capture, example, seeded } from "./support.ts";

const DIALECTS = [
  { little: true, nanoseconds: false },
  { little: false, nanoseconds: false },
  { little: true, nanoseconds: true },
  { little: false, nanoseconds: true },
];
const PACKETS = [
  { seconds: 1, fraction: 5, data: Uint8Array.of(1, 2, 3) },
  { seconds: 2, fraction: 999_999, data: new Uint8Array(0) },
  { seconds: 0xffff_ffff, fraction: 0, data: Uint8Array.of(255), wireLength: 1500 },
];

/** The refusal of a capture, wherever in it it comes. */
function refusal(bytes: Uint8Array): BpfError | undefined {
  try {
    for (const _ of openCapture(bytes).packets());
    return undefined;
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
}

/** The example in another dialect. */
function converted(dialect: { readonly little: boolean; readonly nanoseconds: boolean }): Uint8Array {
  const scale = dialect.nanoseconds ? 1n : 1000n;
  const packets = [...openCapture(example("traffic.pcap")).packets()].map(({ time, data, wireLength }) => ({
    seconds: Number(time / 1_000_000_000n),
    fraction: Number((time % 1_000_000_000n) / scale),
    data,
    wireLength,
  }));
  return capture(packets, dialect);
}

describe.each(DIALECTS)("a capture with little=$little nanoseconds=$nanoseconds", (dialect) => {
  const unit = dialect.nanoseconds ? 1n : 1000n;

  test("gives its packets with times in nanoseconds", () => {
    const opened = openCapture(capture(PACKETS, dialect));
    expect(opened).toMatchObject({
      byteOrder: dialect.little ? "little" : "big",
      precision: dialect.nanoseconds ? "nanoseconds" : "microseconds",
      linkType: 1,
      snapLength: 65535,
    });
    expect([...opened.packets()]).toEqual<Packet[]>([
      { index: 0, offset: 24, time: 1_000_000_000n + 5n * unit, wireLength: 3, data: Uint8Array.of(1, 2, 3) },
      { index: 1, offset: 43, time: 2_000_000_000n + 999_999n * unit, wireLength: 0, data: new Uint8Array(0) },
      { index: 2, offset: 59, time: 0xffff_ffffn * 1_000_000_000n, wireLength: 1500, data: Uint8Array.of(255) },
    ]);
  });

  test("holds the example as well as the original does", () => {
    const texts = (bytes: Uint8Array) =>
      [...openCapture(bytes).packets()].map(({ time, data }) => `${time} ${hexBytes(data)}`).join("\n");
    expect(texts(converted(dialect)) === texts(example("traffic.pcap"))).toBe(true);
  });

  test("cut anywhere gives the packets that are whole and then the offset of the one that is not", () => {
    const whole = capture(PACKETS, dialect);
    const ends = [24, 43, 59, 76];
    for (let length = 0; length <= whole.length; length++) {
      const error = refusal(whole.subarray(0, length));
      if (ends.includes(length)) expect(error).toBeUndefined();
      else {
        const start = ends.findLast((end) => end < length) ?? 0;
        expect(error?.code).toBe("malformed");
        expect([start, start + 8]).toContain(error?.details.offset);
      }
    }
  });
});

test("packets are views into the file", () => {
  const bytes = capture(PACKETS);
  const [first] = openCapture(bytes).packets();
  expect(first!.data.buffer).toBe(bytes.buffer);
});

test("a file may lie anywhere in its buffer", () => {
  const bytes = capture(PACKETS);
  const shifted = new Uint8Array(bytes.length + 7).subarray(5, 5 + bytes.length);
  shifted.set(bytes);
  expect([...openCapture(shifted).packets()]).toEqual([...openCapture(bytes).packets()]);
});

test("packets survive being written and read in every dialect", () => {
  const packet = fc.record({ seconds: fc.nat(), fraction: fc.nat(999_999), data: fc.uint8Array({ maxLength: 50 }) });
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), fc.constantFrom(...DIALECTS), (packets, dialect) => {
      const read = [...openCapture(capture(packets, dialect)).packets()];
      expect(read.map(({ data }) => data)).toEqual(packets.map(({ data }) => data));
    }),
  );
});

describe("a refusal names the offset and what was expected", () => {
  const patched = (at: number, value: number) => {
    const bytes = capture(PACKETS);
    new DataView(bytes.buffer).setUint32(at, value, true);
    return bytes;
  };

  test.each([
    ["an empty file", new Uint8Array(0), "a capture of 0 bytes, expected a header of 24 bytes", 0],
    [
      "another magic number",
      patched(0, 0x11223344),
      "magic number 0x11223344, expected a1b2c3d4 or a1b23c4d in either byte order",
      0,
    ],
    ["another version", patched(4, 3), "version 3.0, expected version 2", 4],
    [
      "a packet longer than the file",
      patched(24 + 8, 1000),
      "a packet of 1000 bytes, expected at most the 36 that are left of the file",
      32,
    ],
    [
      "a packet of four gigabytes",
      patched(24 + 8, 0xffff_ffff),
      "a packet of 4294967295 bytes, expected at most 262144",
      32,
    ],
    [
      "half a record header",
      capture(PACKETS).subarray(0, 50),
      "7 bytes behind the last packet, expected a record header of 16 bytes",
      43,
    ],
  ])("%s", (_, bytes, message, offset) => {
    const error = refusal(bytes);
    expect(error?.code).toBe("malformed");
    expect(error?.message).toBe(message);
    expect(error?.details.offset).toBe(offset);
  });

  test("a pcapng file, with a way to convert it", () => {
    const error = refusal(patched(0, 0x0a0d0d0a));
    expect(error?.code).toBe("unsupported");
    expect(error?.message).toContain("editcap -F pcap FILE OUT.pcap");
  });
});

test("mutants of the example end in packets or in a BpfError with an offset", () => {
  const mutants = Number(process.env.BPFKIT_FUZZ ?? 20_000);
  const random = seeded(0x5eed);
  const original = example("traffic.pcap").subarray(0, 6000);
  const lengthFields = [...openCapture(example("traffic.pcap")).packets()]
    .map(({ offset }) => offset + 8)
    .filter((offset) => offset < 6000);
  let refused = 0;
  for (let i = 0; i < mutants; i++) {
    const mutant = original.slice(0, random() % 4 === 0 ? random() % original.length : original.length);
    for (let changes = 1 + (random() % 4); changes > 0 && mutant.length > 0; changes--) {
      const aimed = random() % 2 === 0;
      const at = aimed
        ? lengthFields[random() % lengthFields.length]! + (random() % 4)
        : random() % (random() % 2 ? 64 : 6000);
      mutant[at % mutant.length] = random();
    }
    const error = refusal(mutant);
    if (error === undefined) continue;
    refused++;
    expect(["malformed", "unsupported"]).toContain(error.code);
    expect(error.details.offset).toBeLessThanOrEqual(mutant.length);
    expect(error.details.expected).toBeDefined();
  }
  expect(refused).toBeGreaterThan(mutants / 10);
});
