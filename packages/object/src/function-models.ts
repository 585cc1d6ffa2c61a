// Functions of BTF as trampolines see them: sizes and signs, as the kernel takes them from types (`btf_distill_func_proto`, Linux 7.2).
import { type ArgModel, BpfError, type FuncModel, MAX_ARG_SLOTS } from "@bpfkit/core";
import type { Btf, BtfKind } from "./btf.ts";

/** Why a function has no model: too many arguments, `...`, an argument or a result that trampolines cannot hand on. */
export type RefusalCause = "arguments" | "variadic" | "argument" | "result";

/** A function that cannot be traced with its arguments. */
export interface RefusedFunction {
  readonly name: string;
  /** BTF id. */
  readonly id: number;
  readonly cause: RefusalCause;
  /** The cause in words, with the type that is to blame. */
  readonly reason: string;
}

/** All functions of BTF, in the order of their ids. Functions are numbered from 0, without those that are refused. */
export interface FunctionModels {
  /** By function; BTF does not promise that names differ. */
  readonly names: readonly string[];
  /** BTF ids, by function. */
  readonly ids: Uint32Array;
  /** All models that differ, in the order in which they are met. */
  readonly models: readonly FuncModel[];
  /** Index of its model, by function. */
  readonly modelOf: Uint32Array;
  /** Equal just for functions whose result and arguments have the same type ids: the id of the first such prototype, by function. */
  readonly prototypeOf: Uint32Array;
  readonly refused: readonly RefusedFunction[];
}

/** The kernel hands a struct on in at most two registers. */
const MAX_STRUCT = 16;
/** What is counted for a type, for a function beside its name, for a prototype, and for an argument of a model. */
const COSTS = { type: 9, func: 24, prototype: 128, arg: 64 } as const;
/** Characters of a type's name in a reason. */
const MAX_NAME = 80;

/**
 * Sizes and signs of all functions in BTF. Typedefs and qualifiers are followed, enums are numbers without a sign, structs and unions by value may have
 * 16 bytes. Refused are results in structs, more than 12 arguments, `...`, and arguments that are larger, empty or have no size; also numbers of 16 bytes,
 * which the kernel takes, though its trampolines keep one half of such a result. A backend refuses more than 12 words later (`classifyArgs`).
 *
 * One pass over the types; a prototype, and a type as an argument, is looked at once: O(types + parameters). The 54,616 functions among 124,640 types of
 * Linux 7.2 take less than half a second.
 *
 * @throws {BpfError} `malformed` with the offset of an id that leads nowhere; `limit` above the budget of `loadBtf`
 * @example
 * ```ts
 * import { formatFuncModel } from "@bpfkit/core";
 * import { functionModels, loadBtf } from "@bpfkit/object";
 * declare const bytes: Uint8Array; // of /sys/kernel/btf/vmlinux
 * const { names, models, modelOf } = functionModels(loadBtf(bytes));
 * const i = names.indexOf("vfs_read");
 * console.log(formatFuncModel(models[modelOf[i]!]!)); // s64 (u64, u64, u64, u64)
 * ```
 */
export function functionModels(btf: Btf): FunctionModels {
  const prototypes = new Prototypes(btf);
  const names: string[] = [];
  const [ids, modelOf, prototypeOf]: [number[], number[], number[]] = [[], [], []];
  const refused: RefusedFunction[] = [];
  for (let id = 1; id < btf.count; id++) {
    if (btf.kind(id) !== "func") continue;
    btf.reserve(COSTS.func, "functions of BTF");
    const prototype = prototypes.of(id);
    const refusal = prototypes.refusals.get(prototype);
    if (refusal !== undefined) {
      refused.push({ name: btf.name(id), id, ...refusal });
      continue;
    }
    names.push(btf.name(id));
    ids.push(id);
    modelOf.push(prototypes.modelOf[prototype]!);
    prototypeOf.push(prototypes.firstOf[prototype]!);
  }
  return {
    names,
    ids: Uint32Array.from(ids),
    models: prototypes.models,
    modelOf: Uint32Array.from(modelOf),
    prototypeOf: Uint32Array.from(prototypeOf),
    refused,
  };
}

type Refusal = Pick<RefusedFunction, "cause" | "reason">;

/** A type as an argument in one byte: its size, and these. */
const [SIGNED, STRUCT, UNFIT] = [0x20, 0x40, 0x80];
const SIZE = 0x1f;
/** A byte of a type that was not looked at. */
const UNKNOWN = 0xff;

/** The prototypes of functions, by id; each is looked at once. */
class Prototypes {
  readonly models: FuncModel[] = [];
  /** Why there is no model, and nothing of one in the columns. */
  readonly refusals: Map<number, Refusal> = new Map();
  /** Index of the model. */
  readonly modelOf: Int32Array;
  /** The first prototype that was looked at of those with the same types; 0 for one that was not. */
  readonly firstOf: Uint32Array;
  readonly #btf: Btf;
  /** By type id. */
  readonly #shapes: Uint8Array;
  /** By the bytes of result and arguments, and by their ids, as letters. */
  readonly #known: Map<string, number> = new Map();
  readonly #firsts: Map<string, number> = new Map();

  constructor(btf: Btf) {
    this.#btf = btf;
    btf.reserve(COSTS.type * btf.count, "types of arguments");
    this.modelOf = new Int32Array(btf.count);
    this.firstOf = new Uint32Array(btf.count);
    this.#shapes = new Uint8Array(btf.count).fill(UNKNOWN);
    this.#shapes[0] = UNFIT;
  }

  /** The id of a function's prototype. */
  of(func: number): number {
    const id = this.#btf.target(func);
    if (this.firstOf[id] === 0 && !this.refusals.has(id)) {
      const kind = this.#btf.kind(id);
      if (kind !== "func_proto") {
        throw new BpfError("malformed", `BTF func ${func} of a ${kind}`, {
          offset: this.#btf.offset(func) + 8,
          expected: "a func_proto",
        });
      }
      this.#btf.reserve(COSTS.prototype, "prototypes of BTF");
      const refusal = this.#read(id);
      if (refusal !== undefined) this.refusals.set(id, refusal);
    }
    return id;
  }

  /** In the kernel's order, which decides what a function with several flaws is refused for. */
  #read(id: number): Refusal | undefined {
    const btf = this.#btf;
    const count = btf.items(id);
    if (count > MAX_ARG_SLOTS) return { cause: "arguments", reason: `${count} arguments, at most ${MAX_ARG_SLOTS}` };
    const returns = btf.target(id);
    const result = returns === 0 ? 0 : this.#shape(returns);
    if ((result & (UNFIT | STRUCT)) !== 0) return { cause: "result", reason: `a result that is ${this.#say(returns)}` };
    let shapes = String.fromCharCode(result);
    let types = letters(returns);
    for (let i = 0; i < count; i++) {
      const type = btf.itemType(id, i);
      if (type === 0 && i === count - 1) return { cause: "variadic", reason: "a variable number of arguments" };
      const shape = this.#shape(type);
      if (shape === UNFIT) return { cause: "argument", reason: `argument ${i} is ${this.#say(type)}` };
      shapes += String.fromCharCode(shape);
      types += letters(type);
    }
    const first = this.#firsts.get(types);
    if (first === undefined) this.#firsts.set(types, id);
    this.firstOf[id] = first ?? id;
    this.modelOf[id] = this.#indexOf(shapes);
    return undefined;
  }

  #indexOf(shapes: string): number {
    let index = this.#known.get(shapes);
    if (index === undefined) {
      this.#btf.reserve(COSTS.arg * shapes.length, "models of functions");
      const [result, ...args] = Array.from(shapes, (letter) => argOf(letter.charCodeAt(0)));
      index = this.models.push({ args, result: { size: result!.size, signed: result!.signed } }) - 1;
      this.#known.set(shapes, index);
    }
    return index;
  }

  #shape(type: number): number {
    let shape = this.#shapes[type]!;
    if (shape === UNKNOWN) {
      shape = shapeOf(this.#btf, type);
      this.#shapes[type] = shape;
    }
    return shape;
  }

  /** `struct sockaddr_storage of 128 bytes` */
  #say(type: number): string {
    const id = this.#btf.resolve(type);
    const kind = this.#btf.kind(id);
    const name = this.#btf.name(id);
    const short = name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name;
    const size = SIZED.has(kind) ? `of ${this.#btf.size(id)} bytes` : "";
    return [kind, short, size].filter((part) => part !== "").join(" ");
  }
}

const NUMBERS: ReadonlySet<BtfKind> = new Set(["int", "enum", "enum64"]);
const STRUCTS: ReadonlySet<BtfKind> = new Set(["struct", "union"]);
const SIZED: ReadonlySet<BtfKind> = new Set([...NUMBERS, ...STRUCTS, "float"]);

function shapeOf(btf: Btf, type: number): number {
  const id = btf.resolve(type);
  const kind = btf.kind(id);
  if (kind === "ptr") return 8;
  if (!NUMBERS.has(kind) && !STRUCTS.has(kind)) return UNFIT;
  const size = btf.size(id);
  if (STRUCTS.has(kind)) return size >= 1 && size <= MAX_STRUCT ? size | STRUCT : UNFIT;
  return [1, 2, 4, 8].includes(size) ? size | (btf.isSigned(id) ? SIGNED : 0) : UNFIT;
}

function argOf(shape: number): ArgModel {
  return { size: shape & SIZE, signed: (shape & SIGNED) !== 0, struct: (shape & STRUCT) !== 0 };
}

/** A type id as two letters. */
function letters(id: number): string {
  return String.fromCharCode(id & 0xffff, id >>> 16);
}
