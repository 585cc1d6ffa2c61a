// A program's text before and after passes, with facts that a test asserts.
import {
  assemble,
  formatProgram,
  type InsnFacts,
  noFacts,
  type Pass,
  type Patched,
  type Program,
  patch,
  trust,
} from "../../src/index.ts";

/** What a test says of the instruction at a slot. */
export type Told = { readonly [K in keyof InsnFacts]?: number };

/** Runs passes over a program of which just this is known. */
export function patched(program: Program, passes: readonly Pass[], told: Readonly<Record<number, Told>> = {}): Patched {
  const verified = trust(program);
  const facts = noFacts(verified.program.insns.length);
  for (const [slot, columns] of Object.entries(told)) {
    for (const [column, value] of Object.entries(columns)) facts[column as keyof InsnFacts][Number(slot)] = value;
  }
  return patch({ ...verified, facts }, passes);
}

/** The text of what comes out. */
export function after(text: string, passes: readonly Pass[], told: Readonly<Record<number, Told>> = {}): string {
  return `\n${formatProgram(patched(assemble(text), passes, told).program, { slots: true })}\n`;
}
