import { BpfError, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { loadObject, tryLoadObject } from "../src/load.ts";
import { bytesOf, load, OBJECT_NAMES } from "./objects.ts";

const REFUSED = ["core", "inner", "kconfig", "legacy", "xdp-no-btf"];

test("every object of clang's loads, or is refused by the name of what is missing", () => {
  const refused = OBJECT_NAMES.filter((name) => !tryLoadObject(bytesOf(name)).ok);
  expect(refused).toEqual(REFUSED);
});

test("every program that loads has a structure that engines accept", () => {
  let programs = 0;
  for (const name of OBJECT_NAMES.filter((each) => !REFUSED.includes(each))) {
    for (const program of load(name).programs) {
      expect(trust(program).structure.subprogs.length).toBe(program.subprogs.length);
      programs++;
    }
  }
  expect(programs).toBeGreaterThan(20);
});

describe("what cannot be loaded yet is refused", () => {
  test("CO-RE relocations, with section, instruction, type and field", () => {
    const result = tryLoadObject(bytesOf("core"));
    expect(result.ok).toBe(false);
    if (result.ok) return;
    expect(result.error.code).toBe("unsupported");
    expect(result.error.message).toBe(
      "fentry/do_exit: leave: instruction 1: CO-RE relocation by the offset of struct task_struct.thread.slots[2]\n\n" +
        "relocation to the types of a kernel is not built yet",
    );
    expect(result.error.details.insn).toBe(1);
  });

  test("values of the kernel's configuration", () => {
    expect(() => load("kconfig")).toThrow("syscall: hz: instruction 0: address of the extern variable CONFIG_HZ");
  });
});

test("the budget bounds what a load may keep, and is named when it does not suffice", () => {
  const result = tryLoadObject(bytesOf("order"), { budget: 10_000 });
  expect(result.ok ? "loaded" : result.error.code).toBe("limit");
  expect(() => loadObject(bytesOf("order"), { budget: -1 })).toThrow("budget of -1 bytes");
  expect(() => loadObject(bytesOf("order"), { budget: Number.NaN })).toThrow("budget of NaN bytes");
});

test("bytes of another type are an argument error", () => {
  for (const bytes of ["x", null, new ArrayBuffer(8), [127, 69]]) {
    const result = tryLoadObject(bytes as unknown as Uint8Array);
    expect(result.ok ? "loaded" : result.error.code).toBe("argument");
  }
});

test("errors are BpfErrors with code and offset", () => {
  const result = tryLoadObject(new Uint8Array(100));
  expect(result.ok).toBe(false);
  if (!result.ok) {
    expect(result.error).toBeInstanceOf(BpfError);
    expect(result.error.details.offset).toBe(0);
  }
});
