// What the verifier has to know of a global function's arguments, as the kernel reads it from BTF (`btf_prepare_func_args`, Linux 7.2).
import { type FunctionSignature, programType } from "@bpfkit/core";
import type { Btf, BtfKind } from "./btf.ts";

/** r1 to r5. */
const MAX_ARGS = 5;
const EINVAL = -22;
/** What is counted for a tag and for a signature. */
const COST = 128;
const NUMBERS: ReadonlySet<BtfKind> = new Set(["int", "enum", "enum64"]);
const TAG = "arg:";
/** Kinds of types as kernels write them, where that is not the kind in capitals. */
const KIND_NAMES: Readonly<Partial<Record<BtfKind, string>>> = { void: "UNKNOWN" };

/** Signatures of the functions of an object. */
export class Signatures {
  readonly #btf: Btf;
  /** By the id of a function: what is said of which argument. */
  #tags: ReadonlyMap<number, readonly Tag[]> | undefined;

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** The signature of a global function in programs of a type; undefined for a static one. @throws {BpfError} `malformed`, `limit` */
  of(func: number, type: string): FunctionSignature | undefined {
    const btf = this.#btf;
    const { kind, linkage, name } = { name: "", linkage: "unknown", ...btf.type(func) };
    if (kind !== "func" || linkage !== "global") return undefined;
    btf.reserve(COST, "signatures of functions");
    const prototype = btf.target(func);
    const count = btf.items(prototype);
    if (count > MAX_ARGS) {
      const refusal = `Global function ${name}() with ${count} > ${MAX_ARGS} args. Buggy compiler.`;
      return { args: [], refusal };
    }
    const returns = btf.resolve(btf.target(prototype));
    if (returns !== 0 && !NUMBERS.has(btf.kind(returns)))
      return {
        args: [],
        refusal: `Global function ${name}() return value not void or scalar. Only those are supported.`,
      };
    const args: string[] = [];
    for (let index = 0; index < count; index++) {
      const id = btf.resolve(btf.itemType(prototype, index));
      const tags = (this.#allTags().get(func) ?? []).filter((tag) => tag.arg === index).map((tag) => tag.what);
      if (NUMBERS.has(btf.kind(id))) args.push("int");
      else if (btf.kind(id) !== "ptr") {
        return { args: [], refusal: `Arg#${index} type ${kindName(btf, id)} in ${name}() is not supported yet.` };
      } else {
        const arg = this.#pointer(id, tags, type);
        if (arg === undefined) {
          const to = btf.resolve(btf.target(id));
          const what = `('${kindName(btf, to)} ${btf.name(to)}')`;
          return { args: [], refusal: `arg#${index} reference type${what} size cannot be determined: ${EINVAL}` };
        }
        args.push(arg);
      }
    }
    return { args, ...(returns === 0 ? { returns: "void" as const } : {}) };
  }

  /** A pointer as an argument; undefined where nobody knows how much it points to. */
  #pointer(id: number, tags: readonly string[], type: string): string | undefined {
    const btf = this.#btf;
    if (tags.includes("ctx") || this.#isContext(btf.target(id), type)) return "ctx";
    // What is of no use here yet has a name of its own, by which the verifier refuses it.
    const other = tags.find((tag) => tag !== "nonnull" && tag !== "nullable");
    if (other !== undefined) return `${other} pointer`;
    const to = btf.resolve(btf.target(id));
    if (btf.kind(to) === "struct" && btf.name(to) === "bpf_dynptr") return "dynptr";
    if (btf.kind(to) === "void" || btf.kind(to) === "func_proto" || btf.kind(to) === "fwd") return undefined;
    return `mem ${btf.size(to)}${tags.includes("nonnull") ? " nonnull" : ""}`;
  }

  /** Whether a type is the context of programs of a type, which is told by its name. */
  #isContext(id: number, type: string): boolean {
    const btf = this.#btf;
    const struct = programType(type)?.context.struct;
    if (struct === "pt_regs") return nameThrough(btf, id) === "bpf_user_pt_regs_t";
    const to = btf.resolve(id);
    return btf.kind(to) === "struct" && btf.name(to) === struct;
  }

  #allTags(): ReadonlyMap<number, readonly Tag[]> {
    if (this.#tags !== undefined) return this.#tags;
    const btf = this.#btf;
    const tags = new Map<number, Tag[]>();
    for (let id = 1; id < btf.count; id++) {
      if (btf.kind(id) !== "decl_tag") continue;
      const tag = btf.type(id);
      if (tag.kind !== "decl_tag" || tag.component < 0 || !tag.name.startsWith(TAG)) continue;
      btf.reserve(COST, "tags of arguments");
      const known = tags.get(tag.type) ?? [];
      known.push({ arg: tag.component, what: tag.name.slice(TAG.length) });
      tags.set(tag.type, known);
    }
    this.#tags = tags;
    return tags;
  }
}

interface Tag {
  readonly arg: number;
  readonly what: string;
}

/** The name of the first typedef behind qualifiers. */
function nameThrough(btf: Btf, id: number): string {
  let at = id;
  while (["const", "volatile", "restrict", "type_tag"].includes(btf.kind(at))) at = btf.target(at);
  return btf.kind(at) === "typedef" ? btf.name(at) : "";
}

function kindName(btf: Btf, id: number): string {
  const kind = btf.kind(id);
  return KIND_NAMES[kind] ?? kind.toUpperCase();
}
