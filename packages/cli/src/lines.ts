// Source lines of instructions, looked up in a program's line table.
import type { Program } from "@bpfkit/core";

/** A place in the source. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The text of the line, without the blanks at its ends. */
  readonly text: string;
}

/** The source line of the instruction at a slot; undefined where the program has none. O(log lines). */
export function sourceLineOf({ lines }: Program, slot: number): SourceLine | undefined {
  if (lines === undefined) return undefined;
  let low = 0;
  let high = lines.insn.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (lines.insn[middle]! <= slot) low = middle + 1;
    else high = middle;
  }
  const entry = low - 1;
  if (entry < 0) return undefined;
  return {
    file: lines.files[lines.file[entry]!] ?? "",
    line: lines.line[entry]!,
    column: lines.column[entry]!,
    text: lines.text[entry]!.trim(),
  };
}

/** Hands out each source line where it begins: asked slot by slot, it answers only when the line changes. */
export class LineFollower {
  readonly #program: Program;
  #file: string | undefined;
  #line = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  at(slot: number): SourceLine | undefined {
    const found = sourceLineOf(this.#program, slot);
    if (found === undefined || (found.file === this.#file && found.line === this.#line)) return undefined;
    this.#file = found.file;
    this.#line = found.line;
    return found;
  }
}
