// The functions of a kernel, and subprograms that somebody has asked for, in the columns that multi-attach plans with.
import {
  BpfError,
  type FuncModel,
  type FunctionFacts,
  FunctionFlag,
  formatFuncModel,
  ModelKeys,
  placesKey,
} from "@bpfkit/core";
import type { LiveSite } from "../text/sites.ts";
import type { TracedFunction } from "../tracing/function.ts";
import type { Target, ToldShape } from "../tracing/target.ts";

/** What trampolines have to know of functions that can share them. */
export interface SharedShape {
  readonly model: FuncModel;
  readonly tailCalls: boolean;
}

/** All functions that can be traced, in the order in which they were defined. A subprogram takes the place of one whose program has gone. */
export class FunctionTable implements FunctionFacts {
  models: Int32Array = new Int32Array(64);
  flags: Uint8Array = new Uint8Array(64);
  readonly #targets: Target[] = [];
  readonly #functions: (TracedFunction | undefined)[] = [];
  /** Rows of subprograms that have gone. */
  readonly #free: number[] = [];
  /** Rows of subprograms. */
  #subprogs = 0;
  readonly #sites: LiveSite[] = [];
  /** Functions whose entries have another user. */
  readonly #shared = new Set<number>();
  #addresses: Float64Array = new Float64Array(64);
  readonly #keys = new ModelKeys();
  /** What one function is for each number of a model. */
  readonly #shapes: SharedShape[] = [];

  get count(): number {
    return this.#targets.length;
  }

  name(id: number): string {
    return this.target(id).name;
  }

  target(id: number): Target {
    return this.#targets[id]!;
  }

  /** The id of a function, or -1. */
  idOf(traced: TracedFunction): number {
    return this.#functions[traced.id] === traced ? traced.id : -1;
  }

  /** The entry sites of functions, and their addresses. */
  sitesOf(ids: Int32Array): { readonly sites: LiveSite[]; readonly addresses: Float64Array } {
    const sites: LiveSite[] = [];
    const addresses = new Float64Array(ids.length);
    for (let i = 0; i < ids.length; i++) {
      sites.push(this.#sites[ids[i]!]!);
      addresses[i] = this.#addresses[ids[i]!]!;
    }
    return { sites, addresses };
  }

  /** The first of some functions whose other user does not share the entry with such a trampoline. O(functions) where there is any other user */
  refusing(ids: Int32Array, original: "known" | "from-stack"): Target | undefined {
    if (this.#shared.size === 0) return undefined;
    const id = ids.find((each) => this.#shared.has(each) && !this.target(each).function!.options.shares!(original));
    return id === undefined ? undefined : this.target(id);
  }

  /** What the functions are that share a number of a model. */
  shapeOf(model: number): SharedShape {
    return this.#shapes[model]!;
  }

  busy(id: number): string | undefined {
    const { extension } = this.#targets[id]!;
    return extension === undefined ? undefined : `'${extension}' replaces it`;
  }

  /** Keeps programs whose subprograms are among some functions. O(1) where no subprogram is in the table */
  hold(ids: ArrayLike<number>): void {
    for (const id of this.#subprogsIn(ids)) this.#targets[id]!.program!.hold();
  }

  drop(ids: ArrayLike<number>): void {
    for (const id of this.#subprogsIn(ids)) this.#targets[id]!.program!.drop();
  }

  add(target: Target): void {
    const id = this.#free.pop() ?? this.#targets.length;
    const { function: traced, program, site } = target;
    this.#targets[id] = target;
    this.#functions[id] = traced;
    this.#sites[id] = site;
    target.id = id;
    if (id >= this.models.length) this.#grow();
    this.#addresses[id] = Number(site.address);
    if (traced === undefined) {
      this.#subprogs++;
      // As in Linux, what traces is not traced, and the functions of a pattern are the kernel's.
      this.flags[id] = FunctionFlag.UNNAMED | (program!.type === "tracing" ? 0 : FunctionFlag.TRACEABLE);
    } else {
      const { sleeps, shares } = traced.options;
      traced.id = id;
      if (shares !== undefined) this.#shared.add(id);
      this.flags[id] = FunctionFlag.TRACEABLE | (sleeps === true ? FunctionFlag.MAY_SLEEP : 0);
    }
    this.models[id] = this.#modelOf(target);
  }

  /** Takes a subprogram out that nothing is attached to. */
  remove({ id }: Target): void {
    this.flags[id] = FunctionFlag.UNNAMED;
    this.#subprogs--;
    this.#free.push(id);
  }

  /** A subprogram is what the first says who attaches to it. @throws {BpfError} `argument` (EINVAL) where others rely on another shape */
  take(target: Target, shape: ToldShape, isAttached: boolean): void {
    if (isAttached && !shape.isTold) return;
    if (isAttached && placesKey(shape.places) !== placesKey(target.places)) {
      throw new BpfError("argument", `${formatFuncModel(shape.model)} for ${target.name} (EINVAL)`, {
        expected: `${formatFuncModel(target.model)}, as others are attached to it`,
      });
    }
    target.shape = shape;
    this.models[target.id] = this.#modelOf(target);
  }

  #modelOf(target: Target): number {
    const { model, tailCalls } = target;
    const number = this.#keys.of(`${placesKey(target.places)}${tailCalls ? " with tail calls" : ""}`);
    this.#shapes[number] ??= { model, tailCalls };
    return number;
  }

  *#subprogsIn(ids: ArrayLike<number>): Generator<number> {
    if (this.#subprogs === 0) return;
    for (let i = 0; i < ids.length; i++) if (this.#targets[ids[i]!]?.program !== undefined) yield ids[i]!;
  }

  #grow(): void {
    const length = 2 * this.models.length;
    const [models, flags, addresses] = [new Int32Array(length), new Uint8Array(length), new Float64Array(length)];
    models.set(this.models);
    flags.set(this.flags);
    addresses.set(this.#addresses);
    this.models = models;
    this.flags = flags;
    this.#addresses = addresses;
  }
}
