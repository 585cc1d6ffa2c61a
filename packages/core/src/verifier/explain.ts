// Why a program was rejected: what the verifier knew where it stopped, what it would have to know, and how the path came there.
import { printInsn } from "../asm/print.ts";
import type { Program } from "../program.ts";
import type { Explanation } from "./explanation.ts";
import type { Refusal } from "./refusal.ts";
import type { Replay } from "./replay.ts";

/** @param replay - left out where the reason is the shape of the program, and no path led to it */
export function explain(
  program: Program,
  { reason }: Refusal,
  insn: number | undefined,
  _replay: Replay | undefined,
): Explanation {
  const text = (at: number): string => printInsn(program.insns, at, { dialect: "kernel", program });
  return {
    kind: "other",
    class: "",
    short: "",
    reason,
    ...(insn === undefined ? {} : { at: { insn, text: text(insn), subprog: "" } }),
    context: [],
    path: [],
    omitted: 0,
    suggestion: "",
  };
}
