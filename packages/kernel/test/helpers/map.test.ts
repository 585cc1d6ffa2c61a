import { describe, expect, test } from "vitest";
import { ARRAY, HASH, le32, le64, mapSpec, PERCPU_ARRAY, scriptKernel, signed } from "../support/scripted.ts";

describe("map helpers", () => {
  test("trap on keys, values and maps that are none", () => {
    const { kernel, run } = scriptKernel([mapSpec(HASH)]);
    const { stop: badKey } = run(({ helper, map }) => helper("map_lookup_elem", map(0), 8));
    expect(badKey).toMatchObject({
      kind: "trap",
      cause: "load",
      address: 8n,
      size: 4,
      detail: expect.stringContaining("null pointer"),
    });
    const { stop: badValue } = run(({ helper, map, put }) =>
      helper("map_update_elem", map(0), put(le32(1)), 0xdead_beefn, 0),
    );
    expect(badValue).toMatchObject({ kind: "trap", cause: "load", address: 0xdead_beefn });
    const { stop: badMap } = run(({ helper, put }) =>
      helper("map_delete_elem", kernel.map("m").address + 1n, put(le32(1))),
    );
    expect(badMap).toMatchObject({
      kind: "trap",
      cause: "load",
      detail: expect.stringMatching(/^not a map: 1 bytes into map 'm'/),
    });
    expect(kernel.map("m").size).toBe(0);
  });

  test.each([
    ["frozen", { frozen: true }],
    ["made for reading only", { flags: 0x80 }],
  ])("trap where they would change a map that is %s, and read it", (_what, options) => {
    const { kernel, run } = scriptKernel([mapSpec(HASH, options)]);
    const detail = "map 'm' allows programs only reading";
    expect(
      run(({ helper, map, put }) => helper("map_update_elem", map(0), put(le32(1)), put(le64(1)), 0)).stop,
    ).toMatchObject({ kind: "trap", cause: "store", detail });
    expect(run(({ helper, map, put }) => helper("map_delete_elem", map(0), put(le32(1)))).stop).toMatchObject({
      detail,
    });
    expect(run(({ helper, map, put }) => helper("map_lookup_elem", map(0), put(le32(1)))).returnValue).toBe(0);
    expect(kernel.map("m").size).toBe(0);
  });

  test("trap on a key that only begins inside its memory", () => {
    const { run } = scriptKernel([mapSpec(HASH, { keySize: 20 })]);
    const { stop } = run(({ helper, map, memory }) => {
      const { address } = memory.allocate("data", 12, "twelve bytes");
      return helper("map_lookup_elem", map(0), address);
    });
    expect(stop).toMatchObject({ kind: "trap", cause: "load", detail: expect.stringContaining("twelve bytes") });
  });

  test("a map's own memory cannot be read", () => {
    const { run } = scriptKernel([mapSpec(HASH)]);
    const { stop } = run(({ map, memory }) => memory.load(8, map(0)));
    expect(stop).toMatchObject({ kind: "trap", cause: "load", detail: expect.stringContaining("map 'm'") });
  });
});

describe("for_each_map_elem", () => {
  test("hands each element to the callback, by index in arrays, and counts the calls", () => {
    const { kernel, run } = scriptKernel([mapSpec(ARRAY)]);
    for (let i = 0; i < 4; i++) kernel.map("m").update(le32(i), le64(i * i));
    const seen: bigint[] = [];
    const { stop } = run(({ helper, map }) => helper("for_each_map_elem", map(0), 0xca11n, 77, 0), {
      callback: ({ args: [map, key, value, context] }) => {
        expect([map, context]).toEqual([kernel.map("m").address, 77n]);
        seen.push(kernel.memory.load(4, key!), kernel.memory.load(8, value!));
        return 0n;
      },
    });
    expect(seen).toEqual([0n, 0n, 1n, 1n, 2n, 4n, 3n, 9n]);
    expect(stop).toEqual({ kind: "returned", value: 4n });
  });

  test("stops when the callback says so, and the call counts", () => {
    const { run } = scriptKernel([mapSpec(ARRAY)]);
    let calls = 0;
    const { stop } = run(({ helper, map }) => helper("for_each_map_elem", map(0), 0xca11n, 0, 0), {
      callback: () => (++calls === 2 ? 1n : 0n),
    });
    expect(stop).toEqual({ kind: "returned", value: 2n });
  });

  test("shows a hash as it was at the start, without what the callback deletes, and refuses flags", () => {
    const { kernel, run } = scriptKernel([mapSpec(HASH)]);
    const map = kernel.map("m");
    for (const key of [1, 2, 3]) map.update(le32(key), le64(key));
    const keys: number[] = [];
    run(
      (tools) => {
        expect(tools.helper("for_each_map_elem", tools.map(0), 0xca11n, 0, 0)).toBe(2n);
        expect(signed(tools.helper("for_each_map_elem", tools.map(0), 0xca11n, 0, 1))).toBe(-22);
        return undefined;
      },
      {
        callback: ({ args: [, key] }) => {
          const number = Number(kernel.memory.load(4, key!));
          keys.push(number);
          map.delete(le32(2));
          map.delete(le32(number));
          map.update(le32(number + 10), le64(0));
          return 0n;
        },
      },
    );
    expect(keys).toEqual([1, 3]);
  });

  test("shows per-CPU maps on the running CPU only", () => {
    const { kernel, run } = scriptKernel([mapSpec(PERCPU_ARRAY, { maxEntries: 1 })], { cpus: 2 });
    kernel.map("m").update(le32(0), [le64(1), le64(2)]);
    const seen: bigint[] = [];
    run(({ helper, map }) => helper("for_each_map_elem", map(0), 0xca11n, 0, 0), {
      cpu: 1,
      callback: ({ args: [, , value] }) => {
        seen.push(kernel.memory.load(8, value!));
        return 0n;
      },
    });
    expect(seen).toEqual([2n]);
  });
});
