// Why a program was rejected: what the verifier knew where it stopped, what it would have to know, and how the path came there.
import { type Structure, structureOf } from "../analysis/structure.ts";
import { printInsn } from "../asm/print.ts";
import type { Program } from "../program.ts";
import type { KernelProfile } from "../spec/kernel-profile.ts";
import { type Cause, causesOf } from "./causes.ts";
import type { CausalStep, Explanation, Place, SourcePlace } from "./explanation.ts";
import { findingOf, shapeFinding } from "./findings.ts";
import { messageKind } from "./messages.ts";
import { questionOf, registerOf } from "./question.ts";
import type { Refusal } from "./refusal.ts";
import type { Replay } from "./replay.ts";
import { ROWS } from "./rows.ts";
import { type Kept, keep, type VerifierState, viewOf } from "./states.ts";
import { placeName, placeText, stepWords } from "./step-words.ts";
import { frameOf, Trace } from "./trace.ts";
import type { Verification } from "./verification.ts";

/** Steps that are shown; of more, the first ones and the last ones. */
const MOST_STEPS = 24;
const FIRST_STEPS = 4;
/** Instructions shown on each side of the one that was rejected. */
const AROUND = 2;

/** What an explanation is made from. */
export interface Rejection {
  readonly program: Program;
  readonly profile: KernelProfile;
  readonly refusal: Refusal;
  /** Slot of the instruction; undefined where it is the program as a whole. */
  readonly insn: number | undefined;
  /** Left out where the shape of the program is the reason, and no path led to it. */
  readonly replay: Replay | undefined;
}

/** Walks the program twice more, where a path led to the rejection: to find the steps that matter, and to see the states at them. */
export function explain(rejection: Rejection): Explanation {
  const { program, profile, refusal, insn, replay } = rejection;
  const { reason } = refusal;
  const lines = refusal.lines.slice(0, refusal.lines.lastIndexOf(reason) + 1);
  const kind = messageKind(lines.join("\n"));
  const found = replay === undefined ? undefined : findCauses(replay, lines);
  const places = new Places(program);
  const told = found === undefined ? shapeFinding(reason, profile) : findingOf({ lines, ...found });
  const register = found === undefined ? registerOf(lines) : found.register;
  const steps = found === undefined ? [] : found.causes.map((cause) => stepOf(found, cause, places));
  return {
    kind: kind?.id ?? "other",
    class: kind?.class ?? "other",
    short: kind?.title ?? reason,
    reason,
    ...(insn === undefined ? {} : { at: places.at(insn) }),
    context: insn === undefined ? [] : places.around(insn),
    ...(register === undefined ? {} : { register: `R${register}` }),
    ...told,
    path: shortened(steps),
    suggestion: kind?.suggestion ?? "",
  };
}

function shortened(steps: readonly CausalStep[]): readonly CausalStep[] {
  const omitted = steps.length - MOST_STEPS;
  if (omitted <= 0) return steps;
  const [next, ...last] = steps.slice(FIRST_STEPS + omitted);
  return [...steps.slice(0, FIRST_STEPS), { ...next!, omitted }, ...last];
}

interface Found {
  readonly v: Verification;
  readonly causes: readonly Cause[];
  /** By step: the states before the causes, behind them, and before the instruction that was rejected. */
  readonly states: ReadonlyMap<number, VerifierState>;
  readonly state: VerifierState;
  readonly register: number | undefined;
  readonly lostAt: number | undefined;
}

function findCauses(replay: Replay, lines: readonly string[]): Found | undefined {
  const trace = new Trace();
  const v = replay(trace);
  if (v === undefined) return undefined;
  const path = trace.pathTo(v);
  const question = questionOf(v, trace, path, lines);
  const causes = causesOf(v, trace, path, question);
  const end = path[path.length - 1]!;
  const seen = seeStates(replay, new Set([...causes.flatMap(({ step, next }) => [step, next]), end]), end);
  const states = new Map([...seen.kept].map(([step, kept]) => [step, viewOf(seen.v, kept)]));
  const [place] = question.places;
  const lost = causes.findLast((cause) => cause.role === "lost" && cause.place === place);
  return { v, causes, states, state: states.get(end)!, register: question.register, lostAt: lost?.insn };
}

/** The states at some steps; the last one may be one that was not run any more. */
function seeStates(
  replay: Replay,
  steps: ReadonlySet<number>,
  end: number,
): { readonly v: Verification; readonly kept: ReadonlyMap<number, Kept> } {
  const kept = new Map<number, Kept>();
  const spare: Int32Array[] = [];
  const v = replay({
    step: (at) => {
      if (steps.has(at.counters.insns)) kept.set(at.counters.insns, keep(at, spare));
    },
  })!;
  if (!kept.has(end)) kept.set(end, keep(v, spare));
  return { v, kept };
}

function stepOf({ v, states }: Found, cause: Cause, places: Places): CausalStep {
  const before = states.get(cause.step)!;
  const after = states.get(cause.next)!;
  const frames = after.frames.length > before.frames.length ? after.frames : before.frames;
  const [was, is] = [placeText(before, cause.place), placeText(after, cause.place)];
  return {
    ...places.at(cause.insn),
    step: cause.step,
    role: cause.role,
    value: placeName(cause.place, frames),
    frame: frameOf(cause.place),
    from: cause.from.map((place) => placeName(place, frames)),
    what: stepWords({ v, row: ROWS[v.ops[cause.insn]!]!, before, after }, cause),
    ...(was === undefined || was === "" ? {} : { before: was }),
    ...(is === undefined || is === "" ? {} : { after: is }),
    ...(cause.repeats > 0 ? { repeats: cause.repeats } : {}),
  };
}

/** Instructions as text, with what they were made from. */
class Places {
  readonly #program: Program;
  readonly #structure: Structure;

  constructor(program: Program) {
    this.#program = program;
    this.#structure = structureOf(program);
  }

  #text(insn: number): string {
    return printInsn(this.#program.insns, insn, { dialect: "kernel", program: this.#program });
  }

  at(insn: number): Place {
    const source = this.#source(insn);
    return {
      insn,
      text: this.#text(insn),
      subprog: this.#structure.subprogs[this.#structure.subprogAt(insn)]?.name ?? "",
      ...(source === undefined ? {} : { source }),
    };
  }

  /** The instruction with its neighbours. */
  around(insn: number): { readonly insn: number; readonly text: string }[] {
    const { insns } = this.#program;
    const starts: number[] = [];
    for (let i = 0; i < insns.length; i += insns.width(i)) starts.push(i);
    const index = starts.findLastIndex((start) => start <= insn);
    return starts
      .slice(Math.max(0, index - AROUND), index + AROUND + 1)
      .map((start) => ({ insn: start, text: this.#text(start) }));
  }

  #source(insn: number): SourcePlace | undefined {
    const { lines } = this.#program;
    if (lines === undefined) return undefined;
    const entry = lines.insn.findLastIndex((start) => start <= insn);
    if (entry < 0) return undefined;
    return {
      file: lines.files[lines.file[entry]!] ?? "",
      line: lines.line[entry]!,
      column: lines.column[entry]!,
      text: lines.text[entry] ?? "",
    };
  }
}
