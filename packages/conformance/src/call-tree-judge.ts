// Judging a backend by call trees: every way of counting that keeps the limit, with tail calls as jumps that are rewritten and without.
import {
  type Backend,
  type CompileOptions,
  type Engine,
  formatProgram,
  TAIL_CALL_SCHEMES,
  type TailCallSchemeName,
} from "@bpfkit/core";
import { treePrograms } from "./call-tree-programs.ts";
import { TreeCompanion, trustedPrograms } from "./call-tree-run.ts";
import { type CallTree, generateCallTree } from "./call-trees.ts";
import type { EdgeBreach } from "./counter-law.ts";
import type { LawBreach } from "./laws.ts";
import { shrinkCallTree } from "./shrink-call-tree.ts";

/** A way to compile call trees. */
export interface TreeSetting {
  /** `pointer`, `pointer, direct`, … */
  readonly name: string;
  readonly compile: CompileOptions;
  /** Whether subprograms may make tail calls. */
  readonly fromSubprogs: boolean;
}

/** Every exact scheme of a backend, direct and indirect; what `compile` says of either holds. */
export function treeSettings(
  { capabilities }: Backend,
  compile: CompileOptions = {},
  schemes: readonly TailCallSchemeName[] = capabilities.tailCallSchemes.filter((name) => TAIL_CALL_SCHEMES[name].exact),
): readonly TreeSetting[] {
  const { layout } = compile;
  const wanted = layout?.tailCalls;
  const directs = [false, true].filter((direct) => (layout?.directTailCalls ?? direct) === direct);
  return schemes
    .filter((name) => wanted === undefined || wanted === name)
    .flatMap((name) =>
      directs.map((direct) => ({
        name: direct ? `${name}, direct` : name,
        compile: { ...compile, layout: { ...layout, tailCalls: name, directTailCalls: direct } },
        fromSubprogs: TAIL_CALL_SCHEMES[name].subprogs,
      })),
    );
}

/** Trees that share a pair of kernels. */
const BATCH = 40;

/** A tree that came out wrong. */
export interface TreeFailure {
  readonly seed: number;
  /** The setting's name. */
  readonly setting: string;
  readonly breach: LawBreach;
  /** The smallest tree found that still shows it. */
  readonly tree: CallTree;
}

/** An engine, or a backend in all its settings in turn, in lockstep with the interpreter over call trees. */
export class TreeJudge {
  readonly #subject: Backend | Engine;
  readonly #settings: readonly TreeSetting[];
  readonly #companions = new Map<TreeSetting, { readonly companion: TreeCompanion; trees: number }>();
  #boundaries = 0;
  #trees = 0;

  constructor(subject: Backend | Engine, compile?: CompileOptions) {
    this.#subject = subject;
    this.#settings = "arch" in subject ? treeSettings(subject, compile) : [ENGINE];
  }

  /** Places at which both engines were compared. */
  get boundaries(): number {
    let sum = this.#boundaries;
    for (const { companion } of this.#companions.values()) sum += companion.counts.boundaries;
    return sum;
  }

  /** Runs the tree of a seed in the next setting; a failure where there is one. */
  check(seed: number): TreeFailure | undefined {
    const setting = this.#settings[this.#trees++ % this.#settings.length];
    if (setting === undefined) return undefined;
    const tree = generateCallTree(seed, setting);
    const breach = this.#compare(setting, tree);
    if (breach === undefined) return undefined;
    let companion: TreeCompanion | undefined;
    const smallest = shrinkCallTree(tree, (candidate) => {
      companion ??= new TreeCompanion(this.#subject, setting.compile);
      if (checkTree(companion, candidate) === undefined) return false;
      companion = undefined; // after a breach it is of no more use
      return true;
    });
    return {
      seed,
      setting: setting.name,
      breach: treeBreach(this.#subject, setting, smallest) ?? breach,
      tree: smallest,
    };
  }

  #compare(setting: TreeSetting, tree: CallTree): LawBreach | undefined {
    const current = this.#companions.get(setting) ?? {
      companion: new TreeCompanion(this.#subject, setting.compile),
      trees: 0,
    };
    this.#companions.set(setting, current);
    const breach = checkTree(current.companion, tree);
    if (breach !== undefined || ++current.trees === BATCH) {
      this.#boundaries += current.companion.counts.boundaries;
      this.#companions.delete(setting);
    }
    return breach;
  }
}

const ENGINE: TreeSetting = { name: "engine", compile: {}, fromSubprogs: true };

/** What is wrong with one tree in one setting, on engines of its own. */
export function treeBreach(
  subject: Backend | Engine,
  { compile }: TreeSetting,
  tree: CallTree,
): EdgeBreach | LawBreach | undefined {
  return checkTree(new TreeCompanion(subject, compile), tree);
}

/** A refusal is a breach, too: every engine has to run call trees. */
function checkTree(companion: TreeCompanion, tree: CallTree): EdgeBreach | LawBreach | undefined {
  try {
    return companion.check(tree, trustedPrograms(tree));
  } catch (error) {
    return { what: "verdict", expected: "it runs", found: String(error), listing: treeText(tree) };
  }
}

/** A tree for people: its steps, and its programs. */
export function treeText(tree: CallTree): string {
  const steps = tree.steps.map((step) =>
    step.kind === "run"
      ? `run program${step.program}`
      : `tails${step.array}[${step.slot}] = ${step.kind === "set" ? `program${step.program}` : "nothing"}`,
  );
  return [...steps, ...treePrograms(tree).map((program) => `\n${program.name}\n${formatProgram(program)}`)].join("\n");
}
