// Engines that run programs as passes leave them.
import { Random } from "@bpfkit/conformance";
import { allPasses, type Engine, type Pass, patch, type VerifiedProgram } from "@bpfkit/core";
import { CONTEXT_LAYOUTS } from "@bpfkit/kernel";

/** Every pass, with random numbers of their own. */
export function everyPass(seed: number): readonly Pass[] {
  const random = new Random(seed);
  return allPasses({ random: () => random.below(2 ** 32), layouts: CONTEXT_LAYOUTS });
}

/** An engine that lets passes go over each program before it loads it. */
export function withPasses(engine: Engine, passes: (program: VerifiedProgram) => readonly Pass[]): Engine {
  return {
    name: `${engine.name} with passes`,
    load: (program, host, options) => engine.load(patch(program, passes(program)), host, options),
  };
}
