// Functions for tests of multi-attach, by models alone, and the class table as it is built from scratch.
import { type FunctionFacts, FunctionFlag } from "../../src/multi/facts.ts";
import type { TableRow } from "../../src/multi/table.ts";
import type { LinkKind } from "../../src/trampoline/plan.ts";

/** Functions `f0`, `f1` … that can be traced and may sleep, with these models. */
export function functionsOfModels(models: readonly number[], facts: Partial<FunctionFacts> = {}): FunctionFacts {
  return {
    count: models.length,
    models: Int32Array.from(models),
    flags: new Uint8Array(models.length).fill(FunctionFlag.TRACEABLE | FunctionFlag.MAY_SLEEP),
    name: (id) => `f${id}`,
    ...facts,
  };
}

/** `count` functions whose models go round. */
export function roundOfModels(count: number, models: number): FunctionFacts {
  return functionsOfModels(Array.from({ length: count }, (_, i) => i % models));
}

/** Numbers from `from` to below `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

export interface PlainLink {
  readonly kind: LinkKind;
  readonly typed: boolean;
  readonly functions: readonly number[];
}

/** The table that links make when they are attached in this order, function by function. */
export function tableFromScratch({ count, models }: FunctionFacts, links: readonly PlainLink[]): TableRow[] {
  const rows = new Map<string, { model: number; single: number; links: number[]; functions: number[] }>();
  for (let id = 0; id < count; id++) {
    const own = links.flatMap(({ functions }, place) => (functions.includes(id) ? [place] : []));
    if (own.length === 0) continue;
    const single = own.some((place) => links[place]!.typed) ? id : -1;
    const key = JSON.stringify([models[id], single, own]);
    const row = rows.get(key);
    if (row === undefined) rows.set(key, { model: models[id]!, single, links: own, functions: [id] });
    else row.functions.push(id);
  }
  return [...rows.values()];
}

/** Random numbers below 2³², always the same ones (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
