// The class table in a form that does not depend on how it came about: for comparison, and to look at.
import { type MultiState, NO_CLASS } from "./state.ts";

/** A class as those see it who do not know its id. */
export interface TableRow {
  readonly model: number;
  readonly single: number;
  /** Places of its links among all that are attached, in the order in which they were. */
  readonly links: readonly number[];
  /** Ascending. */
  readonly functions: readonly number[];
}

/** All classes, in the order of their lowest functions. Equal for states in which the same links are attached in the same order. O(functions of all links) */
export function classTable(state: MultiState): TableRow[] {
  const places = new Map([...state.links.keys()].map((id, place) => [id, place]));
  const members = membersOf(state);
  return [...members.entries()]
    .map(([id, functions]) => {
      const { model, single, links } = state.class(id);
      return { model, single, links: Array.from(links, (link) => places.get(link)!), functions };
    })
    .sort((a, b) => a.functions[0]! - b.functions[0]!);
}

/** Functions of every class, ascending. O(functions) */
export function membersOf(state: MultiState): Map<number, number[]> {
  const members = new Map<number, number[]>();
  for (let id = 0; id < state.facts.count; id++) {
    const inClass = state.classOf(id);
    if (inClass === NO_CLASS) continue;
    const list = members.get(inClass);
    if (list === undefined) members.set(inClass, [id]);
    else list.push(id);
  }
  return members;
}

/** A number for everything in a state, ids included: FNV-1a over 32 bits. Equal states have equal ones. O(functions of all links) */
export function hashState(state: MultiState): number {
  let hash = 0x811c9dc5;
  const add = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  for (const { id, kind, typed, program, functions, cookies } of state.links.values()) {
    for (const word of [id, kind.length, kind.charCodeAt(1), Number(typed), program]) add(word);
    for (const f of functions) add(f);
    for (const cookie of typeof cookies === "bigint" ? [cookies] : cookies) {
      add(Number(BigInt.asIntN(32, cookie)));
      add(Number(BigInt.asIntN(32, cookie >> 32n)));
    }
  }
  for (const id of state.classIds()) {
    const { model, single, size, links } = state.class(id);
    for (const word of [id, model, single, size, ...links]) add(word);
  }
  for (let id = 0; id < state.facts.count; id++) add(state.classOf(id));
  for (const id of state.nextClasses(4)) add(id);
  add(state.nextLink);
  add(state.attached);
  return hash >>> 0;
}
