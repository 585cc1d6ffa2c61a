// The judge: runs the corpus and generated programs on an engine, and reports.
import { type Backend, type CompileOptions, type Engine, jit, trust } from "@bpfkit/core";
import { TreeJudge, treeText } from "./call-tree-judge.ts";
import { type ConformanceCase, formatCase } from "./case.ts";
import { corpus } from "./corpus.ts";
import { generateProgram } from "./generate.ts";
import { GROUPS, type Group } from "./group.ts";
import { Companion, checkImage, type LawBreach } from "./laws.ts";
import { Random } from "./random.ts";
import type { ConformanceFailure, ConformanceReport } from "./report.ts";
import { type CaseFailure, CaseRunner, preservedBy, trustedOf } from "./run-case.ts";
import { shrinkProgram } from "./shrink.ts";

/** What to judge by. */
export interface ConformanceOptions {
  /** Groups of the corpus; all unless told. */
  readonly groups?: readonly Group[];
  /** Which part of the cases and programs: those whose number is `index` modulo `count`. */
  readonly shard?: { readonly index: number; readonly count: number };
  /** Generated programs that run in lockstep with the interpreter; 200 unless told. */
  readonly programs?: number;
  /** Where generated programs start; 1 unless told. */
  readonly seed?: number;
  /** Runs of each of them, with other inputs; 1 unless told. */
  readonly inputs?: number;
  /** About how many instructions each of them has; some dozens unless told. */
  readonly size?: number;
  /** Random call trees in lockstep; 12 unless told, and none where no programs are asked for. */
  readonly trees?: number;
  /** Cases in place of the corpus. */
  readonly cases?: readonly ConformanceCase[];
  /** Failures that are looked into and reported; 5 unless told. */
  readonly details?: number;
  /** Ends at so many failures; never unless told. */
  readonly stopAfter?: number;
  /** How a backend compiles. */
  readonly compile?: CompileOptions;
  /** Called now and then with the share that is done. */
  readonly progress?: (share: number) => void;
}

const CONTEXT = 64;
/** Generated programs that share a pair of kernels. */
const BATCH = 500;

/**
 * Judges a backend, or an engine. Nothing here throws because the judged one is wrong; needs no file system.
 *
 * @example
 * ```ts
 * import { formatFailure, passed, runConformance } from "@bpfkit/conformance";
 * const report = runConformance(backend, { shard: { index: 0, count: 8 } });
 * if (!passed(report)) for (const failure of report.failures) console.log(formatFailure(failure));
 * ```
 */
export function runConformance(subject: Backend | Engine, options: ConformanceOptions = {}): ConformanceReport {
  return new Judge(subject, options).judge();
}

class Judge {
  readonly #subject: Backend | Engine;
  readonly #options: ConformanceOptions;
  readonly #failures: ConformanceFailure[] = [];
  readonly #groups = new Map<Group, { cases: number; failed: number }>();
  readonly #lockstep = { programs: 0, instructions: 0, boundaries: 0, failed: 0 };
  readonly #callTrees = { trees: 0, boundaries: 0, failed: 0 };
  #failed = 0;
  #companion: Companion | undefined;

  constructor(subject: Backend | Engine, options: ConformanceOptions) {
    this.#subject = subject;
    this.#options = options;
  }

  judge(): ConformanceReport {
    const {
      shard = { index: 0, count: 1 },
      seed = 1,
      programs = 200,
      trees = programs === 0 ? 0 : 12,
      cases = corpus(),
      groups,
      progress,
    } = this.#options;
    const wanted = cases.filter(({ group }, i) => i % shard.count === shard.index && (groups?.includes(group) ?? true));
    const total = wanted.length + programs + trees;
    this.#runCases(wanted, (done) => progress?.(done / total));
    this.#runPrograms(seed, programs, shard, (done) => progress?.((wanted.length + done) / total));
    this.#runTrees(seed, trees, shard, (done) => progress?.((wanted.length + programs + done) / total));
    const subject = this.#subject;
    return {
      engine: "arch" in subject ? subject.arch : subject.name,
      seed,
      shard,
      groups: Object.fromEntries(
        GROUPS.flatMap((group) => (this.#groups.has(group) ? [[group, this.#groups.get(group)!]] : [])),
      ),
      lockstep: this.#lockstep,
      callTrees: this.#callTrees,
      failures: this.#failures,
    };
  }

  get #isDone(): boolean {
    return this.#failed >= (this.#options.stopAfter ?? Number.POSITIVE_INFINITY);
  }

  get #engine(): Engine {
    return "arch" in this.#subject ? jit(this.#subject, this.#options.compile) : this.#subject;
  }

  #runCases(cases: readonly ConformanceCase[], progress: (done: number) => void): void {
    const subject = this.#subject;
    const runner = new CaseRunner(this.#engine, "arch" in subject ? preservedBy(subject) : []);
    for (const [done, one] of cases.entries()) {
      if (done % 64 === 0) progress(done);
      const counts = this.#groups.get(one.group) ?? { cases: 0, failed: 0 };
      this.#groups.set(one.group, counts);
      counts.cases++;
      const failure = runner.run(one);
      if (failure === undefined) continue;
      counts.failed++;
      this.#failed++;
      if (this.#wantsDetails) this.#failures.push(this.#explainCase(one, failure));
      if (this.#isDone) return;
    }
  }

  get #wantsDetails(): boolean {
    return this.#failures.length < (this.#options.details ?? 5);
  }

  /** Runs the failed one once more in lockstep, which finds the instruction and the register. */
  #explainCase(one: ConformanceCase, { run, what, expected, found }: CaseFailure): ConformanceFailure {
    const { name, group } = one;
    const failed = run < 0 ? one.runs[0] : one.runs[run];
    const text = formatCase({ ...one, program: one.program, runs: failed === undefined ? [] : [failed] });
    const trusted = trustedOf(one);
    if (trusted === undefined || run < 0 || failed?.args !== undefined) {
      return { name, group, what, expected, found, text, listing: "" };
    }
    this.#companion ??= new Companion(this.#subject, this.#options.compile);
    const breach = this.#companion.compare(one.program, [failed?.memory], one.budget);
    if (breach === undefined) {
      return { name, group, what, expected, found, text, listing: this.#companion.listings(trusted) };
    }
    this.#companion = undefined; // after a difference the kernels are no longer alike
    return {
      name,
      group,
      what: breach.what,
      expected: breach.expected,
      found: breach.found,
      text,
      listing: breach.listing,
    };
  }

  #runPrograms(
    seed: number,
    count: number,
    { index, count: shards }: { readonly index: number; readonly count: number },
    progress: (done: number) => void,
  ): void {
    if (index >= count || this.#isDone) return;
    let companion = new Companion(this.#subject, this.#options.compile);
    for (let i = index; i < count && !this.#isDone; i += shards) {
      if (i % 16 === 0) progress(i);
      const program = generatedProgram(seed + i, this.#options.size);
      const inputs = Array.from({ length: this.#options.inputs ?? 1 }, (_, k) => generatedInput(seed + i + 7919 * k));
      let breach = companion.compare(program, inputs);
      if (breach === undefined && "arch" in this.#subject && i % 8 === 0) breach = this.#checkImage(program);
      this.#lockstep.programs++;
      if (breach !== undefined) {
        this.#lockstep.failed++;
        this.#failed++;
        if (this.#wantsDetails) this.#failures.push(this.#explainProgram(program, inputs, breach));
      }
      if (breach !== undefined || this.#lockstep.programs % BATCH === 0) {
        this.#count(companion);
        companion = new Companion(this.#subject, this.#options.compile);
      }
    }
    this.#count(companion);
  }

  #runTrees(
    seed: number,
    count: number,
    { index, count: shards }: { readonly index: number; readonly count: number },
    progress: (done: number) => void,
  ): void {
    const judge = new TreeJudge(this.#subject, this.#options.compile);
    const totals = this.#callTrees;
    for (let i = index; i < count && !this.#isDone; i += shards) {
      if (i % 16 === 0) progress(i);
      const failure = judge.check(seed + i);
      totals.trees++;
      totals.boundaries = judge.boundaries;
      if (failure === undefined) continue;
      totals.failed++;
      this.#failed++;
      const { setting, breach, tree } = failure;
      const name = `tree ${failure.seed}, ${setting}`;
      if (this.#wantsDetails) this.#failures.push({ name, group: "call trees", ...breach, text: treeText(tree) });
    }
  }

  #count({ counts: { instructions, boundaries } }: Companion): void {
    this.#lockstep.instructions += instructions;
    this.#lockstep.boundaries += boundaries;
  }

  #checkImage(program: ReturnType<typeof generatedProgram>): LawBreach | undefined {
    const wrong = checkImage(this.#subject as Backend, trust(program), this.#options.compile);
    return wrong === undefined ? undefined : { what: "image", expected: "a sound image", found: wrong, listing: "" };
  }

  #explainProgram(
    program: ReturnType<typeof generatedProgram>,
    inputs: readonly Uint8Array[],
    breach: LawBreach,
  ): ConformanceFailure {
    const compare = (candidate: typeof program): LawBreach | undefined =>
      new Companion(this.#subject, this.#options.compile).compare(candidate, inputs);
    const isLasting = breach.what !== "image" && compare(program) !== undefined;
    const smallest = isLasting
      ? shrinkProgram(program, (candidate) => {
          const found = compare(candidate);
          return found !== undefined && !found.what.startsWith("an undefined value");
        })
      : program;
    const { what, expected, found, listing } = (isLasting ? compare(smallest) : undefined) ?? breach;
    const text = formatCase({
      name: program.name,
      group: "base64",
      program: smallest,
      runs: inputs.map((memory) => ({ memory, expect: { kind: "result" } })),
    });
    return {
      name: `${program.name}, shrunk to ${smallest.insns.length} slots`,
      group: "lockstep",
      what,
      expected,
      found,
      text,
      listing,
    };
  }
}

/** The program of a seed, of a size and sort that go with it. */
export function generatedProgram(seed: number, size?: number): ReturnType<typeof generateProgram> {
  return generateProgram(seed, { size: size ?? 10 + (seed % 120), verifiable: seed % 2 === 0 });
}

/** What {@link generatedProgram} of the same seed is run with. */
export function generatedInput(seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: CONTEXT }, (_, i) =>
    i & 8 ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff]),
  );
}
