// What vouches for a program before a command runs, compiles or patches it: the verifier, or, where the user asks for it, nobody.
import {
  BpfError,
  KERNELS,
  type Program,
  programType,
  type Rejected,
  trust,
  type Verified,
  type VerifiedProgram,
  verify,
} from "@bpfkit/core";
import { type Arguments, type OptionSpec, UsageError } from "./arguments.ts";
import { FileError } from "./output.ts";
import { VERDICT_EXIT, verdictLines, verdictOf } from "./verdict.ts";

const VERSIONS: readonly string[] = Object.keys(KERNELS);
const NEWEST = "7.2";

/** Options of commands that take a program in. */
export const VOUCH_OPTIONS: Readonly<Record<"kernel" | "unverified", OptionSpec>> = {
  kernel: { value: "VERSION", help: `whose verifier's rules to go by: ${VERSIONS.join(", ")}; ${NEWEST} unless told` },
  unverified: { help: "enter through trust(): its safety is not checked" },
};

/** A way in. @throws {RejectedProgram} */
export type Vouch = (program: Program) => VerifiedProgram;

/** A program that the verifier does not let in; nothing was done with it. */
export class RejectedProgram extends Error {
  override readonly name: string = "RejectedProgram";
  readonly program: Program;
  readonly result: Rejected;

  constructor(program: Program, result: Rejected) {
    super(result.reason);
    this.program = program;
    this.result = result;
  }
}

/** The way in that the command line asks for. @throws {UsageError} */
export function vouchOf(args: Arguments): Vouch {
  const kernel = args.choice("kernel", VERSIONS, NEWEST);
  if (!args.has("unverified")) return (program) => accepted(program, kernel).program;
  if (args.has("kernel")) throw new UsageError("--kernel says whose rules to verify by; it goes without --unverified");
  return trust;
}

/** What the verifier says to a program that it accepts. @throws {RejectedProgram}; {BpfError} `unsupported` for a type that nobody knows */
export function accepted(program: Program, kernel: string = NEWEST): Verified {
  if (programType(program.type) === undefined)
    throw new BpfError("unsupported", `program ${program.name}, whose type is not known`, {
      hint: "the name of its section says nothing; what is not to be verified needs --unverified",
    });
  const result = verify(program, { kernel });
  if (!result.ok) throw new RejectedProgram(program, result);
  return result;
}

/** What to say of a failure that is a rejection, and what to end with; undefined for any other. */
export function describeRejection(error: unknown): { readonly text: string; readonly exit: number } | undefined {
  const [file, cause] = error instanceof FileError ? [error.file, error.cause] : [undefined, error];
  if (!(cause instanceof RejectedProgram)) return undefined;
  const { program, result } = cause;
  const lines = verdictLines(program, result);
  if (file !== undefined) {
    lines[0] = `${file}: ${lines[0]}`;
    lines.push(`  why: bpfkit verify ${file} --program ${program.name} --explain`);
  }
  return { text: lines.join("\n"), exit: VERDICT_EXIT[verdictOf(result)] };
}

/** Who vouches for it, as headings say it. */
export function basisText({ basis }: VerifiedProgram): string {
  return basis.kind === "verified"
    ? `verified by the rules of Linux ${basis.profile}`
    : "unverified: entered through trust(), its safety is not checked";
}

/** The same for JSON. */
export function basisJson({ basis }: VerifiedProgram): { readonly basis: string; readonly kernel?: string } {
  return basis.kind === "verified" ? { basis: basis.kind, kernel: basis.profile } : { basis: basis.kind };
}
