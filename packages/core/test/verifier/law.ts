// One seed's worth of the law "concrete inside abstract", and the smallest program of those that break it.
import { BpfError } from "../../src/errors.ts";
import type { Tables } from "../../src/verifier/tables.ts";
import { programOf, type Run, runInside, verifyRecording } from "./concrete.ts";
import { type Random, type RandomProgram, randomFrom, randomProgram } from "./random-programs.ts";

export interface LawOptions {
  /** Runs of an accepted program, each on inputs of its own; 1 unless told. */
  readonly runs?: number;
  readonly tables?: Tables;
  /** Whether the program that breaks it is made smaller; yes unless told. */
  readonly shrinks?: boolean;
}

/** What came of a seed. */
export interface Outcome {
  readonly accepted: boolean;
  /** Of a rejection, without its numbers. */
  readonly reason?: string;
  /** Instructions of runs that were held against states. */
  readonly steps: number;
  /** What broke the law: the step with all that was recorded there, and the smallest program that shows it. */
  readonly escape?: string;
}

/** Makes the program of a seed, verifies it and runs it. Even seeds verify with nothing left out, odd ones the kernel's way. */
export function tryLaw(seed: number, options: LawOptions = {}): Outcome {
  const random = randomFrom(seed);
  const program = randomProgram(random);
  const outcome = check(program, seed, random, options);
  if (outcome.escape === undefined || options.shrinks === false) return outcome;
  const small = shrink(
    program,
    (candidate) => check(candidate, seed, randomFrom(~seed), { ...options, runs: 8 }).escape !== undefined,
  );
  const found = check(small, seed, randomFrom(~seed), { ...options, runs: 8 }).escape;
  const text = (lines: readonly string[]): string => lines.map((line) => `    ${line}`).join("\n");
  return {
    ...outcome,
    escape: `seed ${seed}, ${program.type}: ${found ?? outcome.escape}
${text(found === undefined ? program.lines : small.lines)}`,
  };
}

function check(program: RandomProgram, seed: number, random: Random, { runs = 1, tables }: LawOptions): Outcome {
  let assembled: ReturnType<typeof programOf>;
  try {
    assembled = programOf(program);
  } catch (error) {
    if (error instanceof BpfError) return { accepted: false, reason: "no program", steps: 0 };
    throw error;
  }
  const recording = verifyRecording(assembled, seed % 2 === 0, tables);
  const { result } = recording;
  if (!result.ok) return { accepted: false, reason: result.reason.replace(/-?\d+/g, "N"), steps: 0 };
  let steps = 0;
  for (let i = 0; i < runs; i++) {
    const run: Run = runInside(result.program, recording, random);
    steps += run.steps;
    if (run.escape !== undefined) return { accepted: true, steps, escape: run.escape };
  }
  return { accepted: true, steps };
}

/** Leaves lines out as long as it still breaks: halves first, then single ones. */
function shrink(program: RandomProgram, breaks: (program: RandomProgram) => boolean): RandomProgram {
  let { lines } = program;
  for (let size = lines.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < lines.length; ) {
      const fewer = [...lines.slice(0, at), ...lines.slice(at + size)];
      if (breaks({ ...program, lines: fewer })) lines = fewer;
      else at += size;
    }
  }
  return { ...program, lines };
}
