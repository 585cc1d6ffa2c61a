// Laws that hold for every backend and program: it runs as the interpreter does at every boundary, and code is what it says it is.
import {
  type Backend,
  type CompileOptions,
  type Engine,
  formatListing,
  formatProgram,
  jit,
  notesOf,
  type Program,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { Lockstep, type LockstepCounts, type LockstepResult } from "@bpfkit/kernel";
import { setUpKernel } from "./host.ts";

/** Most lines of one listing in a report. */
const SHOWN = 80;
const BUDGET = 200_000;
const MIB = 1 << 20;

/** Where two engines differ over a program. */
export interface LawBreach {
  readonly what: string;
  readonly expected: string;
  readonly found: string;
  readonly listing: string;
}

/** An engine beside the interpreter. */
export class Companion {
  readonly #lockstep: Lockstep;
  readonly #backend: Backend | undefined;
  readonly #options: CompileOptions;

  constructor(subject: Backend | Engine, options: CompileOptions = {}) {
    this.#backend = "arch" in subject ? subject : undefined;
    this.#options = options;
    this.#lockstep = new Lockstep({
      engine: "arch" in subject ? jit(subject, options) : subject,
      memory: { sizes: { host: MIB, text: 32 * MIB, data: 8 * MIB } },
      setup: setUpKernel,
      ...("arch" in subject ? { disassemble: subject.disassemble } : {}),
    });
  }

  get counts(): LockstepCounts {
    return this.#lockstep.counts;
  }

  /** Runs a program in both engines, once with each input; what differs, where something does. */
  compare(
    program: Program,
    inputs: readonly (Uint8Array | undefined)[],
    budget: number = BUDGET,
  ): LawBreach | undefined {
    const trusted = trust(program);
    const isSyscall = program.type === "syscall";
    try {
      const loaded = this.#lockstep.load(trusted);
      try {
        for (const input of inputs) {
          const result = loaded.run({ budget, ...(input && (isSyscall ? { context: input } : { data: input })) });
          const breach = this.#breachOf(result, trusted);
          if (breach !== undefined) return breach;
        }
      } finally {
        loaded.release();
      }
    } catch (error) {
      return { what: "verdict", expected: "it runs", found: String(error), listing: formatProgram(program) };
    }
    return undefined;
  }

  #breachOf(
    { difference, undefinedUse, programFault }: LockstepResult,
    trusted: VerifiedProgram,
  ): LawBreach | undefined {
    if (difference !== undefined) {
      const { what, reference, subject, listing } = difference;
      return { what, expected: reference, found: subject, listing: `${listing}\n\n${this.listings(trusted)}` };
    }
    const wrong = (what: string, expected: string, found: string): LawBreach => {
      return { what, expected, found, listing: formatProgram(trusted.program) };
    };
    if (undefinedUse !== undefined)
      return wrong(`an undefined value decides at ${undefinedUse.at}`, "only defined values", undefinedUse.what);
    if (programFault !== undefined)
      return wrong(`the program is wrong at ${programFault.at}`, "it keeps to its frames", programFault.detail);
    return undefined;
  }

  /** The program, and its machine code where there is any. */
  listings(trusted: VerifiedProgram): string {
    const { program } = trusted;
    const backend = this.#backend;
    const parts = [`BPF\n${shorten(formatProgram(program))}`];
    if (backend !== undefined) {
      const image = backend.compile(trusted, this.#options);
      parts.push(
        `${backend.arch}\n${shorten(formatListing(backend.disassemble(image.code), notesOf(image, program)))}`,
      );
    }
    return parts.join("\n\n");
  }
}

function shorten(listing: string): string {
  const lines = listing.split("\n");
  if (lines.length <= SHOWN) return listing;
  return [...lines.slice(0, SHOWN), `… ${lines.length - SHOWN} more lines`].join("\n");
}

/** What is wrong with an image: not the same when made again, bytes that do not decode, boundaries out of order; undefined when nothing is. */
export function checkImage(
  backend: Backend,
  verified: VerifiedProgram,
  options: CompileOptions = {},
): string | undefined {
  const image = backend.compile(verified, options);
  const again = backend.compile(verified, options);
  if (image.code.length !== again.code.length || image.code.some((byte, i) => byte !== again.code[i])) {
    return "two compilations of a program differ";
  }
  let next = 0;
  for (const { offset, bytes, text } of backend.disassemble(image.code)) {
    if (offset !== next) return `the listing goes on at ${offset} instead of ${next}`;
    next = offset + bytes.length;
    if (text.startsWith(".byte")) return `code at ${offset} does not decode: ${text}`;
  }
  if (next !== image.code.length) return `the listing ends at ${next} of ${image.code.length} bytes`;
  for (const { name, start, body, end } of image.subprogs) {
    if (!(start <= body && body <= end && end <= image.code.length))
      return `subprogram ${name} has its parts out of order`;
  }
  const wrong = image.boundaries.findIndex((start, slot) => start > image.ends[slot]!);
  return wrong < 0 ? undefined : `the instruction at ${wrong} begins behind its end`;
}
