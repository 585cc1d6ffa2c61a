// What backtraces lose on each architecture, as a page of the documentation.
import type { Backend } from "@bpfkit/core";
import { type CodeName, checkBacktraces, type Entered, type FramePlace, type LostFrames } from "./backtrace.ts";

const CODES: readonly CodeName[] = ["entry of the function", "trampoline", "program", "subprogram", "function"];
const PLACES: readonly FramePlace[] = ["before its frame", "in its frame", "between two frames", "behind its frame"];
const ENTERED: Readonly<Record<Entered, string>> = { call: "a call", jump: "a jump", pointer: "a pointer" };

/** The page, with what the CPUs of these backends come to. */
export function backtracePage(backends: readonly Backend[]): string {
  return `${INTRODUCTION}\n${backends.map((backend) => section(backend)).join("\n")}`;
}

const INTRODUCTION = `# Backtraces through trampolines

Who follows frame pointers from a program finds, in this order: the return address into the *trampoline*, that into the *function* whose entry
led there, that into the function's *caller*, and so on. From a subprogram, that into its *program* comes first. The laws of trampolines make
a backtrace from every instruction of every list of up to three links. Nothing wrong is ever in one, but callers are missing in places:

- Before code has made its frame, and when it has left it, its own caller is missing, as everywhere with frame pointers.
- On x86-64 a trampoline makes one frame. Where a function's entry calls it, the return address above that frame is the one into the function,
  and the function's caller is passed over; where the entry jumps, there is none into the function. It is so from everything that the
  trampoline calls.
- On arm64 and riscv64 a trampoline makes a second frame, for the function, before its own, so nothing is missing in it.

It is the same in Linux, whose frames these are. \`in its frame\` is every instruction there; elsewhere the instructions are named. Entered *by
a pointer* are trampolines of tables (struct_ops), which have no function. Not in a table: frames from which nothing is missing.
`;

function section(backend: Backend): string {
  const { lost } = checkBacktraces(backend);
  const rows = [...lost].sort(
    (one, other) =>
      CODES.indexOf(one.code) - CODES.indexOf(other.code) ||
      PLACES.indexOf(one.place) - PLACES.indexOf(other.place) ||
      compare(textOf(one), textOf(other)),
  );
  return [
    `## ${backend.arch}`,
    "",
    "| code | trampoline entered by | where | instructions | missing |",
    "|---|---|---|---|---|",
    ...rows.map(textOf),
    "",
  ].join("\n");
}

function textOf({ code, place, entered, missing, instructions }: LostFrames): string {
  const ways = entered.map((way) => ENTERED[way]).join(", ");
  const insns = instructions === "" ? "all" : `\`${instructions}\``;
  return `| ${code} | ${ways} | ${place} | ${insns} | ${missing.join(", ")} |`;
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
