// The public surface of @bpfkit/kernel: explicit names, grouped by the file that defines them.

// kernel.ts
export { Kernel, type KernelFunction, type KernelOptions } from "./kernel.ts";

// program.ts
export type { LoadedProgram, ProgramRun, RunOptions, RunResult, StepOptions } from "./program.ts";

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
  type LockstepProgram,
  type LockstepResult,
} from "./lockstep.ts";

// lockstep-fault.ts
export type { ProgramFault } from "./lockstep-fault.ts";

// lockstep-pair.ts
export type { Difference } from "./lockstep-pair.ts";
