// From a request to what changes: partition refinement over the classes of the request's functions, and its inverse for links that go.
import { BpfError } from "../errors.ts";
import { checkRequest, type MultiRequest } from "./request.ts";
import { type ClassKey, type MultiClass, type MultiLink, type MultiState, NO_CLASS, textOf } from "./state.ts";

/**
 * What becomes of functions that were together and stay together:
 * - `made`: they get a class that was not there; from none, or split off a class that keeps other functions;
 * - `renamed`: all functions of a class, whose links change in place;
 * - `merged`: they join a class that is there, and theirs is empty then;
 * - `left`: no link is left, and their class is empty.
 */
export type MoveKind = "made" | "renamed" | "merged" | "left";

/** Functions that go from one class to another. All of them are led to another trampoline, or to none. */
export interface MultiMove {
  readonly kind: MoveKind;
  /** Class ids, or {@link NO_CLASS}; the same one for `renamed`. */
  readonly from: number;
  readonly to: number;
  /** What they had in common before, and have behind; undefined where it is nothing. */
  readonly before: ClassKey | undefined;
  readonly after: ClassKey | undefined;
  /** In {@link MultiPlan.functions}. */
  readonly start: number;
  readonly end: number;
}

/** What making a plan has cost. */
export interface MultiCost {
  /** Functions looked at: those of the request. */
  readonly functions: number;
  /** Classes looked at: those that hold a function of the request. */
  readonly classes: number;
  /** Ids of links compared or copied. */
  readonly links: number;
}

/** A change of a {@link MultiState}, for the state it was made in. */
export interface MultiPlan {
  readonly change: "attach" | "detach";
  /** The link that comes or goes. */
  readonly link: MultiLink;
  /** Its functions, move by move, each move's ascending. */
  readonly functions: Int32Array;
  /** In the order of their lowest functions. */
  readonly moves: readonly MultiMove[];
  readonly cost: MultiCost;
  readonly edition: object;
}

/**
 * Plans an attach. Functions of one class go on together: all of them in place, or some of them in a new class. A typed link takes each of
 * its functions out into a class of its own.
 *
 * Cost: linear in the functions of the request, and in the links of the classes they are in.
 *
 * @throws {BpfError} with the first function that cannot be taken, its place in the request and the reason; `argument` and `limit` for requests that make no
 * sense, see {@link functionsOf}. The state is as before in any case.
 */
export function planAttach(state: MultiState, request: MultiRequest): MultiPlan {
  const { functions, cookies } = checkRequest(state, request);
  const { kind, program, typed = false } = request;
  const link: MultiLink = { id: state.nextLink, kind, typed, program, functions, cookies };
  const { models } = state.facts;
  const groups = groupBy(
    functions,
    (id) => {
      const from = state.classOf(id);
      return from === NO_CLASS ? NO_CLASS - 1 - models[id]! : from;
    },
    typed,
  );
  let links = 0;
  const made: number[] = [];
  /** Functions of each class that no move has taken yet. */
  const left = new Map<number, number>();
  const moves = groups.keys.map((group, i): MultiMove => {
    const [start, end] = [groups.starts[i]!, groups.starts[i + 1]!];
    const first = groups.functions[start]!;
    const from = group < 0 ? NO_CLASS : group;
    const before = from === NO_CLASS ? undefined : state.class(from);
    const model = before?.model ?? NO_CLASS - 1 - group;
    const after: ClassKey = {
      model,
      single: typed ? first : (before?.single ?? NO_CLASS),
      links: Int32Array.of(...(before?.links ?? []), link.id),
    };
    links += after.links.length;
    const rest = before === undefined ? undefined : (left.get(from) ?? before.size) - (end - start);
    if (rest !== undefined) left.set(from, rest);
    if (rest === 0) return { kind: "renamed", from, to: from, before: keyOf(before!), after, start, end };
    made.push(i);
    return { kind: "made", from, to: NO_CLASS, before: before && keyOf(before), after, start, end };
  });
  const ids = state.nextClasses(made.length);
  for (const [i, move] of made.entries()) moves[move] = { ...moves[move]!, to: ids[i]! };
  return planOf(state, "attach", link, groups, moves, links);
}

/**
 * Plans the detach of a link: all or nothing. Classes without it join those that are the same then.
 *
 * Cost: linear in the functions of the link, and in the links of the classes they are in.
 *
 * @throws {BpfError} `argument` (ENOENT) when there is no such link
 */
export function planDetach(state: MultiState, linkId: number): MultiPlan {
  const link = state.links.get(linkId);
  if (link === undefined)
    throw new BpfError("argument", `link ${linkId} (ENOENT)`, { expected: "a link that is attached" });
  const groups = groupBy(link.functions, (id) => state.classOf(id), false);
  let links = 0;
  // Singles of one typed link can become the same class: the first one in place, and the others join it.
  const renamed = new Map<string, number>();
  const moves = groups.keys.map((from, i): MultiMove => {
    const [start, end] = [groups.starts[i]!, groups.starts[i + 1]!];
    const before = keyOf(state.class(from));
    links += before.links.length;
    const rest = before.links.filter((id) => id !== linkId);
    if (rest.length === 0) return { kind: "left", from, to: NO_CLASS, before, after: undefined, start, end };
    const isSingle = before.single !== NO_CLASS && rest.some((id) => state.links.get(id)!.typed);
    const after: ClassKey = { model: before.model, single: isSingle ? before.single : NO_CLASS, links: rest };
    const there = state.find(after);
    const to = there === NO_CLASS ? renamed.get(textOf(after)) : there;
    if (to === undefined) {
      renamed.set(textOf(after), from);
      return { kind: "renamed", from, to: from, before, after, start, end };
    }
    return { kind: "merged", from, to, before, after, start, end };
  });
  return planOf(state, "detach", link, groups, moves, links);
}

/** A class' key as it is now. */
function keyOf({ model, single, links }: MultiClass): ClassKey {
  return { model, single, links };
}

function planOf(
  state: MultiState,
  change: MultiPlan["change"],
  link: MultiLink,
  { functions, keys }: Groups,
  moves: readonly MultiMove[],
  links: number,
): MultiPlan {
  const classes = keys.reduce((count, key) => count + (key >= 0 ? 1 : 0), 0);
  return {
    change,
    link,
    functions,
    moves,
    cost: { functions: functions.length, classes, links },
    edition: state.edition,
  };
}

interface Groups {
  /** In the order of their first functions. */
  readonly keys: readonly number[];
  readonly functions: Int32Array;
  /** Where each begins in `functions`, and the end. */
  readonly starts: Int32Array;
}

/** Functions by a number, or each alone; in two passes. */
function groupBy(functions: Int32Array, keyOf: (id: number) => number, alone: boolean): Groups {
  const keys: number[] = [];
  const numbers = new Map<number, number>();
  const groupOf = new Int32Array(functions.length);
  const sizes: number[] = [];
  for (let i = 0; i < functions.length; i++) {
    const key = keyOf(functions[i]!);
    let group = alone ? undefined : numbers.get(key);
    if (group === undefined) {
      group = keys.push(key) - 1;
      sizes.push(0);
      numbers.set(key, group);
    }
    groupOf[i] = group;
    sizes[group]!++;
  }
  const starts = new Int32Array(keys.length + 1);
  for (const [group, size] of sizes.entries()) starts[group + 1] = starts[group]! + size;
  const next = starts.slice();
  const grouped = new Int32Array(functions.length);
  for (let i = 0; i < functions.length; i++) grouped[next[groupOf[i]!]!++] = functions[i]!;
  return { keys, functions: grouped, starts };
}
