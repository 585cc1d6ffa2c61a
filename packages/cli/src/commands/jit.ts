// `bpfkit jit`: the machine code of a program beside its BPF instructions and source lines.
import { type Backend, type Image, type Program, printInsn, type VerifiedProgram } from "@bpfkit/core";
import type { Call, Command } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { type CodeLine, formatGroups, listImage, type SubprogListing } from "../listing.ts";
import { chooseProgram, openObject } from "../object-file.ts";
import { about, EXIT, grouped, hexBytes, printJson } from "../output.ts";
import { basisJson, basisText, VOUCH_OPTIONS, vouchOf } from "../vouch.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);

/** Prints machine code. */
export const jit: Command = {
  name: "jit",
  operands: ["FILE", "[PROG]"],
  summary: "print the machine code of a program beside its BPF instructions",
  options: {
    arch: { value: "ARCH", help: `${ARCHES.join(", ")}; the first unless told` },
    source: { short: "S", help: "with the source lines" },
    "no-show-raw-insn": { help: "without the bytes" },
    ...VOUCH_OPTIONS,
  },
  examples: ["prog.bpf.o --arch x86-64 -S", "prog.bpf.o xdp_main -j"],
  run(call) {
    const { io, arguments: args } = call;
    const arch = args.choice("arch", ARCHES, ARCHES[0]!);
    const program = chooseProgram(openObject(call), call);
    const compiled = about(args.operands[0]!, () =>
      compile(vouchOf(args)(program), BACKENDS.find((backend) => backend.arch === arch)!),
    );
    if (args.has("json") || args.has("pretty")) printJson(io, toJson(compiled), args.has("pretty"));
    else io.out(toText(compiled, call));
    return EXIT.OK;
  },
};

/** A program's code and the listing that goes with it. */
export interface Compiled {
  readonly entered: VerifiedProgram;
  readonly image: Image;
  /** Bytes of its code where nothing is known of its instructions. */
  readonly bytesWithoutFacts: number;
  readonly listing: readonly SubprogListing[];
}

/** Compiles a program and lists the result. @throws {BpfError} `unsupported` */
export function compile(entered: VerifiedProgram, backend: Backend): Compiled {
  const image = backend.compile(entered);
  const { facts: _, ...bare } = entered;
  const bytesWithoutFacts = backend.compile(bare).code.length;
  const listing = listImage(entered, image, backend.disassemble(image.code), bpfPrinter(entered.program));
  return { entered, image, bytesWithoutFacts, listing };
}

/** Prints BPF with the names of maps, helpers and subprograms. */
export function bpfPrinter(program: Program): (slot: number) => string {
  const names = new Map(program.subprogs.map(({ name, start }) => [start, name]));
  return (slot) => printInsn(program.insns, slot, { program, label: (target) => names.get(target) });
}

function toJson({ entered, image, bytesWithoutFacts, listing }: Compiled): unknown {
  const { name, type, insns } = entered.program;
  const code = ({ offset, bytes, text, note }: CodeLine) => ({
    offset,
    bytes: hexBytes(bytes, ""),
    text,
    ...(note === undefined ? {} : { note }),
  });
  return {
    program: name,
    type,
    ...basisJson(entered),
    arch: image.arch,
    layout: image.layout,
    slots: insns.length,
    bytes: image.code.length,
    bytesWithoutFacts,
    subprogs: listing.map(({ groups, ...subprog }, i) => ({
      ...subprog,
      frame: image.subprogs[i]!.frame,
      groups: groups.map((group) => ({ role: group.role, bpf: group.bpf, code: group.code.map(code) })),
    })),
  };
}

function toText({ entered, image, bytesWithoutFacts, listing }: Compiled, { style, arguments: args }: Call): string {
  const { name, type, insns } = entered.program;
  const columns = { source: args.has("source"), raw: !args.has("no-show-raw-insn") };
  const head = `${name} (${type}) for ${image.arch}: ${grouped(image.code.length)} bytes for ${grouped(insns.length)} slots`;
  const layout = image.layout === "" ? "" : `; layout ${image.layout}`;
  const spared = bytesWithoutFacts - image.code.length;
  const saved =
    entered.facts === undefined ? "" : `, which spares ${grouped(spared)} of ${grouped(bytesWithoutFacts)} bytes`;
  return [
    `${style.bold(head)}${layout}; ${basisText(entered)}${saved}\n`,
    ...listing.map((subprog, i) => {
      const frame = image.subprogs[i]!.frame.map(
        ({ name: slot, offset, size }) => `${slot} ${offset}..${offset + size}`,
      );
      const title = `${subprog.name}: ${grouped(subprog.end - subprog.start)} bytes`;
      const notes = frame.length === 0 ? "" : style.dim(`; frame ${frame.join(", ")}`);
      return `\n${style.bold(title)}${notes}\n${formatGroups(subprog.groups, columns)}`;
    }),
  ].join("");
}
