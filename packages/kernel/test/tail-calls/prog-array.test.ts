import { interpreter, MAP_TYPES } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { le32 } from "../support/scripted.ts";
import { tailCall, world } from "../support/tail-calls.ts";

describe("a prog array", () => {
  test("holds programs by slot", () => {
    const { load, table } = world(interpreter);
    const [one, two] = [load("one", "r0 = 1\nexit"), load("two", "r0 = 2\nexit")];
    table.set(3, one);
    table.set(1, two);
    expect([table.get(3), table.get(1), table.get(0)]).toEqual([one, two, undefined]);
    expect([...table].map(([slot, { name }]) => [slot, name])).toEqual([
      [1, "two"],
      [3, "one"],
    ]);
    table.set(3, two);
    expect(table.get(3)).toBe(two);
    expect(table.size).toBe(2);
    expect([table.delete(3), table.delete(3), table.size]).toEqual([true, false, 1]);
  });

  test("is a map of program numbers to whoever has only bytes", () => {
    const { kernel, load, table } = world(interpreter);
    load("first", "r0 = 1\nexit");
    const second = load("second", "r0 = 1\nexit");
    table.set(2, second);
    const map = kernel.map("table");
    expect(second.id).toBe(2);
    expect(map.lookup(le32(2))).toEqual(le32(2));
    expect([map.lookup(le32(0)), map.lookup(le32(9))]).toEqual([undefined, undefined]);
    expect([...map.entries()].map(({ key, value }) => [key, value])).toEqual([[le32(2), le32(2)]]);
    expect(map.size).toBe(1);
    expect(() => map.update(le32(0), le32(2))).toThrowErrorMatchingSnapshot();
    expect(map.delete(le32(2))).toBe(true);
    expect(map.delete(le32(2))).toBe(false);
    expect(() => map.delete(le32(9))).toThrow("slot 9 of prog array 'table' (E2BIG)");
    expect(table.get(2)).toBeUndefined();
  });

  test("refuses slots that it does not have, and programs of others", () => {
    const { kernel, load, table } = world(interpreter);
    const program = load("one", "r0 = 1\nexit");
    for (const slot of [4, -1, 0.5]) {
      expect(() => table.set(slot, program)).toThrow(`slot ${slot} of prog array 'table' (E2BIG), expected 0 to 3`);
      expect(() => table.get(slot)).toThrow("E2BIG");
      expect(() => table.delete(slot)).toThrow("E2BIG");
    }
    expect(() => table.set(0, world(interpreter).load("stranger", "r0 = 1\nexit"))).toThrow(
      "program 'stranger' for prog array 'table', expected a program of the same kernel",
    );
    program.release();
    expect(() => table.set(0, program)).toThrow("expected one that was not released");
    expect(() => kernel.progArray("counts")).toThrow("array map 'counts' as a prog array, expected a prog_array");
    expect(() => kernel.progArray("lost")).toThrow("map 'lost'");
  });

  test("obeys the flags that forbid the host to write", () => {
    const kernel = new Kernel({ engine: interpreter });
    const spec = { name: "t", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0x8 };
    kernel.createMap(spec);
    expect(() => kernel.progArray("t").delete(0)).toThrow("the host may not write map 't' (EPERM)");
  });

  test("is for tail calls only, and tail calls are for it", () => {
    const { load } = world(interpreter);
    const key = "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4";
    expect(() => load("reader", `r1 = map[idx:0]\n${key}\ncall map_lookup_elem\nr0 = 0\nexit`)).toThrow(
      "cannot pass prog_array map 'table' into bpf_map_lookup_elem at instruction 5 of 'reader' (EINVAL)",
    );
    expect(() => load("caller", "r2 = map[idx:1]\nr3 = 0\ncall tail_call\nr0 = 0\nexit")).toThrow(
      "cannot pass array map 'counts' into bpf_tail_call at instruction 3 of 'caller' (EINVAL)",
    );
    // Where the map is not known before, the helper finds out.
    const hidden = load(
      "hidden",
      `r6 = map[idx:0]\nr7 = map[idx:1]\ncall get_prandom_u32\nif r0 == 0 goto other\nr1 = r6\ngoto both\nother:\nr1 = r7\nboth:\n${key}\ncall map_lookup_elem\nr0 = 0\nexit`,
    );
    expect(hidden.run().stop).toMatchObject({
      kind: "trap",
      cause: "call",
      detail: "prog_array map 'table' is for tail calls only (EINVAL)",
    });
  });

  test("lies in guest memory as machine code reads it, which programs cannot change", () => {
    const { kernel, load, table } = world(interpreter);
    const program = load("one", "r0 = 1\nexit");
    const { address } = kernel.map("table");
    const { memory } = kernel;
    expect(memory.load(4, address + 0x4cn)).toBe(4n);
    expect(memory.load(8, address + 0x130n + 16n)).toBe(0n);
    table.set(2, program);
    const object = memory.load(8, address + 0x130n + 16n);
    expect(memory.load(8, object + 0x48n)).toBe(program.executable.subprogAddress(0));
    const writer = load("writer", "r1 = map[idx:0]\n*(u64 *)(r1 + 304) = 0\nr0 = 0\nexit");
    expect(writer.run().stop).toMatchObject({ kind: "trap", cause: "store" });
    expect(memory.allocationAt(object)?.allocation.owner).toBe("program 'one'");
  });

  test("gives equal addresses in equal kernels", () => {
    const addresses = [1, 2].map(() => {
      const { kernel, load, table } = world(interpreter);
      for (let slot = 0; slot < 3; slot++) table.set(slot, load(`p${slot}`, `r0 = ${slot}\nexit`));
      const { address } = kernel.map("table");
      return [0n, 1n, 2n].map((slot) => kernel.memory.load(8, address + 0x130n + 8n * slot));
    });
    expect(addresses[0]).toEqual(addresses[1]);
  });
});

describe("programs in prog arrays", () => {
  test("stay as long as anything holds them, whoever lets go first", () => {
    const { kernel, load, table } = world(interpreter);
    const program = load("one", "r0 = 1\nexit");
    const isLive = (): boolean => kernel.memory.allocationAt(program.executable.subprogAddress(0))?.live === true;
    table.set(0, program);
    table.set(1, program);
    table.delete(0);
    program.release();
    program.release();
    expect([isLive(), table.get(1)?.isReleased]).toEqual([true, true]);
    table.delete(1);
    expect(isLive()).toBe(false);
    const other = load("two", "r0 = 1\nexit");
    table.set(0, other);
    table.delete(0);
    expect(other.run().returnValue).toBe(1);
  });

  test("that run when they leave keep their memory until the run ends", () => {
    const { kernel, load, table } = world(interpreter);
    const entry = load("entry", `${tailCall(0)}\nr0 = 0\nexit`);
    const callee = load("callee", "r0 = 1\nr0 += 1\nexit");
    const address = callee.executable.subprogAddress(0);
    table.set(0, callee);
    const run = entry.start();
    while (run.executable !== callee.executable) run.step(1);
    callee.release();
    table.delete(0);
    expect(kernel.memory.allocationAt(address)?.live).toBe(true);
    expect(run.run(100)).toEqual({ kind: "returned", value: 2n });
    expect(kernel.memory.allocationAt(address)?.live).toBe(false);
  });

  test("released while they run, go on to the end", () => {
    const { load } = world(interpreter);
    const program = load("one", "r0 = 1\nr0 += 1\nexit");
    const run = program.start();
    run.step(1);
    program.release();
    expect(run.run(100)).toEqual({ kind: "returned", value: 2n });
  });
});
