// The public surface of @bpfkit/kernel: explicit names, grouped by the file that defines them.

// kernel.ts
export { Kernel, type KernelFunction, type KernelLoadOptions, type KernelOptions } from "./kernel.ts";

// program.ts
export type { LoadedProgram, ProgramRun, RunOptions, RunResult, StepOptions } from "./program.ts";

// prog-array.ts
export type { ProgArray } from "./prog-array.ts";

// maps/prog-array-owner.ts
export type { ProgArrayOwner } from "./maps/prog-array-owner.ts";

// links.ts
export type { ExtensionLink } from "./links.ts";

// tracing/function.ts
export type {
  BodyCall,
  CallOptions,
  FunctionBody,
  FunctionOptions,
  FunctionResult,
  FunctionRun,
  TracedFunction,
} from "./tracing/function.ts";

// tracing/link.ts
export type { TracingLink } from "./tracing/link.ts";

// tracing/target.ts
export type { AttachTarget, SubprogTarget } from "./tracing/target.ts";

// tracing/tracer.ts
export type { AttachOptions, MultiAttachOptions } from "./tracing/tracer.ts";

// multi/link.ts
export type { MultiLinkFunction, MultiTracingLink } from "./multi/link.ts";

// operation.ts
export { type ArmedTrap, drain, type Mutex, type Operation, type Step } from "./operation.ts";

// rcu.ts
export type { Reader, ReaderKind } from "./rcu.ts";

// scheduler/schedule.ts
export type { Scheduled, ScheduleOptions } from "./scheduler/schedule.ts";

// scheduler/cpu-lane.ts
export type { EndedCall, EndedRun, Granularity, ScheduledCall, ScheduledRun } from "./scheduler/cpu-lane.ts";

// scheduler/operation-lane.ts
export type { Outcome } from "./scheduler/operation-lane.ts";

// scheduler/choices.ts
export { type ChoiceSource, type Choose, everyChoice, type Move } from "./scheduler/choices.ts";

// text/sites.ts
export type { LiveSite } from "./text/sites.ts";

// text/protocols.ts
export { POKE_PROTOCOLS, type PokeProtocol, type ProtocolMove } from "./text/protocols.ts";

// text/ledger.ts
export type { LedgerCounts } from "./text/ledger.ts";

// clock.ts
export { VirtualClock } from "./clock.ts";

// maps/map.ts
export type { KernelMap, MapEntry, UpdateFlags } from "./maps/map.ts";

// context/xdp.ts
export { XDP_ACTIONS } from "./context/xdp.ts";

// context/registry.ts
export { CONTEXT_LAYOUTS } from "./context/registry.ts";

// lockstep.ts
export {
  Lockstep,
  type LockstepCounts,
  type LockstepOptions,
  type LockstepProgArray,
  type LockstepProgram,
  type LockstepResult,
} from "./lockstep.ts";

// lockstep-fault.ts
export type { ProgramFault } from "./lockstep-fault.ts";

// lockstep-pair.ts
export type { Difference } from "./lockstep-pair.ts";
