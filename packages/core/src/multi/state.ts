// Which functions run which links' programs: classes of functions that share a trampoline, in columns.
import { BpfError } from "../errors.ts";
import type { LinkKind } from "../trampoline/plan.ts";
import type { FunctionFacts } from "./facts.ts";

/** Stands for no class, and for no function. */
export const NO_CLASS = -1;

/** One attach request that is in force: a program on functions. */
export interface MultiLink {
  /** Rises with each attach, so it is also the order in which links were attached. */
  readonly id: number;
  readonly kind: LinkKind;
  /** Whether the program knows the types of the arguments; then it has a trampoline of its own at each of its functions. */
  readonly typed: boolean;
  /** A number of the caller's for the program. */
  readonly program: number;
  /** Ascending. */
  readonly functions: Int32Array;
  /** What the program gets as its cookie: the same at all functions, or one per function beside `functions`. Never rewritten. */
  readonly cookies: bigint | BigUint64Array;
}

/** What tells classes apart. */
export interface ClassKey {
  /** Of {@link FunctionFacts.models}. */
  readonly model: number;
  /** The function of a single: one that a typed link has taken out of the shared classes. Else {@link NO_CLASS}. */
  readonly single: number;
  /** Ids of links, ascending: the order in which they were attached. */
  readonly links: Int32Array;
}

/** Functions that share one trampoline. */
export interface MultiClass extends ClassKey {
  /** Number of functions. */
  readonly size: number;
}

type ClassRow = { -readonly [K in keyof MultiClass]: MultiClass[K] };

/**
 * All links, and each function's class. A function is in the class of its model and of the links that list it, in the order in which they
 * were attached, and alone in one where one of the links is typed; so the classes follow from the links, however they came to be.
 *
 * Cost: 4 bytes per function and 4 per function of a link, 12 where its cookies differ; about 300 bytes per class. No lists of members, as a
 * change of a class concerns only functions of the request.
 *
 * Changed by {@link applyPlan} only.
 */
export class MultiState {
  readonly facts: FunctionFacts;
  /** In the order in which they were attached. */
  readonly links: ReadonlyMap<number, MultiLink> = new Map();
  /** Another object in each state that differs. */
  edition: object = {};
  /** Of the link attached next. */
  nextLink = 0;
  /** Functions in classes. */
  attached = 0;
  readonly #classes: (ClassRow | undefined)[] = [];
  readonly #byKey = new Map<string, number>();
  /** Ids of no class, the one used next last. */
  readonly #free: number[] = [];
  #classOf: Int32Array = new Int32Array(0);
  /** Per model, its functions in classes. */
  #attachedOf: Int32Array = new Int32Array(0);

  constructor(facts: FunctionFacts) {
    this.facts = facts;
  }

  /** Number of classes: of trampolines, where classes have one each. */
  get classes(): number {
    return this.#byKey.size;
  }

  /** Ids of all classes. */
  *classIds(): Generator<number> {
    for (const [id, row] of this.#classes.entries()) if (row !== undefined) yield id;
  }

  /** @throws {BpfError} `argument` when there is none */
  class(id: number): MultiClass {
    const row = this.#classes[id];
    if (row === undefined) throw new BpfError("argument", `class ${id}`, { expected: "the id of a class" });
    return row;
  }

  /** The class of a function, or {@link NO_CLASS}. */
  classOf(functionId: number): number {
    return functionId < this.#classOf.length ? this.#classOf[functionId]! : NO_CLASS;
  }

  /** The class with a key, or {@link NO_CLASS}. */
  find(key: ClassKey): number {
    return this.#byKey.get(textOf(key)) ?? NO_CLASS;
  }

  /** Functions of a model in classes. */
  attachedOf(model: number): number {
    return this.#attachedOf[model] ?? 0;
  }

  /** The ids that the next classes get. */
  nextClasses(count: number): number[] {
    const { length } = this.#free;
    const rest = this.#classes.length - length;
    return Array.from({ length: count }, (_, i) => (i < length ? this.#free[length - 1 - i]! : rest + i));
  }

  /** @hidden The functions that the columns hold grow with the facts. */
  reserve(): void {
    const { count } = this.facts;
    if (this.#classOf.length >= count) return;
    const columns = new Int32Array(Math.max(count, 2 * this.#classOf.length)).fill(NO_CLASS);
    columns.set(this.#classOf);
    this.#classOf = columns;
  }

  /** @hidden Moves functions into a class, or out of all; sizes follow. */
  move(functions: Int32Array, from: number, to: number): void {
    const classOf = this.#classOf;
    for (const id of functions) classOf[id] = to;
    if (from !== NO_CLASS) this.#classes[from]!.size -= functions.length;
    if (to !== NO_CLASS) this.#classes[to]!.size += functions.length;
    if (from === NO_CLASS || to === NO_CLASS) this.#count(functions, from === NO_CLASS ? 1 : -1);
  }

  /** @hidden Makes the class that {@link nextClasses} tells first. */
  make(key: ClassKey): number {
    const id = this.#free.pop() ?? this.#classes.length;
    this.#classes[id] = { ...key, size: 0 };
    this.#byKey.set(textOf(key), id);
    return id;
  }

  /** @hidden Takes away a class without functions. */
  unmake(id: number): void {
    this.#byKey.delete(textOf(this.#classes[id]!));
    this.#classes[id] = undefined;
    this.#free.push(id);
  }

  /** @hidden Gives a class another key, for all of its functions. */
  rename(id: number, key: ClassKey): void {
    const row = this.#classes[id]!;
    this.#byKey.delete(textOf(row));
    Object.assign(row, key);
    this.#byKey.set(textOf(key), id);
  }

  /** Bytes of the columns, as counted above. */
  get bytes(): number {
    let bytes = this.facts.count * 4 + this.classes * 300;
    for (const { functions, cookies } of this.links.values())
      bytes += functions.byteLength + (typeof cookies === "bigint" ? 8 : cookies.byteLength);
    return bytes;
  }

  #count(functions: Int32Array, step: 1 | -1): void {
    const { models } = this.facts;
    for (const id of functions) {
      const model = models[id]!;
      if (model >= this.#attachedOf.length) {
        const longer = new Int32Array(Math.max(16, 2 * model));
        longer.set(this.#attachedOf);
        this.#attachedOf = longer;
      }
      this.#attachedOf[model]! += step;
    }
    this.attached += step * functions.length;
  }
}

/** A text that is equal just for equal keys. */
export function textOf({ model, single, links }: ClassKey): string {
  return `${model} ${single} ${links.join()}`;
}
