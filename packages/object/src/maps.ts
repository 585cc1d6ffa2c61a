// Maps of an object: definitions in `.maps` described by BTF, and global data sections as arrays of one element (libbpf's rules).
import { BpfError, MAP_TYPES, type MapSpec } from "@bpfkit/core";
import type { Btf, BtfType } from "./btf.ts";
import { type Elf, type ElfSection, SHT_NOBITS, SHT_PROGBITS } from "./elf.ts";
import type { Budget } from "./reader.ts";
import { type ProgramSlot, SlotTable } from "./slots.ts";

const MAP_TYPE_ARRAY = 2;
const BPF_F_RDONLY_PROG = 0x80;
/** The kernel keeps 15 characters of a name. */
const MAX_NAME = 15;
/** A definition has at most as many members as there are attributes. */
const MAX_MEMBERS = 16;
/** A map's data must be addressable by a program, whose offsets are signed 32-bit numbers. */
const MAX_DATA = 0x7fffffff;
/** What is counted for a map. */
const MAP_COST = 512;

/** A map with where it stands in the object. */
export interface ObjectMap extends MapSpec {
  /** `.maps`, or the data section whose contents the map holds. */
  readonly section: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Whether the loader is asked to pin it under its name in the BPF file system. */
  readonly pinned: boolean;
  /** BTF ids of key and value, where the definition gives types and not only sizes; of a data section, its `datasec`. */
  readonly keyType?: number;
  readonly valueType?: number;
  /** Programs that the definition puts into a prog array, by slot. */
  readonly programs?: readonly ProgramSlot[];
}

/** The maps of an object and how an address in a section finds one. */
export interface Maps {
  readonly list: readonly ObjectMap[];
  /** Section index → offset of a definition → index in `list`. */
  readonly definitions: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Section index → index in `list`, for data sections. */
  readonly data: ReadonlyMap<number, number>;
}

/** Collects the maps: definitions by their offset, then data sections in file order. */
export function readMaps(elf: Elf, btf: Btf | undefined, objectName: string, budget: Budget): Maps {
  const list: ObjectMap[] = [];
  const definitions = new Map<number, Map<number, number>>();
  const data = new Map<number, number>();
  for (const section of elf.sections) {
    if (section.name === ".maps" && section.size > 0) {
      const byOffset = new Map<number, number>();
      for (const map of readDefinitions(elf, section, btf, budget)) byOffset.set(map.offset, list.push(map) - 1);
      definitions.set(section.index, byOffset);
    } else if (section.size > 0 && (section.name === "maps" || section.name.startsWith("maps/"))) {
      throw new BpfError("unsupported", `map definitions of before BTF in section ${section.name}`, {
        offset: section.offset,
        expected: 'definitions with BTF in section ".maps"',
      });
    } else if (section.size > 0 && /^\.struct_ops(\.link)?$/.test(section.name)) {
      throw new BpfError("unsupported", `struct_ops maps in section ${section.name}`, { offset: section.offset });
    }
  }
  for (const section of elf.sections) {
    if (section.size === 0 || !isData(section)) continue;
    data.set(section.index, list.push(dataMap(elf, section, btf, objectName, budget)) - 1);
  }
  return { list, definitions, data };
}

function isData({ name, type }: ElfSection): boolean {
  if (type === SHT_NOBITS) return /^\.bss(\.|$)/.test(name);
  return type === SHT_PROGBITS && /^\.(data|rodata)(\.|$)/.test(name);
}

function dataMap(elf: Elf, section: ElfSection, btf: Btf | undefined, objectName: string, budget: Budget): ObjectMap {
  budget.take(MAP_COST, "maps");
  if (section.size > MAX_DATA) {
    throw new BpfError("limit", `section ${section.name} of ${section.size} bytes`, {
      offset: section.offset,
      expected: `at most ${MAX_DATA}`,
    });
  }
  const readOnly = section.name.startsWith(".rodata");
  const valueType = btf?.find(section.name, "datasec");
  return {
    name: dataMapName(objectName, section.name),
    type: MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: section.size,
    maxEntries: 1,
    flags: readOnly ? BPF_F_RDONLY_PROG : 0,
    ...(section.type === SHT_NOBITS ? {} : { initial: elf.contents(section).copy(`section ${section.name}`) }),
    ...(readOnly ? { frozen: true } : {}),
    section: section.name,
    offset: 0,
    pinned: false,
    ...(valueType === undefined ? {} : { valueType }),
  };
}

/**
 * The name that libbpf gives the map of a data section: the object's name cut so that it and the section's (for which at least
 * seven characters are kept free) fit into 15; a section with a name of its own such as `.data.x` stands alone.
 */
export function dataMapName(objectName: string, section: string): string {
  const reserved = Math.min(Math.max(section.length, ".rodata".length), MAX_NAME);
  const prefix = section.includes(".", 1) ? "" : objectName.slice(0, MAX_NAME - reserved);
  return `${prefix}${section.slice(0, reserved)}`.replaceAll(/[^A-Za-z0-9_.]/g, "_");
}

function readDefinitions(elf: Elf, section: ElfSection, btf: Btf | undefined, budget: Budget): ObjectMap[] {
  const id = btf?.find(".maps", "datasec");
  if (btf === undefined || id === undefined) {
    throw new BpfError(
      "malformed",
      `map definitions without ${btf === undefined ? "BTF" : "a BTF description of .maps"}`,
      {
        offset: section.offset,
        expected: "an object built with -g",
      },
    );
  }
  const offsets = new Set<number>();
  const maps: ObjectMap[] = [];
  const slots = new SlotTable(elf, section, budget);
  for (const { type, offset } of (btf.type(id) as Extract<BtfType, { kind: "datasec" }>).variables) {
    budget.take(MAP_COST, "maps");
    const variable = btf.type(type);
    if (variable.kind !== "var") throw refusal("malformed", section, `BTF ${variable.kind} in .maps`, "variables");
    if (offset >= section.size)
      throw refusal("malformed", section, `map ${variable.name} at ${offset}`, `an offset below ${section.size}`);
    if (offsets.has(offset))
      throw refusal("malformed", section, `map ${variable.name} at ${offset}, where another is`, "one map an offset");
    offsets.add(offset);
    maps.push(readDefinition(btf, section, variable.name, variable.type, offset, { slots, budget }));
  }
  return maps.sort((a, b) => a.offset - b.offset);
}

/** Attributes whose value is the number of elements of an array, as `__uint(name, value)` encodes it. */
const NUMBERS = ["type", "max_entries", "map_flags", "key_size", "value_size", "pinning"] as const;
/** Attributes whose value is the type pointed at, as `__type(name, value)` encodes it. */
const TYPES = ["key", "value"] as const;
const ATTRIBUTES = [...NUMBERS, ...TYPES, "values"];

function readDefinition(
  btf: Btf,
  section: ElfSection,
  name: string,
  type: number,
  offset: number,
  { slots, budget }: { readonly slots: SlotTable; readonly budget: Budget },
): ObjectMap {
  const struct = btf.resolve(type);
  if (btf.items(struct) > MAX_MEMBERS) {
    throw refusal("malformed", section, `map ${name} with ${btf.items(struct)} attributes`, `at most ${MAX_MEMBERS}`);
  }
  const definition = btf.type(struct);
  if (definition.kind !== "struct")
    throw refusal("malformed", section, `map ${name} described by a ${definition.kind}`, "a struct");
  const numbers = new Map<string, number>();
  const types = new Map<string, number>();
  let values: number | undefined;
  for (const member of definition.members) {
    const pointer = btf.type(btf.resolve(member.type));
    if ((NUMBERS as readonly string[]).includes(member.name)) {
      const array = pointer.kind === "ptr" ? btf.type(btf.resolve(pointer.type)) : pointer;
      if (pointer.kind !== "ptr" || array.kind !== "array") {
        throw refusal(
          "malformed",
          section,
          `attribute ${member.name} of map ${name}`,
          "a number in the form of __uint",
        );
      }
      numbers.set(member.name, array.length);
    } else if ((TYPES as readonly string[]).includes(member.name)) {
      if (pointer.kind !== "ptr")
        throw refusal("malformed", section, `attribute ${member.name} of map ${name}`, "a type in the form of __type");
      types.set(member.name, pointer.type);
    } else if (member.name === "values") values = offset + member.bitOffset / 8;
    else throw refusal("unsupported", section, `attribute ${member.name} of map ${name}`, ATTRIBUTES.join(", "));
  }
  const kind = numbers.get("type");
  if (kind === undefined) throw refusal("malformed", section, `map ${name} without a type`, "__uint(type, …)");
  if (values !== undefined && kind !== MAP_TYPES.prog_array)
    throw refusal("unsupported", section, `inner maps of map ${name} (values)`, "values of a prog array");
  const maxEntries = numbers.get("max_entries") ?? 0;
  const pinning = numbers.get("pinning") ?? 0;
  if (pinning > 1)
    throw refusal("unsupported", section, `pinning ${pinning} of map ${name}`, "0 (none) or 1 (by name)");
  const sizeOf = (attribute: "key" | "value"): number => {
    const given = numbers.get(`${attribute}_size`);
    const typed = types.get(attribute);
    const size = typed === undefined ? given : btf.size(typed);
    if (typed !== undefined && given !== undefined && given !== size) {
      throw refusal(
        "malformed",
        section,
        `${attribute} of map ${name} of ${size} bytes by its type and ${given} by its size`,
        "one size",
      );
    }
    return size ?? 0;
  };
  const [keyType, valueType] = [types.get("key"), types.get("value")];
  return {
    name,
    type: kind,
    keySize: sizeOf("key"),
    valueSize: sizeOf("value") || (values === undefined ? 0 : 4), // as libbpf fills it in
    maxEntries,
    flags: numbers.get("map_flags") ?? 0,
    section: section.name,
    offset,
    pinned: pinning === 1,
    ...(keyType === undefined ? {} : { keyType }),
    ...(valueType === undefined ? {} : { valueType }),
    ...(values === undefined ? {} : { programs: slots.slotsOf(name, values, maxEntries, budget) }),
  };
}

function refusal(code: "malformed" | "unsupported", section: ElfSection, what: string, expected: string): BpfError {
  return new BpfError(code, what, { offset: section.offset, expected });
}
