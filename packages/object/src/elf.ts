// ELF64 relocatable files for BPF: header, sections, symbols (System V ABI, chapter 4; RFC 9669 leaves the container to it).
import { BpfError } from "@bpfkit/core";
import type { Reader } from "./reader.ts";

export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_RELA = 4;
export const SHT_NOBITS = 8;
export const SHT_REL = 9;
/** Bytes of a relocation without addend. */
export const RELOCATION_SIZE = 16;
export const SHF_EXECINSTR = 4;
const SHF_COMPRESSED = 0x800;
const SHN_LORESERVE = 0xff00;
const SHN_XINDEX = 0xffff;
const EM_BPF = 247;
const ET_REL = 1;
const HEADER_SIZE = 64;
const SECTION_SIZE = 64;
const SYMBOL_SIZE = 24;
/** What is counted for an object that describes a section or a symbol. */
const ENTRY_COST = 128;

/** One row of the section header table. Offsets and sizes in bytes. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `sh_type`: 1 is contents, 8 zeroed memory without contents, 9 relocations, … */
  readonly type: number;
  /** `sh_flags`, the low 32 bits: 1 writable, 2 in memory, 4 executable, … */
  readonly flags: number;
  readonly offset: number;
  readonly size: number;
  /** `sh_link` and `sh_info`; for relocations the symbol table and the section they change. */
  readonly link: number;
  readonly info: number;
}

/** One row of the symbol table. */
export interface ElfSymbol {
  /** A symbol that stands for a section carries the section's name. */
  readonly name: string;
  readonly kind: "none" | "object" | "function" | "section" | "file" | "other";
  readonly binding: "local" | "global" | "weak" | "other";
  readonly visibility: "default" | "internal" | "hidden" | "protected";
  /** Index of its section; 0: defined elsewhere, 65280 and above: none (absolute, common). */
  readonly section: number;
  /** Bytes from the start of the section. */
  readonly value: number;
  readonly size: number;
}

/** A parsed file: the tables, and access to the contents of a section. */
export interface Elf {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Contents of a section. @throws {BpfError} `malformed` when they reach past the end of the file. */
  contents(section: ElfSection): Reader;
}

const KINDS = ["none", "object", "function", "section", "file"] as const;
const BINDINGS = ["local", "global", "weak"] as const;
const VISIBILITIES = ["default", "internal", "hidden", "protected"] as const;

/** Reads the tables of a BPF object. @throws {BpfError} `malformed`, or `unsupported` for another sort of ELF. */
export function readElf(file: Reader): Elf {
  checkHeader(file);
  const sections = readSections(file);
  const contents = (section: ElfSection): Reader => {
    if (section.flags & SHF_COMPRESSED) {
      throw new BpfError("unsupported", `compressed section ${section.name}`, { offset: section.offset });
    }
    if (section.type === SHT_NOBITS) return file.window(0, 0, `section ${section.name}`);
    return file.window(section.offset, section.size, `section ${section.name}`);
  };
  const tables = sections.filter(({ type }) => type === SHT_SYMTAB);
  if (tables.length > 1) throw file.malformed(`${tables.length} symbol tables`, tables[1]!.offset, "one");
  const symbols = tables.length === 0 ? [] : readSymbols(contents(tables[0]!), sections, contents, tables[0]!.link);
  return { sections, symbols, contents };
}

function checkHeader(file: Reader): void {
  file.need(0, 4, "the ELF header");
  if (file.u32(0) !== 0x464c457f) {
    const found = [...file.bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw file.malformed(`file that begins with ${found}`, 0, "7f 45 4c 46 of an ELF file");
  }
  file.need(0, HEADER_SIZE, "the ELF header");
  const refuse = (what: string, offset: number, expected: string) =>
    new BpfError("unsupported", what, { offset, expected });
  if (file.u8(4) !== 2)
    throw refuse(file.u8(4) === 1 ? "32-bit ELF" : `ELF class ${file.u8(4)}`, 4, "64-bit ELF (class 2)");
  if (file.u8(5) !== 1) {
    throw refuse(
      file.u8(5) === 2 ? "big-endian ELF" : `ELF byte order ${file.u8(5)}`,
      5,
      "little-endian (byte order 1)",
    );
  }
  if (file.u16(18) !== EM_BPF) throw refuse(`ELF for machine ${file.u16(18)}`, 18, `BPF (machine ${EM_BPF})`);
  if (file.u16(16) !== ET_REL) throw refuse(`ELF of type ${file.u16(16)}`, 16, "a relocatable object (type 1)");
}

function readSections(file: Reader): ElfSection[] {
  const table = file.u64(40, "offset of the section headers");
  if (table === 0) return [];
  if (file.u16(58) !== SECTION_SIZE)
    throw file.malformed(`section headers of ${file.u16(58)} bytes`, 58, `${SECTION_SIZE} bytes`);
  file.need(table, SECTION_SIZE, "the first section header");
  // Numbers too large for the header's 16 bits are in the first section header, which is otherwise empty.
  const count = file.u16(60) === 0 ? file.u64(table + 32, "number of sections") : file.u16(60);
  const namesIndex = file.u16(62) === SHN_XINDEX ? file.u32(table + 40) : file.u16(62);
  file.need(table, count * SECTION_SIZE, `a table of ${count} section headers`);
  file.budget.take(count * ENTRY_COST, "section headers");

  const window = (index: number, what: string): Reader => {
    const at = table + index * SECTION_SIZE;
    return file.window(file.u64(at + 24, "section offset"), file.u64(at + 32, "section size"), what);
  };
  if (namesIndex >= count)
    throw file.malformed(`section names in section ${namesIndex}`, 62, `a section below ${count}`);
  const names = namesIndex === 0 ? undefined : window(namesIndex, "the section names");
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * SECTION_SIZE;
    return {
      index,
      name: index === 0 || names === undefined ? "" : names.string(file.u32(at), "a section name"),
      type: file.u32(at + 4),
      flags: file.u32(at + 8),
      offset: file.u64(at + 24, "section offset"),
      size: file.u64(at + 32, "section size"),
      link: file.u32(at + 40),
      info: file.u32(at + 44),
    };
  });
}

function readSymbols(
  table: Reader,
  sections: readonly ElfSection[],
  contents: Elf["contents"],
  link: number,
): ElfSymbol[] {
  if (table.length % SYMBOL_SIZE !== 0) {
    throw table.malformed(`symbol table of ${table.length} bytes`, 0, `a multiple of ${SYMBOL_SIZE}`);
  }
  const strings = sections[link];
  if (strings === undefined || strings.type !== SHT_STRTAB)
    throw table.malformed(`symbol names in section ${link}`, 0, "a string table");
  const names = contents(strings);
  const count = table.length / SYMBOL_SIZE;
  table.budget.take(count * ENTRY_COST, "symbols");
  return Array.from({ length: count }, (_, index) => {
    const at = index * SYMBOL_SIZE;
    const section = table.u16(at + 6);
    const kind = KINDS[table.u8(at + 4) & 0xf] ?? "other";
    if (section === SHN_XINDEX)
      throw new BpfError("unsupported", "symbols of more than 65279 sections", { offset: table.start + at });
    if (section >= sections.length && section < SHN_LORESERVE) {
      throw table.malformed(`symbol ${index} in section ${section}`, at + 6, `a section below ${sections.length}`);
    }
    return {
      name: kind === "section" ? (sections[section]?.name ?? "") : names.string(table.u32(at), "a symbol name"),
      kind,
      binding: BINDINGS[table.u8(at + 4) >>> 4] ?? "other",
      visibility: VISIBILITIES[table.u8(at + 5) & 3]!,
      section,
      value: table.u64(at + 8, "value of a symbol"),
      size: table.u64(at + 16, "size of a symbol"),
    };
  });
}
