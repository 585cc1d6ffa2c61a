import { assemble, interpreter, trust } from "@bpfkit/core";
import { Kernel, type RunOptions } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";

// What these tests expect is what a 7.2 kernel answered on x86-64.

/** 50 bytes 0x80, 0x81, … behind an Ethernet header. */
const packet = (header = "ffffffffffff0102030405060800", length = 50): Uint8Array =>
  Uint8Array.of(
    ...header.match(/../g)!.map((pair) => Number.parseInt(pair, 16)),
    ...Array.from({ length }, (_, i) => 0x80 + i),
  );

function run(text: string, options: RunOptions = {}) {
  const kernel = new Kernel({ engine: interpreter });
  return kernel.load(trust(assemble(text, { type: "socket_filter" }))).run({ data: packet(), ...options });
}

const field = (offset: number, data = packet(), size = "u32"): number | string => {
  const { stop, returnValue } = run(`r0 = *(${size} *)(r1 + ${offset})\nexit`, { data });
  return returnValue ?? stop.kind;
};

/** r0 + 1 of a packet load; 0 where it ends the program. */
const load = (size: string, offset: number, data = packet()): readonly (number | undefined)[] => [
  run(`r6 = r1\nr0 = 77\nr0 = *(${size} *)skb[${offset}]\nr0 += 1\nexit`, { data }).returnValue,
  run(`r6 = r1\nr0 = 77\nr7 = ${offset}\nr0 = *(${size} *)skb[r7 + 0]\nr0 += 1\nexit`, { data }).returnValue,
];

const context = (fields: Readonly<Record<number, number>>): Uint8Array => {
  const view = new DataView(new ArrayBuffer(192));
  for (const [offset, value] of Object.entries(fields)) view.setUint32(Number(offset), value, true);
  return new Uint8Array(view.buffer);
};

describe("socket_filter context", () => {
  test("shows length, packet type, protocol and device", () => {
    expect([0, 4, 8, 12, 16, 36, 40].map((offset) => field(offset))).toEqual([50, 2, 0, 0, 8, 0, 1]);
    expect(field(4, packet("0000000000000102030405060800"))).toBe(0);
    expect(field(4, packet("0202020202020102030405060800"))).toBe(3);
    expect(field(16, packet("ffffffffffff0102030405060032"))).toBe(1024);
    const ones = packet("ffffffffffff0102030405060032");
    ones.fill(0xff, 14, 16);
    expect(field(16, ones)).toBe(256);
    expect(field(1, packet(), "u8")).toBe(0);
  });

  test("shows nothing that is for other program types", () => {
    for (const offset of [72, 76, 80, 88, 140, 160]) expect(field(offset), String(offset)).toBe("trap");
    for (const offset of [152, 184]) expect(field(offset, packet(), "u64")).toBe("trap");
  });

  test("lets programs write cb and nothing else", () => {
    const { contextOut } = run("*(u32 *)(r1 + 48) = 5\n*(u8 *)(r1 + 67) = 6\nr0 = 0\nexit");
    expect(contextOut?.[48]).toBe(5);
    expect(contextOut?.[67]).toBe(6);
    expect(run("*(u32 *)(r1 + 8) = 5\nr0 = 0\nexit").stop).toMatchObject({ kind: "trap", cause: "store" });
  });

  test("takes from a context what the kernel takes", () => {
    const text = "r0 = *(u32 *)(r1 + 8)\nexit";
    for (const [fields, value] of [
      [{ 8: 11, 32: 12, 40: 1 }, 11],
      [{ 8: 11, 36: 9, 48: 1, 52: 2, 64: 3 }, 11],
      [{ 152: 1 }, 0],
      [{ 160: 64 }, 0],
      [{ 164: 65535 }, 0],
      [{ 176: 7 }, 0],
      [{ 184: 1 }, 0],
    ] as const)
      expect(run(text, { context: context(fields) }).returnValue).toBe(value);
    for (const offset of [0, 4, 12, 68, 180]) {
      expect(() => run(text, { context: context({ [offset]: 1 }) })).toThrow(
        `byte ${offset} of the context, 1 (EINVAL)`,
      );
    }
    for (const fields of [{ 160: 49 }, { 160: 70_000 }, { 164: 65_536 }])
      expect(() => run(text, { context: context(fields) })).toThrow("EINVAL");
    expect(() => run(text, { context: context({ 40: 5 }) })).toThrow("ENODEV");
    expect(run(text, { context: new Uint8Array(200) }).returnValue).toBe(0);
    expect(() => run(text, { context: new Uint8Array(200).fill(1) })).toThrow("E2BIG");
  });

  test("takes packets that hold the headers they announce", () => {
    const least = (type: string): number => {
      for (let length = 0; length < 60; length++) {
        try {
          run("r0 = 1\nexit", { data: packet(`000000000000000000000000${type}`, length) });
          return length;
        } catch {}
      }
      return -1;
    };
    expect([least("0000"), least("0800"), least("86dd"), least("9000")]).toEqual([0, 20, 40, 0]);
    expect(() => run("r0 = 1\nexit", { data: new Uint8Array(70_000) })).toThrow("at most 65535");
  });

  test("gives the packet back with a cleared Ethernet header", () => {
    const { dataOut } = run("r0 = 0\nexit");
    expect(dataOut).toEqual(packet("0000000000000000000000000000"));
  });
});

describe("packet loads", () => {
  test("count from behind the Ethernet header, in network order", () => {
    expect(load("u8", 0)).toEqual([129, 129]);
    expect(load("u8", 49)).toEqual([178, 178]);
    expect(load("u16", 1)).toEqual([33155, 33155]);
    expect(load("u16", 48)).toEqual([45234, 45234]);
    expect(load("u32", 0)).toEqual([2155971204, 2155971204]);
    expect(load("u32", 46)).toEqual([2930749618, 2930749618]);
  });

  test("end the program with 0 outside the packet", () => {
    for (const [size, offset] of [
      ["u8", 50],
      ["u8", -1],
      ["u16", 49],
      ["u32", 47],
      ["u32", -4096],
      ["u8", -2147483648],
    ] as const)
      expect(load(size, offset)).toEqual([0, 0]);
  });

  test("reach the network and the link header by negative offsets", () => {
    expect(load("u8", -0x100000)).toEqual([129, 129]);
    expect(load("u8", -0x100000 + 49)).toEqual([178, 178]);
    expect(load("u8", -0x100000 + 50)).toEqual([0, 0]);
    expect(load("u8", -0x200000)).toEqual([256, 256]);
    expect(load("u16", -0x200000 + 12)).toEqual([2049, 2049]);
    expect(load("u32", -0x200000 + 60)).toEqual([2930749618, 2930749618]);
    expect(load("u8", -0x200000 + 64)).toEqual([0, 0]);
    expect(load("u8", -0x200001)).toEqual([0, 0]);
  });

  test("add the register's low half and the immediate, cut to 32 bits", () => {
    const indirect = (register: string, imm: number) =>
      run(`r6 = r1\nr7 = ${register}\nr0 = *(u8 *)skb[r7 + ${imm}]\nr0 += 1\nexit`).returnValue;
    expect(indirect("0x7fffffff", -2147483647)).toBe(129);
    expect(indirect("0x100000003 ll", 0)).toBe(132);
  });
});

describe("skb_load_bytes", () => {
  const copy = (start: number, then: string) =>
    run(`*(u64 *)(r10 - 8) = -1\nr2 = ${start}\nr3 = r10\nr3 += -8\nr4 = 4\ncall skb_load_bytes\n${then}exit`)
      .returnValue;

  test("copies from the packet, and clears what it cannot fill", () => {
    expect(copy(0, "r0 = *(u32 *)(r10 - 8)\n")).toBe(2206368128);
    expect(copy(47, "")).toBe(4294967282);
    expect(copy(-1, "")).toBe(4294967282);
    expect(copy(47, "r0 = *(u32 *)(r10 - 8)\n")).toBe(0);
  });
});
