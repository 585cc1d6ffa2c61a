// Code of an object: executable sections, their functions, and relocations by instruction (LLVM, "BPF Relocations").
import { BpfError } from "@bpfkit/core";
import { type Elf, type ElfSection, RELOCATION_SIZE, SHF_EXECINSTR, SHT_PROGBITS, SHT_REL, SHT_RELA } from "./elf.ts";
import type { Maps } from "./maps.ts";
import type { Budget } from "./reader.ts";

export const R_BPF_64_64 = 1;
export const R_BPF_64_32 = 10;
const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [0, "R_BPF_NONE"],
  [R_BPF_64_64, "R_BPF_64_64"],
  [2, "R_BPF_64_ABS64"],
  [3, "R_BPF_64_ABS32"],
  [4, "R_BPF_64_NODYLD32"],
  [R_BPF_64_32, "R_BPF_64_32"],
]);
/** Bytes of a row of a REL section. */
/** What is counted for a relocation or a function. */
const ENTRY_COST = 160;

/** A relocation of an instruction. */
export interface ObjectRelocation {
  /** The section relocated and the slot in it. */
  readonly section: string;
  readonly insn: number;
  /** `R_BPF_64_64` (two-slot loads), `R_BPF_64_32` (calls), … */
  readonly type: string;
  readonly symbol: string;
  /** What the symbol is. */
  readonly to: "function" | "map" | "data" | "extern" | "other";
}

/** A function: slots `start` to `start + length` of its section. */
export interface CodeFunction {
  readonly name: string;
  readonly code: CodeSection;
  readonly start: number;
  readonly length: number;
  readonly global: boolean;
  /** Seen by the linker alone: its callers may count as part of the same program, so the verifier walks it like a static one. */
  readonly hidden: boolean;
}

export interface CodeSection {
  readonly section: ElfSection;
  /** Packed as in `Insns`. */
  readonly words: Int32Array;
  /** Slot → index in `Code.relocations`, −1 without one. */
  readonly relocationAt: Int32Array;
  /** First slot → index in `Code.functions`; of several functions with one start, the first global one. */
  readonly starts: Map<number, number>;
}

export interface Code {
  /** Section index → code. */
  readonly sections: ReadonlyMap<number, CodeSection>;
  /** By section, then by start. */
  readonly functions: readonly CodeFunction[];
  /** Of executable sections only. */
  readonly relocations: readonly ObjectRelocation[];
  /** By relocation: the number of its type, and the index of its symbol. */
  readonly relocationTypes: readonly number[];
  readonly relocationSymbols: readonly number[];
  /** Indices of sections without code that have relocations. */
  readonly relocated: ReadonlySet<number>;
}

/** The name of a relocation type, as LLVM gives it. */
export function relocationName(type: number): string {
  return TYPE_NAMES.get(type) ?? `relocation type ${type}`;
}

interface Relocations {
  readonly relocations: ObjectRelocation[];
  readonly relocationTypes: number[];
  readonly relocationSymbols: number[];
}

/** Reads code, functions and relocations. @throws {BpfError} `malformed` or `unsupported` (relocations with addends). */
export function readCode(elf: Elf, maps: Maps, budget: Budget): Code {
  const sections = new Map<number, CodeSection>();
  for (const section of elf.sections) {
    if (section.type !== SHT_PROGBITS || (section.flags & SHF_EXECINSTR) === 0 || section.size === 0) continue;
    const words = readWords(elf, section, budget);
    sections.set(section.index, {
      section,
      words,
      relocationAt: new Int32Array(words.length / 2).fill(-1),
      starts: new Map(),
    });
  }
  const functions = readFunctions(elf, sections, budget);
  const relocated = new Set<number>();
  const relocations: Relocations = { relocations: [], relocationTypes: [], relocationSymbols: [] };
  for (const section of elf.sections) {
    if ((section.type !== SHT_REL && section.type !== SHT_RELA) || section.size === 0) continue;
    const code = sections.get(section.info);
    if (code === undefined) relocated.add(section.info);
    else readRelocations(elf, section, code, maps, sections, relocations, budget);
  }
  return { sections, functions, ...relocations, relocated };
}

function readWords(elf: Elf, section: ElfSection, budget: Budget): Int32Array {
  const contents = elf.contents(section);
  if (contents.length % 8 !== 0) {
    throw contents.malformed(
      `section ${section.name} of ${contents.length} bytes of code`,
      contents.length & ~7,
      "a multiple of 8 bytes",
    );
  }
  budget.take(contents.length + contents.length / 2 + ENTRY_COST, `section ${section.name}`);
  const words = new Int32Array(contents.length / 4);
  for (let i = 0; i < words.length; i++) words[i] = contents.i32(4 * i);
  return words;
}

function readFunctions(elf: Elf, sections: ReadonlyMap<number, CodeSection>, budget: Budget): CodeFunction[] {
  const symbols = elf.symbols.filter(({ kind, section }) => kind === "function" && sections.has(section));
  budget.take(symbols.length * ENTRY_COST, "functions");
  const rank = ({ binding }: { binding: string }): number => (binding === "local" ? 1 : 0);
  symbols.sort((a, b) => a.section - b.section || a.value - b.value || rank(a) - rank(b));

  const functions: CodeFunction[] = [];
  // From the back, so that a function without a size is known to end where the next one starts.
  let next: { readonly section: number; readonly start: number; readonly before: number } | undefined;
  for (let i = symbols.length - 1; i >= 0; i--) {
    const { name, section, value, size, binding, visibility } = symbols[i]!;
    const code = sections.get(section)!;
    const end = code.words.length / 2;
    const refuse = (what: string, expected: string): BpfError =>
      new BpfError("malformed", `${code.section.name}: function ${name} ${what}`, {
        offset: code.section.offset,
        expected,
      });
    if (next === undefined || next.section !== section) next = { section, start: end, before: end };
    if (value % 8 !== 0 || size % 8 !== 0 || value / 8 >= end || size / 8 > end - value / 8) {
      throw refuse(`at ${value} of ${size} bytes`, `multiples of 8 within ${8 * end} bytes`);
    }
    const start = value / 8;
    const limit = start === next.start ? next.before : next.start;
    const length = size === 0 ? limit - start : size / 8;
    if (start + length > limit)
      throw refuse(`at ${value} of ${size} bytes`, `an end before the next function at ${8 * limit}`);
    const hidden = visibility === "hidden" || visibility === "internal";
    functions.push({ name, code, start, length, global: binding !== "local", hidden });
    next = { section, start, before: limit };
  }
  functions.reverse();
  for (const [index, { code, start }] of functions.entries()) {
    if (!code.starts.has(start)) code.starts.set(start, index);
  }
  return functions;
}

function readRelocations(
  elf: Elf,
  section: ElfSection,
  code: CodeSection,
  maps: Maps,
  sections: ReadonlyMap<number, CodeSection>,
  into: Relocations,
  budget: Budget,
): void {
  const target = code.section.name;
  if (section.type === SHT_RELA) {
    throw new BpfError("unsupported", `relocations with addends (RELA) of section ${target}`, {
      offset: section.offset,
      expected: "REL",
    });
  }
  const table = elf.contents(section);
  if (table.length % RELOCATION_SIZE !== 0) {
    throw table.malformed(`relocations of ${table.length} bytes`, 0, `a multiple of ${RELOCATION_SIZE}`);
  }
  budget.take((table.length / RELOCATION_SIZE) * ENTRY_COST, "relocations");
  const slots = code.words.length / 2;
  for (let at = 0; at < table.length; at += RELOCATION_SIZE) {
    const offset = table.u64(at, "offset of a relocation");
    const number = table.u32(at + 8);
    const symbolIndex = table.u32(at + 12);
    const insn = offset / 8;
    if (offset % 8 !== 0 || insn >= slots) {
      throw table.malformed(
        `relocation at ${offset} of section ${target}`,
        at,
        `an instruction, a multiple of 8 below ${8 * slots}`,
      );
    }
    const symbol = elf.symbols[symbolIndex];
    if (symbol === undefined)
      throw table.malformed(`relocation by symbol ${symbolIndex}`, at + 12, `a symbol below ${elf.symbols.length}`);
    if (code.relocationAt[insn] !== -1)
      throw table.malformed(`second relocation at ${offset} of section ${target}`, at, "one an instruction");
    code.relocationAt[insn] = into.relocations.length;
    const to =
      symbol.section === 0
        ? "extern"
        : sections.has(symbol.section)
          ? "function"
          : maps.definitions.has(symbol.section)
            ? "map"
            : maps.data.has(symbol.section)
              ? "data"
              : "other";
    into.relocations.push({ section: target, insn, type: relocationName(number), symbol: symbol.name, to });
    into.relocationTypes.push(number);
    into.relocationSymbols.push(symbolIndex);
  }
}
