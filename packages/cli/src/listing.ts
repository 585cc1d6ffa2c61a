// The listing of compiled code: which machine instructions stand for which BPF instructions, and for which source line.
import { type Image, type Line, notesOf, printWidth, type VerifiedProgram } from "@bpfkit/core";
import { LineFollower, type SourceLine } from "./lines.ts";
import { hexBytes } from "./output.ts";

/** Prints the BPF instruction at a slot. */
export type PrintSlot = (slot: number) => string;

/** A BPF instruction of a listing, with the source line that begins there. */
export interface BpfLine {
  readonly slot: number;
  readonly text: string;
  readonly source?: SourceLine;
}

/** A machine instruction of a listing; `note` names what a field of it refers to. */
export interface CodeLine {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly note?: string;
}

/** BPF instructions and the code they became together; without BPF, code that only the machine needs. */
export interface Group {
  readonly role: "prologue" | "body" | "out-of-line";
  readonly bpf: readonly BpfLine[];
  readonly code: readonly CodeLine[];
}

/** The listing of one subprogram. */
export interface SubprogListing {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly groups: readonly Group[];
}

/** Matches the lines of a disassembly with the program they were compiled from. Linear in both. */
export function listImage(
  { program, structure }: VerifiedProgram,
  image: Image,
  disassembly: Iterable<Line>,
  print: PrintSlot,
): SubprogListing[] {
  const { after } = notesOf(image, program);
  const code: CodeLine[] = Array.from(disassembly, ({ offset, bytes, text }) => {
    const note = after?.(offset, offset + bytes.length);
    return { offset, bytes, text, ...(note === undefined ? {} : { note }) };
  });
  const follower = new LineFollower(program);
  return image.subprogs.map(({ name, start, end, body }, index) => {
    const { start: first, end: last } = structure.subprogs[index]!;
    const between = (from: number, to: number) => code.filter(({ offset }) => offset >= from && offset < to);
    const groups: Group[] = [{ role: "prologue", bpf: [], code: between(start, body) }];
    let straight = body;
    for (let slot = first; slot < last; ) {
      const offset = image.boundaries[slot]!;
      const bpf: BpfLine[] = [];
      let reach = offset;
      for (; slot < last && image.boundaries[slot] === offset; slot += printWidth(program.insns, slot)) {
        const source = follower.at(slot);
        bpf.push({ slot, text: print(slot), ...(source === undefined ? {} : { source }) });
        reach = Math.max(reach, image.ends[slot]!);
      }
      groups.push({ role: "body", bpf, code: between(offset, reach) });
      straight = Math.max(straight, reach);
    }
    groups.push({ role: "out-of-line", bpf: [], code: between(straight, end) });
    return { name, start, end, groups: groups.filter(({ bpf, code }) => bpf.length + code.length > 0) };
  });
}

/** Widths of the columns and what is in them. */
export interface ColumnOptions {
  readonly source: boolean;
  readonly raw: boolean;
}

const SOURCE_WIDTH = 46;
const BPF_WIDTH = 38;
const RAW_WIDTH = 30;

/** Prints the groups in columns: source (if asked for), BPF, machine code. */
export function formatGroups(groups: readonly Group[], { source, raw }: ColumnOptions): string {
  let text = "";
  for (const { role, bpf, code } of groups) {
    for (let row = 0; row < Math.max(bpf.length, code.length); row++) {
      const left = bpf[row];
      const right = code[row];
      const line = left?.source === undefined ? "" : `${left.source.line}: ${left.source.text}`;
      const insn = left === undefined ? (row === 0 && role !== "body" ? `; ${role}` : "") : `${left.slot}: ${left.text}`;
      const columns = [
        ...(source ? [fit(line, SOURCE_WIDTH)] : []),
        fit(insn, BPF_WIDTH),
        right === undefined ? "" : formatCode(right, raw),
      ];
      text += `${columns.join("  ").trimEnd()}\n`;
    }
  }
  return text;
}

function formatCode({ offset, bytes, text, note }: CodeLine, raw: boolean): string {
  const place = offset.toString(16).padStart(4, "0");
  const shown = raw ? `${fit(hexBytes(bytes), RAW_WIDTH)}  ` : "";
  return `${place}  ${shown}${text}${note === undefined ? "" : `  ; ${note}`}`;
}

/** Exactly so wide, cut with an ellipsis where it is longer. */
function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}
