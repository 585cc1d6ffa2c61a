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

/** Which columns there are. */
export interface ColumnOptions {
  readonly source: boolean;
  readonly raw: boolean;
}

/** Wider columns are cut. */
const WIDEST = { source: 48, bpf: 40 };

/** Prints the groups in columns as wide as they need: source (if asked for), BPF, machine code. */
export function formatGroups(groups: readonly Group[], { source, raw }: ColumnOptions): string {
  const rows = groups.flatMap((group) =>
    Array.from({ length: Math.max(group.bpf.length, group.code.length) }, (_, row) => ({
      source: sourceText(group.bpf[row]?.source),
      bpf: row === 0 && group.role !== "body" ? `; ${group.role}` : bpfText(group.bpf[row]),
      code: group.code[row],
    })),
  );
  const widest = (column: "source" | "bpf") =>
    Math.min(WIDEST[column], Math.max(0, ...rows.map((row) => row[column].length)));
  const widths = {
    source: widest("source"),
    bpf: widest("bpf"),
    bytes: 3 * Math.max(0, ...rows.map(({ code }) => code?.bytes.length ?? 0)),
  };
  return rows
    .map((row) => {
      const left = [...(source ? [fit(row.source, widths.source)] : []), fit(row.bpf, widths.bpf)];
      return `${[...left, row.code === undefined ? "" : codeText(row.code, raw, widths.bytes)].join("  ").trimEnd()}\n`;
    })
    .join("");
}

function sourceText(source: SourceLine | undefined): string {
  return source === undefined ? "" : `${source.line}: ${source.text}`;
}

function bpfText(line: BpfLine | undefined): string {
  return line === undefined ? "" : `${line.slot}: ${line.text}`;
}

function codeText({ offset, bytes, text, note }: CodeLine, raw: boolean, width: number): string {
  const encoded = raw ? `${hexBytes(bytes).padEnd(width)} ` : "";
  return `${offset.toString(16).padStart(4, "0")}  ${encoded}${text}${note === undefined ? "" : `  ; ${note}`}`;
}

/** Exactly so wide, cut with an ellipsis where it is longer. */
function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}
