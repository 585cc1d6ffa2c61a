// The rows of the conformance matrix: the conformance groups of RFC 9669 (section 2.4), with what each later version added apart.
import { INSNS, type InsnRow, type Op } from "@bpfkit/core";

/**
 * The groups in the order of the matrix. The first seven are those of the RFC; `…-v4` holds the part of a group that compilers call
 * v4 (2023: signed division, sign extension, byte swaps, far jumps); `linux` is what Linux added after the RFC or leaves to the
 * platform: load-acquire, store-release, may_goto, kernel functions and callbacks; `safety` is what has to be refused or to trap.
 */
export const GROUPS = [
  "base32",
  "base64",
  "divmul32",
  "divmul64",
  "atomic32",
  "atomic64",
  "packet",
  "base32-v4",
  "base64-v4",
  "divmul32-v4",
  "divmul64-v4",
  "linux",
  "safety",
] as const;

/** A row of the matrix. */
export type Group = (typeof GROUPS)[number];

const V4 = 4;
/** Bits 0 to 2 of an opcode. */
const CLASS = { ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const;

/** The group that an instruction belongs to. */
export function groupOf(op: Op): Group {
  const { kind, isa, code, text }: InsnRow = INSNS[op];
  const width = code & 7;
  if (isa > V4 || kind === "callKfunc" || op === "lddw_subprog") return "linux";
  switch (kind) {
    case "packetLoad":
      return "packet";
    case "atomic":
      return text.includes("u32") || text.includes("_32(") ? "atomic32" : "atomic64";
    case "div":
      return later(isa, width === CLASS.ALU64 ? "divmul64" : "divmul32");
    case "alu":
      if (op.startsWith("mul")) return width === CLASS.ALU64 ? "divmul64" : "divmul32";
      return width === CLASS.ALU64 ? "base64" : "base32";
    case "end":
      return later(isa, op.endsWith("64") ? "base64" : "base32");
    case "load":
    case "store":
    case "storeImm":
      return op.includes("64") ? "base64" : "base32";
    case "jump":
    case "callHelper":
    case "callSubprog":
    case "exit":
      return later(isa, "base32");
    default:
      return later(isa, width === CLASS.ALU || width === CLASS.JMP32 ? "base32" : "base64");
  }
}

function later(isa: number, group: "base32" | "base64" | "divmul32" | "divmul64"): Group {
  return isa >= V4 ? `${group}-v4` : group;
}
