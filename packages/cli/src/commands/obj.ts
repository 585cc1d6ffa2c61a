// `bpfkit obj`: what is in an object file.
import { mapTypeName } from "@bpfkit/core";
import { formatDeclaration, type ObjectFile, type ObjectMap } from "@bpfkit/object";
import type { Call, Command } from "../arguments.ts";
import { openObject } from "../object-file.ts";
import { EXIT, printJson, table } from "../output.ts";

/** Lists programs, maps, relocations and sections. */
export const obj: Command = {
  name: "obj",
  operands: ["FILE"],
  summary: "list programs, maps, relocations and sections of an object",
  options: {},
  examples: ["prog.bpf.o", "prog.bpf.o -j"],
  run(call) {
    const object = openObject(call);
    const { io, arguments: args } = call;
    if (args.has("json") || args.has("pretty")) printJson(io, toJson(object), args.has("pretty"));
    else io.out(toText(object, call));
    return EXIT.OK;
  },
};

function toJson({ license, programs, maps, relocations, sections }: ObjectFile): unknown {
  return {
    license,
    programs: programs.map((program) => ({
      name: program.name,
      type: program.type,
      ...(program.attachType === undefined ? {} : { attachType: program.attachType }),
      section: program.section,
      insns: program.insns.length,
      subprogs: program.subprogs,
      maps: program.maps.map(({ name }) => name),
    })),
    maps: maps.map(({ name, type, keySize, valueSize, maxEntries, flags, section, frozen = false }) => {
      return { name, type: typeName(type), keySize, valueSize, maxEntries, flags, section, frozen };
    }),
    relocations: relocations.map(({ section, insn, type, symbol, to }) => ({ section, insn, type, symbol, to })),
    sections: sections.slice(1).map(({ index, name, type, flags, offset, size }) => {
      return { index, name, type, flags, offset, size };
    }),
  };
}

function toText(object: ObjectFile, { style }: Call): string {
  const { programs, maps, relocations, sections, license, btf } = object;
  const title = (text: string) => `\n${style.bold(text)}\n`;
  return [
    `license ${license === "" ? "none" : license}; ${btf === undefined ? "no BTF" : `${btf.count - 1} BTF types`}\n`,
    title("programs"),
    table(
      ["name", "type", "section", "slots", "subprograms", "maps"],
      programs.map(({ name, type, section, insns, subprogs, maps: used }) => [
        name,
        type,
        section,
        insns.length,
        subprogs
          .slice(1)
          .map((subprog) => subprog.name)
          .join(" ") || "-",
        used.map((map) => map.name).join(" ") || "-",
      ]),
    ),
    title("maps"),
    table(
      ["name", "type", "max", "key", "value", "section", "key and value types"],
      maps.map((map) => {
        const { name, type, maxEntries, keySize, valueSize, section } = map;
        return [name, typeName(type), maxEntries, keySize, valueSize, section, typesOf(object, map)];
      }),
    ),
    title("relocations"),
    table(
      ["section", "insn", "type", "to", "symbol"],
      relocations.map(({ section, insn, type, to, symbol }) => [section, insn, type, to, symbol]),
    ),
    title("sections"),
    table(
      ["index", "name", "type", "offset", "size"],
      sections.slice(1).map(({ index, name, type, offset, size }) => [index, name, sectionType(type), offset, size]),
    ),
  ].join("");
}

function typeName(type: number): string {
  return mapTypeName(type) ?? String(type);
}

function typesOf({ btf }: ObjectFile, { keyType, valueType }: ObjectMap): string {
  if (btf === undefined) return "-";
  const name = (id: number | undefined) => (id === undefined || id === 0 ? "-" : formatDeclaration(btf, id, ""));
  return keyType === undefined && valueType !== undefined && btf.kind(valueType) === "datasec"
    ? "data"
    : `${name(keyType)}, ${name(valueType)}`;
}

const SECTION_TYPES: Readonly<Record<number, string>> = {
  1: "progbits",
  2: "symtab",
  3: "strtab",
  4: "rela",
  8: "nobits",
  9: "rel",
};

function sectionType(type: number): string {
  return SECTION_TYPES[type] ?? `0x${type.toString(16)}`;
}
