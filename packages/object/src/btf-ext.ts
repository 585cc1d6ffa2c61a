// The .BTF.ext section: functions, source lines and CO-RE relocations by instruction (Documentation/bpf/btf.rst, section 4.2).
import { BpfError } from "@bpfkit/core";
import type { Btf } from "./btf.ts";
import type { Reader } from "./reader.ts";

const MAGIC = 0xeb9f;
/** What is counted for a record. */
const RECORD_COST = 48;

/** Records of one section in columns, ascending by `insn`, the slot in the section. */
export interface FuncRecords {
  readonly insn: Uint32Array;
  /** BTF id of a `func`. */
  readonly type: Uint32Array;
}

export interface LineRecords {
  readonly insn: Uint32Array;
  /** Index into `BtfExt.files`. */
  readonly file: Uint32Array;
  readonly line: Uint32Array;
  readonly column: Uint32Array;
  readonly text: readonly string[];
}

export interface CoreRecords {
  readonly insn: Uint32Array;
  /** BTF id of the type that the access starts from. */
  readonly type: Uint32Array;
  /** Offset of the access string, such as `0:1:2`. */
  readonly access: Uint32Array;
  readonly kind: Uint32Array;
}

/** What .BTF.ext says, by the name of the section. */
export interface BtfExt {
  readonly funcs: ReadonlyMap<string, FuncRecords>;
  readonly lines: ReadonlyMap<string, LineRecords>;
  readonly core: ReadonlyMap<string, CoreRecords>;
  readonly files: readonly string[];
}

/** Fields of a record after `insn`, each a 32-bit number. */
const FIELDS = { funcs: 1, lines: 3, core: 3 } as const;

/** Reads the section. @throws {BpfError} `malformed`, or `unsupported` for another byte order or version. */
export function readBtfExt(section: Reader, btf: Btf): BtfExt {
  section.need(0, 24, "the .BTF.ext header");
  if (section.u16(0) !== MAGIC)
    throw section.malformed(`.BTF.ext magic ${section.u16(0).toString(16)}`, 0, MAGIC.toString(16));
  if (section.u8(2) !== 1) {
    throw new BpfError("unsupported", `.BTF.ext version ${section.u8(2)}`, {
      offset: section.start + 2,
      expected: "version 1",
    });
  }
  const header = section.u32(4);
  if (header < 24) throw section.malformed(`.BTF.ext header of ${header} bytes`, 4, "at least 24");
  const part = (at: number, name: keyof typeof FIELDS): Map<string, Uint32Array[]> => {
    if (at + 8 > header) return new Map();
    const window = section.window(header + section.u32(at), section.u32(at + 4), `the ${name} of .BTF.ext`);
    return readPart(window, FIELDS[name], btf);
  };

  const files: string[] = [];
  const fileIndex = new Map<string, number>();
  const lines = new Map<string, LineRecords>();
  for (const [name, [insn, fileName, text, position]] of part(16, "lines")) {
    const file = fileName!.map((offset) => {
      const path = btf.string(offset);
      let index = fileIndex.get(path);
      if (index === undefined) {
        index = files.push(path) - 1;
        fileIndex.set(path, index);
      }
      return index;
    });
    const trimmed = new Map<number, string>();
    const texts = Array.from(text!, (offset) => {
      let found = trimmed.get(offset);
      if (found === undefined) {
        found = btf.string(offset).trimEnd();
        trimmed.set(offset, found);
      }
      return found;
    });
    lines.set(name, {
      insn: insn!,
      file,
      line: position!.map((packed) => packed >>> 10),
      column: position!.map((packed) => packed & 0x3ff),
      text: texts,
    });
  }
  const funcs = new Map([...part(8, "funcs")].map(([name, [insn, type]]) => [name, { insn: insn!, type: type! }]));
  const core = new Map(
    [...part(24, "core")].map(([name, [insn, type, access, kind]]) => [
      name,
      { insn: insn!, type: type!, access: access!, kind: kind! },
    ]),
  );
  return { funcs, lines, core, files };
}

/** One part: the size of its records, then runs of records, each under the name of a section. */
function readPart(part: Reader, fields: number, btf: Btf): Map<string, Uint32Array[]> {
  const found = new Map<string, Uint32Array[]>();
  if (part.length === 0) return found;
  const recordSize = part.u32(0);
  const least = 4 * (fields + 1);
  if (recordSize < least || recordSize % 4 !== 0) {
    throw part.malformed(`records of ${recordSize} bytes`, 0, `a multiple of 4, at least ${least}`);
  }
  for (let at = 4; at < part.length; ) {
    const name = btf.string(part.u32(at));
    const count = part.u32(at + 4);
    part.need(at + 8, count * recordSize, `${count} records for section ${name}`);
    part.budget.take(count * RECORD_COST + 4 * RECORD_COST, part.what);
    if (found.has(name)) throw part.malformed(`second run of records for section ${name}`, at, "one a section");
    const columns = Array.from({ length: fields + 1 }, () => new Uint32Array(count));
    for (let i = 0, record = at + 8; i < count; i++, record += recordSize) {
      const offset = part.u32(record);
      if (offset % 8 !== 0)
        throw part.malformed(`record for byte ${offset} of section ${name}`, record, "a multiple of 8");
      columns[0]![i] = offset / 8;
      if (i > 0 && columns[0]![i - 1]! > offset / 8) {
        throw part.malformed(
          `record for byte ${offset} of section ${name} after a later one`,
          record,
          "ascending order",
        );
      }
      for (let field = 1; field <= fields; field++) columns[field]![i] = part.u32(record + 4 * field);
    }
    found.set(name, columns);
    at += 8 + count * recordSize;
  }
  return found;
}

/** Indices of the records for slots `from` (included) to `to` (excluded), as a half-open range. */
export function recordsBetween(insn: Uint32Array, from: number, to: number): readonly [number, number] {
  return [lowerBound(insn, from), lowerBound(insn, to)];
}

function lowerBound(insn: Uint32Array, slot: number): number {
  let low = 0;
  let high = insn.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (insn[middle]! < slot) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The kinds of CO-RE relocations in the order of their numbers. */
// biome-ignore format: number = position
const CORE_KINDS = [
  "offset of", "size of", "existence of", "signedness of", "left shift of", "right shift of", "local id of", "target id of",
  "existence of", "size of", "existence of", "value of", "match of",
] as const;

/** What record `i` asks for, in words: `offset of struct task_struct.thread.slots[2]`. Never throws on odd access strings. */
export function describeCore(core: CoreRecords, i: number, btf: Btf): string {
  const kind = CORE_KINDS[core.kind[i]!] ?? `relocation ${core.kind[i]} of`;
  const access = btf.string(core.access[i]!);
  let id = core.type[i]!;
  let path = `${btf.kind(btf.resolve(id))} ${btf.name(id) || btf.name(btf.resolve(id)) || "(anonymous)"}`;
  const steps = access.split(":", 33).map(Number);
  for (const step of steps.slice(1)) {
    const type = btf.type(btf.resolve(id));
    if (type.kind === "array") {
      path += `[${step}]`;
      id = type.element;
      continue;
    }
    const member = type.kind === "struct" || type.kind === "union" ? type.members[step] : undefined;
    if (member === undefined) return `${kind} ${path} (access ${access.slice(0, 64)})`;
    if (member.name !== "") path += `.${member.name}`;
    id = member.type;
  }
  const last = btf.type(btf.resolve(id));
  const value =
    steps.length === 1 && (last.kind === "enum" || last.kind === "enum64") ? last.values[steps[0]!] : undefined;
  if (value !== undefined) path += `.${value.name}`;
  return `${kind} ${path}`;
}
