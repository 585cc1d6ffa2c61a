// The law of tail calls: on every edge between frames the machine's own count is what the interpreter's is. Lockstep compares; this names
// the edge. docs/tail-calls.md states the contract.
import {
  type Backend,
  type CompileOptions,
  type InsnKind,
  kindOf,
  opAt,
  printInsn,
  type VerifiedProgram,
} from "@bpfkit/core";
import type { Difference, LockstepResult } from "@bpfkit/kernel";
import type { LawBreach } from "./laws.ts";

/** How a frame was left, or come back to. */
export type TreeEdge =
  | "entry"
  | "bpf2bpf call"
  | "return"
  | "helper"
  | "kfunc"
  | "tail call"
  | "failed tail call"
  /** Inside a frame: no edge. */
  | "step";

/** A place in a program. */
export interface ProgramPlace {
  readonly program: string;
  /** Slot; -1 outside. */
  readonly insn: number;
}

/** The first edge at which an engine is not where, or does not hold what, the interpreter does. */
export interface EdgeBreach extends LawBreach {
  readonly edge: TreeEdge;
  readonly from: ProgramPlace;
  readonly to: ProgramPlace;
}

/**
 * What a run in lockstep says of the contract: the edge at which both engines first differ, whatever differs there (`what` is `tail calls`
 * for the count); undefined where nothing does.
 */
export function edgeBreach(
  { difference, program }: Pick<LockstepResult, "difference" | "program">,
  backend?: Backend,
  options?: CompileOptions,
): EdgeBreach | undefined {
  if (difference === undefined) return undefined;
  const { at, next, what, reference, subject, listing } = difference;
  const edge = edgeOf(program, difference);
  const from = placeIn(program, at);
  const to = placeIn(next.program, next.at);
  const behind = edge === "return" ? `\n\n${callListing(next, backend, options)}` : "";
  return {
    edge,
    from,
    to,
    what: `${what}, ${edge} from ${placeText(from)} to ${placeText(to)}`,
    expected: reference,
    found: subject,
    listing: `${listing}${behind}`,
  };
}

const EDGES: Partial<Record<InsnKind, TreeEdge>> = {
  callSubprog: "bpf2bpf call",
  callHelper: "helper",
  callKfunc: "kfunc",
  packetLoad: "helper",
  exit: "return",
};

function edgeOf({ program: { insns } }: VerifiedProgram, { at, next }: Difference): TreeEdge {
  if (at < 0) return "entry";
  const kind = kindOf(opAt(insns, at));
  if (kind !== "tailCall") return EDGES[kind] ?? "step";
  return next.program.program.insns === insns && next.at === at + 1 ? "failed tail call" : "tail call";
}

function placeIn({ program }: VerifiedProgram, insn: number): ProgramPlace {
  return { program: program.name, insn };
}

function placeText({ program, insn }: ProgramPlace): string {
  return insn < 0 ? `outside of ${program}` : `${program}:${insn}`;
}

/** The call that a return leads behind: what its code does there belongs to the edge. */
function callListing({ program, at }: Difference["next"], backend?: Backend, options?: CompileOptions): string {
  const call = at - 1; // no call takes two slots
  const lines = [`back in '${program.program.name}', behind`];
  if (call < 0) return "";
  lines.push(`  ${String(call).padStart(4)}: ${printInsn(program.program.insns, call, { program: program.program })}`);
  if (backend !== undefined) {
    const { code, boundaries, ends } = backend.compile(program, options);
    for (const { offset, text } of backend.disassemble(code.subarray(boundaries[call], ends[call]))) {
      lines.push(`        +${offset.toString(16).padStart(2, "0")}  ${text}`);
    }
  }
  return lines.join("\n");
}
