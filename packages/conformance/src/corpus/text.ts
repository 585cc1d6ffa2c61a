// Cases that are written by hand, as text: what an assembler takes, and what it has to give.
import { assemble } from "@bpfkit/core";
import { bytesOf, type CaseRun, type ConformanceCase, type Expectation } from "../case.ts";
import type { Group } from "../group.ts";

/** A case on few lines. `r0` is all 64 bits of it; several runs share a program. */
export interface TextCase {
  readonly name: string;
  readonly group: Group;
  readonly asm: string;
  readonly type?: string;
  readonly kfuncs?: readonly string[];
  readonly budget?: number;
  readonly runs: readonly TextRun[];
}

/** Memory and context in hex; `after` is what memory holds in the end, `trap` the cause of one. */
export interface TextRun {
  readonly mem?: string;
  readonly context?: string;
  readonly args?: readonly bigint[];
  readonly r0?: bigint;
  readonly after?: string;
  readonly trap?: Extract<Expectation, { kind: "trap" }>["cause"];
}

/** The case that a text stands for. */
export function textCase({ name, group, asm, type = "syscall", kfuncs = [], budget, runs }: TextCase): ConformanceCase {
  return {
    name,
    group,
    program: { ...assemble(asm, { type, kfuncs }), name },
    runs: runs.map(runOf),
    ...(budget === undefined ? {} : { budget }),
  };
}

function runOf({ mem, context, args, r0, after, trap }: TextRun): CaseRun {
  return {
    ...(mem === undefined ? {} : { memory: bytesOf(mem) }),
    ...(context === undefined ? {} : { context: bytesOf(context) }),
    ...(args === undefined ? {} : { args }),
    expect:
      trap === undefined
        ? {
            kind: "result",
            ...(r0 === undefined ? {} : { value: BigInt.asUintN(64, r0) }),
            ...(after === undefined ? {} : { memory: bytesOf(after) }),
          }
        : { kind: "trap", cause: trap },
  };
}
