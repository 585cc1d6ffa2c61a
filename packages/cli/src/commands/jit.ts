// `bpfkit jit`: the machine code of a program beside its BPF instructions and source lines.
import { type Backend, type Image, type Program, printInsn, trust } from "@bpfkit/core";
import type { Call, Command } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { type CodeLine, formatGroups, listImage, type SubprogListing } from "../listing.ts";
import { chooseProgram, openObject } from "../object-file.ts";
import { about, EXIT, grouped, hexBytes, printJson } from "../output.ts";

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
  },
  examples: ["prog.bpf.o --arch x86-64 -S", "prog.bpf.o xdp_main -j"],
  run(call) {
    const { io, arguments: args } = call;
    const arch = args.choice("arch", ARCHES, ARCHES[0]!);
    const program = chooseProgram(openObject(call), call);
    const compiled = about(args.operands[0]!, () =>
      compile(program, BACKENDS.find((backend) => backend.arch === arch)!),
    );
    if (args.has("json") || args.has("pretty")) printJson(io, toJson(program, compiled), args.has("pretty"));
    else io.out(toText(program, compiled, call));
    return EXIT.OK;
  },
};

/** A program's code and the listing that goes with it. */
export interface Compiled {
  readonly image: Image;
  readonly listing: readonly SubprogListing[];
}

/** Compiles a program and lists the result. @throws {BpfError} `structure`, `unsupported` */
export function compile(program: Program, backend: Backend): Compiled {
  const trusted = trust(program);
  const image = backend.compile(trusted);
  return { image, listing: listImage(trusted, image, backend.disassemble(image.code), bpfPrinter(trusted.program)) };
}

/** Prints BPF with the names of maps, helpers and subprograms. */
export function bpfPrinter(program: Program): (slot: number) => string {
  const names = new Map(program.subprogs.map(({ name, start }) => [start, name]));
  return (slot) => printInsn(program.insns, slot, { program, label: (target) => names.get(target) });
}

function toJson({ name, type, insns }: Program, { image, listing }: Compiled): unknown {
  const code = ({ offset, bytes, text, note }: CodeLine) => ({
    offset,
    bytes: hexBytes(bytes, ""),
    text,
    ...(note === undefined ? {} : { note }),
  });
  return {
    program: name,
    type,
    basis: "trusted",
    arch: image.arch,
    layout: image.layout,
    slots: insns.length,
    bytes: image.code.length,
    subprogs: listing.map(({ groups, ...subprog }, i) => ({
      ...subprog,
      frame: image.subprogs[i]!.frame,
      groups: groups.map((group) => ({ role: group.role, bpf: group.bpf, code: group.code.map(code) })),
    })),
  };
}

function toText(
  { name, type, insns }: Program,
  { image, listing }: Compiled,
  { style, arguments: args }: Call,
): string {
  const columns = { source: args.has("source"), raw: !args.has("no-show-raw-insn") };
  const head = `${name} (${type}) for ${image.arch}: ${grouped(image.code.length)} bytes for ${grouped(insns.length)} slots`;
  const layout = image.layout === "" ? "" : `; layout ${image.layout}`;
  return [
    `${style.bold(head)}${layout}; entered through trust(), not verified\n`,
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
