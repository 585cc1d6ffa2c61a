// What one traced call costs: a program that does nothing runs around a function, on the emulated CPU.
import {
  type Backend,
  type FuncModel,
  formatFuncModel,
  jit,
  type LinkKind,
  type MultiStrategyName,
} from "@bpfkit/core";
import { Kernel, type TracedFunction } from "@bpfkit/kernel";
import { memoryFor, nothingProgram } from "./design-run.ts";

/** A design, and whether each function has a cookie of its own. */
export interface CallDesign {
  readonly design: MultiStrategyName;
  readonly cookies: boolean;
}

/** What a program around a call adds to it on average, the program's own two instructions included. */
export interface CallCost extends CallDesign {
  readonly model: string;
  /** Functions of the link. */
  readonly functions: number;
  readonly instructions: number;
  readonly loads: number;
  readonly stores: number;
}

/** Functions that are called. */
const SAMPLE = 256;
const BUDGET = 1_000_000;
/** Where cookies differ, the code of designs differs only where they are looked up. */
const DESIGNS: readonly CallDesign[] = [
  { design: "per-function", cookies: false },
  { design: "shared", cookies: false },
  { design: "shared", cookies: true },
  { design: "global", cookies: true },
];

/** Calls of each model, in each design, where so many functions have the program. Cost: as many functions are defined for each where there is a search */
export function callCosts(
  backend: Backend,
  kind: LinkKind,
  models: readonly FuncModel[],
  functions: number,
): CallCost[] {
  return models.flatMap((model) => DESIGNS.map((design) => costOf(backend, kind, model, design, functions)));
}

function costOf(
  backend: Backend,
  kind: LinkKind,
  model: FuncModel,
  { design, cookies }: CallDesign,
  functions: number,
): CallCost {
  // What nobody searches costs the same however many there are.
  const count = cookies ? functions : 1;
  const engine = jit(backend, { counting: true });
  const kernel = new Kernel({ engine, memory: memoryFor(count), multi: design });
  const defined = Array.from({ length: count }, (_, i) => {
    // As if functions had up to 1,000 bytes: addresses at equal distances would hash better than those of a kernel.
    kernel.memory.allocate("text", 16 * (Math.imul(i, 7919) % 61), "other code");
    return kernel.defineFunction(`f${i}`, model, () => 0n);
  });
  const program = kernel.load(nothingProgram(kind));
  const sample = defined.filter((_, i) => i % Math.ceil(count / SAMPLE) === 0);
  const alone = countsOf(sample);
  kernel.attachMulti(program, defined, cookies ? { cookies: defined.map((_, i) => BigInt(i)) } : {});
  const traced = countsOf(sample);
  const [instructions, loads, stores] = traced.map((sum, i) => (sum - alone[i]!) / sample.length);
  return {
    design,
    cookies,
    model: formatFuncModel(model),
    functions,
    instructions: instructions!,
    loads: loads!,
    stores: stores!,
  };
}

/** Instructions, loads and stores of a call of each, in all. */
function countsOf(functions: readonly TracedFunction[]): readonly [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (const traced of functions) {
    using run = traced.start(traced.places.slots.map(() => 0n));
    run.run(BUDGET);
    const { loads = 0, stores = 0 } = run.counts ?? {};
    sums[0] += run.executed;
    sums[1] += loads;
    sums[2] += stores;
  }
  return sums;
}
