// Carrying out a plan on the class table, and taking that back exactly.
import { BpfError, invariant } from "../errors.ts";
import type { MultiMove, MultiPlan } from "./plan.ts";
import type { MultiLink, MultiState } from "./state.ts";

/**
 * Brings a state to where a plan leads. What it returns brings it back, with the same ids of classes and links, as long as nothing else has changed it.
 *
 * Cost: linear in the functions of the plan's moves other than `renamed`, and in its moves.
 *
 * @throws {BpfError} `argument` (EAGAIN) when the state has changed since the plan was made
 */
export function applyPlan(state: MultiState, plan: MultiPlan): () => void {
  if (plan.edition !== state.edition) {
    throw new BpfError("argument", "a plan for an earlier state (EAGAIN)", {
      expected: "a plan of the state as it is",
    });
  }
  const { change, link, moves } = plan;
  const edition = {};
  const { nextLink } = state;
  const links = state.links as Map<number, MultiLink>;
  const followers = change === "detach" ? [...links.keys()].filter((id) => id > link.id) : [];
  state.reserve();
  for (const move of moves) forward(state, plan, move);
  if (change === "attach") {
    links.set(link.id, link);
    state.nextLink++;
  } else links.delete(link.id);
  state.edition = edition;
  return () => {
    invariant(state.edition === edition, "a state that only this plan has changed");
    for (const move of moves.toReversed()) backward(state, plan, move);
    if (change === "attach") links.delete(link.id);
    else {
      links.set(link.id, link);
      for (const id of followers) reinsert(links, id);
    }
    state.nextLink = nextLink;
    state.edition = plan.edition;
  };
}

/** Puts an element of a map behind all others. */
function reinsert(links: Map<number, MultiLink>, id: number): void {
  const link = links.get(id)!;
  links.delete(id);
  links.set(id, link);
}

function forward(state: MultiState, { functions }: MultiPlan, { kind, from, to, after, start, end }: MultiMove): void {
  if (kind === "renamed") {
    state.rename(from, after!);
    return;
  }
  if (kind === "made") invariant(state.make(after!) === to, `class ${to} made as planned`);
  state.move(functions.subarray(start, end), from, to);
  if (kind !== "made") state.unmake(from);
}

function backward(state: MultiState, { functions }: MultiPlan, move: MultiMove): void {
  const { kind, from, to, before, start, end } = move;
  if (kind === "renamed") {
    state.rename(from, before!);
    return;
  }
  if (kind !== "made") invariant(state.make(before!) === from, `class ${from} made again`);
  state.move(functions.subarray(start, end), to, from);
  if (kind === "made") state.unmake(to);
}
