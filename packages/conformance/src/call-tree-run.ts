// Running call trees: alone, to compare what engines leave behind; or in lockstep, to find the edge at which they part.
import {
  type Backend,
  type CompileOptions,
  type Engine,
  formatProgram,
  interpreter,
  jit,
  type Program,
  type Stop,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, type KernelOptions, Lockstep, type LockstepCounts, type LockstepResult } from "@bpfkit/kernel";
import { TREE_CONTEXT, treePrograms, treeTrace } from "./call-tree-programs.ts";
import { type CallTree, TREE_ARRAYS } from "./call-trees.ts";
import { type EdgeBreach, edgeBreach } from "./counter-law.ts";
import { setUpKernel } from "./host.ts";
import type { LawBreach } from "./laws.ts";

const MIB = 1 << 20;
const MEMORY: NonNullable<KernelOptions["memory"]> = { sizes: { host: MIB, text: 4 * MIB, data: MIB } };
/** Instructions of an engine that one run may take: many times what the limit of tail calls leaves room for. */
const BUDGET = 1_000_000;

/** How a run of a call tree ended, and the bytes of its context; see {@link treeTrace}. */
export interface TreeRun {
  readonly stop: Stop;
  readonly context: Uint8Array;
}

/** The programs of a call tree, ready for engines. */
export function trustedPrograms(tree: CallTree): readonly VerifiedProgram[] {
  return treePrograms(tree).map((program: Program) => trust(program));
}

/** One engine that call trees run on, one after the other. */
export class TreeRunner {
  readonly #kernel: Kernel;

  constructor(engine: Engine = interpreter) {
    this.#kernel = new Kernel({ engine, memory: MEMORY });
    setUpKernel(this.#kernel);
  }

  /** All runs of a tree. @throws {BpfError} where the engine refuses a program */
  run(
    { steps }: CallTree,
    programs: readonly VerifiedProgram[],
    { budget = BUDGET }: { readonly budget?: number } = {},
  ): readonly TreeRun[] {
    const kernel = this.#kernel;
    const loaded = programs.map((program) => kernel.load(program));
    const arrays = TREE_ARRAYS.map((spec) => kernel.progArray(spec));
    const runs: TreeRun[] = [];
    for (const step of steps) {
      if (step.kind === "set") arrays[step.array]!.set(step.slot, loaded[step.program]!);
      else if (step.kind === "delete") arrays[step.array]!.delete(step.slot);
      else {
        const { stop, contextOut } = loaded[step.program]!.run({ context: new Uint8Array(TREE_CONTEXT), budget });
        runs.push({ stop, context: contextOut! });
      }
    }
    for (const array of arrays) for (const [index] of [...array]) array.delete(index);
    for (const program of loaded) program.release();
    return runs;
  }
}

/** The first run of a tree in which an engine leaves something else behind than another; undefined where there is none. */
export function differingRun(expected: readonly TreeRun[], found: readonly TreeRun[]): LawBreach | undefined {
  for (const [i, run] of expected.entries()) {
    const other = found[i]!;
    const [want, have] = [runText(run), runText(other)];
    if (want !== have || run.context.some((byte, at) => byte !== other.context[at])) {
      return { what: `run ${i}`, expected: want, found: have, listing: eventsText(run, other) };
    }
  }
  return undefined;
}

function runText({ stop, context }: TreeRun): string {
  const { count, digest, mains } = treeTrace(context);
  const end =
    stop.kind === "returned"
      ? `returned 0x${stop.value.toString(16)}`
      : stop.kind === "trap"
        ? `trap: ${stop.cause}`
        : stop.kind;
  return `${end}, ${mains - 1} tail calls, ${count} events 0x${digest.toString(16)}`;
}

function eventsText(expected: TreeRun, found: TreeRun): string {
  const [want, have] = [treeTrace(expected.context).events, treeTrace(found.context).events];
  const at = want.findIndex((event, i) => event !== have[i]);
  const from = at < 0 ? Math.min(want.length, have.length) : at;
  const shown = (events: readonly string[]): string => events.slice(Math.max(0, from - 8), from + 8).join(" ");
  return `event ${from}\n  expected ${shown(want)}\n  found    ${shown(have)}`;
}

/** An engine in lockstep with the interpreter, for call trees. */
export class TreeCompanion {
  readonly #lockstep: Lockstep;
  readonly #backend: Backend | undefined;
  readonly #options: CompileOptions | undefined;

  constructor(subject: Backend | Engine, options?: CompileOptions) {
    this.#backend = "arch" in subject ? subject : undefined;
    this.#options = options;
    this.#lockstep = new Lockstep({
      engine: "arch" in subject ? jit(subject, options) : subject,
      memory: MEMORY,
      setup: setUpKernel,
      ...("arch" in subject ? { disassemble: subject.disassemble } : {}),
    });
  }

  get counts(): LockstepCounts {
    return this.#lockstep.counts;
  }

  /** The first edge of all runs at which both differ, or what is wrong with the tree. After that the companion is of no more use. */
  check({ steps }: CallTree, programs: readonly VerifiedProgram[]): EdgeBreach | LawBreach | undefined {
    const lockstep = this.#lockstep;
    const loaded = programs.map((program) => lockstep.load(program));
    const arrays = TREE_ARRAYS.map((spec) => lockstep.progArray(spec));
    for (const step of steps) {
      if (step.kind === "set") arrays[step.array]!.set(step.slot, loaded[step.program]!);
      else if (step.kind === "delete") arrays[step.array]!.delete(step.slot);
      else {
        const result = loaded[step.program]!.run({ context: new Uint8Array(TREE_CONTEXT), budget: BUDGET });
        const breach = edgeBreach(result, this.#backend, this.#options) ?? wrongTree(result);
        if (breach !== undefined) return breach;
      }
    }
    for (const [i, { maxEntries }] of TREE_ARRAYS.entries()) {
      for (let slot = 0; slot < maxEntries; slot++) arrays[i]!.delete(slot);
    }
    for (const program of loaded) program.release();
    return undefined;
  }
}

/** Trees end, and read nothing that nobody wrote. */
function wrongTree({ undefinedUse, programFault, reference, program }: LockstepResult): LawBreach | undefined {
  const { kind } = reference.stop;
  if (undefinedUse === undefined && programFault === undefined && kind === "returned") return undefined;
  const at = undefinedUse?.at ?? programFault?.at ?? -1;
  const found = undefinedUse?.what ?? programFault?.detail ?? kind;
  return {
    what: `the tree is wrong at ${program.program.name}:${at}`,
    expected: "a run of defined values that ends",
    found,
    listing: formatProgram(program.program),
  };
}
