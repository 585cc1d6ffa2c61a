// Passes keep a program's meaning: the corpus and generated programs, on every engine, with every pass on.
import { arm64 } from "@bpfkit/arm64";
import {
  type ConformanceReport,
  formatFailure,
  GROUPS,
  generatedInput,
  generatedProgram,
  runConformance,
  setUpKernel,
} from "@bpfkit/conformance";
import {
  allPasses,
  type Backend,
  type Engine,
  formatProgram,
  interpreter,
  jit,
  type Pass,
  patch,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Kernel, Lockstep } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { everyPass, withPasses } from "./with-passes.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
const ENGINES: readonly Engine[] = [interpreter, ...BACKENDS.map((backend) => jit(backend))];
/** Programs per backend; BPFKIT_PROGRAMS asks for more. */
const PROGRAMS = Number(process.env.BPFKIT_PROGRAMS ?? 100);
/** Which part of the corpus each engine gets; BPFKIT_CORPUS=1 asks for all of it. */
const PARTS = Number(process.env.BPFKIT_CORPUS ?? 16);
const TIMEOUT = 120_000;
/** Instructions of a program that passes have made longer. */
const BUDGET = 1_000_000;
const MIB = 1 << 20;
const SIZES = { sizes: { host: MIB, text: 32 * MIB, data: 8 * MIB } };

describe.each(ENGINES.map((engine, i) => [engine.name, engine, i] as const))(
  "%s with every pass",
  (_name, engine, i) => {
    test.each(GROUPS)("gives the results of the corpus: %s", { timeout: TIMEOUT }, (group) => {
      expectPassed(
        runConformance(
          withPasses(engine, () => everyPass(1)),
          { groups: [group], programs: 0, shard: { index: i % PARTS, count: PARTS } },
        ),
      );
    });
  },
);

/** What came of a program: stop and context. */
function outcome(kernel: Kernel, program: VerifiedProgram, context: Uint8Array): unknown {
  const loaded = kernel.load(program);
  const { stop, contextOut } = loaded.run({ context, budget: BUDGET });
  loaded.release();
  if (stop.kind === "trap") return { cause: stop.cause };
  return { ...stop, contextOut };
}

const names = allPasses({ random: () => 0 }).map(({ name }) => name);
const one = (seed: number): readonly Pass[] => [everyPass(seed)[seed % names.length]!];

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))(
  "generated programs on %s",
  (_arch, backend) => {
    test.each([
      ["every pass", everyPass],
      ["one pass", one],
    ] as const)("run at every boundary as the interpreter does: %s", { timeout: TIMEOUT }, (_what, passes) => {
      const lockstep = new Lockstep({
        engine: jit(backend),
        memory: SIZES,
        setup: setUpKernel,
        disassemble: backend.disassemble,
      });
      for (let seed = 1; seed <= PROGRAMS; seed++) {
        const program = patch(trust(generatedProgram(seed)), passes(seed));
        const loaded = lockstep.load(program);
        const { difference, undefinedUse, programFault } = loaded.run({
          context: generatedInput(seed),
          budget: BUDGET,
        });
        loaded.release();
        if (undefinedUse !== undefined)
          expect.fail(
            `seed ${seed}: an undefined value decides at ${undefinedUse.at}\n${formatProgram(program.program)}`,
          );
        expect(programFault).toBeUndefined();
        if (difference !== undefined) expect.fail(`seed ${seed}: ${difference.what}\n${difference.listing}`);
      }
    });
  },
);

test("generated programs end as they do without passes", { timeout: TIMEOUT }, () => {
  const kernel = new Kernel({ engine: interpreter, memory: SIZES });
  setUpKernel(kernel);
  for (let seed = 1; seed <= 3 * PROGRAMS; seed++) {
    const program = trust(generatedProgram(seed));
    const before = outcome(kernel, program, generatedInput(seed));
    expect(outcome(kernel, patch(program, everyPass(seed)), generatedInput(seed)), `seed ${seed}`).toEqual(before);
    expect(outcome(kernel, patch(program, one(seed)), generatedInput(seed)), `seed ${seed}`).toEqual(before);
  }
});

function expectPassed({ groups, lockstep, failures }: ConformanceReport): void {
  const failed = Object.values(groups).reduce((sum, group) => sum + group.failed, 0) + lockstep.failed;
  if (failed > 0) expect.fail(`${failed} failed\n\n${failures.map(formatFailure).join("\n\n")}`);
}
