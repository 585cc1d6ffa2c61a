// Where paths begin: at the program itself, and at the global subprograms that some path calls.
import type { FunctionSignature } from "../program.ts";
import { explore } from "./explore.ts";
import { Errno, Refusal } from "./refusal.ts";
import { Flag, ID, REG_WORDS, setPointer, setScalar, Type } from "./register.ts";
import { Frame, State } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";

/** Walks all paths of the program, then those of each global subprogram that was called. @throws {Refusal} */
export function exploreAll(v: Verification, deadline: number, now: () => number): void {
  explore(v, deadline, now);
  for (const subprog of v.calledGlobals) {
    v.root = subprog;
    v.state = globalState(v, subprog, v.functions.get(subprog)!);
    explore(v, deadline, now);
  }
}

export function entryState(): State<StoredState> {
  const frame = new Frame({ callSite: -1, subprog: 0 });
  frame.begin(0);
  setPointer(frame.words, REG_WORDS, Type.CONTEXT);
  return new State<StoredState>([frame]);
}

/** A global subprogram at its start: its arguments are what its signature says. */
function globalState(v: Verification, subprog: number, { args }: FunctionSignature): State<StoredState> {
  const frame = new Frame({ callSite: -1, subprog });
  frame.begin(0);
  for (const [index, arg] of args.entries()) {
    const at = (index + 1) * REG_WORDS;
    const memory = /^mem (\d+)( nonnull)?$/.exec(arg);
    if (arg === "ctx") setPointer(frame.words, at, Type.CONTEXT);
    else if (arg === "int" || arg === "long") setScalar(frame.words, at);
    else if (memory !== null) {
      const orNull = memory[2] === undefined ? Flag.MAYBE_NULL : 0;
      setPointer(frame.words, at, Type.MEMORY | orNull, Number(memory[1]));
      if (orNull !== 0) frame.words[at + ID] = v.nextId();
    } else
      throw new Refusal(Errno.EINVAL, [
        `Arg#${index} type ${arg} in ${v.structure.subprogs[subprog]!.name}() is not supported yet.`,
      ]);
  }
  const state = new State<StoredState>([frame]);
  state.insn = v.structure.subprogs[subprog]!.start;
  return state;
}
