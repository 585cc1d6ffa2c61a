import { describe, expect, test } from "vitest";
import { type Btf, type BtfType, loadBtf } from "../src/btf.ts";
import { readElf } from "../src/elf.ts";
import { Budget, Reader } from "../src/reader.ts";
import { bytesOf, golden, handBtf, load } from "./objects.ts";

/** The .BTF section as it is in the file: offsets of global variables are left to relocations, as bpftool sees them too. */
function rawBtf(name: string): Btf {
  const elf = readElf(new Reader(bytesOf(name), new Budget(1 << 24), "the file"));
  return loadBtf(elf.contents(elf.sections.find((section) => section.name === ".BTF")!).bytes);
}

/** One type in the raw format of `bpftool btf dump`. */
function dump(btf: Btf, id: number): string {
  const type: BtfType = btf.type(id);
  const name = (text: string): string => `'${text === "" ? "(anon)" : text}'`;
  const head = `[${id}] ${type.kind.toUpperCase()} ${name("name" in type ? type.name : "")}`;
  switch (type.kind) {
    case "void":
      return head;
    case "int": {
      const encoding = { unsigned: "(none)", signed: "SIGNED", char: "CHAR", bool: "BOOL" }[type.encoding];
      return `${head} size=${type.size} bits_offset=${type.bitOffset} nr_bits=${type.bits} encoding=${encoding}`;
    }
    case "ptr":
    case "typedef":
    case "volatile":
    case "const":
    case "restrict":
    case "type_tag":
      return `${head} type_id=${type.type}`;
    case "array":
      return `${head} type_id=${type.element} index_type_id=${type.index} nr_elems=${type.length}`;
    case "struct":
    case "union":
      return [
        `${head} size=${type.size} vlen=${type.members.length}`,
        ...type.members.map(
          (m) =>
            `\t${name(m.name)} type_id=${m.type} bits_offset=${m.bitOffset}${m.bitSize === 0 ? "" : ` bitfield_size=${m.bitSize}`}`,
        ),
      ].join("\n");
    case "enum":
    case "enum64":
      return [
        `${head} encoding=${type.signed ? "SIGNED" : "UNSIGNED"} size=${type.size} vlen=${type.values.length}`,
        ...type.values.map(
          (v) => `\t${name(v.name)} val=${v.value}${type.kind === "enum" ? "" : type.signed ? "LL" : "ULL"}`,
        ),
      ].join("\n");
    case "fwd":
      return `${head} fwd_kind=${type.of}`;
    case "func":
      return `${head} type_id=${type.type} linkage=${type.linkage}`;
    case "func_proto":
      return [
        `${head} ret_type_id=${type.returns} vlen=${type.params.length}`,
        ...type.params.map((p) => `\t${name(p.name)} type_id=${p.type}`),
      ].join("\n");
    case "var":
      return `${head} type_id=${type.type}, linkage=${type.linkage}`;
    case "datasec":
      return [
        `${head} size=${type.size} vlen=${type.variables.length}`,
        ...type.variables.map((v) => `\ttype_id=${v.type} offset=${v.offset} size=${v.size}`),
      ].join("\n");
    case "float":
      return `${head} size=${type.size}`;
    case "decl_tag":
      return `${head} type_id=${type.type} component_idx=${type.component}`;
  }
}

test.each(["types", "linked", "kfunc"])("bpftool reads the same types from %s.o", (name) => {
  const btf = rawBtf(name);
  const theirs = golden(`${name}.btf.txt`)
    .replaceAll(/ \((?:VAR|FUNC) '[^']*'\)/g, "") // bpftool repeats what a data section's entry refers to
    .replaceAll(/'(\S+)' linkage=/g, "'$1' linkage=")
    .trim();
  const ours = Array.from({ length: btf.count - 1 }, (_, i) => dump(btf, i + 1)).join("\n");
  expect(ours).toBe(theirs);
});

test("every kind of BTF occurs in types.o and kfunc.o", () => {
  const kinds = new Set<string>();
  for (const name of ["types", "kfunc"]) {
    const btf = rawBtf(name);
    for (let id = 0; id < btf.count; id++) kinds.add(btf.kind(id));
  }
  expect(kinds.size).toBe(20);
});

test("global variables of an object have their offset, which clang leaves to a relocation", () => {
  const { btf } = load("globals");
  const section = btf!.type(btf!.find(".bss", "datasec")!);
  expect(section.kind === "datasec" && section.variables.map(({ type, offset }) => [btf!.name(type), offset])).toEqual([
    ["hits", 0],
    ["scratch", 32],
  ]);
});

describe("look-ups", () => {
  const btf = rawBtf("types");
  test("find a type by its name, and by name and kind", () => {
    expect(btf.name(btf.find("node")!)).toBe("node");
    expect(btf.kind(btf.find("node", "struct")!)).toBe("struct");
    expect(btf.find("node", "union")).toBeUndefined();
    expect(btf.find("types")).toBe(btf.find("types", "func"));
    expect(btf.find("nothing")).toBeUndefined();
    expect(btf.find("__proto__")).toBeUndefined();
  });

  test("give sizes through typedefs, qualifiers and arrays", () => {
    expect(btf.size(btf.find("node_t", "typedef")!)).toBe(168);
    expect(btf.size(btf.find("overlay", "union")!)).toBe(4);
    const node = btf.type(btf.find("node", "struct")!);
    const sizes = node.kind === "struct" ? node.members.map(({ name, type }) => [name, btf.size(type)]) : [];
    expect(Object.fromEntries(sizes)).toMatchObject({ next: 8, handlers: 32, table: 48, small: 4, wide: 8, on: 1 });
    expect(() => btf.size(btf.find("forward", "fwd")!)).toThrow(/fwd forward, expected a type with a size/);
    expect(() => btf.size(0)).toThrow(/void, expected a type with a size/);
  });

  test("refuse ids out of range, whatever the number", () => {
    for (const id of [-1, btf.count, 2 ** 32, Number.NaN, 1.5])
      expect(() => btf.kind(id)).toThrow(/BTF type .*, expected an id below/);
  });
});

describe("hostile types", () => {
  const cyclic = loadBtf(
    handBtf([
      { name: "a", kind: 8, size: 2 },
      { name: "b", kind: 8, size: 1 },
      { kind: 3, rest: [3, 1, 2] },
      { kind: 3, rest: [3, 1, 1] },
      { name: "big", kind: 1, size: 0xffffffff, rest: [64] },
      { kind: 3, rest: [5, 1, 0xffffffff] },
      { kind: 3, rest: [6, 1, 0xffffffff] },
      { kind: 3, rest: [7, 1, 0] },
    ]),
  );

  test("cycles of typedefs and arrays end in an error", () => {
    expect(() => cyclic.resolve(1)).toThrow(/type 1 behind more than 64 typedefs/);
    expect(() => cyclic.size(1)).toThrow(/type 1 behind more than 64 typedefs/);
    expect(() => cyclic.size(3)).toThrow(/arrays nested 64 times/);
    expect(() => cyclic.size(4)).toThrow(/arrays nested 64 times/);
  });

  test("sizes beyond 4 GiB end in an error", () => {
    expect(() => cyclic.size(6)).toThrow(/more than 4 GiB/);
    expect(() => cyclic.size(7)).toThrow(/more than 4 GiB/);
  });

  test("kinds that do not exist, cut rows and bad headers are malformed", () => {
    expect(() => loadBtf(handBtf([{ kind: 20 }]))).toThrow(/BTF kind 20, expected a kind from 1 to 19/);
    expect(() => loadBtf(handBtf([{ kind: 0 }]))).toThrow(/BTF kind 0/);
    expect(() => loadBtf(handBtf([{ kind: 4, vlen: 9, rest: [1, 2, 3] }]))).toThrow(
      /a BTF type of 120 bytes does not fit/,
    );
    expect(() => loadBtf(Uint8Array.of(0xeb, 0x9f, ...new Uint8Array(22)))).toThrow(/big-endian BTF/);
    expect(() => loadBtf(Uint8Array.of(1, 2, ...new Uint8Array(22)))).toThrow(/BTF magic 201, expected eb9f/);
    expect(() => loadBtf(Uint8Array.of(0x9f, 0xeb, 2, ...new Uint8Array(21)))).toThrow(/BTF version 2/);
    expect(() => loadBtf(new Uint8Array(23))).toThrow(/the BTF header of 24 bytes/);
  });

  test("a string without an end or beyond its section is malformed", () => {
    const bytes = handBtf([{ name: "abc", kind: 16, size: 4 }]);
    bytes[bytes.length - 1] = 0x41;
    expect(() => loadBtf(bytes).name(1)).toThrow(/a BTF string without an end in the BTF strings/);
    new DataView(bytes.buffer).setUint32(24, 99, true);
    expect(() => loadBtf(bytes).name(1)).toThrow(/a BTF string of 1 bytes does not fit into the BTF strings/);
  });

  test("overlapping strings are paid for by the budget", () => {
    const bytes = handBtf(Array.from({ length: 2000 }, () => ({ kind: 16, size: 4, name: "x".repeat(4000) })));
    for (let i = 0; i < 2000; i++) new DataView(bytes.buffer).setUint32(24 + 12 * i, 1 + i, true);
    const btf = loadBtf(bytes, { budget: 1 << 20 });
    expect(() => btf.find("nothing")).toThrow(/a BTF string needs more memory than the reader's budget/);
  });
});
