// Random sets of programs that call their subprograms and tail-call each other, and what happens to their prog arrays between runs: what
// engines and ways of counting tail calls are compared on.
import { MAP_TYPES, type MapSpec } from "@bpfkit/core";
import { Random } from "./random.ts";

/** What a subprogram does at one place. */
export type TreeAction =
  | { readonly kind: "call"; readonly subprog: number; readonly when?: When }
  /** A function of the host, which may change every register that calls may change; `loop` calls back. */
  | { readonly kind: "host"; readonly via: "helper" | "kfunc" | "loop"; readonly when?: When }
  /** Through slot `index` of an array; where it is `hidden`, no compiler knows the index, and with `other` none knows the array. */
  | {
      readonly kind: "tail-call";
      readonly array: number;
      readonly index: number;
      readonly hidden: boolean;
      readonly other?: number;
      readonly when?: When;
    };

/** Only while bit `bit` of the number of subprograms that have run is `is`. */
export interface When {
  readonly bit: number;
  readonly is: boolean;
}

/** A subprogram; the first of a program is its main one. */
export interface TreeBody {
  /** Where it keeps the context: in a register, or at r10 - 8. */
  readonly home: 6 | 7 | 8 | 9 | "stack";
  /** Registers that hold numbers over all that it does. */
  readonly saved: readonly number[];
  /** 8-byte slots of its stack with numbers in them. */
  readonly slots: number;
  readonly actions: readonly TreeAction[];
}

/** A program: its main subprogram, and others that call only those behind them. */
export interface TreeProgram {
  readonly bodies: readonly TreeBody[];
}

/** What happens from outside: a slot gets a program, or loses it, or a program runs. */
export type TreeStep =
  | { readonly kind: "set"; readonly array: number; readonly slot: number; readonly program: number }
  | { readonly kind: "delete"; readonly array: number; readonly slot: number }
  | { readonly kind: "run"; readonly program: number };

/** A set of programs and what happens to them. */
export interface CallTree {
  readonly programs: readonly TreeProgram[];
  readonly steps: readonly TreeStep[];
}

/** The prog arrays of all call trees. */
export const TREE_ARRAYS: readonly MapSpec[] = [1, 3, 8].map((maxEntries, i) => ({
  name: `tails${i}`,
  type: MAP_TYPES.prog_array,
  keySize: 4,
  valueSize: 4,
  maxEntries,
  flags: 0,
}));

/** What {@link generateCallTree} makes. */
export interface CallTreeOptions {
  /** Whether subprograms make tail calls, too; true unless told. */
  readonly fromSubprogs?: boolean;
}

/** The last subprogram that makes tail calls: two callers with all that they save, 33 times, fit on a stack of 16 KiB. */
const DEEPEST = 2;
const HOMES = [6, 7, 8, 9, "stack"] as const;

/**
 * A call tree from a seed. However its arrays are filled, its runs are short where the limit of tail calls holds: a subprogram calls at
 * most two others, and only such as come behind it. Where the limit does not hold they may go on for ever.
 *
 * @example
 * ```ts
 * import { formatProgram } from "@bpfkit/core";
 * import { generateCallTree, treePrograms } from "@bpfkit/conformance";
 * for (const program of treePrograms(generateCallTree(42))) console.log(formatProgram(program));
 * ```
 */
export function generateCallTree(seed: number, { fromSubprogs = true }: CallTreeOptions = {}): CallTree {
  const random = new Random(seed);
  const count = random.pick([2, 2, 3, 3, 4, 5, 6]);
  const programs = Array.from({ length: count }, () => treeProgram(random, fromSubprogs ? DEEPEST : 0));
  return { programs, steps: treeSteps(random, count) };
}

function treeProgram(random: Random, deepest: number): TreeProgram {
  const count = 1 + random.pick([0, 0, 1, 1, 1, 2, 2, 3]);
  return { bodies: Array.from({ length: count }, (_, index) => treeBody(random, index, count, deepest)) };
}

function treeBody(random: Random, index: number, count: number, deepest: number): TreeBody {
  const home = random.pick(HOMES);
  const saved = [6, 7, 8, 9].filter((register) => register !== home && random.chance(45));
  const slots = random.pick([0, 0, 1, 2, 3, 4]);
  const actions: TreeAction[] = [];
  const callees = Array.from({ length: count - 1 - index }, (_, i) => index + 1 + i);
  // Each subprogram is called from somewhere: the main one calls the first, and so on.
  if (callees.length > 0) actions.push({ kind: "call", subprog: index + 1 });
  if (callees.length > 0 && random.chance(60)) actions.push({ kind: "call", subprog: random.pick(callees) });
  if (index <= deepest) {
    const tails = random.pick(index === 0 && count > 1 ? [0, 0, 1, 1, 2] : [0, 1, 1, 2]);
    for (let i = 0; i < tails; i++) actions.push(tailCall(random));
  }
  for (let i = random.pick([0, 0, 1, 2]); i > 0; i--) {
    actions.push({ kind: "host", via: random.pick(["helper", "helper", "kfunc", "loop"] as const) });
  }
  return { home, saved, slots, actions: shuffled(random, actions).map((action) => sometimes(random, action)) };
}

function tailCall(random: Random): TreeAction {
  const array = random.below(TREE_ARRAYS.length);
  const { maxEntries } = TREE_ARRAYS[array]!;
  // One slot behind the last as well, and far behind it.
  const index = random.chance(5) ? random.pick([-1, 0x7fff_ffff, 1 << 16]) : random.below(maxEntries + 1);
  const other = random.chance(10) ? { other: random.below(TREE_ARRAYS.length) } : {};
  return { kind: "tail-call", array, index, hidden: random.chance(40), ...other };
}

function sometimes(random: Random, action: TreeAction): TreeAction {
  return random.chance(15) ? { ...action, when: { bit: random.below(3), is: random.chance(50) } } : action;
}

function treeSteps(random: Random, programs: number): readonly TreeStep[] {
  const steps: TreeStep[] = [];
  for (const [array, { maxEntries }] of TREE_ARRAYS.entries()) {
    for (let slot = 0; slot < maxEntries; slot++) {
      if (random.chance(65)) steps.push({ kind: "set", array, slot, program: random.below(programs) });
    }
  }
  steps.push({ kind: "run", program: 0 });
  for (let rounds = random.below(4); rounds > 0; rounds--) {
    for (let updates = random.between(1, 3); updates > 0; updates--) {
      const array = random.below(TREE_ARRAYS.length);
      const slot = random.below(TREE_ARRAYS[array]!.maxEntries);
      steps.push(
        random.chance(35)
          ? { kind: "delete", array, slot }
          : { kind: "set", array, slot, program: random.below(programs) },
      );
    }
    steps.push({ kind: "run", program: random.chance(70) ? 0 : random.below(programs) });
  }
  return steps;
}

function shuffled<T>(random: Random, items: readonly T[]): readonly T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
