// A whole program as text: subprogram names, slot indices, raw bytes and source lines around printed instructions.
import { kindOf, opAt } from "../isa/decode.ts";
import { helperByName } from "../isa/helpers.ts";
import type { Insns } from "../isa/insns.ts";
import { subprogsOf, targetOf } from "../isa/targets.ts";
import type { LineInfo, Program } from "../program.ts";
import { isName } from "./lexer.ts";
import { type PrintOptions, printInsn, printWidth } from "./print.ts";

/** What {@link formatProgram} shows. */
export interface FormatOptions extends Pick<PrintOptions, "dialect" | "hex" | "label"> {
  /** Source lines above the instructions that they became; off unless told. */
  readonly lines?: boolean;
  /** Bytes before each instruction; off unless told, but on in the `llvm` dialect. */
  readonly raw?: boolean;
  /** Slot indices; on unless told. */
  readonly slots?: boolean;
  /** Names for local jumps (`L7`) in place of distances, in the `bpfkit` dialect; off unless told. */
  readonly labels?: boolean;
}

/**
 * A program as a listing, an instruction a line; no newline at the end. `assemble` reads it back to the same instructions, in the
 * `bpfkit` dialect with the same subprograms.
 *
 * @example
 * ```ts
 * import { assemble, formatProgram } from "@bpfkit/core";
 * console.log(formatProgram(assemble("r0 = 42\nexit"), { raw: true }));
 * // main:
 * //   0:  b7 00 00 00 2a 00 00 00  r0 = 42
 * //   1:  95 00 00 00 00 00 00 00  exit
 * ```
 */
export function formatProgram(program: Program, options: FormatOptions = {}): string {
  const { insns } = program;
  const { dialect = "bpfkit", raw = dialect === "llvm", slots = true, lines = false, labels = false } = options;
  const shown = shownSlots(insns);
  const names = namesOf(program, shown);
  const { targets, called } = targetsOf(insns, shown);
  const local = dialect === "bpfkit" && labels ? targets : undefined;
  const label =
    options.label ??
    (dialect === "llvm" ? symbols(names) : (slot) => names.get(slot) ?? (local?.has(slot) ? `L${slot}` : undefined));
  const print: PrintOptions = { ...options, program, label };
  const digits = dialect === "llvm" ? 8 : String(insns.length).length + 2;
  const gap = dialect === "llvm" ? "\t" : dialect === "kernel" ? " " : "  ";
  const out: string[] = [];
  let entry = 0;
  for (let i = 0; i < insns.length; i += printWidth(insns, i)) {
    const name = names.get(i);
    if (name !== undefined) {
      if (out.length > 0) out.push("");
      const plain = called.has(i) || (i === 0 && !targets.has(0));
      out.push(
        dialect === "llvm"
          ? `${(8 * i).toString(16).padStart(16, "0")} <${name}>:`
          : plain
            ? `${name}:`
            : `.subprog ${name}`,
      );
    } else if (local?.has(i)) {
      out.push(`L${i}:`);
    }
    if (lines && program.lines !== undefined) entry = pushLines(out, program.lines, entry, i, dialect === "llvm");
    const index = slots ? `${String(i).padStart(digits)}:${gap}` : dialect === "llvm" ? "\t" : "  ";
    out.push(
      index + (raw ? rawBytes(insns, i).padEnd(dialect === "llvm" ? 0 : 23) + gap : "") + printInsn(insns, i, print),
    );
  }
  return out.join("\n");
}

/** Names of subprograms by start, made fit for a text: unique, and nothing else to the assembler. */
function namesOf({ insns, subprogs, kfuncs }: Program, shown: Uint8Array): ReadonlyMap<number, string> {
  const taken = new Set<string>(["pc", "kfunc", ...kfuncs]);
  const names = new Map<number, string>();
  for (const { name, start } of subprogsOf(insns, subprogs)) {
    if (shown[start] !== 1) continue;
    const fits =
      isName(name) &&
      !name.startsWith(".") &&
      !/^[rw]\d+$/.test(name) &&
      !/^L\d+$/.test(name) &&
      helperByName(name) === undefined;
    const chosen = fits && !taken.has(name) ? name : `sub_${start}`;
    taken.add(chosen);
    names.set(start, chosen);
  }
  return names;
}

/** 1 for each slot that a line of the listing begins with. */
function shownSlots(insns: Insns): Uint8Array {
  const shown = new Uint8Array(insns.length);
  for (let i = 0; i < insns.length; i += printWidth(insns, i)) shown[i] = 1;
  return shown;
}

interface Targets {
  readonly targets: ReadonlySet<number>;
  readonly called: ReadonlySet<number>;
}

/** Slots that are jumped to, and slots that are called or taken the address of, as far as a line begins with them. */
function targetsOf(insns: Insns, shown: Uint8Array): Targets {
  const targets = new Set<number>();
  const called = new Set<number>();
  for (let i = 0; i < insns.length; i += printWidth(insns, i)) {
    const op = opAt(insns, i);
    const target = op < 0 ? undefined : targetOf(insns, i, op);
    if (target === undefined || shown[target] !== 1) continue;
    const kind = kindOf(op);
    (kind === "callSubprog" || kind === "loadImm64" ? called : targets).add(target);
  }
  return { targets, called };
}

/** llvm-objdump's way to name a place: the symbol before it, and the bytes from there. */
function symbols(names: ReadonlyMap<number, string>): (slot: number) => string | undefined {
  const starts = [...names.keys()];
  return (slot) => {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= slot) low = middle + 1;
      else high = middle;
    }
    const start = starts[low - 1];
    if (start === undefined) return undefined;
    return names.get(start)! + (slot === start ? "" : `+0x${(8 * (slot - start)).toString(16)}`);
  };
}

/** Appends the source lines that begin at slot `i`, not the one shown last; gives the first entry behind them. */
function pushLines(out: string[], info: LineInfo, entry: number, i: number, bare: boolean): number {
  let next = entry;
  for (; next < info.insn.length && info.insn[next]! <= i; next++) {
    const same = next > 0 && info.line[next] === info.line[next - 1] && info.file[next] === info.file[next - 1];
    if (info.insn[next] !== i || same) continue;
    const text = info.text[next]!.replace(/[^ -~]/g, " ").trimEnd();
    const place = `${info.files[info.file[next]!] ?? "?"}:${info.line[next]}`.replace(/[^ -~]/g, " ");
    out.push(bare ? `; ${text}` : `; ${text.trimStart()} @ ${place}`);
  }
  return next;
}

function rawBytes(insns: Insns, i: number): string {
  const bytes: string[] = [];
  for (let word = 2 * i; word < 2 * (i + printWidth(insns, i)); word++) {
    for (let shift = 0; shift < 32; shift += 8)
      bytes.push(((insns.words[word]! >>> shift) & 0xff).toString(16).padStart(2, "0"));
  }
  return bytes.join(" ");
}
