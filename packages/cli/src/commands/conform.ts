// `bpfkit conform`: judges engines by the conformance corpus and by generated programs in lockstep, and prints the matrix.
import { type ConformanceReport, formatFailure, GROUPS, type Group, passed, runConformance } from "@bpfkit/conformance";
import { type Backend, type Engine, interpreter } from "@bpfkit/core";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { EXIT, grouped, Progress, printJson, type Style } from "../output.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);
const DEFAULT_PROGRAMS = 200;
/** An engine with so many failures is wrong enough. */
const DEFAULT_FAILURES = 20;
/** Generated programs of one round of `--lockstep`, their sizes in turn, and the inputs each runs with. */
const ROUND = 200;
const SIZES = [30, 100, 300, 600] as const;
const INPUTS = 16;

/** Prints the matrix engine × conformance group. */
export const conform: Command = {
  name: "conform",
  operands: [],
  summary: "judge backends by the conformance corpus and by generated programs",
  options: {
    arch: { value: "ARCH", help: `${ARCHES.join(", ")}; all, and the interpreter, unless told` },
    group: { value: "GROUP", help: "one conformance group; all unless told" },
    shard: { value: "I/N", help: "one of N equal parts, counted from 1" },
    seed: { value: "N", help: "where generated programs start; 1 unless told" },
    programs: {
      value: "N",
      help: `generated programs in lockstep with the interpreter; ${DEFAULT_PROGRAMS} unless told`,
    },
    failures: { value: "N", help: `failures after which an engine is given up; ${DEFAULT_FAILURES} unless told` },
    lockstep: { value: "N", help: "no corpus; generated programs until so many BPF instructions were compared" },
  },
  examples: ["--arch x86-64", "--shard 3/8 --seed 7 --json", "--lockstep 10000000 --arch x86-64"],
  run(call) {
    const { arguments: args } = call;
    return args.has("lockstep") ? runLockstep(call) : runMatrix(call);
  },
};

function subjectsOf(args: Arguments, withInterpreter: boolean): readonly (Backend | Engine)[] {
  const arch = args.choice("arch", ["all", ...ARCHES], "all");
  if (arch !== "all") return BACKENDS.filter((backend) => backend.arch === arch);
  return withInterpreter ? [interpreter, ...BACKENDS] : BACKENDS;
}

/** `3/8` is the third of eight. @throws {UsageError} */
function shardOf(args: Arguments): { readonly index: number; readonly count: number } {
  const text = args.text("shard");
  if (text === undefined) return { index: 0, count: 1 };
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  if (!(Number(index) >= 1 && Number(index) <= Number(count))) {
    throw new UsageError(`--shard is a part and how many there are, as in 3/8, not ${text}`);
  }
  return { index: Number(index) - 1, count: Number(count) };
}

const nameOf = (subject: Backend | Engine): string => ("arch" in subject ? subject.arch : subject.name);

function runMatrix(call: Call): number {
  const { io, style, arguments: args } = call;
  const subjects = subjectsOf(args, true);
  const shard = shardOf(args);
  const seed = args.number("seed", 1, { max: 0xffff_ffff });
  const programs = args.number("programs", DEFAULT_PROGRAMS);
  const group = args.has("group") ? args.choice<Group>("group", GROUPS, "base32") : undefined;
  const progress = new Progress(io, "conformance", args.has("quiet"));
  const reports: ConformanceReport[] = [];
  try {
    for (const [done, subject] of subjects.entries()) {
      reports.push(
        runConformance(subject, {
          shard,
          seed,
          programs,
          stopAfter: args.number("failures", DEFAULT_FAILURES, { min: 1 }),
          ...(group === undefined ? {} : { groups: [group] }),
          progress: (share) => progress.update((done + share) / subjects.length),
        }),
      );
    }
  } finally {
    progress.end();
  }
  const good = reports.every(passed);
  if (args.has("json") || args.has("pretty")) printJson(io, { passed: good, reports }, args.has("pretty"));
  else io.out(toText(reports, style));
  return good ? EXIT.OK : EXIT.NEGATIVE;
}

function toText(reports: readonly ConformanceReport[], style: Style): string {
  const [{ seed, shard }] = reports as [ConformanceReport];
  const part = shard.count === 1 ? "" : `, part ${shard.index + 1} of ${shard.count}`;
  const failures = reports.flatMap((report) => report.failures.map((failure) => ({ engine: report.engine, failure })));
  return [
    style.bold(`conformance${part}, seed ${seed}\n`),
    matrix(reports, style),
    ...failures.map(({ engine, failure }) => {
      const title = style.red(`\n${engine}, ${formatFailure(failure)}`);
      return `${title}\n\n${failure.text.replace(/^/gm, "  ").trimEnd()}\n`;
    }),
  ].join("");
}

/** Groups down, engines across: cases passed of cases run. A cell with failures is red. */
function matrix(reports: readonly ConformanceReport[], style: Style): string {
  const head = ["", ...reports.map(({ engine }) => engine)];
  const cell = (cases: number, failed: number): Cell => ({
    text: failed === 0 ? grouped(cases) : `${grouped(failed)} of ${grouped(cases)} failed`,
    failed: failed > 0,
  });
  const groups = GROUPS.filter((group) => reports.some((report) => report.groups[group] !== undefined));
  const rows: (readonly [string, ...Cell[]])[] = groups.map((group) => [
    group,
    ...reports.map((report) => cell(report.groups[group]?.cases ?? 0, report.groups[group]?.failed ?? 0)),
  ]);
  if (reports.some(({ lockstep }) => lockstep.programs > 0)) {
    rows.push(["lockstep", ...reports.map(({ lockstep }) => cell(lockstep.programs, lockstep.failed))]);
    rows.push([
      "  instructions",
      ...reports.map(({ lockstep }) => ({ text: grouped(lockstep.instructions), failed: false })),
    ]);
  }
  if (reports.some(({ callTrees }) => callTrees.trees > 0))
    rows.push(["call trees", ...reports.map(({ callTrees }) => cell(callTrees.trees, callTrees.failed))]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (column === 0 ? row[0] : (row[column] as Cell).text).length)),
  );
  const line = (cells: readonly string[]): string => `  ${cells.join("  ").trimEnd()}\n`;
  return [
    line(head.map((title, column) => (column === 0 ? title.padEnd(widths[0]!) : title.padStart(widths[column]!)))),
    ...rows.map(([name, ...cells]) =>
      line([
        name.padEnd(widths[0]!),
        ...cells.map(({ text, failed }, i) => (failed ? style.red : style.green)(text.padStart(widths[i + 1]!))),
      ]),
    ),
  ].join("");
}

interface Cell {
  readonly text: string;
  readonly failed: boolean;
}

/** Many generated programs, counted in instructions; says how fast it goes. */
function runLockstep(call: Call): number {
  const { io, arguments: args } = call;
  const wanted = args.number("lockstep", 0, { min: 1 });
  const { index, count } = shardOf(args);
  const first = args.number("seed", 1, { max: 0xffff_ffff });
  const rows: Record<string, unknown>[] = [];
  for (const subject of subjectsOf(args, false)) {
    const progress = new Progress(io, nameOf(subject), args.has("quiet"));
    const total = { programs: 0, instructions: 0, boundaries: 0, failed: 0 };
    const started = io.now();
    let round = index;
    let failures: ConformanceReport["failures"] = [];
    while (total.instructions < wanted && total.failed === 0) {
      const report = runConformance(subject, {
        cases: [],
        programs: ROUND,
        trees: 0,
        inputs: INPUTS,
        size: SIZES[round % SIZES.length]!,
        seed: first + ROUND * round,
        stopAfter: 1,
      });
      for (const key of ["programs", "instructions", "boundaries", "failed"] as const)
        total[key] += report.lockstep[key];
      failures = report.failures;
      round += count;
      progress.update(total.instructions / wanted);
    }
    progress.end();
    const seconds = (io.now() - started) / 1000;
    const next = first + ROUND * round;
    rows.push({ engine: nameOf(subject), ...total, seconds: Number(seconds.toFixed(1)), nextSeed: next, failures });
    if (!args.has("json") && !args.has("pretty")) {
      const rate = seconds > 0 ? `, ${grouped(Math.round(total.instructions / seconds))} a second` : "";
      io.out(
        `${nameOf(subject)}: ${grouped(total.instructions)} BPF instructions of ${grouped(total.programs)} programs, ` +
          `compared at ${grouped(total.boundaries)} places, ${total.failed === 0 ? "no difference" : "a difference"}` +
          ` (${seconds.toFixed(1)} s${rate}; next seed ${next})\n`,
      );
      for (const failure of failures) io.out(`\n${formatFailure(failure)}\n\n${failure.text}`);
    }
  }
  const good = rows.every(({ failed }) => failed === 0);
  if (args.has("json") || args.has("pretty")) printJson(io, { passed: good, engines: rows }, args.has("pretty"));
  return good ? EXIT.OK : EXIT.NEGATIVE;
}
