import { BpfError } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { readElf } from "../src/elf.ts";
import { loadObject } from "../src/load.ts";
import { Budget, Reader } from "../src/reader.ts";
import { bytesOf, code, EXIT, golden, handMade, load } from "./objects.ts";

function refusal(bytes: Uint8Array): string {
  try {
    loadObject(bytes);
  } catch (error) {
    if (error instanceof BpfError) return `${error.code} at ${error.details.offset}: ${error.message}`;
    throw error;
  }
  return "loaded";
}

function changed(at: number, ...bytes: number[]): Uint8Array {
  const file = bytesOf("xdp");
  file.set(bytes, at);
  return file;
}

describe("another sort of file is refused by what it is", () => {
  test.each([
    [
      "no bytes",
      new Uint8Array(0),
      "malformed at 0: the ELF header of 4 bytes does not fit into the file, expected at most 0 bytes from its start",
    ],
    [
      "text",
      new TextEncoder().encode("int main() {}"),
      "malformed at 0: file that begins with 69 6e 74 20, expected 7f 45 4c 46 of an ELF file",
    ],
    [
      "only a header's start",
      bytesOf("xdp").subarray(0, 40),
      "malformed at 0: the ELF header of 64 bytes does not fit into the file, expected at most 40 bytes from its start",
    ],
    ["32-bit", changed(4, 1), "unsupported at 4: 32-bit ELF, expected 64-bit ELF (class 2)"],
    ["big-endian", changed(5, 2), "unsupported at 5: big-endian ELF, expected little-endian (byte order 1)"],
    ["x86-64", changed(18, 62, 0), "unsupported at 18: ELF for machine 62, expected BPF (machine 247)"],
    ["executable", changed(16, 2, 0), "unsupported at 16: ELF of type 2, expected a relocatable object (type 1)"],
  ])("%s", (_, bytes, message) => {
    expect(refusal(bytes)).toBe(message);
  });
});

test("a section that reaches past the end is named with its offset", () => {
  const object = handMade([{ name: "license", contents: new Uint8Array(4), size: 5000 }]);
  expect(refusal(object)).toBe(
    "malformed at 64: section license of 5000 bytes does not fit into the file, expected at most 373 bytes from its start",
  );
});

test("a truncated object ends in an error wherever it is cut", () => {
  const whole = bytesOf("callbacks");
  for (let length = 0; length < whole.length; length++) {
    expect(refusal(whole.slice(0, length))).toMatch(/^malformed at \d+: /);
  }
});

test("an object without sections or symbols has no programs", () => {
  const bytes = handMade([]);
  expect(loadObject(bytes).programs).toEqual([]);
  bytes.fill(0, 40, 48);
  expect(loadObject(bytes).sections).toEqual([]);
});

test("a number of sections too large for the header is taken from the first section header", () => {
  const bytes = handMade([{ name: "license", contents: new TextEncoder().encode("GPL\0") }]);
  const view = new DataView(bytes.buffer);
  const table = view.getUint32(40, true);
  view.setUint32(table + 32, view.getUint16(60, true), true);
  view.setUint32(table + 40, view.getUint16(62, true), true);
  view.setUint16(60, 0, true);
  view.setUint16(62, 0xffff, true);
  expect(loadObject(bytes).license).toBe("GPL");
});

test("the license ends at its first zero byte, or with its section", () => {
  const license = (text: string): string =>
    loadObject(handMade([{ name: "license", contents: new TextEncoder().encode(text) }])).license;
  expect(license("GPL\0rest")).toBe("GPL");
  expect(license("Dual MIT/GPL")).toBe("Dual MIT/GPL");
});

test("the input is neither changed nor referred to by programs and maps", () => {
  const bytes = bytesOf("linked");
  const before = bytes.slice();
  const object = loadObject(bytes);
  expect(bytes).toEqual(before);
  const globals = bytesOf("globals");
  const { initial } = loadObject(globals).maps[0]!;
  const [words, contents] = [object.programs[0]!.insns.words.slice(), initial!.slice()];
  bytes.fill(0xff);
  globals.fill(0xff);
  expect(object.programs[0]!.insns.words).toEqual(words);
  expect(object.btf!.find("firewall", "func")).toBeDefined();
  expect(initial).toEqual(contents);
});

test("a window into a larger buffer loads as the bytes alone do", () => {
  const bytes = bytesOf("order");
  const larger = new Uint8Array(bytes.length + 13);
  larger.set(bytes, 5);
  expect(loadObject(larger.subarray(5, 5 + bytes.length)).programs).toEqual(load("order", {}).programs);
});

test("a relocation by a symbol that does not exist is malformed", () => {
  const object = handMade(
    [
      { name: "xdp", flags: 6, contents: code(EXIT) },
      {
        name: ".relxdp",
        type: 9,
        link: 3,
        info: 1,
        contents: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0),
      },
    ],
    [{ name: "p", type: 2, section: "xdp", size: 8 }],
  );
  expect(refusal(object)).toBe("malformed at 84: relocation by symbol 9, expected a symbol below 2");
});

describe.each(["callbacks", "globals", "maps"])("llvm-readelf agrees on %s.o", (name) => {
  const text = golden(`${name}.readelf.txt`);
  const elf = readElf(new Reader(bytesOf(name), new Budget(1 << 24), "the file"));

  test("about its sections", () => {
    const rows = [
      ...text.matchAll(
        /^ {2}\[ *(\d+)\] (\S*) +(\S+) +[0-9a-f]{16} ([0-9a-f]+) ([0-9a-f]+) .{2} {1,3}([A-Z]*) +(\d+) +(\d+) +\d+$/gm,
      ),
    ];
    expect(rows.length).toBe(elf.sections.length);
    for (const [, index, sectionName, , offset, size, , link, info] of rows) {
      if (index === "0") continue;
      expect(elf.sections[Number(index)]).toMatchObject({
        name: sectionName,
        offset: Number.parseInt(offset!, 16),
        size: Number.parseInt(size!, 16),
        link: Number(link),
        info: Number(info),
      });
    }
  });

  test("about its symbols", () => {
    const kinds = { NOTYPE: "none", OBJECT: "object", FUNC: "function", SECTION: "section", FILE: "file" } as Record<
      string,
      string
    >;
    const rows = [...text.matchAll(/^ +(\d+): ([0-9a-f]{16}) +(\d+) (\w+) +(\w+) +(\w+) +(\w+) ?(.*)$/gm)];
    expect(rows.length).toBe(elf.symbols.length);
    for (const [, index, value, size, kind, binding, visibility, section, symbolName] of rows) {
      expect(elf.symbols[Number(index)]).toEqual({
        name: symbolName,
        kind: kinds[kind!],
        binding: binding!.toLowerCase(),
        visibility: visibility!.toLowerCase(),
        section: section === "UND" ? 0 : section === "ABS" ? 0xfff1 : Number(section),
        value: Number.parseInt(value!, 16),
        size: Number(size),
      });
    }
  });

  test("about the relocations of its code", () => {
    const parts = text
      .split("Relocation section '.rel")
      .slice(1)
      .filter((part) => !/^\.(BTF|debug)/.test(part));
    const rows = parts.flatMap((part) =>
      [...part.matchAll(/^([0-9a-f]{16}) +[0-9a-f]{16} (\S+) +[0-9a-f]{16} (.+)$/gm)].map(
        ([, offset, type, symbol]) => [
          part.slice(0, part.indexOf("'")),
          Number.parseInt(offset!, 16) / 8,
          type,
          symbol,
        ],
      ),
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(load(name).relocations.map(({ section, insn, type, symbol }) => [section, insn, type, symbol])).toEqual(
      rows,
    );
  });
});
