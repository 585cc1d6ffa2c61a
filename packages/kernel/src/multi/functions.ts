// The functions of a kernel in the columns that multi-attach plans with, by ids in the order in which they were defined.
import { type FuncModel, type FunctionFacts, FunctionFlag, ModelKeys, placesKey } from "@bpfkit/core";
import type { LiveSite } from "../text/sites.ts";
import type { TracedFunction } from "../tracing/function.ts";
import type { Target } from "../tracing/target.ts";

/** All functions that can be traced. */
export class FunctionTable implements FunctionFacts {
  models: Int32Array = new Int32Array(64);
  flags: Uint8Array = new Uint8Array(64);
  readonly #targets: Target[] = [];
  readonly #functions: TracedFunction[] = [];
  readonly #sites: LiveSite[] = [];
  /** Functions whose entries have another user. */
  readonly #shared = new Set<number>();
  #addresses: Float64Array = new Float64Array(64);
  readonly #keys = new ModelKeys();
  /** One function's model for each number. */
  readonly #models: FuncModel[] = [];

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

  /** A model of those that share a number. */
  modelOf(model: number): FuncModel {
    return this.#models[model]!;
  }

  add(target: Target): void {
    const id = this.#targets.push(target) - 1;
    this.#functions.push(target.function!);
    this.#sites.push(target.site);
    target.function!.id = id;
    if (id >= this.models.length) {
      const [models, flags, addresses] = [new Int32Array(2 * id), new Uint8Array(2 * id), new Float64Array(2 * id)];
      addresses.set(this.#addresses);
      this.#addresses = addresses;
      models.set(this.models);
      flags.set(this.flags);
      this.models = models;
      this.flags = flags;
    }
    if (target.function!.options.shares !== undefined) this.#shared.add(id);
    this.#addresses[id] = Number(target.site.address);
    const model = this.#keys.of(placesKey(target.places));
    this.#models[model] ??= target.model;
    this.models[id] = model;
    const sleeps = target.function!.options.sleeps === true;
    this.flags[id] = FunctionFlag.TRACEABLE | (sleeps ? FunctionFlag.MAY_SLEEP : 0);
  }
}
