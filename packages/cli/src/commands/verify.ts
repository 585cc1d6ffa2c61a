// `bpfkit verify`: what the verifier says to the programs of an object, or to a program as text.
import {
  assemble,
  BpfError,
  KERNELS,
  type Program,
  programType,
  type Rejected,
  type Verified,
  verify as verifyProgram,
} from "@bpfkit/core";
import { attachTarget, type Btf, kernelTypes, loadBtf, loadObject, type ObjectProgram } from "@bpfkit/object";
import { githubAnnotation } from "../annotations.ts";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { objectName } from "../object-file.ts";
import { about, EXIT, printJson, readInput, type Style } from "../output.ts";
import { sarifLog } from "../sarif.ts";
import { stackChains } from "../stack-chains.ts";
import { placeOf, verdictLines, verdictOf } from "../verdict.ts";
import {
  type Checked,
  explanationLines,
  notPrunedLines,
  stateLines,
  statsOf,
  statsText,
  verdictTable,
} from "../verify-text.ts";

const VERSIONS: readonly string[] = Object.keys(KERNELS);
const NEWEST = "7.2";
const LEVELS = ["0", "1", "2"] as const;
/** Of text, which says nothing about it. */
const TEXT_TYPE = "socket_filter";
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];

/** Verifies programs. */
export const verify: Command = {
  name: "verify",
  operands: ["FILE"],
  summary: "say whether the verifier accepts the programs of an object or of assembler text, and why not",
  options: {
    program: { value: "NAME", help: "this program alone, by its name or its section" },
    kernel: {
      value: "VERSIONS",
      help: `whose rules: ${VERSIONS.join(", ")}, or several with commas; ${NEWEST} unless told`,
    },
    explain: { help: "with the steps that led to a rejection, as Linux 7.3 reports them" },
    "log-level": { short: "l", value: "LEVEL", help: "the log: 1 the path that led to a rejection, 2 all paths" },
    stats: { help: "with a table of what it took, in veristat's columns, and the stack of chains of calls" },
    states: { short: "s", help: "with the states in which each instruction was reached" },
    "not-pruned": { help: "with what kept paths from ending where others had been before" },
    sarif: { help: "print SARIF 2.1.0" },
    pages: { value: "URL", help: "where docs/verifier-messages is served, for the rules of SARIF" },
    annotate: { value: "github", help: "also print annotations on the standard error, where GITHUB_ACTIONS is set" },
    type: { value: "TYPE", help: `the type of a program as text; ${TEXT_TYPE} unless told` },
    btf: { value: "FILE", help: "types of the kernel, as /sys/kernel/btf/vmlinux: for what programs are attached to" },
    budget: { value: "N", help: "most instructions to process in a program, beside the kernel's own limits" },
  },
  examples: [
    "prog.bpf.o --kernel 6.12,7.2",
    "prog.bpf.o --btf vmlinux.btf --explain",
    "prog.bpf.o --program xdp_main -l 2",
    "prog.s --type xdp --stats --not-pruned",
    "prog.bpf.o --sarif > verifier.sarif",
  ],
  run(call) {
    const { io, style, arguments: args } = call;
    const file = args.operands[0]!;
    const kernels = kernelsOf(args);
    const json = args.has("json") || args.has("pretty");
    if (json && args.has("sarif")) throw new UsageError("--sarif and --json are two forms of output");
    if (args.has("pages") && !args.has("sarif")) throw new UsageError("--pages is for --sarif");
    const annotates = args.choice("annotate", ["github", ""], "") === "github" && Boolean(io.env.GITHUB_ACTIONS);
    const btf = typesOf(call);
    const checked = chosen(programsOf(call), args).flatMap((program) =>
      kernels.map((kernel) => about(file, () => check(program, kernel, btf, call))),
    );
    const rejected = checked.flatMap(({ program, result }) => (result.ok ? [] : [{ file, program, result }]));
    if (args.has("sarif")) printJson(io, sarifLog(rejected, args.text("pages")), true);
    else if (json) printJson(io, jsonOf(checked, kernels, args), args.has("pretty"));
    else {
      if (kernels.length > 1) io.out(`${verdictTable(checked, kernels, style)}\n`);
      for (const one of checked) io.out(toText(one, kernels.length > 1, args, style));
      if (args.has("stats")) io.out(`\n${statsText(file, checked)}`);
    }
    if (annotates) for (const { program, result } of rejected) io.err(`${githubAnnotation(file, program, result)}\n`);
    return exitOf(checked);
  },
};

/** A rejection outweighs a budget that was spent. */
function exitOf(checked: readonly Checked[]): number {
  const verdicts = checked.map(({ result }) => verdictOf(result));
  if (verdicts.includes("rejected")) return EXIT.NEGATIVE;
  return verdicts.includes("undecided") ? EXIT.LIMIT : EXIT.OK;
}

function kernelsOf(args: Arguments): readonly string[] {
  const kernels = [...new Set((args.text("kernel") ?? NEWEST).split(","))];
  const unknown = kernels.find((kernel) => !VERSIONS.includes(kernel));
  if (unknown === undefined) return kernels;
  throw new UsageError(`--kernel is one of ${VERSIONS.join(", ")}, or several with commas, not ${unknown}`);
}

/** What a program as text has no values for is left out. */
type Candidate = Program & Partial<Pick<ObjectProgram, "section" | "target">>;

function programsOf({ io, arguments: args }: Call): readonly Candidate[] {
  const file = args.operands[0]!;
  const bytes = readInput(io, file);
  const isObject = ELF_MAGIC.every((byte, i) => bytes[i] === byte);
  if (isObject && args.has("type"))
    throw new UsageError("--type is for text; the sections of an object say it themselves");
  return about(file, () =>
    isObject
      ? loadObject(bytes, { name: objectName(file) }).programs
      : [assemble(new TextDecoder().decode(bytes), { type: args.text("type") ?? TEXT_TYPE })],
  );
}

function chosen(programs: readonly Candidate[], args: Arguments): readonly Candidate[] {
  const [file, wanted] = [args.operands[0]!, args.text("program")];
  if (programs.length === 0) throw new UsageError(`${file} has no programs`);
  if (wanted === undefined) return programs;
  const found = programs.filter(({ name, section }) => name === wanted || section === wanted);
  if (found.length > 0) return found;
  throw new UsageError(`${file} has no program ${wanted}; there are ${programs.map(({ name }) => name).join(", ")}`);
}

/** Reads `--btf`. */
function typesOf({ io, arguments: args }: Call): Btf | undefined {
  const path = args.text("btf");
  if (path === undefined) return undefined;
  const bytes = readInput(io, path);
  return about(path, () => loadBtf(bytes));
}

/** @throws {BpfError} `unsupported` where an object has a program of no known type, `argument` where the command line names none */
function check(program: Candidate, kernel: string, btf: Btf | undefined, { io, arguments: args }: Call): Checked {
  const { name, type, section } = program;
  if (section !== undefined && programType(type) === undefined)
    throw new BpfError("unsupported", `program ${name} of section "${section}", whose type is not known`);
  const target = btf === undefined ? undefined : attachTarget(btf, program);
  const started = io.now();
  const result = verifyProgram(program, {
    kernel,
    logLevel: LEVELS.indexOf(args.choice("log-level", LEVELS, "0")) as 0 | 1 | 2,
    ...(btf === undefined ? {} : { types: kernelTypes(btf) }),
    ...(target === undefined ? {} : { target }),
    ...(args.has("budget") ? { budget: { insns: args.number("budget", 0, { min: 1 }) } } : {}),
  });
  return { program, result, microseconds: Math.round(1000 * (io.now() - started)) };
}

function toText(checked: Checked, briefly: boolean, args: Arguments, style: Style): string {
  const { program, result } = checked;
  const extra = [
    ...(args.has("explain") ? explanationLines(checked) : []),
    ...(args.has("log-level") ? result.log : []),
    ...(args.has("states") ? ["", "states:", ...stateLines(checked, style)] : []),
    ...(args.has("not-pruned") ? ["", "compared with stored states:", ...notPrunedLines(checked, style)] : []),
  ];
  // The table has said so already.
  if (briefly && result.ok && extra.length === 0) return "";
  return `${[...verdictLines(program, result, style), ...extra].join("\n")}\n`;
}

function jsonOf(checked: readonly Checked[], kernels: readonly string[], args: Arguments): object {
  const programs = checked.map((one) => ({
    ...toJson(one, args),
    ...(kernels.length > 1 ? { kernel: one.result.kernel } : {}),
  }));
  return kernels.length > 1 ? { kernels, programs } : { kernel: kernels[0], programs };
}

function toJson(checked: Checked, args: Arguments): object {
  const { program, result } = checked;
  return {
    name: program.name,
    type: program.type,
    attachType: program.attachType,
    section: program.section,
    verdict: verdictOf(result),
    ...(result.ok ? {} : rejectionJson(program, result)),
    stats: statsOf(checked),
    ...(result.ok ? { stack: stackChains(program, result.stats.stackBytes) } : {}),
    ...(args.has("log-level") ? { log: result.log } : {}),
    ...(args.has("states") ? { states: statesJson(program, result) } : {}),
    ...(args.has("not-pruned") ? { notPruned: result.notPruned.all } : {}),
  };
}

function rejectionJson(program: Program, result: Rejected): object {
  const { reason, errno, budget, explanation } = result;
  const { kind, class: name } = explanation;
  return { reason, errno, budget, kind, class: name, at: placeOf(program, result), explanation };
}

function statesJson({ insns }: Program, { states }: Verified | Rejected): readonly object[] {
  const rows: object[] = [];
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    if (states.at(i).length > 0) rows.push({ insn: i, states: states.at(i), omitted: states.omitted(i) });
  }
  return rows;
}
