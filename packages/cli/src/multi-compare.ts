// What `bpfkit multi compare` says: three designs for programs on many functions, beside each other, for the same attaches and detaches.
import {
  applyPlan,
  type Backend,
  type ClassKey,
  type FuncModel,
  type FunctionFacts,
  type LinkKind,
  MULTI_STRATEGIES,
  type MultiMove,
  type MultiNeeds,
  type MultiPlan,
  MultiState,
  type MultiStrategyName,
  planAttach,
  planDetach,
  type TrampolineSpec,
} from "@bpfkit/core";
import type { FunctionModels } from "@bpfkit/object";
import { factsOf, type Selection } from "./btf-functions.ts";
import { type CallCost, callCosts } from "./call-cost.ts";
import { takeable } from "./multi-plan.ts";

/** What a change costs a design. */
export interface DesignNeeds extends MultiNeeds {
  /** Of the trampolines that are generated; undefined where this design's are not built here. */
  readonly bytes: number | undefined;
}

/** An attach or detach. */
export interface ComparedChange {
  readonly change: "attach" | "detach";
  readonly program: number;
  readonly functions: number;
  /** Milliseconds that making and applying the plan of shared trampolines took. */
  readonly milliseconds: number;
  readonly designs: Readonly<Record<MultiStrategyName, DesignNeeds>>;
}

/** All that is said of the designs. */
export interface CompareReport {
  readonly arch: string;
  readonly kind: LinkKind;
  readonly changes: readonly ComparedChange[];
  /** When all programs are attached: trampolines and their bytes. */
  readonly standing: Readonly<
    Record<MultiStrategyName, { readonly images: number; readonly bytes: number | undefined }>
  >;
  readonly calls: readonly CallCost[];
}

const DESIGNS: readonly MultiStrategyName[] = ["shared", "per-function", "global"];

/**
 * Attaches one program per selection, and detaches them in the same order.
 *
 * @param now - milliseconds from some point in time
 * @throws {BpfError} `limit` for trampolines of more than a page
 */
export function compareReport(
  functions: FunctionModels,
  selections: readonly Selection[],
  backend: Backend,
  kind: LinkKind,
  now: () => number,
): CompareReport {
  const facts = factsOf(functions, backend);
  const state = new MultiState(facts);
  const models = modelsOf(functions, facts, selections);
  const sizes = new TrampolineSizes(backend, kind, models);
  const change = (plan: MultiPlan, program: number, started: number): ComparedChange => {
    const planned = now() - started;
    const designs = eachDesign((design) => ({
      ...MULTI_STRATEGIES[design].needs(state, plan),
      bytes: sizes.of(design, plan.moves),
    }));
    const applied = now();
    applyPlan(state, plan);
    const { change: what, functions: changed } = plan;
    return { change: what, program, functions: changed.length, milliseconds: planned + now() - applied, designs };
  };
  const links: { readonly program: number; readonly link: number }[] = [];
  const attaches = selections.flatMap(({ functions: selected }, program) => {
    const taken = takeable(state, { kind, program, functions: selected }, new Map());
    if (taken.length === 0) return [];
    const started = now();
    const plan = planAttach(state, { kind, program, functions: taken });
    links.push({ program, link: plan.link.id });
    return [change(plan, program, started)];
  });
  const standing = eachDesign((design) => ({
    images: MULTI_STRATEGIES[design].images(state),
    bytes: sizes.standing(design, state),
  }));
  const calls = callCosts(
    backend,
    kind,
    examplesOf(models, state),
    Math.max(0, ...attaches.map((one) => one.functions)),
  );
  const detaches = links.map(({ program, link }) => {
    const started = now();
    return change(planDetach(state, link), program, started);
  });
  return { arch: backend.arch, kind, changes: [...attaches, ...detaches], standing, calls };
}

function eachDesign<T>(of: (design: MultiStrategyName) => T): Record<MultiStrategyName, T> {
  return Object.fromEntries(DESIGNS.map((design) => [design, of(design)])) as Record<MultiStrategyName, T>;
}

/** One selected function's model for each number that facts have for functions that share trampolines. */
function modelsOf(functions: FunctionModels, facts: FunctionFacts, selections: readonly Selection[]): FuncModel[] {
  const { models, modelOf } = functions;
  const found: FuncModel[] = [];
  for (const { functions: selected } of selections) {
    for (const id of selected) if (facts.models[id]! >= 0) found[facts.models[id]!] ??= models[modelOf[id]!]!;
  }
  return found;
}

/** Models to call: the one of most functions that have a program, and the one of the most words. */
function examplesOf(models: readonly FuncModel[], state: MultiState): FuncModel[] {
  const attached = [...models.keys()].filter((key) => state.attachedOf(key) > 0);
  const wordsOf = (key: number): number => models[key]!.args.reduce((sum, { size }) => sum + Math.ceil(size / 8), 0);
  const most = (of: (key: number) => number): number[] =>
    attached.toSorted((a, b) => of(b) - of(a) || a - b).slice(0, 1);
  const keys = new Set([...most((key) => state.attachedOf(key)), ...most(wordsOf)]);
  return Array.from(keys, (key) => models[key]!);
}

/** Bytes of trampolines: of one program's links each, so that a model and their number decide. */
class TrampolineSizes {
  readonly #backend: Backend;
  readonly #kind: LinkKind;
  readonly #models: readonly FuncModel[];
  readonly #known = new Map<string, number>();

  constructor(backend: Backend, kind: LinkKind, models: readonly FuncModel[]) {
    this.#backend = backend;
    this.#kind = kind;
    this.#models = models;
  }

  /** Of all that a design generates for some moves. */
  of(design: MultiStrategyName, moves: readonly MultiMove[]): number | undefined {
    if (design === "global") return undefined;
    let bytes = 0;
    for (const { kind, after, start, end } of moves) {
      if (after === undefined) continue;
      if (design === "per-function") bytes += (end - start) * this.#size(after, "known");
      else if (kind !== "merged") bytes += this.#size(after, "from-stack");
    }
    return bytes;
  }

  /** Of all that there are in a state. */
  standing(design: MultiStrategyName, state: MultiState): number | undefined {
    if (design === "global") return undefined;
    let bytes = 0;
    for (const id of state.classIds()) {
      const key = state.class(id);
      bytes += design === "shared" ? this.#size(key, "from-stack") : key.size * this.#size(key, "known");
    }
    return bytes;
  }

  #size({ model, links }: ClassKey, original: TrampolineSpec["original"]): number {
    const key = `${model} ${links.length} ${original}`;
    let size = this.#known.get(key);
    if (size === undefined) {
      const spec = { model: this.#models[model]!, links: Array.from(links, () => ({ kind: this.#kind })), original };
      size = this.#backend.emitTrampoline(spec).code.length;
      this.#known.set(key, size);
    }
    return size;
  }
}
