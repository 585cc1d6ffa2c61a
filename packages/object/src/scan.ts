// What the instructions of one function refer to: calls, addresses of functions, maps, global data, kernel functions.
import { BpfError } from "@bpfkit/core";
import type { Btf } from "./btf.ts";
import { type BtfExt, describeCore, recordsBetween } from "./btf-ext.ts";
import { type Code, type CodeFunction, type CodeRelocation, R_BPF_64_32, R_BPF_64_64 } from "./code.ts";
import type { Elf } from "./elf.ts";
import type { Maps } from "./maps.ts";
import type { Budget } from "./reader.ts";

const LDDW = 0x18;
const CALL = 0x85;
const PSEUDO_CALL = 1;
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
  refuseCore(sources, fn);
  const { words, relocationAt } = fn.code;
  const edits: Edit[] = [];
  for (let slot = fn.start; slot < fn.start + fn.length; slot++) {
    const code = words[2 * slot]! & 0xff;
    const src = (words[2 * slot]! >>> 12) & 0xf;
    const index = relocationAt[slot]!;
    const relocation = index < 0 ? undefined : sources.code.relocations[index]!;
    let edit: Edit | undefined;
    if (code === LDDW) {
      edit = load(sources, fn, slot, src, relocation);
      slot++;
    } else if (code === CALL) {
      edit = call(sources, fn, slot, src, relocation);
    } else if (relocation !== undefined) {
      throw refuse(
        "malformed",
        fn,
        slot,
        `relocation of an instruction with opcode 0x${code.toString(16)}`,
        "a call or a two-slot load",
      );
    }
    if (edit !== undefined) {
      sources.budget.take(EDIT_COST, "references of instructions");
      edits.push(edit);
    }
  }
  return edits;
}

function load(
  sources: Sources,
  fn: CodeFunction,
  slot: number,
  src: number,
  relocation: CodeRelocation | undefined,
): Edit | undefined {
  const { elf, code, maps } = sources;
  if (slot + 1 >= fn.start + fn.length)
    throw refuse("malformed", fn, slot, "two-slot load cut by the end of the function", "a second slot");
  if (fn.code.relocationAt[slot + 1] !== -1) {
    throw refuse("malformed", fn, slot + 1, "relocation of the second slot of a load", "one of the first");
  }
  if (relocation === undefined) {
    if (src === 0) return undefined;
    throw refuse(
      "unsupported",
      fn,
      slot,
      `load with pseudo source ${src} and no relocation`,
      "a symbol that says what it refers to",
    );
  }
  if (relocation.number !== R_BPF_64_64)
    throw refuse("malformed", fn, slot, `${relocation.type} of a two-slot load`, "R_BPF_64_64");
  const symbol = elf.symbols[relocation.symbolIndex]!;
  if (symbol.section === 0) throw refuseExtern(sources, fn, slot, symbol.name);
  const offset = symbol.value + fn.code.words[2 * slot + 1]!;
  const local = slot - fn.start;
  if (code.sections.has(symbol.section)) {
    if (src !== 0 && src !== PSEUDO_FUNC)
      throw refuse("malformed", fn, slot, `address of a function with pseudo source ${src}`, "0 or 4");
    return { slot: local, kind: "address", target: functionAt(sources, fn, slot, symbol.section, offset / 8) };
  }
  const definitions = maps.definitions.get(symbol.section);
  if (definitions !== undefined) {
    const target = definitions.get(offset);
    if (target === undefined)
      throw refuse("malformed", fn, slot, `reference to byte ${offset} of .maps`, "the start of a map");
    return { slot: local, kind: "map", target };
  }
  const target = maps.data.get(symbol.section);
  const section = elf.sections[symbol.section]?.name ?? `number ${symbol.section}`;
  if (target === undefined)
    throw refuse("unsupported", fn, slot, `reference to ${symbol.name} in section ${section}`, "data, a map or code");
  if (code.relocated.has(symbol.section)) {
    throw refuse(
      "unsupported",
      fn,
      slot,
      `reference to section ${section}, whose contents hold addresses to relocate`,
      "plain data",
    );
  }
  if (offset < 0 || offset >= maps.list[target]!.valueSize) {
    throw refuse(
      "out-of-range",
      fn,
      slot,
      `address of byte ${offset} of ${section}`,
      `0 to ${maps.list[target]!.valueSize - 1}`,
    );
  }
  return { slot: local, kind: "value", target, offset };
}

function call(
  sources: Sources,
  fn: CodeFunction,
  slot: number,
  src: number,
  relocation: CodeRelocation | undefined,
): Edit | undefined {
  const local = slot - fn.start;
  const imm = fn.code.words[2 * slot + 1]!;
  if (relocation === undefined) {
    if (src === 2)
      throw refuse("unsupported", fn, slot, `call of a kernel function by BTF id ${imm}`, "a symbol with its name");
    if (src !== PSEUDO_CALL) return undefined;
    return { slot: local, kind: "call", target: functionAt(sources, fn, slot, fn.code.section.index, slot + imm + 1) };
  }
  if (relocation.number !== R_BPF_64_32)
    throw refuse("malformed", fn, slot, `${relocation.type} of a call`, "R_BPF_64_32");
  if (src !== PSEUDO_CALL)
    throw refuse("malformed", fn, slot, `relocated call with pseudo source ${src}`, `${PSEUDO_CALL}`);
  const symbol = sources.elf.symbols[relocation.symbolIndex]!;
  if (symbol.section === 0) {
    if (sources.kfuncs.has(symbol.name)) return { slot: local, kind: "kfunc", target: symbol.name };
    throw refuse(
      "unknown-symbol",
      fn,
      slot,
      `call of ${symbol.name}, which the object does not define`,
      "a kernel function declared __ksym",
    );
  }
  // A call of a global function has imm −1 and its symbol; of a static one, its distance and the symbol of the section.
  return {
    slot: local,
    kind: "call",
    target: functionAt(sources, fn, slot, symbol.section, symbol.value / 8 + imm + 1),
  };
}

function functionAt(sources: Sources, fn: CodeFunction, slot: number, section: number, start: number): number {
  const code = sources.code.sections.get(section);
  const name = sources.elf.sections[section]?.name ?? `number ${section}`;
  if (code === undefined) throw refuse("malformed", fn, slot, `call into section ${name}`, "a section of code");
  const target = code.starts.get(start);
  if (target === undefined)
    throw refuse("malformed", fn, slot, `call of instruction ${start} of section ${name}`, "the start of a function");
  return target;
}

function refuseExtern({ btf }: Sources, fn: CodeFunction, slot: number, name: string): BpfError {
  if (btf === undefined)
    return refuse("unknown-symbol", fn, slot, `address of ${name}, which the object does not define`, "a definition");
  const kind = btf.find(name, "func") === undefined ? "variable" : "function";
  return unsupported(
    fn,
    slot,
    `address of the extern ${kind} ${name}`,
    "values of .kconfig and addresses of .ksyms are not built yet",
  );
}

function refuseCore({ btf, ext }: Sources, fn: CodeFunction): void {
  const core = ext?.core.get(fn.code.section.name);
  if (core === undefined || btf === undefined) return;
  const [first, end] = recordsBetween(core.insn, fn.start, fn.start + fn.length);
  if (first === end) return;
  const more = end - first > 1 ? `, and ${end - first - 1} more` : "";
  const what = `CO-RE relocation by the ${describeCore(core, first, btf)}${more}`;
  throw unsupported(fn, core.insn[first]!, what, "relocation to the types of a kernel is not built yet");
}

function unsupported(fn: CodeFunction, slot: number, what: string, hint: string): BpfError {
  return new BpfError("unsupported", place(fn, slot, what), { ...position(fn, slot), hint });
}

function refuse(
  code: "malformed" | "unsupported" | "unknown-symbol" | "out-of-range",
  fn: CodeFunction,
  slot: number,
  what: string,
  expected: string,
): BpfError {
  return new BpfError(code, place(fn, slot, what), { ...position(fn, slot), expected });
}

function place(fn: CodeFunction, slot: number, what: string): string {
  return `${fn.code.section.name}: ${fn.name}: instruction ${slot}: ${what}`;
}

function position(fn: CodeFunction, slot: number): { insn: number; offset: number } {
  return { insn: slot, offset: fn.code.section.offset + 8 * slot };
}
