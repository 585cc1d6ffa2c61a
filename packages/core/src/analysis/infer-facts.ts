// Facts from the program alone, until a verifier gives better ones.
import type { VerifiedProgram } from "../program.ts";
import { Fact, type InsnFacts, noFacts } from "./facts.ts";
import { Mark } from "./structure.ts";

/** What can be told of each instruction from shape and constants. Linear in the program. */
export function inferFacts({ program, structure }: VerifiedProgram): InsnFacts {
  const facts = noFacts(program.insns.length);
  for (let at = 0; at < program.insns.length; at++) {
    if ((structure.marks[at]! & (Mark.REACHABLE | Mark.START)) === Mark.START) facts.flags[at]! |= Fact.UNREACHABLE;
  }
  return facts;
}
