// The public surface of @bpfkit/core: explicit names, grouped by the file that defines them.

// errors.ts
export { BpfError, type ErrorCode, type ErrorDetails, invariant } from "./errors.ts";

// program.ts
export type { LineInfo, MapSpec, Program, Subprog, VerifiedProgram } from "./program.ts";

// isa/insns.ts
export { Insns, packWord } from "./isa/insns.ts";

// isa/opcodes.ts
export { INSNS, type InsnKind, type InsnRow, type Op } from "./isa/opcodes.ts";

// isa/decode.ts
export { type Field, KINDS, kindOf, OPS, opAt, registersOf, reservedFieldOf } from "./isa/decode.ts";

// isa/targets.ts
export { subprogsOf, targetOf } from "./isa/targets.ts";

// isa/helpers.ts
export { HELPERS, type HelperArg, type HelperResult, type HelperSpec, helperById, helperByName } from "./isa/helpers.ts";

// isa/maps.ts
export { MAP_FLAGS, MAP_TYPES, MAP_UPDATE, type MapTypeName, mapTypeName } from "./isa/maps.ts";

// asm/parse.ts
export { assemble, type Assembled, type AssembleOptions, tryAssemble } from "./asm/parse.ts";

// asm/print.ts, asm/listing.ts, asm/spelling.ts
export { formatProgram, type FormatOptions } from "./asm/listing.ts";
export { printInsn, type PrintOptions, printWidth } from "./asm/print.ts";
export { DIALECTS, type Dialect } from "./asm/spelling.ts";

// trust.ts
export { trust, type Trusted, tryTrust } from "./trust.ts";

// analysis/structure.ts
export { Mark, type Structure, structureOf, type SubprogInfo } from "./analysis/structure.ts";

// machine/ops.ts
export type { AtomicOp, BpfOps, Fence, Flow, Ops, Size } from "./machine/ops.ts";

// machine/stop.ts
export type { Stop, Trap, TrapCause } from "./machine/stop.ts";

// machine/fault.ts
export { Fault, trapping } from "./machine/fault.ts";

// machine/memory.ts
export { Access, type Allocation, Memory, type MemoryOptions, type Region } from "./machine/memory.ts";

// machine/journal.ts
export { WriteJournal } from "./machine/journal.ts";

// machine/run.ts
export { Run, type RunOptions } from "./machine/run.ts";

// isa/semantics.ts
export { type Fields, MAY_GOTO, MAY_GOTO_BUDGET, type Meaning, SEMANTICS } from "./isa/semantics.ts";

// machine/frames.ts
export type { LiveFrame } from "./machine/frames.ts";

// machine/interpreter.ts
export { interpreter } from "./machine/interpreter.ts";

// machine/definedness.ts
export {
  type TrackedEngine,
  type TrackedExecution,
  trackedInterpreter,
  type UndefinedUse,
} from "./machine/definedness.ts";

// machine/engine.ts
export type {
  Engine,
  Executable,
  Execution,
  GuestCall,
  Host,
  HostCall,
  HostFunction,
  LoadOptions,
  StackSpace,
  StartOptions,
  Symbol,
} from "./machine/engine.ts";

// jit/image.ts
export type { FrameSlot, Image, ImageSubprog, PatchSite, Relocation } from "./jit/image.ts";

// jit/backend.ts
export type { Abi, Backend, Capabilities, CompileOptions, Cpu, CpuStop, Line, Settings } from "./jit/backend.ts";

// jit/code-buffer.ts
export { CodeBuffer, type CodeSink, type Label } from "./jit/code-buffer.ts";

// jit/define-backend.ts
export {
  type BackendParts,
  defineBackend,
  type LowerContext,
  type LoweredKind,
  type LowerGuard,
  type Lowering,
  type LowerInsn,
  UNSUPPORTED_KINDS,
} from "./jit/define-backend.ts";

// jit/engine.ts
export { jit } from "./jit/engine.ts";

// jit/frame.ts
export { type Frame, frameOf, MAY_GOTO_PASSES } from "./jit/frame.ts";

// jit/relax.ts
export {
  type BranchEncoding,
  type BranchForm,
  type BranchForms,
  branchForms,
  type BranchWriter,
  emitCode,
  positionOf,
  relax,
  type Relaxed,
} from "./jit/relax.ts";

// jit/listing.ts
export { formatListing, type ListingNotes, notesOf } from "./jit/listing.ts";
