// What the cases need of the types of the kernels that were asked: targets of programs and structures, in types-VERSION.json, which
// `node tools/run.mjs oracle-verdicts --types` writes. A member there is a text: its name, where it begins in bits (and `:` its width where it
// is a bit field), and its type: a number of bytes, `*name` for a pointer to a structure, `*` for another one, `{name}` for a structure
// itself, and `[n]` before the type of an array's elements.
import { existsSync, readFileSync } from "node:fs";

const known = new Map();

/** Options of `verify` for a case: what is known of its target and of structures in a kernel. */
export function typeOptions({ type, attach, target }, kernel) {
  const { targets, types } = typesOf(kernel);
  const found = targets[targetKey({ type, attach, target })];
  return { types, ...(found === undefined ? {} : { target: found }) };
}

/** How a target is called in the files. */
export function targetKey({ type, attach, target }) {
  return `${attach ?? type} ${target}`;
}

/** Targets by key, each with its number in the kernel's BTF as `id`, and structures as `verify` takes them. */
export function typesOf(kernel) {
  if (!known.has(kernel)) known.set(kernel, readTypes(new URL(`types-${kernel}.json`, import.meta.url)));
  return known.get(kernel);
}

function readTypes(url) {
  const { targets, structs } = existsSync(url) ? JSON.parse(readFileSync(url, "utf8")) : { targets: {}, structs: {} };
  const read = new Map();
  return {
    targets,
    types: {
      struct(key) {
        if (!read.has(key)) read.set(key, Object.hasOwn(structs, key) ? structOf(structs[key]) : undefined);
        return read.get(key);
      },
    },
  };
}

function structOf({ members, ...rest }) {
  return { ...rest, members: members.map(memberOf) };
}

function memberOf(text) {
  const [, name, bit, , bits, type] = /^(\S*) (\d+)(:(\d+))? (.+)$/.exec(text);
  return { name, bit: Number(bit), ...(bits === undefined ? {} : { bits: Number(bits) }), type: typeOf(type) };
}

function typeOf(text) {
  const array = /^\[(\d+)\](.+)$/.exec(text);
  if (array !== null) return { kind: "array", count: Number(array[1]), of: typeOf(array[2]) };
  if (text === "*") return { kind: "address" };
  if (text.startsWith("{")) return { kind: "struct", struct: text.slice(1, -1) };
  if (!text.startsWith("*")) return { kind: "number", size: Number(text) };
  const [, tag, to] = /^\*(?:(user|percpu|rcu) )?(.+)$/.exec(text);
  return { kind: "pointer", to, ...(tag === undefined ? {} : { tag }) };
}

/** The other way. */
export function memberText({ name, bit, bits, type }) {
  return `${name} ${bit}${bits === undefined ? "" : `:${bits}`} ${typeText(type)}`;
}

function typeText(type) {
  switch (type.kind) {
    case "array":
      return `[${type.count}]${typeText(type.of)}`;
    case "struct":
      return `{${type.struct}}`;
    case "number":
      return `${type.size}`;
    case "pointer":
      return `*${type.tag === undefined ? "" : `${type.tag} `}${type.to}`;
    default:
      return "*";
  }
}
