// Types as C text: definitions of named types, declarations of everything else. Bounded on any input, cyclic types included.
import type { Btf, BtfType } from "./btf.ts";

/** Deeper nesting of anonymous types and of parameter lists is printed as "…". */
const MAX_DEPTH = 12;
/** Pointers, arrays and qualifiers of one declaration. */
const MAX_CHAIN = 64;
/** Characters of a name. */
const MAX_NAME = 512;
/** Characters and entries that one text is made of; what does not fit is printed as "…". */
const ROOM = 1 << 18;

interface Context {
  readonly btf: Btf;
  room: number;
}

/**
 * The C text of a type: the definition of a struct, union, enum, typedef, function or data section, the name of anything else.
 * Tags are printed as attributes.
 *
 * @throws {BpfError} `malformed` when the type refers to one that does not exist.
 */
export function formatType(btf: Btf, id: number): string {
  return format({ btf, room: ROOM }, id);
}

/** The C declaration of `name` as a variable of the type, or the type alone for an empty `name`. */
export function formatDeclaration(btf: Btf, id: number, name: string): string {
  return declare({ btf, room: ROOM }, id, name, "", 0);
}

function format(context: Context, id: number): string {
  const type = visit(context, id);
  switch (type?.kind) {
    case undefined:
      return "…";
    case "struct":
    case "union":
    case "enum":
    case "enum64":
      return `${definition(context, type, "", 0)};`;
    case "fwd":
      return `${type.of} ${clip(type.name)};`;
    case "typedef":
      return `typedef ${declare(context, type.type, type.name, "", 0)};`;
    case "func":
    case "var": {
      const prefix = type.linkage === "static" || type.linkage === "extern" ? `${type.linkage} ` : "";
      return `${prefix}${declare(context, type.type, type.name, "", 0)};`;
    }
    case "datasec": {
      const lines = [`section "${clip(type.name)}" {`];
      for (const { type: variable, offset, size } of type.variables) {
        if (context.room <= 0) break;
        lines.push(`  ${format(context, variable)} /* offset ${offset}, ${size} bytes */`);
      }
      return [...lines, "};"].join("\n");
    }
    case "decl_tag": {
      const of = `${context.btf.kind(type.type)} ${clip(context.btf.name(type.type))}`;
      const component = type.component < 0 ? "" : `, component ${type.component}`;
      return `__attribute__((btf_decl_tag("${clip(type.name)}"))) /* ${of}${component} */`;
    }
    default:
      return declare(context, id, "", "", 0);
  }
}

/** The type as an object, or nothing when the room is used up: looking costs as much as the type has entries. */
function visit(context: Context, id: number): BtfType | undefined {
  context.room -= 1 + context.btf.items(id);
  return context.room < 0 ? undefined : context.btf.type(id);
}

function clip(name: string): string {
  return name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name;
}

/**
 * Builds a declarator from the inside out: pointers go to its left, arrays and parameters to its right, and what stands at the
 * end of the chain becomes the specifier.
 */
function declare(context: Context, id: number, name: string, indent: string, depth: number): string {
  let declarator = clip(name);
  let qualifiers = ""; // of the next pointer or of the specifier
  let pointed = false; // the declarator begins with a pointer: arrays and parameters need parentheses around it
  const call = (suffix: string): string => `${pointed ? `(${declarator})` : declarator}${suffix}`;
  let at = id;
  for (let step = 0; step < MAX_CHAIN; step++) {
    const type = visit(context, at);
    if (type === undefined) break;
    switch (type.kind) {
      case "ptr":
        declarator = `*${qualifiers}${declarator}`.trimEnd();
        qualifiers = "";
        pointed = true;
        at = type.type;
        continue;
      case "volatile":
      case "const":
      case "restrict":
        qualifiers = `${type.kind} ${qualifiers}`;
        at = type.type;
        continue;
      case "type_tag":
        qualifiers = `__attribute__((btf_type_tag("${clip(type.name)}"))) ${qualifiers}`;
        at = type.type;
        continue;
      case "array":
        declarator = call(`[${type.length === 0 ? "" : type.length}]`);
        pointed = false;
        at = type.element;
        continue;
      case "func_proto":
        declarator = call(`(${parameters(context, type, indent, depth)})`);
        pointed = false;
        at = type.returns;
        continue;
      default: {
        const text = `${qualifiers}${specify(context, type, indent, depth)} ${declarator}`.trimEnd();
        context.room -= text.length;
        return text;
      }
    }
  }
  return `… ${declarator}`;
}

function parameters(
  context: Context,
  proto: Extract<BtfType, { kind: "func_proto" }>,
  indent: string,
  depth: number,
): string {
  if (depth >= MAX_DEPTH) return "…";
  if (proto.params.length === 0) return "void";
  const texts: string[] = [];
  for (const [i, { name, type }] of proto.params.entries()) {
    if (context.room <= 0) return `${texts.join(", ")}, …`;
    const variadic = type === 0 && name === "" && i === proto.params.length - 1;
    texts.push(variadic ? "..." : declare(context, type, name, indent, depth + 1));
  }
  return texts.join(", ");
}

function specify(context: Context, type: BtfType, indent: string, depth: number): string {
  switch (type.kind) {
    case "void":
      return "void";
    case "struct":
    case "union":
    case "enum":
    case "enum64":
      if (type.name !== "") return `${keyword(type)} ${clip(type.name)}`;
      return depth >= MAX_DEPTH ? `${keyword(type)} { … }` : definition(context, type, indent, depth + 1);
    case "fwd":
      return `${type.of} ${clip(type.name)}`;
    case "int":
    case "float":
    case "typedef":
      return clip(type.name);
    default:
      return `/* ${type.kind}${"name" in type ? ` ${clip(type.name)}` : ""} */`;
  }
}

type Definition = Extract<BtfType, { kind: "struct" | "union" | "enum" | "enum64" }>;

function keyword(type: Definition): string {
  return type.kind === "enum64" ? "enum" : type.kind;
}

function definition(context: Context, type: Definition, indent: string, depth: number): string {
  const inner = `${indent}  `;
  const head = `${keyword(type)} ${clip(type.name)}`.trimEnd();
  const lines: string[] = [];
  for (const item of "members" in type ? type.members : type.values) {
    if (context.room <= 0) {
      lines.push(`${inner}…`);
      break;
    }
    if ("value" in item) {
      lines.push(`${inner}${clip(item.name)} = ${item.value},`);
      context.room -= item.name.length;
    } else {
      const bits = item.bitSize === 0 ? "" : ` : ${item.bitSize}`;
      lines.push(`${inner}${declare(context, item.type, item.name, inner, depth)}${bits};`);
    }
  }
  return lines.length === 0 ? `${head} {}` : `${head} {\n${lines.join("\n")}\n${indent}}`;
}
