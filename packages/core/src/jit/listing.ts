// Machine code as text: offset, bytes, instruction and note, in the grammar that golden listings of all backends share.
import { printInsn, printWidth } from "../asm/print.ts";
import type { Symbol as SymbolRef } from "../machine/engine.ts";
import type { Program } from "../program.ts";
import type { Line } from "./backend.ts";
import type { Image } from "./image.ts";

/** What a listing says besides the code. */
export interface ListingNotes {
  /** Whole lines before the code at an offset. */
  readonly before?: (offset: number) => readonly string[];
  /** A note behind the instruction that covers these bytes. */
  readonly after?: (offset: number, end: number) => string | undefined;
}

/**
 * One line an instruction: `0004  0f 1f 44 00 00  nop dword ptr [rax+rax]  ; note`. No newline at the end.
 *
 * @example
 * ```ts
 * const image = backend.compile(verified(assemble("r0 = 0\nexit")));
 * console.log(formatListing(backend.disassemble(image.code)));
 * ```
 */
export function formatListing(lines: Iterable<Line>, { before, after }: ListingNotes = {}): string {
  const all = [...lines];
  const width = Math.max(0, ...all.map(({ bytes }) => 3 * bytes.length - 1));
  const digits = Math.max(4, ((all.at(-1)?.offset ?? 0).toString(16).length + 1) & ~1);
  const out: string[] = [];
  for (const { offset, bytes, text } of all) {
    out.push(...(before?.(offset) ?? []));
    const note = after?.(offset, offset + bytes.length);
    const code = `${hex(offset, digits)}  ${Array.from(bytes, (byte) => hex(byte, 2))
      .join(" ")
      .padEnd(width)}  ${text}`;
    out.push(note === undefined ? code : `${code}  ; ${note}`);
  }
  return out.join("\n");
}

/** What an image knows of its code: subprograms, patch sites and symbols, and the BPF instructions of `program`, if any, above what they became. */
export function notesOf(image: Image, program?: Program): ListingNotes {
  const above = new Map<number, string[]>();
  const add = (offset: number, line: string): void => {
    const lines = above.get(offset);
    if (lines === undefined) above.set(offset, [line]);
    else lines.push(line);
  };
  for (const { name, start } of image.subprogs) add(start, `${name}:`);
  for (const { kind, offset, size, far } of image.patchSites) {
    add(offset, `.site ${kind} ${size}`);
    if (far !== undefined) add(far.slot, `.slot ${kind} 8`);
  }
  if (program !== undefined) {
    const { insns } = program;
    for (let slot = 0; slot < insns.length; slot += printWidth(insns, slot)) {
      add(image.boundaries[slot]!, `; ${slot}: ${printInsn(insns, slot, { program })}`);
    }
  }
  const symbols = new Map(image.relocations.map(({ offset, symbol }) => [offset, symbol]));
  return {
    before: (offset) => above.get(offset) ?? [],
    after: (offset, end) => {
      for (let at = offset; at < end; at++) {
        const symbol = symbols.get(at);
        if (symbol !== undefined) return nameOf(symbol, image, program);
      }
      return undefined;
    },
  };
}

function nameOf(symbol: SymbolRef, image: Image, program: Program | undefined): string {
  switch (symbol.kind) {
    case "map":
      return `map ${program?.maps[symbol.index]?.name ?? symbol.index}`;
    case "map-value":
      return `map ${program?.maps[symbol.index]?.name ?? symbol.index}[0]+${symbol.offset}`;
    case "helper":
      return `helper ${symbol.id}`;
    case "kfunc":
      return `kfunc ${program?.kfuncs[symbol.index] ?? symbol.index}`;
    case "packet-load":
      return `packet load of ${symbol.size}`;
    case "program":
      return `program ${symbol.index}`;
    case "program-object":
      return `object of program ${symbol.index}`;
    case "cookies":
      return `cookies of program ${symbol.index}`;
    case "cookie-search":
      return "cookie search";
    case "rows":
      return "rows";
    case "row-search":
      return "row search";
    case "trampoline":
      return symbol.part;
    case "body":
      return "body";
    case "subprog":
      return `subprog ${image.subprogs[symbol.index]?.name ?? symbol.index}`;
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
