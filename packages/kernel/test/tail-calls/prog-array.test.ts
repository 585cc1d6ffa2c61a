import { assemble, BpfError, interpreter, MAP_TYPES, type MapSpec, type Program, trust } from "@bpfkit/core";
import { Kernel, type LoadedProgram } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";

const TABLE: MapSpec = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0 };

function world(): { kernel: Kernel; load: (text: string, options?: Partial<Program>) => LoadedProgram } {
  const kernel = new Kernel({ engine: interpreter });
  return {
    kernel,
    load: (text, options = {}) => kernel.load(trust({ ...assemble(text, { type: "xdp", maps: [TABLE] }), ...options })),
  };
}

const CALL_0 = "r2 = map[idx:0]\nr3 = 0\ncall tail_call";

describe("a prog array", () => {
  test("holds programs by slot, and tells their ids in bytes", () => {
    const { kernel, load } = world();
    const main = load(`${CALL_0}\nr0 = 1\nexit`, { name: "main" });
    const callee = load("r0 = 2\nexit", { name: "callee" });
    const table = kernel.progArray("table");
    expect(main.run().returnValue).toBe(1);
    table.set(0, callee);
    expect(main.run().returnValue).toBe(2);
    expect(table.get(0)).toBe(callee);
    expect([...table.entries()]).toEqual([[0, callee]]);
    expect(kernel.map("table").lookup(Uint8Array.of(0, 0, 0, 0))).toEqual(Uint8Array.of(2, 0, 0, 0));
    expect(kernel.map("table").lookup(Uint8Array.of(1, 0, 0, 0))).toBeUndefined();
    expect(table.delete(0)).toBe(true);
    expect(table.delete(0)).toBe(false);
    expect(main.run().returnValue).toBe(1);
    expect(() => kernel.map("table").update(Uint8Array.of(0, 0, 0, 0), Uint8Array.of(2, 0, 0, 0))).toThrow(BpfError);
  });
});
