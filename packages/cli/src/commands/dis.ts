// `bpfkit dis`: the BPF instructions of an object's programs, as they are loaded: subprograms appended, references resolved.
import { printInsn, printWidth } from "@bpfkit/core";
import type { ObjectFile, ObjectProgram, ObjectRelocation } from "@bpfkit/object";
import type { Call, Command } from "../arguments.ts";
import { LineFollower, type SourceLine } from "../lines.ts";
import { chooseProgram, openObject } from "../object-file.ts";
import { about, EXIT, hexBytes, printJson } from "../output.ts";
import { llvmPrinter } from "../print-llvm.ts";

const SYNTAXES = ["llvm", "bpfkit", "kernel"] as const;

/** Prints BPF instructions. */
export const dis: Command = {
  name: "dis",
  operands: ["FILE", "[PROG]"],
  summary: "print the BPF instructions of an object, like llvm-objdump",
  options: {
    source: { short: "S", help: "with the source lines" },
    "line-numbers": { short: "l", help: "with file names and line numbers" },
    reloc: { short: "r", help: "with relocations" },
    syntax: { value: "DIALECT", help: `${SYNTAXES.join(", ")}; llvm unless told` },
    "no-show-raw-insn": { help: "without the bytes" },
  },
  examples: ["prog.bpf.o -S", "prog.bpf.o xdp_main --syntax kernel"],
  run(call) {
    const object = openObject(call);
    const { io, arguments: args } = call;
    const syntax = args.choice("syntax", SYNTAXES, "llvm");
    const chosen = args.operands[1] === undefined ? object.programs : [chooseProgram(object, call)];
    const listed = about(args.operands[0]!, () => chosen.map((program) => listProgram(object, program, syntax)));
    if (args.has("json") || args.has("pretty")) printJson(io, { programs: listed.map(toJson) }, args.has("pretty"));
    else for (const program of listed) io.out(toText(program, call));
    return EXIT.OK;
  },
};

interface Row {
  readonly slot: number;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Where it begins here. */
  readonly source?: SourceLine;
  readonly relocation?: ObjectRelocation;
}

interface Listed {
  readonly program: ObjectProgram;
  readonly rows: readonly Row[];
}

function listProgram(object: ObjectFile, program: ObjectProgram, syntax: (typeof SYNTAXES)[number]): Listed {
  const { insns } = program;
  const bytes = insns.toBytes();
  const print =
    syntax === "llvm" ? llvmPrinter(program) : (at: number) => printInsn(insns, at, { dialect: syntax, program });
  const relocations = relocationsOf(object, program);
  const follower = new LineFollower(program);
  const rows: Row[] = [];
  for (let slot = 0; slot < insns.length; slot += printWidth(insns, slot)) {
    const source = follower.at(slot);
    const relocation = relocations.get(slot);
    rows.push({
      slot,
      bytes: bytes.subarray(8 * slot, 8 * (slot + printWidth(insns, slot))),
      text: print(slot),
      ...(source === undefined ? {} : { source }),
      ...(relocation === undefined ? {} : { relocation }),
    });
  }
  return { program, rows };
}

/** Relocations by slot of the linked program: each function brought its own along. */
function relocationsOf(
  { relocations, sections, symbols }: ObjectFile,
  program: ObjectProgram,
): Map<number, ObjectRelocation> {
  const found = new Map<number, ObjectRelocation>();
  for (const [index, { name, start }] of program.subprogs.entries()) {
    const end = program.subprogs[index + 1]?.start ?? program.insns.length;
    const symbol = symbols.find((candidate) => candidate.kind === "function" && candidate.name === name);
    if (symbol === undefined) continue;
    const section = sections[symbol.section]?.name;
    for (const relocation of relocations) {
      const slot = relocation.insn - symbol.value / 8 + start;
      if (relocation.section === section && slot >= start && slot < end) found.set(slot, relocation);
    }
  }
  return found;
}

function toJson({ program: { name, type, section }, rows }: Listed): unknown {
  return {
    name,
    type,
    section,
    insns: rows.map(({ slot, bytes, text, source, relocation }) => ({
      slot,
      bytes: hexBytes(bytes, ""),
      text,
      ...(source === undefined ? {} : { source }),
      ...(relocation === undefined ? {} : { relocation: { type: relocation.type, symbol: relocation.symbol } }),
    })),
  };
}

function toText({ program, rows }: Listed, { style, arguments: args }: Call): string {
  const [withSource, withLines] = [args.has("source"), args.has("line-numbers")];
  const subprogs = new Map(program.subprogs.map(({ name, start }) => [start, name]));
  const address = (slot: number) => (slot * 8).toString(16).padStart(16, "0");
  let text = style.bold(`${program.section}: ${program.name} (${program.type}), ${program.insns.length} slots\n`);
  for (const { slot, bytes, text: insn, source, relocation } of rows) {
    if (subprogs.has(slot)) text += `\n${address(slot)} ${style.bold(`<${subprogs.get(slot)}>:`)}\n`;
    if (withLines && source !== undefined) text += style.dim(`; ${source.file}:${source.line}\n`);
    if (withSource && source !== undefined) text += style.cyan(`; ${source.text}\n`);
    const raw = args.has("no-show-raw-insn") ? "" : `${hexBytes(bytes)}\t`;
    text += `${String(slot).padStart(8)}:\t${raw}${insn}\n`;
    if (args.has("reloc") && relocation !== undefined) {
      text += `\t\t${address(slot)}:  ${relocation.type}\t${relocation.symbol}\n`;
    }
  }
  return `${text}\n`;
}
