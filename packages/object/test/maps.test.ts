import { describe, expect, test } from "vitest";
import { loadObject } from "../src/load.ts";
import { dataMapName } from "../src/maps.ts";
import { checkSlots } from "../src/slots.ts";
import { bytesOf, CODE, code, EXIT, handBtf, handMade, load, programNamed, Strings } from "./objects.ts";

/** Strings known beforehand, so that their offsets are. */
function handStrings(): Strings {
  const strings = new Strings();
  for (const name of ["key_size"]) strings.add(name);
  return strings;
}

const object = load("maps");

function map(name: string): unknown {
  const found = object.maps.find((each) => each.name === name)!;
  const { keyType, valueType, section, offset, ...spec } = found;
  return spec;
}

test("definitions give type, sizes by type or by number, entries, flags and pinning", () => {
  expect(map("array")).toEqual({
    name: "array",
    type: 2,
    keySize: 4,
    valueSize: 12,
    maxEntries: 3,
    flags: 0,
    pinned: false,
  });
  expect(map("hash")).toEqual({
    name: "hash",
    type: 1,
    keySize: 6,
    valueSize: 24,
    maxEntries: 100,
    flags: 1,
    pinned: false,
  });
  expect(map("lru")).toEqual({
    name: "lru",
    type: 9,
    keySize: 8,
    valueSize: 4,
    maxEntries: 65536,
    flags: 0,
    pinned: true,
  });
  expect(map("percpu")).toEqual({
    name: "percpu",
    type: 6,
    keySize: 4,
    valueSize: 48,
    maxEntries: 5,
    flags: 0,
    pinned: false,
  });
  expect(map("hidden")).toEqual({
    name: "hidden",
    type: 1,
    keySize: 4,
    valueSize: 4,
    maxEntries: 2,
    flags: 0,
    pinned: false,
  });
});

test("types of keys and values are BTF ids", () => {
  const { keyType, valueType } = object.maps.find(({ name }) => name === "hash")!;
  expect(object.btf!.kind(keyType!)).toBe("array");
  expect(object.btf!.name(valueType!)).toBe("value_t");
});

test("maps are in the order of the section, and a program has those it uses, in that order", () => {
  expect(object.maps.map(({ name }) => name)).toEqual(["percpu", "array", "hidden", "lru", "hash"]);
  expect(programNamed(object, "all").maps.map(({ name }) => name)).toEqual(["percpu", "array", "hidden"]);
  expect(programNamed(object, "some").maps.map(({ name }) => name)).toEqual(["lru", "hash"]);
});

test("programs share the map objects of their file", () => {
  const globals = load("globals");
  const limit = programNamed(globals, "constants").maps[0]!;
  expect(limit.name).toBe("globals.rodata");
  // It refers to .bss first, but the order is the object's.
  const { maps } = programNamed(globals, "globals");
  expect(maps).toEqual(globals.maps);
  for (const [i, map] of maps.entries()) expect(map).toBe(globals.maps[i]);
  expect(limit).toBe(globals.maps[1]);
});

test("references to maps name their index in the program", () => {
  const { insns } = programNamed(object, "some");
  const loads = [...Array(insns.length).keys()].filter((at) => insns.code(at) === 0x18);
  expect(loads.map((at) => [insns.src(at), insns.imm(at), insns.imm(at + 1)])).toEqual([
    [5, 0, 0],
    [5, 1, 0],
  ]);
});

describe("global data", () => {
  const globals = load("globals", { name: "a_rather_long_name" });
  const named = Object.fromEntries(globals.maps.map((each) => [each.name, each]));

  test("is an array map of one element for each section, with libbpf's names", () => {
    expect(Object.keys(named)).toEqual([
      "a_rather.data",
      "a_rather.rodata",
      ".data.extra",
      "a_rather.bss",
      ".rodata.str1.1",
    ]);
    for (const each of globals.maps) expect(each).toMatchObject({ type: 2, keySize: 4, maxEntries: 1 });
  });

  test("is initialised from the object, and zeroed without contents", () => {
    expect([...named["a_rather.data"]!.initial!]).toEqual([7, 0, 0, 0, ...new TextEncoder().encode("hello, é\0")]);
    expect([...named[".data.extra"]!.initial!]).toEqual([0x44, 0x33, 0x22, 0x11]);
    expect(new TextDecoder().decode(named[".rodata.str1.1"]!.initial)).toBe("count %d\0");
    expect(named["a_rather.bss"]).toMatchObject({ valueSize: 132 });
    expect(named["a_rather.bss"]!.initial).toBeUndefined();
  });

  test("is frozen and read-only for programs where it is constant", () => {
    for (const { section, frozen, flags } of globals.maps) {
      const constant = section.startsWith(".rodata");
      expect([section, frozen ?? false, flags]).toEqual([section, constant, constant ? 0x80 : 0]);
    }
  });

  test("is addressed by map and offset", () => {
    const { insns, maps } = programNamed(globals, "globals");
    const loads = [...Array(insns.length).keys()].filter((at) => insns.code(at) === 0x18);
    expect(loads.map((at) => [insns.src(at), maps[insns.imm(at)]!.section, insns.imm(at + 1)])).toEqual([
      [6, ".bss", 0],
      [6, ".bss", 32],
      [6, ".data", 4],
      [6, ".rodata", 4],
      [6, ".rodata", 0],
      [6, ".data.extra", 0],
      [6, ".data", 0],
      [6, ".rodata.str1.1", 0],
    ]);
  });
});

test.each([
  ["", ".rodata", ".rodata"],
  ["firewall", ".rodata", "firewall.rodata"],
  ["firewall_x", ".rodata", "firewall.rodata"],
  ["firewall_x", ".bss", "firewall.bss"],
  ["fw", ".bss", "fw.bss"],
  ["my-obj", ".data", "my_obj.data"],
  ["firewall", ".data.mine", ".data.mine"],
  ["firewall", ".rodata.with a long name", ".rodata.with_a_"],
])("the data map of object '%s' and section '%s' is '%s'", (objectName, section, name) => {
  expect(dataMapName(objectName, section)).toBe(name);
});

describe("definitions that are not understood are refused by name", () => {
  /** `struct { int (*type)[kind]; …}` with one more member. */
  const define = (member: string, type: number, more: readonly number[][] = []): Uint8Array => {
    const strings = handStrings();
    const rows = [
      { name: "int", kind: 1, size: 4, rest: [0x01000020] }, // 1
      { kind: 3, rest: [1, 1, 2] }, // 2: int[2]
      { kind: 2, size: 2 }, // 3: int (*)[2]
      { kind: 2, size: 1 }, // 4: int *
      {
        kind: 4,
        vlen: 2 + more.length,
        size: 16,
        rest: [strings.add("type"), 3, 0, strings.add(member), type, 64, ...more.flat()],
      }, // 5
      { name: "m", kind: 14, size: 5, rest: [1] }, // 6
      { name: ".maps", kind: 15, vlen: 1, size: 16, rest: [6, 0, 16] }, // 7
      { kind: 2, size: 0 }, // 8: void *
    ];
    return handMade([
      { name: ".maps", contents: new Uint8Array(16) },
      { name: ".BTF", contents: handBtf(rows, strings) },
      { name: "xdp", flags: CODE, contents: code(EXIT) },
    ]);
  };

  test.each([
    ["values", 3, /inner maps of map m \(values\), expected values of a prog array/],
    ["map_extra", 3, /attribute map_extra of map m, expected type, max_entries/],
    ["numa_node", 3, /attribute numa_node of map m/],
    ["__proto__", 3, /attribute __proto__ of map m/],
    ["max_entries", 4, /attribute max_entries of map m, expected a number in the form of __uint/],
    ["max_entries", 1, /attribute max_entries of map m, expected a number in the form of __uint/],
    ["key", 1, /attribute key of map m, expected a type in the form of __type/],
    ["key", 8, /void, expected a type with a size/],
    ["key", 99, /BTF type 99, expected an id below 9/],
    ["pinning", 3, /pinning 2 of map m, expected 0 \(none\) or 1 \(by name\)/],
  ])("%s of type %i", (member, type, message) => {
    expect(() => loadObject(define(member, type))).toThrow(message);
  });

  test("sizes that contradict each other", () => {
    const bytes = define("key", 4, []);
    expect(loadObject(bytes).maps[0]).toMatchObject({ keySize: 4 });
    const strings = handStrings();
    const both = define("key", 4, [[strings.add("key_size"), 3, 128]]);
    expect(() => loadObject(both)).toThrow(/key of map m of 4 bytes by its type and 2 by its size/);
  });
});

describe("slots of a prog array that its definition fills", () => {
  test("name programs of the object", () => {
    const { maps, programs } = load("slots");
    expect(maps[0]).toMatchObject({ name: "table", type: 3, keySize: 4, valueSize: 4, maxEntries: 4 });
    expect(maps[0]!.programs).toEqual([
      { slot: 0, program: "ipv4" },
      { slot: 3, program: "ipv6" },
    ]);
    expect(programNamed(load("slots"), "dispatch").maps[0]).toMatchObject({ programs: [{ slot: 0 }, { slot: 3 }] });
    expect(programs.map(({ name }) => name)).toEqual(["ipv4", "ipv6", "dispatch"]);
  });

  /** The object with what the first relocation of `.maps` says changed. */
  function changed(change: (view: DataView, relocation: number) => void): Uint8Array {
    const bytes = bytesOf("slots");
    const table = load("slots").sections.find(({ name }) => name === ".rel.maps")!;
    change(new DataView(bytes.buffer, bytes.byteOffset), table.offset);
    return bytes;
  }

  test("are refused where they are no pointer of the array, or lead to anything but a program", () => {
    const inside = changed((view, at) => view.setUint32(at, view.getUint32(at, true) + 4, true));
    expect(() => loadObject(inside)).toThrow("inside a slot of map table, expected slots of 8 bytes");
    const { symbols } = load("slots");
    const map = symbols.findIndex(({ name }) => name === "table");
    const toMap = changed((view, at) => view.setUint32(at + 12, map, true));
    expect(() => loadObject(toMap)).toThrow("slot 0 of map table with table in it, expected a function");
    const far = changed((view, at) => view.setUint32(at + 12, 99, true));
    expect(() => loadObject(far)).toThrow("slot 0 of map table with nothing in it, expected a function");
  });

  test("are refused where they name a function that is no program", () => {
    expect(() => checkSlots([{ name: "m", programs: [{ slot: 2, program: "f" }] }], new Set(["g"]))).toThrow(
      "slot 2 of map m with f in it, expected a program of the object",
    );
  });
});

test("maps without BTF, of before BTF, of maps and of struct_ops are refused", () => {
  expect(() => load("xdp-no-btf")).toThrow("map definitions without BTF, expected an object built with -g");
  expect(() => load("legacy")).toThrow(
    'map definitions of before BTF in section maps, expected definitions with BTF in section ".maps"',
  );
  expect(() => load("inner")).toThrow("inner maps of map outer (values), expected values of a prog array");
  expect(() => loadObject(handMade([{ name: ".struct_ops.link", contents: new Uint8Array(8) }]))).toThrow(
    "struct_ops maps in section .struct_ops.link",
  );
});
