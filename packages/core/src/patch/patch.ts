// The door through which passes reach a program: one list for all of them, one linearize at the end.

import type { InsnFacts } from "../analysis/facts.ts";
import { inferFacts } from "../analysis/infer-facts.ts";
import { structureOf } from "../analysis/structure.ts";
import type { VerifiedProgram } from "../program.ts";
import { type Linearized, type LinearizeOptions, linearize } from "./linearize.ts";
import { PatchList } from "./list.ts";

/** One rewriting of a program that keeps its meaning. */
export interface Pass {
  /** Lower case with hyphens; `VerifiedProgram.passes` lists it. */
  readonly name: string;
  /** Edits the list. What earlier passes put there is seen, without facts unless they recorded or passed on any. */
  run(list: PatchList): void;
}

/** A program that passes went over, and what they did. */
export interface Patched extends VerifiedProgram {
  readonly facts: InsnFacts;
  readonly patched: Linearized;
  readonly list: PatchList;
}

/**
 * Runs passes over one list and linearizes once. Facts are the program's own, or inferred. Nothing of the input changes.
 *
 * @throws {BpfError} what {@link linearize} throws
 */
export function patch(
  verified: VerifiedProgram,
  passes: readonly Pass[],
  options: Omit<LinearizeOptions, "facts"> = {},
): Patched {
  const list = new PatchList(verified.program, verified.facts ?? inferFacts(verified));
  for (const pass of passes) {
    list.beginPass(pass.name);
    pass.run(list);
  }
  const patched = linearize(list, { provenance: true, ...options, facts: true });
  const { program, facts } = patched;
  return {
    program,
    structure: structureOf(program),
    basis: verified.basis,
    passes: [...verified.passes, ...passes.map(({ name }) => name)],
    facts: facts!,
    patched,
    list,
  };
}
