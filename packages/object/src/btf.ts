// BTF, the type format of BPF: Linux, Documentation/bpf/btf.rst, sections 2 and 3. Types stay bytes until somebody asks for one.
import { BpfError } from "@bpfkit/core";
import { Budget, Reader } from "./reader.ts";

/** The kinds in the order of their numbers; 0 is the type without a row. */
// biome-ignore format: number = position
const KINDS: readonly BtfKind[] = [
  "void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile", "const", "restrict",
  "func", "func_proto", "var", "datasec", "float", "decl_tag", "type_tag", "enum64",
];

/** Bytes after a row's 12: a fixed part, and a part for each of its `vlen` entries. */
// biome-ignore format: columns
const FIXED    = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0] as const;
// biome-ignore format: columns
const PER_ITEM = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12] as const;
/** Whether the third word of a row is the id of another type. */
// biome-ignore format: columns
const TARGETS  = [0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0] as const;
/** Where the type stands in an entry; -1: entries have none. */
// biome-ignore format: columns
const ITEM_TYPE = [-1, -1, -1, -1, 4, 4, -1, -1, -1, -1, -1, -1, -1, 4, -1, 0, -1, -1, -1, -1] as const;

const MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
const TYPE_SIZE = 12;
/** Longer chains of typedefs, qualifiers and arrays exist only in files made to hurt. */
const MAX_CHAIN = 64;
const LINKAGES = ["static", "global", "extern"] as const;
/** What is counted for a type or an entry of one given out as an object, and for a row of the name index. */
const ENTRY_COST = 64;

export type BtfLinkage = "static" | "global" | "extern" | "unknown";

/** A member of a struct or union; `bitSize` is 0 unless it is a bit field. */
export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  readonly bitSize: number;
}

/** The sorts of types, `void` for id 0 included. */
export type BtfKind = BtfType["kind"];

/** One type as an object; `type`, `element`, … are ids of other types. Sizes and offsets in bytes unless they say bits. */
export type BtfType =
  | { readonly kind: "void" }
  | {
      readonly kind: "int";
      readonly name: string;
      readonly size: number;
      readonly bits: number;
      readonly bitOffset: number;
      readonly encoding: "unsigned" | "signed" | "char" | "bool";
    }
  | { readonly kind: "ptr"; readonly type: number }
  | { readonly kind: "array"; readonly element: number; readonly index: number; readonly length: number }
  | {
      readonly kind: "struct" | "union";
      readonly name: string;
      readonly size: number;
      readonly members: readonly BtfMember[];
    }
  | {
      readonly kind: "enum" | "enum64";
      readonly name: string;
      readonly size: number;
      readonly signed: boolean;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    }
  | { readonly kind: "fwd"; readonly name: string; readonly of: "struct" | "union" }
  | {
      readonly kind: "typedef" | "volatile" | "const" | "restrict" | "type_tag";
      readonly name: string;
      readonly type: number;
    }
  | { readonly kind: "func"; readonly name: string; readonly type: number; readonly linkage: BtfLinkage }
  | {
      readonly kind: "func_proto";
      readonly returns: number;
      /** A last parameter of type 0 without a name stands for `...`. */
      readonly params: readonly { readonly name: string; readonly type: number }[];
    }
  | { readonly kind: "var"; readonly name: string; readonly type: number; readonly linkage: BtfLinkage }
  | {
      readonly kind: "datasec";
      readonly name: string;
      readonly size: number;
      readonly variables: readonly { readonly type: number; readonly offset: number; readonly size: number }[];
    }
  | { readonly kind: "float"; readonly name: string; readonly size: number }
  | { readonly kind: "decl_tag"; readonly name: string; readonly type: number; readonly component: number };

/**
 * The types of an object or of a kernel. Ids run from 1 to `count - 1`; id 0 is `void`.
 *
 * @example
 * ```ts
 * import { formatType, loadBtf } from "@bpfkit/object";
 * declare const bytes: Uint8Array; // of a .BTF section or of /sys/kernel/btf/vmlinux
 * const btf = loadBtf(bytes);
 * const id = btf.find("task_struct", "struct");
 * if (id !== undefined) console.log(formatType(btf, id));
 * ```
 */
export interface Btf {
  /** Number of types, `void` included. */
  readonly count: number;
  /** What sort of type `id` is. @throws {BpfError} `malformed` when there is no such type, as do all that take an id. */
  kind(id: number): BtfKind;
  /** The name of a type, empty where it has none. */
  name(id: number): string;
  /** Entries of a type: members, parameters, values, variables. */
  items(id: number): number;
  /** The type as an object, made anew by each call. */
  type(id: number): BtfType;
  /**
   * The id that the type refers to: what a pointer points to, a typedef or qualifier stands for, a function's prototype, what a prototype returns.
   * As with `itemType`, an id that does not exist is `malformed` with the offset where it stands. @throws {BpfError} also for types that refer to none
   */
  target(id: number): number;
  /** The type of an entry: a member, a parameter, a variable of a data section. @throws {BpfError} `malformed` also without such an entry */
  itemType(id: number, index: number): number;
  /** Whether the type is an int with a sign; enums are not. */
  isSigned(id: number): boolean;
  /** Follows typedefs, qualifiers and tags to the type that they stand for. */
  resolve(id: number): number;
  /** Size in bytes of a value of the type. @throws {BpfError} `malformed` for types without a size and above 4 GiB. */
  size(id: number): number;
  /** The id of the first type of that name, of any kind or of the one given. The first call indexes all names. */
  find(name: string, kind?: BtfKind): number | undefined;
  /** A string of the string section by its offset; each is counted once against the budget. */
  string(offset: number): string;
  /** Where the type begins in the input, for messages. */
  offset(id: number): number;
  /** Counts bytes that are kept for as long as the types are. @throws {BpfError} `limit` above the budget */
  reserve(bytes: number, what: string): void;
}

class BtfReader implements Btf {
  readonly count: number;
  readonly #types: Reader;
  readonly #strings: Reader;
  readonly #offsets: Uint32Array;
  readonly #cache: Map<number, string> = new Map();
  #index: Map<string, number> | undefined;

  constructor(types: Reader, strings: Reader, offsets: Uint32Array) {
    this.#types = types;
    this.#strings = strings;
    this.#offsets = offsets;
    this.count = offsets.length;
  }

  kind(id: number): BtfKind {
    return KINDS[this.#kind(id)]!;
  }

  name(id: number): string {
    return id === 0 ? "" : this.string(this.#types.u32(this.#at(id)));
  }

  items(id: number): number {
    // A func keeps its linkage where others count their entries.
    return PER_ITEM[this.#kind(id)] === 0 ? 0 : this.#types.u16(this.#at(id) + 4);
  }

  string(offset: number): string {
    let found = this.#cache.get(offset);
    if (found === undefined) {
      found = this.#strings.string(offset, "a BTF string");
      this.#strings.budget.take(ENTRY_COST, "BTF strings");
      this.#cache.set(offset, found);
    }
    return found;
  }

  offset(id: number): number {
    return this.#types.start + this.#at(id);
  }

  reserve(bytes: number, what: string): void {
    this.#strings.budget.take(bytes, what);
  }

  target(id: number): number {
    if (TARGETS[this.#kind(id)] !== 1)
      throw this.#malformed(id, `${this.kind(id)} ${this.name(id)}`.trimEnd(), "a type that refers to another");
    return this.#checked(this.#at(id) + 8);
  }

  itemType(id: number, index: number): number {
    const kind = this.#kind(id);
    if (ITEM_TYPE[kind]! < 0 || !(index >= 0 && index < this.items(id)))
      throw this.#malformed(
        id,
        `entry ${index} of ${this.kind(id)} ${this.name(id)}`.trimEnd(),
        "an entry with a type",
      );
    return this.#checked(this.#at(id) + TYPE_SIZE + index * PER_ITEM[kind]! + ITEM_TYPE[kind]!);
  }

  isSigned(id: number): boolean {
    return this.#kind(id) === 1 && ((this.#types.u32(this.#at(id) + TYPE_SIZE) >>> 24) & 0xf) === 1;
  }

  find(name: string, kind?: BtfKind): number | undefined {
    const index = this.#indexed();
    if (kind !== undefined) return index.get(`${kind} ${name}`);
    let first: number | undefined;
    for (const each of KINDS) {
      const id = index.get(`${each} ${name}`);
      if (id !== undefined && (first === undefined || id < first)) first = id;
    }
    return first;
  }

  resolve(id: number): number {
    let at = id;
    for (let step = 0; step < MAX_CHAIN; step++) {
      const kind = this.#kind(at);
      if ((kind < 8 || kind > 11) && kind !== 18) return at;
      at = this.#reference(at);
    }
    throw this.#malformed(
      id,
      `type ${id} behind more than ${MAX_CHAIN} typedefs and qualifiers`,
      "an end of the chain",
    );
  }

  size(id: number): number {
    let factor = 1;
    let at = id;
    for (let step = 0; step < MAX_CHAIN; step++) {
      at = this.resolve(at);
      const kind = this.kind(at);
      if (kind === "array") {
        factor *= this.#types.u32(this.#at(at) + 20);
        at = this.#types.u32(this.#at(at) + 12);
        if (factor > 0xffffffff) break;
        continue;
      }
      if (kind === "var") {
        at = this.#reference(at);
        continue;
      }
      const size = kind === "ptr" ? 8 : HAS_SIZE.has(kind) ? this.#reference(at) : undefined;
      if (size === undefined) throw this.#malformed(at, `${kind} ${this.name(at)}`.trimEnd(), "a type with a size");
      if (factor * size > 0xffffffff) break;
      return factor * size;
    }
    throw this.#malformed(id, `type ${id} of more than 4 GiB, or arrays nested ${MAX_CHAIN} times`, "a smaller type");
  }

  type(id: number): BtfType {
    const kind = this.kind(id);
    if (kind === "void") return { kind };
    const at = this.#at(id);
    const t = this.#types;
    const name = this.name(id);
    const rest = at + TYPE_SIZE;
    const size = t.u32(at + 8); // or the id of another type: one field, two meanings
    const flag = t.u32(at + 4) >>> 31 === 1;
    switch (kind) {
      case "int": {
        const data = t.u32(rest);
        const encoding =
          (["unsigned", "signed", "char", "unsigned", "bool"] as const)[(data >>> 24) & 0xf] ?? "unsigned";
        return { kind, name, size, bits: data & 0xff, bitOffset: (data >>> 16) & 0xff, encoding };
      }
      case "ptr":
        return { kind, type: size };
      case "array":
        return { kind, element: t.u32(rest), index: t.u32(rest + 4), length: t.u32(rest + 8) };
      case "struct":
      case "union": {
        const members = this.#list(id, 12, (item) => {
          const offset = t.u32(item + 8);
          const [bitOffset, bitSize] = flag ? [offset & 0xffffff, offset >>> 24] : [offset, 0];
          return { name: this.string(t.u32(item)), type: t.u32(item + 4), bitOffset, bitSize };
        });
        return { kind, name, size, members };
      }
      case "enum":
      case "enum64": {
        const wide = kind === "enum64";
        const values = this.#list(id, wide ? 12 : 8, (item) => {
          const bits = BigInt(t.u32(item + 4)) | (wide ? BigInt(t.u32(item + 8)) << 32n : 0n);
          return { name: this.string(t.u32(item)), value: flag ? BigInt.asIntN(wide ? 64 : 32, bits) : bits };
        });
        return { kind, name, size, signed: flag, values };
      }
      case "fwd":
        return { kind, name, of: flag ? "union" : "struct" };
      case "func":
        return { kind, name, type: size, linkage: LINKAGES[t.u16(at + 4)] ?? "unknown" };
      case "func_proto": {
        const params = this.#list(id, 8, (item) => ({ name: this.string(t.u32(item)), type: t.u32(item + 4) }));
        return { kind, returns: size, params };
      }
      case "var":
        return { kind, name, type: size, linkage: LINKAGES[t.u32(rest)] ?? "unknown" };
      case "datasec": {
        const variables = this.#list(id, 12, (item) => ({
          type: t.u32(item),
          offset: t.u32(item + 4),
          size: t.u32(item + 8),
        }));
        return { kind, name, size, variables };
      }
      case "float":
        return { kind, name, size };
      case "decl_tag":
        return { kind, name, type: size, component: t.i32(rest) };
      default:
        return { kind, name, type: size };
    }
  }

  #at(id: number): number {
    const at = this.#offsets[id];
    if (at === undefined) {
      throw new BpfError("malformed", `BTF type ${id}`, {
        offset: this.#types.start,
        expected: `an id below ${this.count}`,
      });
    }
    return at;
  }

  #kind(id: number): number {
    const at = this.#at(id);
    return id === 0 ? 0 : (this.#types.u32(at + 4) >>> 24) & 0x1f;
  }

  #reference(id: number): number {
    return this.#types.u32(this.#at(id) + 8);
  }

  /** The id that stands at an offset. */
  #checked(at: number): number {
    const id = this.#types.u32(at);
    if (id >= this.count) throw this.#types.malformed(`BTF type ${id}`, at, `an id below ${this.count}`);
    return id;
  }

  #list<T>(id: number, size: number, read: (at: number) => T): T[] {
    const first = this.#at(id) + TYPE_SIZE;
    return Array.from({ length: this.items(id) }, (_, i) => read(first + i * size));
  }

  #indexed(): Map<string, number> {
    if (this.#index === undefined) {
      const index = new Map<string, number>();
      this.#types.budget.take(this.count * ENTRY_COST, "the index of BTF names");
      for (let id = 1; id < this.count; id++) {
        const name = this.name(id);
        if (name === "") continue;
        const key = `${this.kind(id)} ${name}`;
        if (!index.has(key)) index.set(key, id);
      }
      this.#index = index;
    }
    return this.#index;
  }

  #malformed(id: number, message: string, expected: string): BpfError {
    return this.#types.malformed(`BTF: ${message}`, this.#at(id), expected);
  }
}

const HAS_SIZE: ReadonlySet<BtfKind> = new Set(["int", "struct", "union", "enum", "enum64", "float", "datasec"]);

/** Finds where each type begins. @throws {BpfError} `malformed`, or `unsupported` for another byte order or version. */
export function readBtf(section: Reader): Btf {
  section.need(0, HEADER_SIZE, "the BTF header");
  if (section.u16(0) === 0x9feb)
    throw new BpfError("unsupported", "big-endian BTF", { offset: section.start, expected: "little-endian" });
  if (section.u16(0) !== MAGIC)
    throw section.malformed(`BTF magic ${section.u16(0).toString(16)}`, 0, MAGIC.toString(16));
  if (section.u8(2) !== 1) {
    throw new BpfError("unsupported", `BTF version ${section.u8(2)}`, {
      offset: section.start + 2,
      expected: "version 1",
    });
  }
  const header = section.u32(4);
  if (header < HEADER_SIZE) throw section.malformed(`BTF header of ${header} bytes`, 4, `at least ${HEADER_SIZE}`);
  const types = section.window(header + section.u32(8), section.u32(12), "the BTF types");
  const strings = section.window(header + section.u32(16), section.u32(20), "the BTF strings");
  // The smallest row has 12 bytes, which bounds the number of types before one is read.
  const most = Math.floor(types.length / TYPE_SIZE) + 1;
  section.budget.take(most * 4, "BTF types");
  const offsets = new Uint32Array(most);
  let count = 1;
  for (let at = 0; at < types.length; ) {
    offsets[count++] = at;
    const info = types.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    if (kind === 0 || kind >= KINDS.length)
      throw types.malformed(`BTF kind ${kind}`, at + 4, `a kind from 1 to ${KINDS.length - 1}`);
    const size = TYPE_SIZE + FIXED[kind]! + PER_ITEM[kind]! * (info & 0xffff);
    types.need(at, size, "a BTF type");
    at += size;
  }
  return new BtfReader(types, strings, offsets.subarray(0, count));
}

/**
 * Reads BTF by itself, as in `/sys/kernel/btf/vmlinux`. The bytes are not copied and must not change.
 *
 * @param options `budget`: bytes that reading and later look-ups may keep, 256 MiB unless given.
 * @throws {BpfError} `malformed`, `unsupported` or `limit`.
 */
export function loadBtf(bytes: Uint8Array, options: { readonly budget?: number } = {}): Btf {
  return readBtf(new Reader(bytes, new Budget(options.budget ?? 256 * 2 ** 20), "the BTF"));
}
