// What `bpfkit multi plan` says: classes of functions that share a trampoline, and why functions are refused.
import {
  type ArgPlaces,
  type ArgSlot,
  applyPlan,
  type Backend,
  classTable,
  type LinkKind,
  type MultiPlan,
  MultiState,
  NO_CLASS,
  planAttach,
  refusalsOf,
} from "@bpfkit/core";
import type { FunctionModels, RefusalCause } from "@bpfkit/object";
import { BACKENDS } from "./backends.ts";
import { factsOf, placesOf, type Selection } from "./btf-functions.ts";
import { grouped } from "./output.ts";

/** One program's attach. */
export interface PlannedProgram {
  readonly patterns: readonly string[];
  readonly functions: number;
  /** Classes that are new, that were split off others, and whose functions all get the program. */
  readonly made: number;
  readonly split: number;
  readonly inPlace: number;
  /** Functions that are named in full and cannot be taken: the kernel refuses the whole request for the first. */
  readonly refusedFor: readonly string[];
}

/** A class as it is when all programs are attached. */
export interface PlannedClass {
  /** Numbers of programs, in the order in which they are attached. */
  readonly programs: readonly number[];
  readonly arguments: string;
  readonly functions: readonly string[];
}

/** A function that gets no program. */
export interface Refused {
  readonly function: string;
  readonly cause: RefusalCause | "state";
  readonly reason: string;
}

/** All that is said of a request. */
export interface PlanReport {
  readonly arch: string;
  readonly kind: LinkKind;
  /** Functions in the file, and those whose arguments can be handed on. */
  readonly known: number;
  readonly traceable: number;
  readonly programs: readonly PlannedProgram[];
  readonly classes: readonly PlannedClass[];
  readonly refused: readonly Refused[];
  /** How many classes there would be of the functions that get programs, if each program went to all of them. */
  readonly counts: Readonly<Record<string, number>>;
}

/** Plans the attach of one program per selection. @throws {BpfError} `limit` for more programs than a function takes */
export function planReport(
  functions: FunctionModels,
  selections: readonly Selection[],
  backend: Backend,
  kind: LinkKind,
): PlanReport {
  const facts = factsOf(functions, backend);
  const state = new MultiState(facts);
  const refused = new Map<string, Refused>();
  const programs = selections.map(({ patterns, functions: selected, refused: without }, program): PlannedProgram => {
    for (const { name, cause, reason } of without) refused.set(name, { function: name, cause, reason });
    const taken = takeable(state, { kind, program, functions: selected }, refused);
    const refusedFor = patterns.filter((name) => refused.has(name));
    if (taken.length === 0) return { patterns, functions: 0, made: 0, split: 0, inPlace: 0, refusedFor };
    const plan = planAttach(state, { kind, program, functions: taken });
    applyPlan(state, plan);
    return { patterns, functions: taken.length, ...countMoves(plan), refusedFor };
  });
  const classes = classTable(state)
    .map(({ links, functions: members }) => ({
      programs: links,
      arguments: placesText(placesOf(backend, functions.models[functions.modelOf[members[0]!]!]!)!, backend),
      functions: members.map((id) => functions.names[id]!),
    }))
    .sort((a, b) => b.functions.length - a.functions.length);
  const attached = [...functions.names.keys()].filter((id) => state.classOf(id) !== NO_CLASS);
  return {
    arch: backend.arch,
    kind,
    known: functions.names.length + functions.refused.length,
    traceable: functions.names.length,
    programs,
    classes,
    refused: [...refused.values()],
    counts: countClasses(functions, attached),
  };
}

/** The functions of a request that can be taken, without those that `refused` gets. */
export function takeable(
  state: MultiState,
  request: { readonly kind: LinkKind; readonly program: number; readonly functions: readonly number[] },
  refused: Map<string, Refused>,
): readonly number[] {
  const { functions } = request;
  if (functions.length === 0) return [];
  const refusals = refusalsOf(state, request);
  for (const { function: id, reason } of refusals) {
    const name = state.facts.name(id);
    refused.set(name, { function: name, cause: "state", reason });
  }
  const without = new Set(refusals.map(({ function: id }) => id));
  return functions.filter((id) => !without.has(id));
}

function countMoves({ moves }: MultiPlan): Pick<PlannedProgram, "made" | "split" | "inPlace"> {
  const count = (is: (move: MultiPlan["moves"][number]) => boolean): number => moves.filter(is).length;
  return {
    made: count(({ kind, from }) => kind === "made" && from === NO_CLASS),
    split: count(({ kind, from }) => kind === "made" && from !== NO_CLASS),
    inPlace: count(({ kind }) => kind === "renamed"),
  };
}

/** Classes of some functions by words of arguments, by what each backend compares, and by the exact types. */
function countClasses(functions: FunctionModels, ids: readonly number[]): Record<string, number> {
  const { models, modelOf, prototypeOf } = functions;
  const different = (keyOf: (id: number) => number): number => new Set(ids.map(keyOf)).size;
  const words = models.map(({ args }) => args.reduce((sum, { size }) => sum + Math.ceil(size / 8), 0));
  return {
    words: different((id) => words[modelOf[id]!]!),
    ...Object.fromEntries(
      BACKENDS.map((backend) => {
        const facts = factsOf(functions, backend);
        return [backend.arch, different((id) => facts.models[id]!)];
      }),
    ),
    prototypes: different((id) => prototypeOf[id]!),
  };
}

/** `3 words`, or with sizes where the backend compares them: `s32 (u64, u32)`; and what lies on the stack. */
function placesText({ slots, result }: ArgPlaces, backend: Backend): string {
  const onStack = slots.filter(({ in: where }) => where === "stack").length;
  const cleared = slots.flatMap(({ clear }, i) => (clear ? [i] : []));
  const text = isTyped(backend)
    ? `${result.size === 0 ? "void" : scalar(result)} (${slots.map(scalar).join(", ")})`
    : counted(slots.length, "word");
  return [
    text,
    ...(onStack === 0 ? [] : [`${onStack} on the stack`]),
    ...(cleared.length === 0 ? [] : [`upper half of ${cleared.join(", ")} cleared`]),
  ].join("; ");
}

function scalar({ size, signed }: Pick<ArgSlot, "size" | "signed">): string {
  return `${signed ? "s" : "u"}${8 * size}`;
}

/** Whether sizes decide which functions can share trampolines. */
function isTyped({ classifyArgs }: Backend): boolean {
  const byte = { size: 1, signed: false };
  return classifyArgs({ args: [{ ...byte, struct: false }], result: byte }).result.size === 1;
}

/** `1 word`, `2 words` */
export function counted(count: number, what: string, many: string = `${what}s`): string {
  return `${grouped(count)} ${count === 1 ? what : many}`;
}
