// How the instruction table's texts are spelt in each dialect, and what else the parser takes. Derived from the table by rule.
import { INSNS, type InsnRow, type Op } from "../isa/opcodes.ts";

/** `bpfkit`: as in the table. `kernel`: as in verifier logs and `bpftool prog dump`. `llvm`: as llvm-objdump 19 prints it with `--mcpu=v4`. */
export type Dialect = "bpfkit" | "kernel" | "llvm";

/** All dialects. */
export const DIALECTS: readonly Dialect[] = ["bpfkit", "kernel", "llvm"];

/**
 * The text of an instruction in a dialect: the table's language with two more letters, `P` (the src field as a number) and `N` (a
 * name).
 */
export function spellingOf(op: Op, dialect: Dialect): string {
  const row: InsnRow = INSNS[op];
  if (row.kind === "tailCall") return "call K";
  return dialect === "bpfkit" ? row.text : dialect === "llvm" ? llvmSpelling(row) : kernelSpelling(row);
}

/** Every text that stands for the instruction, printed or not. */
export function spellingsOf(op: Op): readonly string[] {
  const row: InsnRow = INSNS[op];
  const texts = new Set([row.text, llvmSpelling(row), kernelSpelling(row)]);
  // What llvm-objdump prints without 32-bit registers.
  if (row.text.startsWith("lock *(u32")) texts.add(row.text.replace("wS", "rS"));
  if (op === "ld_ind8" || op === "ld_ind16" || op === "ld_ind32") texts.add(row.text.replace(" + K", ""));
  if (op === "lddw_map_idx" || op === "lddw_map_idx_value") texts.add(row.text.replace("idx:K", "N"));
  if (op === "lddw_subprog") texts.add("rD = N ll");
  if (op === "call_helper") for (const text of ["call N", "call N#K"]) texts.add(text);
  // What llvm prints for these is the text of other instructions.
  if (op === "call_subprog" || op === "call_kfunc") texts.delete("call K");
  if (op === "tail_call") texts.clear();
  if (op === "lddw") texts.delete("rD = Q");
  return [...texts];
}

/** 32-bit registers where 32 bits or fewer are moved, pseudo loads by number; calls do not say what they call. */
function llvmSpelling({ kind, text }: InsnRow): string {
  switch (kind) {
    case "load":
      return text.replace(/rD(?= = \*\(u(8|16|32) )/, "wD");
    case "store":
      return text.replace(/(\*\(u(?:8|16|32) \*\).*)rS/, "$1wS");
    case "packetLoad":
      return text;
    case "loadImm64":
      return text.endsWith(" ll") ? text : "ld_pseudo\trD, P, K, H";
    case "callHelper":
    case "tailCall":
    case "callSubprog":
    case "callKfunc":
      return "call K";
    default:
      return text;
  }
}

/** 64-bit registers in atomics, whose names say the width; 64-bit immediates without a mark. */
function kernelSpelling({ kind, text }: InsnRow): string {
  if (kind === "loadImm64") return text.replace("Q ll", "Q");
  if (kind !== "atomic") return text;
  const wide = text.includes("u64") || text.includes("_64(") ? "64" : "";
  return text
    .replace(/\bw(?=[S0])/g, "r")
    .replace("atomic_fetch", `atomic${wide}_fetch`)
    .replace(
      /(cmp)?xchg(?:32_32|_64)\(rD \+ O/,
      (_, compare: string | undefined) => `atomic${wide}_${compare ?? ""}xchg((u${wide || "32"} *)(rD + O)`,
    );
}
