// The public surface of @bpfkit/conformance: explicit names, grouped by the file that defines them.

// conformance.ts
export { type ConformanceOptions, generatedInput, generatedProgram, runConformance } from "./conformance.ts";

// report.ts
export {
  type ConformanceFailure,
  type ConformanceReport,
  formatFailure,
  type GroupResult,
  type LockstepTotals,
  passed,
  type TreeTotals,
} from "./report.ts";

// group.ts
export { type Group, GROUPS, groupOf } from "./group.ts";

// case.ts
export { bytesOf, type CaseRun, type ConformanceCase, type Expectation, formatCase, parseCase } from "./case.ts";

// corpus.ts
export { corpus } from "./corpus.ts";

// run-case.ts
export { type CaseFailure, CaseRunner } from "./run-case.ts";

// laws.ts
export { checkImage, Companion, type LawBreach } from "./laws.ts";

// host.ts
export { MIX, MIX_KFUNC, mix, setUpKernel } from "./host.ts";

// machine.ts
export { Machine, type MachineParts } from "./machine.ts";

// mutants.ts
export { type Mutant, mutantsOf } from "./mutants.ts";

// call-trees.ts
export {
  type CallTree,
  type CallTreeOptions,
  generateCallTree,
  TREE_ARRAYS,
  type TreeAction,
  type TreeBody,
  type TreeProgram,
  type TreeStep,
  type When,
} from "./call-trees.ts";

// call-tree-programs.ts
export { TREE_CONTEXT, type TreeTrace, treePrograms, treeTrace } from "./call-tree-programs.ts";

// call-tree-run.ts
export { differingRun, TreeCompanion, type TreeRun, TreeRunner, trustedPrograms } from "./call-tree-run.ts";

// call-tree-judge.ts
export {
  type TreeFailure,
  TreeJudge,
  type TreeSetting,
  treeBreach,
  treeSettings,
  treeText,
} from "./call-tree-judge.ts";

// counter-law.ts
export { type EdgeBreach, edgeBreach, type ProgramPlace, type TreeEdge } from "./counter-law.ts";

// shrink-call-tree.ts
export { shrinkCallTree } from "./shrink-call-tree.ts";

// shrink.ts
export { type ShrinkOptions, shrinkProgram } from "./shrink.ts";

// generate.ts
export { type GenerateOptions, generateProgram, isSelfContained } from "./generate.ts";

// random.ts
export { Random } from "./random.ts";

// golden.ts
export { GOLDEN_CASES, type GoldenCase, goldenListing } from "./golden.ts";

// golden-trampolines.ts
export {
  GOLDEN_TRAMPOLINES,
  type GoldenTrampoline,
  replacedEntryListing,
  trampolineListing,
} from "./golden-trampolines.ts";

// trampoline/*.ts
export { expectedOutcome, type Outcome as TrampolineOutcome, type TracedCall } from "./trampoline/call-model.ts";
export {
  type BacktraceOptions,
  type BacktraceReport,
  checkBacktraces,
  type CodeName,
  type Entered,
  type FrameName,
  type FramePlace,
  type LostFrames,
} from "./trampoline/backtrace.ts";
export { backtracePage } from "./trampoline/backtrace-page.ts";
export { FUNCTION_MODELS, LINK_KINDS, LINK_LISTS } from "./trampoline/cases.ts";
export { checkCookies, type CookieReport } from "./trampoline/cookies.ts";
export {
  checkTrampolines,
  formatTrampolineBreach,
  plainCall,
  sharedImageBreach,
  type TrampolineBreach,
  type TrampolineLawOptions,
  type TrampolineReport,
} from "./trampoline/law.ts";
export { trampolineMutantsOf } from "./trampoline/mutants.ts";
export { checkSharing, relatedModels, type SharingReport } from "./trampoline/sharing.ts";
export { type Place, type Target, type TraceTarget, TrampolineWorld, type WorldOptions } from "./trampoline/world.ts";

// poke/*.ts
export {
  type Checked,
  checkHistories,
  type CheckOptions,
  formatSchedule,
  historiesOf,
  type Violation,
} from "./poke/check.ts";
export { type Found, type ScheduleStep, type Search, search } from "./poke/explore.ts";
export type {
  ExecutedLine,
  Extent,
  Granularity,
  MachineMove,
  MachineReader,
  MachineScene,
} from "./poke/machine-reader.ts";
export { modelReader, modelTrace } from "./poke/model.ts";
export { POKE_MUTANTS, POKE_RULES, type PokeMutant, type PokeRules } from "./poke/mutants.ts";
export { checkManySites, type ManySitesReport } from "./poke/many.ts";
export { manySitesMutantsOf } from "./poke/many-mutants.ts";
export { checkPlans, type PlanFailure, type PlanReport } from "./poke/plans.ts";
export {
  formatPlayed,
  formatReplay,
  parseReplay,
  type PlannedMove,
  play,
  type Played,
  type PlayedMove,
  type Replay,
  scheduleWord,
  sizeOf,
} from "./poke/replay.ts";
export type { Move, Outcome, Reader, Scenario } from "./poke/rules.ts";
export { type MachineScenario, machineSearch, type PokeSubject } from "./poke/scene.ts";
export type { Callee, ReaderKind, Site, Timeline, Trace, TraceStep } from "./poke/trace.ts";
