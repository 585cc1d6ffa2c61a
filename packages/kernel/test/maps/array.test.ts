import { describe, expect, test } from "vitest";
import { ARRAY, le32, le64, mapSpec, PERCPU_ARRAY, scriptKernel, signed } from "../support/scripted.ts";

describe("array", () => {
  test("gives every element from the start, and none beyond the last", () => {
    const { run } = scriptKernel([mapSpec(ARRAY)]);
    run(({ helper, map, put, memory }) => {
      for (let i = 0; i < 4; i++) expect(memory.load(8, helper("map_lookup_elem", map(0), put(le32(i))))).toBe(0n);
      expect(helper("map_lookup_elem", map(0), put(le32(4)))).toBe(0n);
      expect(helper("map_lookup_elem", map(0), put(le32(-1)))).toBe(0n);
      return undefined;
    });
  });

  test("answers updates and deletions with the kernel's error numbers", () => {
    const { run } = scriptKernel([mapSpec(ARRAY)]);
    run(({ helper, map, put }) => {
      const update = (index: number, flags: number): number =>
        signed(helper("map_update_elem", map(0), put(le32(index)), put(le64(7)), flags));
      expect([update(0, 0), update(0, 2)]).toEqual([0, 0]);
      expect(update(0, 1)).toBe(-17);
      expect(update(4, 0)).toBe(-7);
      expect(update(4, 1)).toBe(-7);
      expect([update(0, 3), update(9, 8), update(0, 4), update(0, 6)]).toEqual([-22, -22, -22, -22]);
      expect([update(9, 4), update(0, 5)]).toEqual([-7, -17]);
      expect(signed(helper("map_delete_elem", map(0), put(le32(0))))).toBe(-22);
      return undefined;
    });
  });

  test("places elements in steps of eight bytes, and a program's pointer sees the host's updates", () => {
    const { kernel, run } = scriptKernel([mapSpec(ARRAY, { valueSize: 5 })]);
    run(({ helper, map, put, bytes }) => {
      const [first, second] = [0, 1].map((i) => helper("map_lookup_elem", map(0), put(le32(i))));
      expect(second! - first!).toBe(8n);
      kernel.map("m").update(le32(1), Uint8Array.of(1, 2, 3, 4, 5));
      expect(bytes(second!, 5)).toEqual([1, 2, 3, 4, 5]);
      return undefined;
    });
  });

  test("shows the host indices in order, and refuses the host what the kernel refuses", () => {
    const { kernel } = scriptKernel([mapSpec(ARRAY, { maxEntries: 2 })]);
    const map = kernel.map("m");
    map.update(le32(1), le64(5));
    expect([...map.entries()].map(({ key, value }) => [...key, ...value])).toEqual([
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect(map.lookup(le32(2))).toBeUndefined();
    expect(() => map.update(le32(2), le64(5))).toThrowErrorMatchingInlineSnapshot(`
      [BpfError: update of map 'm' key 02000000 (E2BIG)

      the map has room for 2 elements]
    `);
    expect(() => map.update(le32(0), le64(5), 1)).toThrowErrorMatchingInlineSnapshot(`
      [BpfError: update of map 'm' key 00000000 (EEXIST)

      flags 1 (BPF_NOEXIST) only makes new elements]
    `);
    expect(() => map.delete(le32(0))).toThrowErrorMatchingInlineSnapshot(`
      [BpfError: delete from array map 'm' (EINVAL)

      elements of an array are always there]
    `);
    expect(() => map.update(Uint8Array.of(0), le64(5))).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: a key of 1 bytes for map 'm', expected 4 bytes]`,
    );
    expect(() => map.update(le32(0), le32(5))).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: a value of 4 bytes for map 'm', expected 8 bytes]`,
    );
  });

  test("starts with its initial contents, and a frozen one cannot be written from either side", () => {
    const { kernel, run } = scriptKernel([mapSpec(ARRAY, { maxEntries: 1, initial: le64(42), frozen: true })]);
    expect(kernel.map("m").lookup(le32(0))).toEqual(le64(42));
    expect(() => kernel.map("m").update(le32(0), le64(1))).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: update of frozen map 'm' (EPERM)]`,
    );
    const { stop } = run(({ helper, map, put, memory }) => {
      memory.store(8, helper("map_lookup_elem", map(0), put(le32(0))), 1n);
      return undefined;
    });
    expect(stop).toMatchObject({ kind: "trap", cause: "store", detail: expect.stringContaining("values of map 'm'") });
  });
});

describe("percpu_array", () => {
  test("has a value for each CPU: a program sees its own, the host all", () => {
    const { kernel, run } = scriptKernel([mapSpec(PERCPU_ARRAY)], { cpus: 3 });
    for (const cpu of [0, 2]) {
      run(
        ({ helper, map, put }) => {
          expect(helper("map_update_elem", map(0), put(le32(1)), put(le64(cpu + 10)), 0)).toBe(0n);
          return undefined;
        },
        { cpu },
      );
    }
    const map = kernel.map("m");
    expect([...map.entries()][1]!.values).toEqual([le64(10), le64(0), le64(12)]);
    expect(map.lookup(le32(1), 2)).toEqual(le64(12));
    expect(() => map.lookup(le32(1), 3)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: cpu 3, expected a cpu below 3]`,
    );
  });

  test("gives other CPUs' values by map_lookup_percpu_elem, and null for CPUs that are not there", () => {
    const { kernel, run } = scriptKernel([mapSpec(PERCPU_ARRAY)], { cpus: 2 });
    kernel.map("m").update(le32(0), [le64(1), le64(2)]);
    run(({ helper, map, put, memory }) => {
      const at = (cpu: number): bigint => helper("map_lookup_percpu_elem", map(0), put(le32(0)), cpu);
      expect([0, 1].map((cpu) => memory.load(8, at(cpu)))).toEqual([1n, 2n]);
      expect([at(2), at(-1)]).toEqual([0n, 0n]);
      return undefined;
    });
  });

  test("takes one value for all CPUs, or one for each", () => {
    const { kernel } = scriptKernel([mapSpec(PERCPU_ARRAY)], { cpus: 2 });
    const map = kernel.map("m");
    map.update(le32(0), le64(9));
    expect([...map.entries()][0]!.values).toEqual([le64(9), le64(9)]);
    expect(() => map.update(le32(0), [le64(9)])).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: 1 values for map 'm', expected 2 values of 8 bytes]`,
    );
  });
});
