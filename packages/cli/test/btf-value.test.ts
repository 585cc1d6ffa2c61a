import { type Btf, loadBtf, loadObject } from "@bpfkit/object";
import { describe, expect, test } from "vitest";
import { decodeValue, formatValue } from "../src/btf-value.ts";
import { example, seeded } from "./support.ts";

const btf = loadObject(example("firewall.bpf.o")).btf!;
const typeOf = (name: string, kind: Parameters<Btf["find"]>[1]) => btf.find(name, kind)!;

describe("bytes as values of their BTF type", () => {
  test.each([
    ["a struct", "port", "struct", [0, 23, 6, 0], { number: 23, protocol: 6, zero: 0 }],
    [
      "64-bit members",
      "traffic",
      "struct",
      [1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
      { packets: 1n, bytes: 2n ** 64n - 1n },
    ],
    ["an enumerator", "reason", "enum", [2, 0, 0, 0], "ANSWERED"],
    ["a number that no enumerator has", "reason", "enum", [99, 0, 0, 0], 99],
    ["big-endian integers", "__be32", "typedef", [1, 2, 3, 4], 0x01020304],
    ["little-endian integers", "__u32", "typedef", [1, 2, 3, 4], 0x04030201],
    ["fewer bytes than the type has", "__u32", "typedef", [1, 2], "0102"],
  ] as const)("%s", (_, name, kind, bytes, value) => {
    expect(decodeValue(btf, typeOf(name, kind), Uint8Array.from(bytes))).toEqual(value);
  });

  test("bit fields", () => {
    const types = [1, 1 << 24, 4, 32, 0, (0x84 << 24) | 2, 4, 5, 1, 4 << 24, 9, 1, (4 << 24) | 4];
    const strings = new TextEncoder().encode("\0u32\0low\0high\0");
    const words = [0x0001eb9f, 24, 0, 4 * types.length, 4 * types.length, strings.length, ...types];
    const fields = loadBtf(Uint8Array.of(...new Uint8Array(Int32Array.from(words).buffer), ...strings));
    expect(decodeValue(fields, 2, Uint8Array.of(0x45, 0, 0, 0))).toEqual({ low: 5, high: 4 });
  });

  test("print on one line", () => {
    const bytes = Uint8Array.from([0, 0, 0, 1, ...Array(12).fill(0)]);
    expect(formatValue(decodeValue(btf, typeOf("address", "struct"), bytes))).toBe("{words: [1, 0, 0, 0]}");
  });

  test("any type takes any bytes", () => {
    const random = seeded(7);
    for (let id = 1; id < btf.count; id++) {
      if (["func", "func_proto", "fwd", "decl_tag"].includes(btf.kind(id))) continue;
      for (const size of [0, 1, 3, 8, 64]) decodeValue(btf, id, Uint8Array.from({ length: size }, random));
    }
  });
});
