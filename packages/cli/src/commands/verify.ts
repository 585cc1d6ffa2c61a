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
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { objectName } from "../object-file.ts";
import { about, printJson, readInput, type Style, table } from "../output.ts";
import { placeOf, VERDICT_EXIT, type Verdict, verdictLines, verdictOf } from "../verdict.ts";

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
    kernel: { value: "VERSION", help: `whose rules: ${VERSIONS.join(", ")}; ${NEWEST} unless told` },
    "log-level": { short: "l", value: "LEVEL", help: "the log: 1 the path that led to a rejection, 2 all paths" },
    stats: { help: "with a table of what it took, in veristat's columns" },
    type: { value: "TYPE", help: `the type of a program as text; ${TEXT_TYPE} unless told` },
    btf: { value: "FILE", help: "types of the kernel, as /sys/kernel/btf/vmlinux: for what programs are attached to" },
    budget: { value: "N", help: "most instructions to process in a program, beside the kernel's own limits" },
  },
  examples: [
    "prog.bpf.o --kernel 6.12",
    "prog.bpf.o --btf vmlinux.btf",
    "prog.bpf.o --program xdp_main -l 2",
    "prog.s --type xdp --stats",
  ],
  run(call) {
    const { io, style, arguments: args } = call;
    const file = args.operands[0]!;
    const kernel = args.choice("kernel", VERSIONS, NEWEST);
    const btf = typesOf(call);
    const checked = chosen(programsOf(call), args).map((program) =>
      about(file, () => check(program, kernel, btf, call)),
    );
    if (args.has("json") || args.has("pretty")) {
      printJson(io, { kernel, programs: checked.map((one) => toJson(one, args)) }, args.has("pretty"));
    } else {
      for (const one of checked) io.out(toText(one, args, style));
      if (args.has("stats")) io.out(`\n${statsText(file, checked)}`);
    }
    return Math.max(...checked.map(({ result }) => VERDICT_EXIT[verdictOf(result)]));
  },
};

/** In veristat's words, which has none for a budget that is spent. */
const VERISTAT: Readonly<Record<Verdict, string>> = {
  accepted: "success",
  rejected: "failure",
  undecided: "undecided",
};

/** What a program as text has no values for is left out. */
type Candidate = Program & Partial<Pick<ObjectProgram, "section" | "target">>;

interface Checked {
  readonly program: Candidate;
  readonly result: Verified | Rejected;
  readonly microseconds: number;
}

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

function toText(checked: Checked, args: Arguments, style: Style): string {
  const { program, result } = checked;
  const lines = verdictLines(program, result, style);
  if (args.has("log-level")) lines.push(...result.log);
  return `${lines.join("\n")}\n`;
}

/** By veristat's names; undefined where there is no value. */
function statsOf({ program, result, microseconds }: Checked): Readonly<Record<string, string | number | undefined>> {
  const { totalInsns, totalStates, peakStates, maxStatesPerInsn, stackBytes } = result.stats;
  return {
    prog_name: program.name,
    verdict: VERISTAT[verdictOf(result)],
    duration: microseconds,
    total_insns: totalInsns,
    total_states: totalStates,
    peak_states: peakStates,
    max_states_per_insn: maxStatesPerInsn,
    prog_size: program.insns.length,
    // Known of programs that are accepted; veristat adds up the subprograms as well.
    stack_depth: result.ok ? stackBytes.reduce((sum, bytes) => sum + bytes, 0) : undefined,
    prog_type: program.type,
    attach_type: program.attachType,
  };
}

function statsText(file: string, checked: readonly Checked[]): string {
  const name = file.replace(/^.*[\\/]/, "");
  const rows = checked.map((one) => ({ file_name: name, ...statsOf(one) }));
  return table(
    Object.keys(rows[0]!),
    rows.map((row) => Object.values(row).map((value) => value ?? "-")),
  );
}

function toJson(checked: Checked, args: Arguments): unknown {
  const { program, result } = checked;
  const place = placeOf(program, result);
  return {
    name: program.name,
    type: program.type,
    attachType: program.attachType,
    section: program.section,
    verdict: verdictOf(result),
    ...(result.ok ? {} : { reason: result.reason, errno: result.errno, budget: result.budget, at: place }),
    ...(args.has("stats") ? { stats: statsOf(checked) } : {}),
    ...(args.has("log-level") ? { log: result.log } : {}),
  };
}
