// The committed objects, and objects built by hand for what no compiler writes.
import { readdirSync, readFileSync } from "node:fs";
import { type LoadOptions, loadObject, type ObjectFile, type ObjectProgram } from "../src/load.ts";

const FOLDER: URL = new URL("objects/", import.meta.url);

export const OBJECT_NAMES: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".o"))
  .map((name) => name.slice(0, -2))
  .sort();

export function bytesOf(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.o`, FOLDER)));
}

export function load(name: string, options: LoadOptions = { name }): ObjectFile {
  return loadObject(bytesOf(name), options);
}

export function golden(name: string): string {
  return readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8");
}

export function programNamed(object: ObjectFile, name: string): ObjectProgram {
  const found = object.programs.find((program) => program.name === name);
  if (found === undefined) throw new Error(`no program ${name}`);
  return found;
}

export interface HandSection {
  readonly name: string;
  readonly type?: number;
  readonly flags?: number;
  readonly link?: number;
  readonly info?: number;
  readonly contents?: Uint8Array;
  /** Other than the length of the contents. */
  readonly size?: number;
}

export interface HandSymbol {
  readonly name: string;
  /** 1 object, 2 function, 3 section. */
  readonly type: number;
  readonly binding?: number;
  /** Name of its section; none: undefined. */
  readonly section?: string;
  readonly value?: number;
  readonly size?: number;
}

/** Little-endian numbers of 1, 2, 4 or 8 bytes, written as `[size, value]`. */
export function pack(...fields: readonly (readonly [1 | 2 | 4 | 8, number])[]): Uint8Array {
  let length = 0;
  for (const [size] of fields) length += size;
  const view = new DataView(new ArrayBuffer(length));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 1) view.setUint8(at, value);
    else if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    if (size === 8) view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Strings one after another, each ended by a zero, behind an empty one; and where each begins. */
export class Strings {
  #parts: Uint8Array[] = [Uint8Array.of(0)];
  #length = 1;
  #known = new Map<string, number>([["", 0]]);

  add(text: string): number {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const at = this.#length;
    const bytes = new TextEncoder().encode(`${text}\0`);
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#known.set(text, at);
    return at;
  }

  get bytes(): Uint8Array {
    return concat(this.#parts);
  }
}

/** A relocatable BPF object: sections 1…n as given, then symbols and strings. */
export function handMade(sections: readonly HandSection[], symbols: readonly HandSymbol[] = []): Uint8Array {
  const strings = new Strings();
  const indices = new Map(sections.map((section, i) => [section.name, i + 1]));
  const indexOf = (name: string | undefined): number => (name === undefined ? 0 : indices.get(name)!);
  const symbolTable = concat([
    new Uint8Array(24),
    ...symbols.map(({ name, type, binding = 1, section, value = 0, size = 0 }) =>
      pack([4, strings.add(name)], [1, (binding << 4) | type], [1, 0], [2, indexOf(section)], [8, value], [8, size]),
    ),
  ]);
  for (const name of [".symtab", ".strtab", ...sections.map((section) => section.name)]) strings.add(name);
  const all: HandSection[] = [
    { name: "", type: 0 },
    ...sections,
    { name: ".symtab", type: 2, link: sections.length + 2, contents: symbolTable },
    { name: ".strtab", type: 3, contents: strings.bytes },
  ];
  let offset = 64;
  const headers: Uint8Array[] = [];
  const contents: Uint8Array[] = [];
  for (const section of all) {
    const bytes = section.contents ?? new Uint8Array(0);
    headers.push(
      pack(
        [4, strings.add(section.name)],
        [4, section.type ?? 1],
        [8, section.flags ?? 0],
        [8, 0],
        [8, offset],
        [8, section.size ?? bytes.length],
        [4, section.link ?? 0],
        [4, section.info ?? 0],
        [8, 1],
        [8, 0],
      ),
    );
    contents.push(bytes);
    offset += bytes.length;
  }
  const header = concat([
    Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    pack(
      [2, 1],
      [2, 247],
      [4, 1],
      [8, 0],
      [8, 0],
      [8, offset],
      [4, 0],
      [2, 64],
      [2, 0],
      [2, 0],
      [2, 64],
      [2, all.length],
      [2, all.length - 1],
    ),
  ]);
  return concat([header, ...contents, ...headers]);
}

/** A `.BTF` section of rows: name, kind, flag, vlen, size or type, and what follows as 32-bit numbers. */
export function handBtf(
  rows: readonly {
    name?: string;
    kind: number;
    flag?: boolean;
    vlen?: number;
    size?: number;
    rest?: readonly number[];
  }[],
  strings: Strings = new Strings(),
): Uint8Array {
  const types = concat(
    rows.map(({ name = "", kind, flag = false, vlen = 0, size = 0, rest = [] }) =>
      pack(
        [4, strings.add(name)],
        [4, (flag ? 2 ** 31 : 0) + kind * 2 ** 24 + vlen],
        [4, size],
        ...rest.map((value): [4, number] => [4, value]),
      ),
    ),
  );
  const text = strings.bytes;
  return concat([
    pack([2, 0xeb9f], [1, 1], [1, 0], [4, 24], [4, 0], [4, types.length], [4, types.length], [4, text.length]),
    types,
    text,
  ]);
}

/** Instructions as `[opcode, dst, src, off, imm]`. */
export function code(...insns: readonly (readonly [number, number, number, number, number])[]): Uint8Array {
  return concat(
    insns.map(([opcode, dst, src, off, imm]) => pack([1, opcode], [1, dst | (src << 4)], [2, off], [4, imm])),
  );
}

export const EXIT: readonly [number, number, number, number, number] = [0x95, 0, 0, 0, 0];
/** Flags of a section of code. */
export const CODE: 6 = 6;
