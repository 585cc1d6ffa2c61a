import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  HASH,
  LRU_HASH,
  LRU_PERCPU_HASH,
  le32,
  le64,
  mapSpec,
  PERCPU_HASH,
  scriptKernel,
  signed,
  type Tools,
} from "../support/scripted.ts";

const update = ({ helper, map, put }: Tools, key: number, value: number, flags = 0): number =>
  signed(helper("map_update_elem", map(0), put(le32(key)), put(le64(value)), flags));
const lookup = ({ helper, map, put }: Tools, key: number): bigint => helper("map_lookup_elem", map(0), put(le32(key)));
const remove = ({ helper, map, put }: Tools, key: number): number =>
  signed(helper("map_delete_elem", map(0), put(le32(key))));

describe("hash", () => {
  test("answers with the kernel's error numbers", () => {
    const { run } = scriptKernel([mapSpec(HASH, { maxEntries: 2 })]);
    run((tools) => {
      expect(lookup(tools, 1)).toBe(0n);
      expect(remove(tools, 1)).toBe(-2);
      expect(update(tools, 1, 10, 2)).toBe(-2);
      expect(update(tools, 1, 10, 1)).toBe(0);
      expect(update(tools, 1, 11, 1)).toBe(-17);
      expect(update(tools, 1, 11, 2)).toBe(0);
      expect([update(tools, 1, 11, 3), update(tools, 1, 11, 4)]).toEqual([-22, -22]);
      expect(update(tools, 2, 20)).toBe(0);
      expect(update(tools, 3, 30)).toBe(-7);
      expect(update(tools, 2, 21)).toBe(0);
      expect(remove(tools, 1)).toBe(0);
      expect(update(tools, 3, 30)).toBe(0);
      return undefined;
    });
  });

  test("keeps a deleted element readable until the run ends, and then no longer", () => {
    const { run } = scriptKernel([mapSpec(HASH)]);
    let address = 0n;
    const during = run((tools) => {
      update(tools, 1, 10);
      address = lookup(tools, 1);
      remove(tools, 1);
      return tools.memory.load(8, address);
    });
    expect(during.stop).toEqual({ kind: "returned", value: 10n });
    const after = run(({ memory }) => memory.load(8, address));
    expect(after.stop).toMatchObject({
      kind: "trap",
      cause: "load",
      detail: expect.stringMatching(/value of map 'm' key 01000000 .*freed/),
    });
  });

  test("makes a new element where an update replaces one: a pointer from before sees the old value", () => {
    const { run } = scriptKernel([mapSpec(HASH)]);
    run((tools) => {
      update(tools, 1, 10);
      const old = lookup(tools, 1);
      update(tools, 1, 11);
      expect(tools.memory.load(8, old)).toBe(10n);
      expect(tools.memory.load(8, lookup(tools, 1))).toBe(11n);
      return undefined;
    });
  });

  test("takes memory for elements only, not for all it has room for", () => {
    const { kernel } = scriptKernel([mapSpec(HASH, { maxEntries: 1 << 24, valueSize: 4096 })]);
    const map = kernel.map("m");
    map.update(le32(7), new Uint8Array(4096).fill(1));
    expect(map.size).toBe(1);
    expect(map.lookup(le32(7))![4095]).toBe(1);
  });

  test("gives ENOMEM to programs and a limit error to the host when guest memory is full", () => {
    const memory = { sizes: { data: 64 << 10 } };
    const { kernel, run } = scriptKernel([mapSpec(HASH, { maxEntries: 100, valueSize: 32 << 10 })], { memory });
    const map = kernel.map("m");
    map.update(le32(1), new Uint8Array(32 << 10));
    expect(() => map.update(le32(2), new Uint8Array(32 << 10))).toThrowErrorMatchingInlineSnapshot(`
      [BpfError: update of map 'm' key 02000000 (ENOMEM)

      the data region of guest memory is full; KernelOptions.memory makes it larger]
    `);
    const { stop } = run((tools) =>
      tools.helper("map_update_elem", tools.map(0), tools.put(le32(2)), lookup(tools, 1), 0),
    );
    expect(stop).toEqual({ kind: "returned", value: BigInt.asUintN(64, -12n) });
    expect(map.size).toBe(1);
  });

  test("lists elements in the order in which they were made", () => {
    const { kernel } = scriptKernel([mapSpec(HASH)]);
    const map = kernel.map("m");
    for (const key of [3, 1, 2]) map.update(le32(key), le64(key));
    map.update(le32(3), le64(33));
    map.delete(le32(1));
    map.update(le32(1), le64(11));
    expect([...map.entries()].map(({ key }) => key[0])).toEqual([3, 2, 1]);
    expect(map.delete(le32(9))).toBe(false);
    expect(() => map.update(le32(9), le64(0), 2)).toThrowErrorMatchingInlineSnapshot(`
      [BpfError: update of map 'm' key 09000000 (ENOENT)

      flags 2 (BPF_EXIST) only replaces elements]
    `);
  });

  test("tells keys of every size apart", () => {
    for (const keySize of [1, 2, 3, 4, 5, 8, 13]) {
      const { kernel } = scriptKernel([mapSpec(HASH, { keySize, maxEntries: 1000 })]);
      const map = kernel.map("m");
      const model = new Map<string, number>();
      const keys = fc.uint8Array({ minLength: keySize, maxLength: keySize });
      for (const [i, key] of fc.sample(keys, { numRuns: 200, seed: 1 }).entries()) {
        map.update(key, le64(i));
        model.set(key.join(), i);
      }
      expect(new Map([...map.entries()].map(({ key, value }) => [key.join(), value[0]]))).toEqual(model);
    }
  });

  test("agrees with a plain model in any sequence of operations", () => {
    const operation = fc.record({
      what: fc.constantFrom("update", "remove", "lookup"),
      key: fc.integer({ min: 0, max: 7 }),
      value: fc.integer({ min: 0, max: 255 }),
      flags: fc.constantFrom(0, 1, 2),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const { run } = scriptKernel([mapSpec(HASH)]);
        const model = new Map<number, number>();
        run((tools) => {
          for (const { what, key, value, flags } of operations) {
            const had = model.has(key);
            if (what === "lookup") {
              const address = lookup(tools, key);
              expect(address === 0n ? undefined : Number(tools.memory.load(8, address))).toBe(model.get(key));
            } else if (what === "remove") expect(remove(tools, key)).toBe(model.delete(key) ? 0 : -2);
            else {
              const expected = flags === 1 && had ? -17 : flags === 2 && !had ? -2 : !had && model.size === 4 ? -7 : 0;
              expect(update(tools, key, value, flags)).toBe(expected);
              if (expected === 0) model.set(key, value);
            }
          }
          return undefined;
        });
      }),
      { numRuns: 20 },
    );
  });
});

describe("lru_hash", () => {
  test("drops the least recently used element when it is full", () => {
    const { kernel, run } = scriptKernel([mapSpec(LRU_HASH, { maxEntries: 3 })]);
    run((tools) => {
      for (const key of [1, 2, 3]) update(tools, key, key);
      lookup(tools, 1);
      expect(update(tools, 4, 4)).toBe(0);
      expect(lookup(tools, 2)).toBe(0n);
      update(tools, 3, 33);
      update(tools, 5, 5);
      return undefined;
    });
    expect([...kernel.map("m").entries()].map(({ key }) => key[0])).toEqual([4, 3, 5]);
  });

  test("does not count the host's lookups as use", () => {
    const { kernel } = scriptKernel([mapSpec(LRU_HASH, { maxEntries: 2 })]);
    const map = kernel.map("m");
    map.update(le32(1), le64(1));
    map.update(le32(2), le64(2));
    map.lookup(le32(1));
    map.update(le32(3), le64(3));
    expect([...map.entries()].map(({ key }) => key[0])).toEqual([2, 3]);
  });

  test("drops nothing for an update that fails", () => {
    const { kernel, run } = scriptKernel([mapSpec(LRU_HASH, { maxEntries: 1 })]);
    run((tools) => {
      update(tools, 1, 1);
      expect(update(tools, 1, 1, 1)).toBe(-17);
      expect(update(tools, 2, 1, 2)).toBe(-2);
      return undefined;
    });
    expect(kernel.map("m").size).toBe(1);
  });
});

describe("per-CPU hashes", () => {
  test.each([
    ["percpu_hash", PERCPU_HASH],
    ["lru_percpu_hash", LRU_PERCPU_HASH],
  ])("%s writes the values of the running CPU in place and zeroes the others of a new element", (_name, type) => {
    const { kernel, run } = scriptKernel([mapSpec(type)], { cpus: 2 });
    run(
      (tools) => {
        update(tools, 1, 5);
        const address = lookup(tools, 1);
        update(tools, 1, 6);
        expect(tools.memory.load(8, address)).toBe(6n);
        return undefined;
      },
      { cpu: 1 },
    );
    expect([...kernel.map("m").entries()]).toEqual([{ key: le32(1), value: le64(0), values: [le64(0), le64(6)] }]);
  });
});
