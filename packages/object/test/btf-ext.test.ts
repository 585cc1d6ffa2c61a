import { describe, expect, test } from "vitest";
import type { ObjectProgram } from "../src/load.ts";
import { loadObject } from "../src/load.ts";
import { bytesOf, golden, load, programNamed } from "./objects.ts";

/** What a program says about the source of each instruction: `file:line`, by slot. */
function linesOf(program: ObjectProgram): (string | undefined)[] {
  const { lines, insns } = program;
  const found: (string | undefined)[] = new Array(insns.length).fill(undefined);
  if (lines === undefined) return found;
  for (const [i, first] of lines.insn.entries()) {
    const end = lines.insn[i + 1] ?? insns.length;
    found.fill(`${lines.files[lines.file[i]!]}:${lines.line[i]}`, first, end);
  }
  return found;
}

/** What llvm-objdump says: section → slot → `file:line`; a line stays until another is named, or a function begins. */
function theirLines(text: string): Map<string, Map<number, string>> {
  const sections = new Map<string, Map<number, string>>();
  for (const part of text.split("Disassembly of section ").slice(1)) {
    const lines = new Map<number, string>();
    let line = "";
    for (const row of part.split("\n")) {
      if (/^; .*:\d+$/.test(row)) line = row.slice(2);
      else if (/^[0-9a-f]{16} </.test(row)) line = "";
      const insn = /^ +(\d+):\t/.exec(row);
      if (insn !== null) lines.set(Number(insn[1]), line);
    }
    sections.set(part.slice(0, part.indexOf(":")), lines);
  }
  return sections;
}

describe.each(["xdp", "linked", "subprogs"])("llvm-objdump agrees on %s.o", (name) => {
  test("about the source line of every instruction", () => {
    const theirs = theirLines(golden(`${name}.objdump.txt`));
    const object = load(name);
    let compared = 0;
    for (const program of object.programs) {
      const ours = linesOf(program);
      for (const [i, { name: subprog, start }] of program.subprogs.entries()) {
        const symbol = object.symbols.find((each) => each.kind === "function" && each.name === subprog)!;
        const section = theirs.get(object.sections[symbol.section]!.name)!;
        const end = program.subprogs[i + 1]?.start ?? program.insns.length;
        for (let slot = start; slot < end; slot += program.insns.width(slot)) {
          expect([subprog, slot, ours[slot]]).toEqual([subprog, slot, section.get(symbol.value / 8 + slot - start)]);
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(20);
  });
});

test("lines carry their source text, trimmed at the right, and their column", () => {
  const { lines } = load("xdp").programs[0]!;
  const at = lines!.text.findIndex((text) => text.includes("bpf_map_lookup_elem"));
  expect(lines!.text[at]).toBe("  __u64 *count = bpf_map_lookup_elem(&blocked, &key);");
  expect([lines!.line[at], lines!.column[at]]).toEqual([25, 18]);
  expect(lines!.files).toEqual(["./xdp.c"]);
});

test("lines of appended functions ascend with the program", () => {
  for (const name of ["subprogs", "callbacks", "order", "linked", "kfunc"]) {
    for (const program of load(name).programs) {
      const insn = [...program.lines!.insn];
      expect(insn).toEqual([...new Set(insn)].sort((a, b) => a - b));
      for (const { start } of program.subprogs) expect(insn).toContain(start);
    }
  }
});

test("functions are described by their BTF types", () => {
  const object = load("callbacks");
  const { funcs, subprogs } = programNamed(object, "loops");
  expect([...funcs!.insn]).toEqual(subprogs.map(({ start }) => start));
  expect([...funcs!.type].map((id) => object.btf!.name(id))).toEqual(["loops", "add", "count", "visit"]);
});

test("objects without BTF or without lines have none", () => {
  for (const name of ["no-btf", "lineless"]) {
    for (const program of load(name).programs) {
      expect(program.lines).toBeUndefined();
      expect(program.funcs).toBeUndefined();
    }
  }
});

describe("records that break their form are malformed", () => {
  const original = bytesOf("xdp");
  const { sections } = load("xdp");
  const start = sections.find((section) => section.name === ".BTF.ext")!.offset;
  const view = new DataView(original.buffer);
  const linePart = start + view.getUint32(start + 4, true) + view.getUint32(start + 16, true);

  const withNumber = (at: number, value: number): Uint8Array => {
    const bytes = original.slice();
    new DataView(bytes.buffer).setUint32(at, value, true);
    return bytes;
  };

  test.each([
    ["the magic", start, 0x01_00_00, /\.BTF\.ext magic 0, expected eb9f/],
    ["the version", start, 0x02_eb9f, /\.BTF\.ext version 2, expected version 1/],
    ["a header too short", start + 4, 8, /\.BTF\.ext header of 8 bytes/],
    [
      "a part that reaches past the end",
      start + 20,
      0xffffff00,
      /the lines of \.BTF\.ext of 4294967040 bytes does not fit/,
    ],
    ["records too small", linePart, 8, /records of 8 bytes, expected a multiple of 4, at least 16/],
    ["more records than fit", linePart + 8, 0x7fffffff, /2147483647 records for section xdp of \d+ bytes does not fit/],
    ["half an instruction", linePart + 12, 4, /record for byte 4 of section xdp, expected a multiple of 8/],
    ["records out of order", linePart + 12, 800, /record for byte \d+ of section xdp after a later one/],
  ])("%s", (_, at, value, message) => {
    expect(() => loadObject(withNumber(at, value))).toThrow(message);
  });
});
