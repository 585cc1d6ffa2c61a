// Shrinking call trees: from one that shows a mistake to a small one that still does.
import type { CallTree, TreeBody, TreeProgram } from "./call-trees.ts";
import type { ShrinkOptions } from "./shrink.ts";

/**
 * The smallest tree that it finds for which `stillFails` holds: with fewer steps, programs, actions, registers and stack. The same input
 * gives the same result.
 *
 * @param stillFails - whether a candidate shows the mistake; it holds for `tree` itself
 */
export function shrinkCallTree(
  tree: CallTree,
  stillFails: (tree: CallTree) => boolean,
  { attempts = 400 }: ShrinkOptions = {},
): CallTree {
  let best = tree;
  let left = attempts;
  for (let changed = true; changed; ) {
    changed = false;
    for (const candidate of smaller(best)) {
      if (left-- <= 0) return best;
      if (!stillFails(candidate)) continue;
      best = candidate;
      changed = true;
      break;
    }
  }
  return best;
}

/** Trees that lack something, the boldest first. */
function* smaller(tree: CallTree): Iterable<CallTree> {
  const { steps, programs } = tree;
  for (let run = Math.max(1, steps.length >> 1); run >= 1; run >>= 1) {
    for (let at = steps.length - run; at >= 0; at -= run) {
      yield { ...tree, steps: steps.filter((_, i) => i < at || i >= at + run) };
    }
  }
  const last = programs.length - 1;
  if (last > 0 && steps.every((step) => step.kind === "delete" || step.program !== last)) {
    yield { ...tree, programs: programs.slice(0, last) };
  }
  for (const [p, program] of programs.entries()) {
    for (const [b, body] of program.bodies.entries()) {
      for (const plain of plainer(body)) yield withBody(tree, p, b, plain);
    }
  }
}

function* plainer(body: TreeBody): Iterable<TreeBody> {
  const { actions, saved } = body;
  for (const [i, action] of actions.entries()) {
    yield { ...body, actions: actions.filter((_, other) => other !== i) };
    const { when, ...always } = action;
    if (when !== undefined) yield { ...body, actions: actions.with(i, always) };
    if (action.kind !== "tail-call") continue;
    const { other, ...one } = action;
    if (other !== undefined) yield { ...body, actions: actions.with(i, one) };
    if (action.hidden) yield { ...body, actions: actions.with(i, { ...action, hidden: false }) };
  }
  if (saved.length > 0) yield { ...body, saved: saved.slice(1) };
  if (body.slots > 0) yield { ...body, slots: body.slots - 1 };
  if (body.home === "stack") yield { ...body, home: 6, saved: saved.filter((register) => register !== 6) };
}

function withBody(tree: CallTree, program: number, index: number, body: TreeBody): CallTree {
  const { bodies }: TreeProgram = tree.programs[program]!;
  return { ...tree, programs: tree.programs.with(program, { bodies: bodies.with(index, body) }) };
}
