// Some functions of a kernel's BTF as a small BTF file: what their prototypes need, with pointers to names only and structs without members.
//
//   node tools/oracle/btf-excerpt.mjs vmlinux.btf 'vfs_*,panic' out.btf
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { matchesPattern } from "@bpfkit/core";
import { loadBtf } from "@bpfkit/object";

/** Numbers of kinds (Documentation/bpf/btf.rst, section 2.2). */
const KIND = {
  int: 1,
  ptr: 2,
  struct: 4,
  union: 5,
  enum: 6,
  fwd: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  func: 12,
  func_proto: 13,
  float: 16,
  type_tag: 18,
  enum64: 19,
};
const ENCODING = { unsigned: 0, signed: 1, char: 2, bool: 4 };
const HEADER = 24;

/** Bytes of BTF with the functions whose names match, in the order of their ids. */
export function excerptOf(btf, patterns) {
  const writer = new Writer(btf);
  for (let id = 1; id < btf.count; id++) {
    if (btf.kind(id) === "func" && patterns.some((pattern) => matchesPattern(btf.name(id), pattern))) writer.copy(id);
  }
  return writer.bytes();
}

class Writer {
  #btf;
  #rows = [];
  #ids = new Map([[0, 0]]);
  #strings = "\0";
  #offsets = new Map([["", 0]]);

  constructor(btf) {
    this.#btf = btf;
  }

  /** Writes a type behind those that it needs; gives its new id. */
  copy(id) {
    const known = this.#ids.get(id);
    if (known !== undefined) return known;
    const type = this.#btf.type(id);
    const row = this.#rowOf(type);
    this.#rows.push(row);
    this.#ids.set(id, this.#rows.length);
    return this.#rows.length;
  }

  #rowOf(type) {
    const { kind, name = "" } = type;
    const row = (third, rest = [], bits = 0) => [this.#string(name), KIND[kind] * 2 ** 24 + bits, third, ...rest];
    switch (kind) {
      case "int":
        return row(type.size, [ENCODING[type.encoding] * 2 ** 24 + type.bits]);
      case "ptr":
        return row(this.#pointee(type.type));
      case "struct":
      case "union":
      case "enum":
      case "enum64":
      case "float":
        return row(type.size);
      case "fwd":
        return row(0, [], type.of === "union" ? 2 ** 31 : 0);
      case "func_proto": {
        const rest = type.params.flatMap((param) => [0, this.copy(param.type)]);
        return row(this.copy(type.returns), rest, type.params.length);
      }
      default:
        return row(this.copy(type.type));
    }
  }

  /** What a pointer leads to, by its name alone: the id of a forward declaration, or of nothing. */
  #pointee(id) {
    const type = this.#btf.type(this.#btf.resolve(id));
    if (type.kind !== "struct" && type.kind !== "union") return 0;
    const key = `${type.kind} ${type.name}`;
    if (type.name !== "" && !this.#ids.has(key)) {
      const bits = type.kind === "union" ? 2 ** 31 : 0;
      this.#rows.push([this.#string(type.name), KIND.fwd * 2 ** 24 + bits, 0]);
      this.#ids.set(key, this.#rows.length);
    }
    return this.#ids.get(key) ?? 0;
  }

  #string(text) {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const at = this.#strings.length;
    this.#strings += `${text}\0`;
    this.#offsets.set(text, at);
    return at;
  }

  bytes() {
    const words = this.#rows.flat();
    const strings = Buffer.from(this.#strings, "latin1");
    const size = 4 * words.length;
    const all = Buffer.alloc(HEADER + size + strings.length);
    all.writeUInt16LE(0xeb9f, 0);
    all[2] = 1;
    for (const [i, word] of [HEADER, 0, size, size, strings.length].entries()) all.writeUInt32LE(word, 4 + 4 * i);
    for (const [i, word] of words.entries()) all.writeUInt32LE(word, HEADER + 4 * i);
    strings.copy(all, HEADER + size);
    return all;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , from, patterns, to] = process.argv;
  writeFileSync(to, excerptOf(loadBtf(new Uint8Array(readFileSync(from))), patterns.split(",")));
}
