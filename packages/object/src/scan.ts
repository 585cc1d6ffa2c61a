// What the instructions of one function refer to: calls, addresses of functions, maps, global data, kernel functions.
import { BpfError } from "@bpfkit/core";
import type { Btf } from "./btf.ts";
import { type BtfExt, describeCore, recordsBetween } from "./btf-ext.ts";
import { type Code, type CodeFunction, R_BPF_64_32, R_BPF_64_64, relocationName } from "./code.ts";
import type { Elf } from "./elf.ts";
import type { Maps } from "./maps.ts";
import type { Budget } from "./reader.ts";

const LDDW = 0x18;
const CALL = 0x85;
const PSEUDO_CALL = 1;
const PSEUDO_KFUNC = 2;
const PSEUDO_FUNC = 4;
/** What is counted for an edit. */
const EDIT_COST = 80;

/** One instruction to be rewritten once the place of its target is known; `slot` counts from the start of the function. */
export type Edit =
  | { readonly slot: number; readonly kind: "call" | "address"; readonly target: number }
  | { readonly slot: number; readonly kind: "map"; readonly target: number }
  | { readonly slot: number; readonly kind: "value"; readonly target: number; readonly offset: number }
  | { readonly slot: number; readonly kind: "kfunc"; readonly target: string };

/** Everything a scan looks things up in. */
export interface Sources {
  readonly elf: Elf;
  readonly code: Code;
  readonly maps: Maps;
  readonly btf?: Btf;
  readonly ext?: BtfExt;
  /** Names that the object declares as functions of the kernel. */
  readonly kfuncs: ReadonlySet<string>;
  readonly budget: Budget;
}

/**
 * Reads a function once, whatever the number of programs that it becomes part of.
 *
 * @throws {BpfError} `unsupported` for what cannot be loaded yet, `unknown-symbol` for a call that nothing defines, `malformed`.
 */
export function scanFunction(sources: Sources, fn: CodeFunction): readonly Edit[] {
  return new Scan(sources, fn).run();
}

type RefusalCode = "malformed" | "unsupported" | "unknown-symbol" | "out-of-range";

/** The walk over one function; `#slot` is where it stands, and what a refusal names. */
class Scan {
  readonly #sources: Sources;
  readonly #fn: CodeFunction;
  #slot: number;

  constructor(sources: Sources, fn: CodeFunction) {
    this.#sources = sources;
    this.#fn = fn;
    this.#slot = fn.start;
  }

  run(): Edit[] {
    this.#refuseCore();
    const { words, relocationAt } = this.#fn.code;
    const edits: Edit[] = [];
    for (const end = this.#fn.start + this.#fn.length; this.#slot < end; this.#slot++) {
      const code = words[2 * this.#slot]! & 0xff;
      const relocation = relocationAt[this.#slot]!;
      let edit: Edit | undefined;
      if (code === LDDW) edit = this.#load(relocation);
      else if (code === CALL) edit = this.#call(relocation);
      else if (relocation >= 0) {
        throw this.#refuse(
          "malformed",
          `relocation of an instruction with opcode 0x${code.toString(16)}`,
          "a call or a two-slot load",
        );
      }
      if (edit !== undefined) {
        this.#sources.budget.take(EDIT_COST, "references of instructions");
        edits.push(edit);
      }
      if (code === LDDW) this.#slot++;
    }
    return edits;
  }

  #load(relocation: number): Edit | undefined {
    const { elf, code, maps } = this.#sources;
    const { start, length, code: own } = this.#fn;
    const slot = this.#slot - start;
    const src = this.#src;
    if (slot + 1 >= length)
      throw this.#refuse("malformed", "two-slot load cut by the end of the function", "a second slot");
    if (own.relocationAt[this.#slot + 1] !== -1) {
      throw this.#refuse("malformed", "relocation of the second slot of a load", "one of the first");
    }
    if (relocation < 0) {
      if (src === 0) return undefined;
      throw this.#refuse(
        "unsupported",
        `load with pseudo source ${src} and no relocation`,
        "a symbol that says what it refers to",
      );
    }
    this.#expectType(relocation, R_BPF_64_64, "a two-slot load");
    const symbol = elf.symbols[code.relocationSymbols[relocation]!]!;
    if (symbol.section === 0) throw this.#refuseExtern(symbol.name);
    const offset = symbol.value + this.#imm;
    if (code.sections.has(symbol.section)) {
      if (src !== 0 && src !== PSEUDO_FUNC)
        throw this.#refuse("malformed", `address of a function with pseudo source ${src}`, "0 or 4");
      return { slot, kind: "address", target: this.#functionAt(symbol.section, offset / 8) };
    }
    const definitions = maps.definitions.get(symbol.section);
    if (definitions !== undefined) {
      const target = definitions.get(offset);
      if (target === undefined)
        throw this.#refuse("malformed", `reference to byte ${offset} of .maps`, "the start of a map");
      return { slot, kind: "map", target };
    }
    const target = maps.data.get(symbol.section);
    const section = this.#sectionName(symbol.section);
    if (target === undefined) {
      throw this.#refuse("unsupported", `reference to ${symbol.name} in section ${section}`, "data, a map or code");
    }
    if (code.relocated.has(symbol.section)) {
      throw this.#refuse(
        "unsupported",
        `reference to section ${section}, which holds addresses to relocate`,
        "plain data",
      );
    }
    const size = maps.list[target]!.valueSize;
    if (offset < 0 || offset >= size)
      throw this.#refuse("out-of-range", `address of byte ${offset} of ${section}`, `0 to ${size - 1}`);
    return { slot, kind: "value", target, offset };
  }

  #call(relocation: number): Edit | undefined {
    const { elf, code, kfuncs } = this.#sources;
    const slot = this.#slot - this.#fn.start;
    const imm = this.#imm;
    if (relocation < 0) {
      if (this.#src === PSEUDO_KFUNC) {
        throw this.#refuse("unsupported", `call of a kernel function by BTF id ${imm}`, "a symbol with its name");
      }
      if (this.#src !== PSEUDO_CALL) return undefined;
      return { slot, kind: "call", target: this.#functionAt(this.#fn.code.section.index, this.#slot + imm + 1) };
    }
    this.#expectType(relocation, R_BPF_64_32, "a call");
    if (this.#src !== PSEUDO_CALL) {
      throw this.#refuse("malformed", `relocated call with pseudo source ${this.#src}`, `${PSEUDO_CALL}`);
    }
    const symbol = elf.symbols[code.relocationSymbols[relocation]!]!;
    if (symbol.section === 0) {
      if (kfuncs.has(symbol.name)) return { slot, kind: "kfunc", target: symbol.name };
      throw this.#refuse(
        "unknown-symbol",
        `call of ${symbol.name}, which the object does not define`,
        "a kernel function declared __ksym",
      );
    }
    // A call of a global function has imm −1 and its symbol; of a static one, its distance and the symbol of the section.
    return { slot, kind: "call", target: this.#functionAt(symbol.section, symbol.value / 8 + imm + 1) };
  }

  get #src(): number {
    return (this.#fn.code.words[2 * this.#slot]! >>> 12) & 0xf;
  }

  get #imm(): number {
    return this.#fn.code.words[2 * this.#slot + 1]!;
  }

  #expectType(relocation: number, expected: number, what: string): void {
    const { relocationTypes, relocations } = this.#sources.code;
    if (relocationTypes[relocation] === expected) return;
    throw this.#refuse("malformed", `${relocations[relocation]!.type} of ${what}`, relocationName(expected));
  }

  #functionAt(section: number, start: number): number {
    const code = this.#sources.code.sections.get(section);
    const name = this.#sectionName(section);
    if (code === undefined) throw this.#refuse("malformed", `call into section ${name}`, "a section of code");
    const target = code.starts.get(start);
    if (target === undefined) {
      throw this.#refuse(
        "malformed",
        `reference to instruction ${start} of section ${name}`,
        "the start of a function",
      );
    }
    return target;
  }

  #sectionName(section: number): string {
    return this.#sources.elf.sections[section]?.name ?? `number ${section}`;
  }

  #refuseExtern(name: string): BpfError {
    const { btf } = this.#sources;
    if (btf === undefined)
      return this.#refuse("unknown-symbol", `address of ${name}, which the object does not define`, "a definition");
    const kind = btf.find(name, "func") === undefined ? "variable" : "function";
    return this.#unsupported(
      `address of the extern ${kind} ${name}`,
      "values of .kconfig and addresses of .ksyms are not built yet",
    );
  }

  #refuseCore(): void {
    const { btf, ext } = this.#sources;
    const { start, length, code } = this.#fn;
    const core = ext?.core.get(code.section.name);
    if (core === undefined || btf === undefined) return;
    const [first, end] = recordsBetween(core.insn, start, start + length);
    if (first === end) return;
    this.#slot = core.insn[first]!;
    const more = end - first > 1 ? `, and ${end - first - 1} more` : "";
    const what = `CO-RE relocation by the ${describeCore(core, first, btf)}${more}`;
    throw this.#unsupported(what, "relocation to the types of a kernel is not built yet");
  }

  #unsupported(what: string, hint: string): BpfError {
    return new BpfError("unsupported", this.#place(what), { ...this.#position(), hint });
  }

  #refuse(code: RefusalCode, what: string, expected: string): BpfError {
    return new BpfError(code, this.#place(what), { ...this.#position(), expected });
  }

  #place(what: string): string {
    return `${this.#fn.code.section.name}: ${this.#fn.name}: instruction ${this.#slot}: ${what}`;
  }

  #position(): { insn: number; offset: number } {
    return { insn: this.#slot, offset: this.#fn.code.section.offset + 8 * this.#slot };
  }
}
