// A BPF object file from bytes to programs and maps: what libbpf does when it opens and relocates one, as a function without effects.
import { BpfError, type Program } from "@bpfkit/core";
import { type Btf, readBtf } from "./btf.ts";
import { readBtfExt } from "./btf-ext.ts";
import { type Code, type CodeFunction, type ObjectRelocation, readCode } from "./code.ts";
import { type Elf, type ElfSection, type ElfSymbol, RELOCATION_SIZE, readElf, SHT_REL } from "./elf.ts";
import { type FuncInfo, Linker } from "./link.ts";
import { type ObjectMap, readMaps } from "./maps.ts";
import { sectionMeaning } from "./program-types.ts";
import { Budget, Reader, textOf } from "./reader.ts";
import type { Sources } from "./scan.ts";
import { checkSlots } from "./slots.ts";

/** Bytes that a load may keep unless the caller says otherwise. */
const DEFAULT_BUDGET = 64 * 2 ** 20;
/** What is counted for a program beside its contents. */
const PROGRAM_COST = 512;

export interface LoadOptions {
  /** Name of the object, the first part of the names of its data maps; usually the file's name up to its first dot. */
  readonly name?: string;
  /** Bytes that the reader may keep, programs and strings included: 64 MiB unless given. */
  readonly budget?: number;
}

/** A program as it stands in an object. */
export interface ObjectProgram extends Program {
  /** Name of its section. */
  readonly section: string;
  /** What the section's name says to attach to: `do_exit` of `fentry/do_exit`. */
  readonly target?: string;
  /** `false` where the section's name begins with `?`. */
  readonly autoload: boolean;
  /** May call helpers that wait (`.s` in the section's name). */
  readonly sleepable: boolean;
  /** Takes packets in several fragments (`.frags`). */
  readonly frags: boolean;
  /** Maps used, in the object's order; a map that several programs use is one object. */
  readonly maps: readonly ObjectMap[];
  readonly typed: boolean;
  /** BTF types of the subprograms, where the object has them. */
  readonly funcs?: FuncInfo;
}

/** Everything read from an object. */
export interface ObjectFile {
  readonly name: string;
  readonly license: string;
  /** In the order of their sections, then of their position. */
  readonly programs: readonly ObjectProgram[];
  /** Map definitions by position, then data sections. */
  readonly maps: readonly ObjectMap[];
  /** Relocations of code. */
  readonly relocations: readonly ObjectRelocation[];
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  readonly btf?: Btf;
}

/**
 * Reads a BPF object: ELF64, little-endian, relocatable, as clang's BPF target and `bpftool gen object` write it.
 *
 * Every global function of a section other than `.text` becomes a program, with the functions that it reaches appended. What
 * cannot be loaded yet is refused by name: CO-RE relocations, `.kconfig`, maps of maps, struct_ops and maps of before BTF.
 *
 * @throws {BpfError} `malformed`, `unsupported`, `unknown-symbol`, `out-of-range`, or `limit` when the budget does not suffice.
 * @example
 * ```ts
 * import { formatProgram } from "@bpfkit/core";
 * import { loadObject } from "@bpfkit/object";
 * declare const bytes: Uint8Array; // of firewall.o
 * const object = loadObject(bytes, { name: "firewall" });
 * for (const program of object.programs) console.log(program.section, program.name, formatProgram(program));
 * ```
 */
export function loadObject(bytes: Uint8Array, options: LoadOptions = {}): ObjectFile {
  return readObject(bytes, options.name ?? "", new Budget(options.budget ?? DEFAULT_BUDGET));
}

/** As `loadObject`, with the refusal as a value. */
export function tryLoadObject(
  bytes: Uint8Array,
  options: LoadOptions = {},
): { readonly ok: true; readonly object: ObjectFile } | { readonly ok: false; readonly error: BpfError } {
  try {
    return { ok: true, object: loadObject(bytes, options) };
  } catch (error) {
    if (error instanceof BpfError) return { ok: false, error };
    throw error;
  }
}

/** @internal As `loadObject`, with a budget whose use the caller can see. */
export function readObject(bytes: Uint8Array, name: string, budget: Budget): ObjectFile {
  if (!(bytes instanceof Uint8Array))
    throw new BpfError("argument", "object that is not bytes", { expected: "a Uint8Array" });
  const elf = readElf(new Reader(bytes, budget, "the file"));
  const btfSection = sectionNamed(elf, ".BTF");
  const extSection = sectionNamed(elf, ".BTF.ext");
  const btf = btfSection === undefined ? undefined : readBtf(relocated(elf, btfSection));
  const ext = btf === undefined || extSection === undefined ? undefined : readBtfExt(relocated(elf, extSection), btf);
  const maps = readMaps(elf, btf, name, budget);
  const code = readCode(elf, maps, budget);
  const licenseSection = sectionNamed(elf, "license");
  const license = licenseSection === undefined ? "" : textOf(elf.contents(licenseSection));
  const sources: Sources = {
    elf,
    code,
    maps,
    ...(btf === undefined ? {} : { btf }),
    ...(ext === undefined ? {} : { ext }),
    kfuncs: kernelFunctions(btf),
    budget,
  };
  const programs = linkPrograms(sources, license);
  checkSlots(maps.list, new Set(programs.map((program) => program.name)));
  return {
    name,
    license,
    programs,
    maps: maps.list,
    relocations: code.relocations,
    sections: elf.sections,
    symbols: elf.symbols,
    ...(btf === undefined ? {} : { btf }),
  };
}

/**
 * A copy of a section of 32-bit numbers with its relocations applied: clang leaves the offset of a global variable in a BTF `datasec` to one.
 * The addend is what the section holds.
 */
function relocated(elf: Elf, section: ElfSection): Reader {
  const contents = elf.contents(section);
  const tables = elf.sections.filter(({ type, info }) => type === SHT_REL && info === section.index);
  if (tables.length > 1)
    throw contents.malformed(`${tables.length} tables of relocations of ${section.name}`, 0, "one");
  const bytes = contents.copy(contents.what);
  const copy = new Reader(bytes, contents.budget, contents.what, contents.start);
  if (tables.length === 0) return copy;
  const table = elf.contents(tables[0]!);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + RELOCATION_SIZE <= table.length; at += RELOCATION_SIZE) {
    const offset = table.u64(at, "offset of a relocation");
    const symbol = elf.symbols[table.u32(at + 12)];
    if (symbol === undefined)
      throw table.malformed(
        `relocation by symbol ${table.u32(at + 12)}`,
        at + 12,
        `a symbol below ${elf.symbols.length}`,
      );
    contents.need(offset, 4, "a relocated number");
    view.setUint32(offset, view.getUint32(offset, true) + symbol.value, true);
  }
  return copy;
}

/** The first section of that name that has contents. */
function sectionNamed(elf: Elf, name: string): ElfSection | undefined {
  return elf.sections.find((section) => section.name === name && section.size > 0);
}

function kernelFunctions(btf: Btf | undefined): ReadonlySet<string> {
  const id = btf?.find(".ksyms", "datasec");
  if (btf === undefined || id === undefined) return new Set();
  const section = btf.type(id);
  const variables = section.kind === "datasec" ? section.variables : [];
  return new Set(variables.filter(({ type }) => btf.kind(type) === "func").map(({ type }) => btf.name(type)));
}

function linkPrograms(sources: Sources, license: string): ObjectProgram[] {
  const linker = new Linker(sources);
  return mainFunctions(sources.code).map((index) => {
    const fn = sources.code.functions[index]!;
    const section = fn.code.section.name;
    const { type, attachType, target, autoload, sleepable = false, frags = false } = sectionMeaning(section);
    sources.budget.take(PROGRAM_COST, "programs");
    const linked = linker.link(index, type);
    return {
      name: fn.name,
      type,
      ...(attachType === undefined ? {} : { attachType }),
      license,
      ...linked,
      typed: linked.funcs !== undefined,
      section,
      ...(target === undefined ? {} : { target }),
      autoload,
      sleepable,
      frags,
    };
  });
}

/** Functions in `.text` are subprograms, unless one is all the code there is. */
function mainFunctions(code: Code): number[] {
  const isMain = (fn: CodeFunction): boolean =>
    fn.global && (fn.code.section.name !== ".text" || code.functions.length === 1);
  return [...code.functions.keys()].filter((index) => isMain(code.functions[index]!));
}
