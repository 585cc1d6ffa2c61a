import { interpreter } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { ARRAY, HASH, LRU_HASH, mapSpec, PERCPU_ARRAY, PROG_ARRAY } from "../support/scripted.ts";

const kernel = new Kernel({ engine: interpreter });

describe("map creation", () => {
  test.each([
    ["no map type", mapSpec(99)],
    ["a map type that is not built", mapSpec(27)],
    ["an array without an index for a key", mapSpec(ARRAY, { keySize: 8 })],
    ["a per-CPU array on a NUMA node", mapSpec(PERCPU_ARRAY, { flags: 4 })],
    ["an array of nothing", mapSpec(ARRAY, { valueSize: 0 })],
    ["an array of no elements", mapSpec(ARRAY, { maxEntries: 0 })],
    ["an array without preallocation", mapSpec(ARRAY, { flags: 1 })],
    ["per-CPU values that are too large", mapSpec(PERCPU_ARRAY, { valueSize: 32_769 })],
    ["a hash without keys", mapSpec(HASH, { keySize: 0 })],
    ["a hash element that no allocator can give", mapSpec(HASH, { valueSize: (4 << 20) - 52 })],
    ["access flags that exclude one another", mapSpec(HASH, { flags: 0x180 })],
    ["access flags of the host that exclude one another", mapSpec(HASH, { flags: 0x18 })],
    ["an array that keeps its elements", mapSpec(ARRAY, { flags: 0x800 })],
    ["a prog array with keys of another size", mapSpec(PROG_ARRAY, { keySize: 8, valueSize: 4 })],
    ["a prog array with values of another size", mapSpec(PROG_ARRAY, { valueSize: 8 })],
    ["a prog array of nothing", mapSpec(PROG_ARRAY, { valueSize: 4, maxEntries: 0 })],
    ["a prog array that programs may only read", mapSpec(PROG_ARRAY, { valueSize: 4, flags: 0x80 })],
    ["a prog array that processes may map", mapSpec(PROG_ARRAY, { valueSize: 4, flags: 0x400 })],
    ["an LRU map without preallocation", mapSpec(LRU_HASH, { flags: 1 })],
    ["initial contents longer than a value", mapSpec(ARRAY, { initial: new Uint8Array(9) })],
    ["a size that is no number", mapSpec(HASH, { maxEntries: Number.NaN })],
  ])("refuses %s", (_what, spec) => {
    expect(() => kernel.createMap(spec)).toThrowErrorMatchingSnapshot();
  });

  test("refuses an array that guest memory has no room for", () => {
    expect(() => kernel.createMap(mapSpec(ARRAY, { maxEntries: 10_000_000 }))).toThrowErrorMatchingSnapshot();
  });

  test("finds maps by name and by spec", () => {
    const spec = mapSpec(HASH, { name: "found" });
    const map = kernel.createMap(spec);
    expect(kernel.map("found")).toBe(map);
    expect(kernel.map(spec)).toBe(map);
    expect(() => kernel.createMap(spec)).toThrow("map 'found' exists");
    kernel.createMap(mapSpec(HASH, { name: "found" }));
    expect(() => kernel.map("found")).toThrow("2 maps named 'found', expected a map's spec");
    expect(() => kernel.map("lost")).toThrow("map 'lost', expected found, found");
  });
});
