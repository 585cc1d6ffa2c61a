// What `bpfkit multi compare` says: three designs for programs on many functions, beside each other, for the same attaches and detaches.
import {
  applyPlan,
  type Backend,
  type FuncModel,
  type FunctionFacts,
  type LinkKind,
  MULTI_STRATEGIES,
  MultiState,
  type MultiStrategyName,
  planAttach,
  planDetach,
} from "@bpfkit/core";
import type { FunctionModels } from "@bpfkit/object";
import { factsOf, type Selection } from "./btf-functions.ts";
import { type CallCost, callCosts } from "./call-cost.ts";
import { type ChangeCost, DesignRun, type Standing } from "./design-run.ts";
import { takeable } from "./multi-plan.ts";

/** What a change comes to in a design. */
export interface DesignCost extends ChangeCost, Standing {
  /** Grace periods until what is not needed any more is given back: one for all of it. */
  readonly waits: number;
}

/** What is said of each design. */
export type EachDesign<T> = Readonly<Record<MultiStrategyName, T>>;

/** An attach or detach. */
export interface ComparedChange {
  readonly change: "attach" | "detach";
  readonly program: number;
  readonly functions: number;
  readonly designs: EachDesign<DesignCost>;
}

/** All that is said of the designs. */
export interface CompareReport {
  readonly arch: string;
  readonly kind: LinkKind;
  readonly changes: readonly ComparedChange[];
  /** When all programs are attached. */
  readonly standing: EachDesign<Standing>;
  readonly calls: readonly CallCost[];
}

const DESIGNS: readonly MultiStrategyName[] = ["shared", "per-function", "global"];

/** A program, and the functions that it goes to. */
interface Attach {
  readonly program: number;
  readonly functions: readonly number[];
  /** What each design waits for. */
  readonly waits: EachDesign<number>;
}

/**
 * Attaches one program per selection, and detaches them in the same order, in a kernel for each design.
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
  const { attaches, detachWaits, examples } = planned(functions, facts, selections, kind);
  const { models, modelOf } = functions;
  const ids = new Set(attaches.flatMap((one) => [...one.functions]));
  const asked = { ids, modelOf: (id: number) => models[modelOf[id]!]! };
  const runs = eachDesign((design) => runAll(new DesignRun(backend, design, kind, asked, now), attaches));
  const changes = (["attach", "detach"] as const).flatMap((change) =>
    attaches.map(({ program, functions: changed, waits }, i): ComparedChange => {
      const waited = change === "attach" ? waits : detachWaits[i]!;
      const designs = eachDesign((design) => ({ ...runs[design][change][i]!, waits: waited[design] }));
      return { change, program, functions: changed.length, designs };
    }),
  );
  const standing = eachDesign((design) => runs[design].standing);
  const most = Math.max(0, ...attaches.map((one) => one.functions.length));
  return { arch: backend.arch, kind, changes, standing, calls: callCosts(backend, kind, examples, most) };
}

/** What each program goes to, what plans say, and models to call when all are attached. */
function planned(
  functions: FunctionModels,
  facts: FunctionFacts,
  selections: readonly Selection[],
  kind: LinkKind,
): {
  readonly attaches: readonly Attach[];
  readonly detachWaits: readonly EachDesign<number>[];
  readonly examples: FuncModel[];
} {
  const state = new MultiState(facts);
  const apply = (plan: ReturnType<typeof planAttach>): EachDesign<number> => {
    const waits = eachDesign((design) => MULTI_STRATEGIES[design].needs(state, plan).waits);
    applyPlan(state, plan);
    return waits;
  };
  const links: number[] = [];
  const attaches = selections.flatMap(({ functions: selected }, program): Attach[] => {
    const taken = takeable(state, { kind, program, functions: selected }, new Map());
    if (taken.length === 0) return [];
    const plan = planAttach(state, { kind, program, functions: taken });
    links.push(plan.link.id);
    return [{ program, functions: Array.from(taken), waits: apply(plan) }];
  });
  const examples = examplesOf(modelsOf(functions, facts, selections), state);
  return { attaches, detachWaits: links.map((link) => apply(planDetach(state, link))), examples };
}

/** Functions to attach to and detach from at first. */
const WARM_UP = 2000;

/** All changes in one design. */
function runAll(
  run: DesignRun,
  attaches: readonly Attach[],
): Record<"attach" | "detach", (ChangeCost & Standing)[]> & { readonly standing: Standing } {
  // Before times are taken the engine has seen the code.
  for (const { functions } of attaches.slice(0, 1)) run.detach(run.attach(functions.slice(0, WARM_UP)).link);
  const attached = attaches.map(({ functions }) => {
    const { link, cost } = run.attach(functions);
    return { link, cost: { ...cost, ...run.standing } };
  });
  const { standing } = run;
  const detach = attached.map(({ link }) => ({ ...run.detach(link), ...run.standing }));
  return { attach: attached.map(({ cost }) => cost), detach, standing };
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
