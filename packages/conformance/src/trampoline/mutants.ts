// Trampolines that are wrong in the ways in which emission goes wrong: the law has to catch each of them.
import {
  type BackendParts,
  type CodeBuffer,
  defineBackend,
  INSNS,
  Insns,
  type LowerContext,
  packWord,
  type TrampolineContext,
  type TrampolinePlan,
  type TrampolineRun,
} from "@bpfkit/core";
import type { Mutant } from "../mutants.ts";

type PlanChange = (plan: TrampolinePlan) => TrampolinePlan;

/** Every mutant that can be made of a backend's trampolines, but for those that change nothing there. */
export function trampolineMutantsOf<R extends string, A extends CodeBuffer>(
  parts: BackendParts<R, A>,
): readonly Mutant[] {
  const { trampoline } = parts;
  const { traits } = trampoline;
  const emitting = (name: string, emit: (a: A, context: TrampolineContext) => void): Mutant => ({
    name,
    backend: defineBackend({ ...parts, trampoline: { ...trampoline, emit } }),
  });
  const planned = (name: string, change: PlanChange): Mutant =>
    emitting(name, (a, context) => trampoline.emit(a, { ...context, plan: change(context.plan) }));
  const isCleared = traits.smallOnStack.seen !== "whole" || traits.smallOnStack.passed !== "whole";
  return [
    planned("the first two words change places", withSlots(swapFirst)),
    planned("words on the stack are taken in the wrong order", withSlots(reverseStack)),
    planned(
      "the last word is left out",
      withSlots((slots) => slots.slice(0, -1)),
    ),
    ...(isCleared ? [planned("small numbers keep what is above them", withSlots(uncleared))] : []),
    planned("fentry programs run in the order of attachment", (plan) => ({
      ...plan,
      fentry: plan.fentry.toReversed(),
    })),
    planned("fmod_ret programs run in the order of attachment", (plan) => ({
      ...plan,
      fmodRet: plan.fmodRet.toReversed(),
    })),
    planned("fexit programs run in the order of attachment", (plan) => ({ ...plan, fexit: plan.fexit.toReversed() })),
    planned("fexit programs run before the function", (plan) => ({
      ...plan,
      fentry: [...plan.fentry, ...plan.fexit],
      fexit: [],
    })),
    planned("fexit programs run before fmod_ret programs", (plan) => ({
      ...plan,
      fmodRet: [...plan.fexit, ...plan.fmodRet],
      fexit: [],
    })),
    planned("what fmod_ret programs return is lost", withRuns("fmodRet", { setsResult: false })),
    planned("what fexit programs return is the result", withRuns("fexit", { setsResult: true })),
    planned("every link runs the first program", withRuns("all", { link: 0 })),
    planned(
      "cookies have 32 bits",
      withRuns("all", ({ cookie }) => ({ cookie: BigInt.asUintN(32, cookie) })),
    ),
    planned("cookies are not looked up", withRuns("all", { findsCookie: false })),
    planned(
      "sessions share a word",
      withRuns("all", ({ session }) => ({ session: session && 0 })),
    ),
    planned(
      "sessions have the word below theirs",
      withRuns("fexit", ({ session }) => ({ session: session && session + 1 })),
    ),
    planned("sessions are not told at exit that it is", (plan) => ({
      ...plan,
      fexit: plan.fexit.map((run) => ({ ...run, kind: "fentry" as const })),
    })),
    planned("the function's address is left out", (plan) => ({ ...plan, spec: { ...plan.spec, funcIp: false } })),
    ...(traits.jumps
      ? [
          planned("a jump is taken for a call", (plan) => ({ ...plan, entered: "call" })),
          planned("a call is taken for a jump", (plan) => ({ ...plan, entered: "jump" })),
        ]
      : []),
    emitting("a preserved register changes", (a, context) => {
      changeRegister(parts, a, context);
      trampoline.emit(a, context);
    }),
  ];
}

type Slots = TrampolinePlan["places"]["slots"];

function withSlots(change: (slots: Slots) => Slots): PlanChange {
  return (plan) => ({ ...plan, places: { ...plan.places, slots: change(plan.places.slots) } });
}

const swapFirst = ([one, other, ...rest]: Slots): Slots =>
  one === undefined || other === undefined ? [one, other].filter((slot) => slot !== undefined) : [other, one, ...rest];

function reverseStack(slots: Slots): Slots {
  const last = slots.filter((slot) => slot.in === "stack").length - 1;
  return slots.map((slot) => (slot.in === "stack" ? { ...slot, index: last - slot.index } : slot));
}

const uncleared = (slots: Slots): Slots => slots.map((slot) => ({ ...slot, clear: false, size: 8 }));

function withRuns(
  which: "fmodRet" | "fexit" | "all",
  change: Partial<TrampolineRun> | ((run: TrampolineRun) => Partial<TrampolineRun>),
): PlanChange {
  const changed = (runs: readonly TrampolineRun[], here: boolean): readonly TrampolineRun[] =>
    here ? runs.map((run) => ({ ...run, ...(typeof change === "function" ? change(run) : change) })) : runs;
  return (plan) => ({
    ...plan,
    fentry: changed(plan.fentry, which === "all"),
    fmodRet: changed(plan.fmodRet, which !== "fexit"),
    fexit: changed(plan.fexit, which !== "fmodRet"),
  });
}

/** Adds 1 to where BPF r9 lives, which calls preserve everywhere. */
function changeRegister<R extends string, A extends CodeBuffer>(
  parts: BackendParts<R, A>,
  a: A,
  { layout, features }: TrampolineContext,
): void {
  const insns = new Insns(Int32Array.of(packWord(INSNS.add64_imm.code, 9, 0, 0), 1));
  parts.lowering.alu(a, insns, 0, { layout, features } as LowerContext<A>);
}
