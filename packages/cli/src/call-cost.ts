// What one traced call costs: a program that does nothing runs around a function, on the emulated CPU.
import { assemble, type Backend, type FuncModel, formatFuncModel, jit, type LinkKind, trust } from "@bpfkit/core";
import { Kernel, type LoadedProgram, type TracedFunction } from "@bpfkit/kernel";

/** Trampolines of one function; of a class; of a class where each function has a cookie of its own, which is searched for. */
export type CallDesign = "per-function" | "shared" | "shared, cookies";

/** What a program around a call adds to it, the program's own two instructions included. */
export interface CallCost {
  readonly design: CallDesign;
  readonly model: string;
  /** Functions of the link. */
  readonly functions: number;
  readonly instructions: number;
  readonly loads: number;
  readonly stores: number;
}

/** More functions are not defined to be searched. */
const MOST = 1024;
const MIB = 1 << 20;
const MEMORY = { sizes: { host: MIB, text: 8 * MIB, data: MIB } };
const ATTACH_TYPES: Readonly<Record<LinkKind, string>> = {
  fentry: "trace_fentry",
  fexit: "trace_fexit",
  fmod_ret: "modify_return",
  fsession: "trace_fsession",
};

/** Calls of each model; the first one's also with cookies of as many functions as asked, at most 1,024. */
export function callCosts(
  backend: Backend,
  kind: LinkKind,
  models: readonly FuncModel[],
  functions: number,
): CallCost[] {
  return models.flatMap((model, i) => [
    costOf(backend, kind, model, "per-function", 1),
    costOf(backend, kind, model, "shared", 1),
    ...(i === 0 && functions > 1 ? [costOf(backend, kind, model, "shared, cookies", Math.min(functions, MOST))] : []),
  ]);
}

function costOf(backend: Backend, kind: LinkKind, model: FuncModel, design: CallDesign, functions: number): CallCost {
  const kernel = new Kernel({ engine: jit(backend, { counting: true }), memory: MEMORY });
  const defined = Array.from({ length: functions }, (_, i) => kernel.defineFunction(`f${i}`, model, () => 0n));
  const program = kernel.load(
    trust({ ...assemble("r0 = 0\nexit", { name: "nothing", type: "tracing" }), attachType: ATTACH_TYPES[kind] }),
  );
  const alone = countsOf(defined[0]!);
  attach(kernel, program, defined, design);
  const traced = countsOf(defined[0]!);
  const [instructions, loads, stores] = traced.map((count, i) => count - alone[i]!);
  return {
    design,
    model: formatFuncModel(model),
    functions,
    instructions: instructions!,
    loads: loads!,
    stores: stores!,
  };
}

function attach(
  kernel: Kernel,
  program: LoadedProgram,
  functions: readonly TracedFunction[],
  design: CallDesign,
): void {
  if (design === "per-function") kernel.attach(program, functions[0]!);
  else if (design === "shared") kernel.attachMulti(program, functions);
  else kernel.attachMulti(program, functions, { cookies: functions.map((_, i) => BigInt(i)) });
}

/** Instructions, loads and stores of one call. */
function countsOf(traced: TracedFunction): readonly [number, number, number] {
  using run = traced.start(traced.places.slots.map(() => 0n));
  run.run(MOST * MOST);
  const { loads = 0, stores = 0 } = run.counts ?? {};
  return [run.executed, loads, stores];
}
