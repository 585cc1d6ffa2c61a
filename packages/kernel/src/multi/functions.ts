// The functions of a kernel in the columns that multi-attach plans with, by ids in the order in which they were defined.
import { type FuncModel, type FunctionFacts, FunctionFlag, ModelKeys, placesKey } from "@bpfkit/core";
import type { Target } from "../tracing/target.ts";

/** All functions that can be traced. */
export class FunctionTable implements FunctionFacts {
  models: Int32Array = new Int32Array(64);
  flags: Uint8Array = new Uint8Array(64);
  readonly #targets: Target[] = [];
  readonly #ids = new Map<object, number>();
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
  idOf(traced: object): number {
    return this.#ids.get(traced) ?? -1;
  }

  /** A model of those that share a number. */
  modelOf(model: number): FuncModel {
    return this.#models[model]!;
  }

  add(target: Target): void {
    const id = this.#targets.push(target) - 1;
    this.#ids.set(target.function!, id);
    if (id >= this.models.length) {
      const [models, flags] = [new Int32Array(2 * id), new Uint8Array(2 * id)];
      models.set(this.models);
      flags.set(this.flags);
      this.models = models;
      this.flags = flags;
    }
    const model = this.#keys.of(placesKey(target.places));
    this.#models[model] ??= target.model;
    this.models[id] = model;
    const sleeps = target.function!.options.sleeps === true;
    this.flags[id] = FunctionFlag.TRACEABLE | (sleeps ? FunctionFlag.MAY_SLEEP : 0);
  }
}
