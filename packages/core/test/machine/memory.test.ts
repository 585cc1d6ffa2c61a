import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BpfError } from "../../src/errors.ts";
import { Fault } from "../../src/machine/fault.ts";
import { WriteJournal } from "../../src/machine/journal.ts";
import { Access, Memory, type MemoryOptions } from "../../src/machine/memory.ts";
import type { Size } from "../../src/machine/ops.ts";

const SMALL: MemoryOptions = { sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } };
const { READ, WRITE, EXECUTE, HOST } = Access;

/** The words of the trap that `body` causes. */
function faultOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof Fault)
      return `${error.trapCause} of ${error.size} at 0x${error.address?.toString(16)}: ${error.detail}`;
    throw error;
  }
  return "no fault";
}

function errorOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof BpfError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "no error";
}

describe("allocation", () => {
  test("hands out zeroed, aligned bytes between guards, the same ones for the same calls", () => {
    const addresses = [0, 1].map(() => {
      const memory = new Memory(SMALL);
      return [
        memory.allocate("data", 5, "a"),
        memory.allocate("data", 100, "b", READ, 256),
        memory.allocate("data", 0, "c"),
        memory.allocate("stack", 8, "d"),
      ].map(({ address }) => address);
    });
    expect(addresses[0]).toEqual(addresses[1]);
    expect(addresses[0]!.map((address) => address % 16n)).toEqual([0n, 0n, 0n, 0n]);
    expect(addresses[0]![1]! % 256n).toBe(0n);
  });

  test("gives exactly the bytes that were asked for", () => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("data", 13, "packet");
    const allowed = Array.from({ length: 40 }, (_, i) => memory.accessAt(address - 8n + BigInt(i)));
    expect(allowed.filter((access) => access === (READ | WRITE)).length).toBe(13);
    expect(allowed[7]).toBe(0);
    expect(allowed[8 + 13]).toBe(0);
  });

  test("reuses freed bytes only when the region is full, the oldest first, and zeroes them", () => {
    const memory = new Memory(SMALL);
    const blocks = [memory.allocate("data", 1024, "first"), memory.allocate("data", 1024, "second")];
    memory.store(8, blocks[0]!.address, 0x1234n);
    for (const block of blocks) memory.free(block);
    const seen = new Set<bigint>();
    let reused = memory.allocate("data", 1024, "more");
    while (!blocks.some(({ address }) => address === reused.address)) {
      expect(seen.has(reused.address)).toBe(false);
      seen.add(reused.address);
      reused = memory.allocate("data", 1024, "more");
    }
    expect(seen.size).toBeGreaterThan(50);
    expect(reused.address).toBe(blocks[0]!.address);
    expect(memory.load(8, reused.address)).toBe(0n);
    expect(memory.allocate("data", 1024, "last").address).toBe(blocks[1]!.address);
    expect(errorOf(() => memory.allocate("data", 1024, "too much"))).toBe(
      "limit: no room for 1024 bytes of too much in the data region\n\nthe region has 65536 bytes; Memory takes its size as an option",
    );
  });

  test("refuses sizes that no region holds", () => {
    const memory = new Memory(SMALL);
    for (const size of [2 ** 31, 2 ** 32, 2 ** 32 + 8, 2 ** 52]) {
      expect(errorOf(() => memory.allocate("data", size, "map"))).toMatch(/^limit: no room for \d+ bytes of map/);
    }
    for (const size of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(errorOf(() => memory.allocate("data", size, "map"))).toBe(`argument: ${size} bytes of map`);
    }
    expect(faultOf(() => memory.load(8, memory.base + BigInt(memory.size) - 8n))).not.toBe("no fault");
  });

  test("frees an allocation once", () => {
    const memory = new Memory(SMALL);
    const block = memory.allocate("data", 8, "value");
    memory.free(block);
    expect(errorOf(() => memory.free(block))).toBe("argument: 0x10030040 (value) is not allocated");
  });

  test("refuses windows that are not in whole 64 KiB parts below 4 GiB", () => {
    const refusals: MemoryOptions[] = [
      { base: 0n },
      { base: 100n },
      { base: 0xffff_0000n },
      { sizes: { data: 100 } },
      { sizes: { data: 0 } },
    ];
    for (const options of refusals) {
      expect(errorOf(() => new Memory({ ...SMALL, ...options }))).toMatch(
        /^argument: a window of \d+ bytes at 0x[0-9a-f]+, expected a base and regions/,
      );
    }
  });
});

describe("access", () => {
  const sizes = fc.constantFrom<Size>(1, 2, 4, 8);

  test("is allowed exactly where every byte allows it", () => {
    const memory = new Memory(SMALL);
    const block = memory.allocate("data", 64, "block", 0);
    const access = fc.array(fc.constantFrom(0, READ, WRITE, READ | WRITE, READ | EXECUTE), {
      minLength: 64,
      maxLength: 64,
    });
    fc.assert(
      fc.property(
        access,
        fc.integer({ min: -8, max: 64 }),
        sizes,
        fc.constantFrom(READ, WRITE),
        (bytes, offset, size, need) => {
          for (const [i, bits] of bytes.entries()) memory.protect(block.address + BigInt(i), 1, bits);
          const allowed = Array.from({ length: size }, (_, i) => bytes[offset + i] ?? 0).every(
            (bits) => (bits & need) === need,
          );
          const at = block.address + BigInt(offset);
          expect(faultOf(() => memory.check(size, at, need, "load")) === "no fault").toBe(allowed);
        },
      ),
    );
  });

  test("keeps what is stored, little-endian, at any alignment", () => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("data", 32, "block");
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.integer({ min: 0, max: 24 }),
        sizes,
        (value, offset, size) => {
          const at = address + BigInt(offset);
          memory.store(size, at, value);
          expect(memory.load(size, at)).toBe(BigInt.asUintN(8 * size, value));
          expect(memory.load(1, at)).toBe(value & 0xffn);
        },
      ),
    );
  });

  test("that is refused changes nothing", () => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("data", 12, "block");
    const before = memory.hash();
    expect(faultOf(() => memory.store(8, address + 8n, 0xffn))).not.toBe("no fault");
    expect(memory.hash()).toBe(before);
  });
});

describe("a trap says where the access went", () => {
  const memory = new Memory(SMALL);
  const packet = memory.allocate("data", 64, "the packet");
  const constant = memory.allocate("data", 16, "a constant", READ);
  const gone = memory.allocate("data", 16, "a map value");
  const code = memory.allocate("text", 32, "the code of main", READ | EXECUTE);
  const helper = memory.allocate("host", 16, "helper 1", HOST);
  const stack = memory.allocate("stack", 512, "the stack", 0);
  memory.free(gone);
  const at = (base: { readonly address: bigint }, offset: number): bigint => base.address + BigInt(offset);

  test.each([
    ["past the end", () => memory.load(8, at(packet, 64)), "load of 8 at 0x10030080: 0 bytes past the end of the packet (0x10030040, 64 bytes)"],
    ["over the end", () => memory.load(8, at(packet, 60)), "load of 8 at 0x1003007c: 60 bytes into the packet (0x10030040, 64 bytes), of which 4 bytes remain"],
    ["before the start", () => memory.store(4, at(packet, -4), 0n), "store of 4 at 0x1003003c: 4 bytes before the packet (0x10030040, 64 bytes)"],
    ["between two", () => memory.load(1, at(constant, -10)), "load of 1 at 0x100300b6: 10 bytes before a constant (0x100300c0, 16 bytes)"],
    ["to a constant", () => memory.store(8, at(constant, 8), 1n), "store of 8 at 0x100300c8: 8 bytes into a constant (0x100300c0, 16 bytes), which allows only reading"],
    ["to freed memory", () => memory.load(8, gone.address), "load of 8 at 0x10030110: 0 bytes into a map value (0x10030110, 16 bytes, freed)"],
    ["to code", () => memory.store(1, code.address, 1n), "store of 1 at 0x10010040: 0 bytes into the code of main (0x10010040, 32 bytes), which allows only reading and execution"],
    ["to the host", () => memory.load(4, helper.address), "load of 4 at 0x10000040: 0 bytes into helper 1 (0x10000040, 16 bytes), which allows only host calls"],
    ["fetching data", () => memory.check(2, packet.address, EXECUTE, "fetch"), "fetch of 2 at 0x10030040: 0 bytes into the packet (0x10030040, 64 bytes), which allows only reading and writing"],
    ["to dead stack", () => memory.load(8, at(stack, 8)), "load of 8 at 0x10020048: 8 bytes into the stack (0x10020040, 512 bytes), outside the live frames"],
    ["through null", () => memory.load(8, 0n), "load of 8 at 0x0: a null pointer"],
    ["near null", () => memory.load(8, 24n), "load of 8 at 0x18: 24 bytes past a null pointer"],
    ["outside", () => memory.load(8, 1n << 63n), "load of 8 at 0x8000000000000000: outside the window 0x10000000..0x10040000"],
    ["just below zero", () => memory.load(8, (1n << 64n) - 8n), "load of 8 at 0xfffffffffffffff8: outside the window 0x10000000..0x10040000"],
    ["over the window's end", () => memory.load(8, 0x1003_fffcn), "load of 8 at 0x1003fffc: 65244 bytes past the end of a map value (0x10030110, 16 bytes, freed)"],
  ])("%s", (_where, access, words) => {
    expect(faultOf(access)).toBe(words);
  }); // biome-ignore format: a table

  test("in an empty region too", () => {
    const empty = new Memory(SMALL);
    expect(faultOf(() => empty.load(1, empty.base + 0x3_1000n))).toBe(
      "load of 1 at 0x10031000: nothing is allocated there",
    );
  });
});

test("an allocation is found by any address in it, live or freed", () => {
  const memory = new Memory(SMALL);
  const block = memory.allocate("data", 64, "value");
  expect(memory.allocationAt(block.address + 63n)).toMatchObject({ allocation: { owner: "value" }, live: true });
  memory.free(block);
  expect(memory.allocationAt(block.address)).toMatchObject({ live: false });
  expect(memory.allocationAt(1n)).toBeUndefined();
});

describe("the journal", () => {
  test("undoes any writes, by programs and by the host", () => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("data", 256, "block");
    const write = fc.record({
      offset: fc.integer({ min: 0, max: 240 }),
      size: fc.constantFrom<Size | 16>(1, 2, 4, 8, 16),
      value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 600 }), (writes) => {
        const before = memory.hash();
        const journal = new WriteJournal();
        memory.journal = journal;
        for (const { offset, size, value } of writes) {
          const at = address + BigInt(offset);
          if (size === 16) memory.write(at, new Uint8Array(16).fill(Number(value & 0xffn)));
          else memory.store(size, at, value);
        }
        expect(journal.length).toBe(writes.length);
        memory.journal = undefined;
        memory.undo(journal);
        expect(memory.hash()).toBe(before);
        expect(journal.length).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test("tells what each write replaced", () => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("data", 16, "block");
    memory.store(4, address, 0x0403_0201n);
    const journal = new WriteJournal();
    memory.journal = journal;
    memory.store(2, address + 1n, 0xffffn);
    memory.write(address, Uint8Array.of(9, 9, 9));
    expect([...journal.old(0)]).toEqual([2, 3]);
    expect([...journal.old(1)]).toEqual([1, 0xff, 0xff]);
    expect([journal.offset(0), journal.size(0)]).toEqual([Number(address - memory.base) + 1, 2]);
  });
});

describe("hash", () => {
  test("is equal for equal states and sees bytes, permissions and allocations", () => {
    const made = (): { memory: Memory; address: bigint } => {
      const memory = new Memory(SMALL);
      return { memory, address: memory.allocate("data", 64, "block").address };
    };
    const { memory, address } = made();
    const first = memory.hash();
    expect(made().memory.hash()).toBe(first);
    memory.store(1, address + 63n, 1n);
    const stored = memory.hash();
    memory.protect(address, 1, READ);
    const guarded = memory.hash();
    const closed = memory.allocate("data", 8, "closed", 0);
    const allocated = memory.hash();
    memory.free(closed);
    expect(new Set([first, stored, guarded, allocated, memory.hash()]).size).toBe(5);
  });
});

describe("what was decoded from code is stale after", () => {
  const cases: [string, (memory: Memory, address: bigint) => void][] = [
    ["a host write", (memory, address) => memory.write(address + 3n, Uint8Array.of(0x90))],
    [
      "a host write that begins and ends outside the code",
      (memory, address) => memory.write(address - 32n, new Uint8Array(128)),
    ],
    ["a store by a program", (memory, address) => memory.store(1, address, 0x90n)],
    ["a change of permissions", (memory, address) => memory.protect(address, 4, READ)],
    [
      "an undone write",
      (memory, address) => {
        memory.journal = new WriteJournal();
        memory.write(address, Uint8Array.of(1));
        const version = memory.codeVersion;
        memory.undo(memory.journal);
        expect(memory.codeVersion).toBeGreaterThan(version);
      },
    ],
  ];
  test.each(cases)("%s", (_name, change) => {
    const memory = new Memory(SMALL);
    const { address } = memory.allocate("text", 64, "code", READ | WRITE | EXECUTE);
    const version = memory.codeVersion;
    change(memory, address);
    expect(memory.codeVersion).toBeGreaterThan(version);
  });

  test("but not after writes elsewhere", () => {
    const memory = new Memory(SMALL);
    memory.allocate("text", 64, "code", READ | EXECUTE);
    const { address } = memory.allocate("data", 64, "data");
    const version = memory.codeVersion;
    memory.journal = new WriteJournal();
    memory.store(8, address, 1n);
    memory.write(address, new Uint8Array(64));
    memory.undo(memory.journal);
    expect(memory.codeVersion).toBe(version);
  });
});

test("a copy inside the window carries undefined bits along, a write from outside clears them", () => {
  const memory = new Memory(SMALL);
  const { address } = memory.allocate("data", 64, "block");
  memory.undefinedBits = new Uint8Array(memory.size);
  const at = Number(address - memory.base);
  memory.undefinedBits.fill(0xff, at, at + 4);
  memory.copy(address + 32n, address + 2n, 4);
  expect([...memory.undefinedBits.subarray(at + 31, at + 37)]).toEqual([0, 0xff, 0xff, 0, 0, 0]);
  memory.write(address, new Uint8Array(3));
  expect([...memory.undefinedBits.subarray(at, at + 5)]).toEqual([0, 0, 0, 0xff, 0]);
});
