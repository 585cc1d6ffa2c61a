// The public surface of @bpfkit/core: explicit names, grouped by the file that defines them.

// errors.ts
export { BpfError, type ErrorCode, type ErrorDetails, invariant } from "./errors.ts";

// program.ts
export type { FunctionSignature, LineInfo, MapSpec, Program, Subprog, VerifiedProgram } from "./program.ts";

// isa/insns.ts
export { AX, Insns, packWord } from "./isa/insns.ts";

// isa/opcodes.ts
export { INSNS, type InsnKind, type InsnRow, type Op } from "./isa/opcodes.ts";

// isa/decode.ts
export { type Field, KINDS, kindOf, OPS, opAt, registersOf, reservedFieldOf } from "./isa/decode.ts";

// isa/targets.ts
export { subprogsOf, targetOf } from "./isa/targets.ts";

// isa/helpers.ts
export { helperById, helperByName } from "./isa/helpers.ts";

// isa/maps.ts
export { MAP_FLAGS, MAP_TYPES, MAP_UPDATE, type MapTypeName, mapTypeName } from "./isa/maps.ts";

// spec/*.ts
export { ATTACH_TYPES, type AttachTypeName } from "./spec/attach-types.ts";
export {
  type ContextFieldSpec,
  type ContextSpec,
  type ContextValue,
  contextFieldAt,
  type Widths,
} from "./spec/context-fields.ts";
export {
  type BtfStruct,
  type HelperArg,
  helperArgs,
  type HelperEffects,
  type HelperResult,
  type HelperSpec,
  type HelperVariant,
  mayWrite,
} from "./spec/helper-words.ts";
export { POINTER_FIELDS, type PointerFields } from "./spec/contexts.ts";
export { HELPER_IDS, type HelperName } from "./spec/helper-names.ts";
export { HELPERS } from "./spec/helpers.ts";
export {
  allowedHelpers,
  contextAccess,
  contextOf,
  type HelperGap,
  type KernelProfile,
  returnRange,
} from "./spec/kernel-profile.ts";
export type { AttachTarget, KernelMember, KernelStruct, KernelType, KernelTypes } from "./spec/kernel-types.ts";
export { type Limits, MAX_CALL_FRAMES } from "./spec/limits.ts";
export type { MapPointers } from "./spec/map-structs.ts";
export { type MapTypeSpec, mapType, type SizeRule } from "./spec/map-types.ts";
export { LINUX_6_12 } from "./spec/linux-6.12.ts";
export { LINUX_7_2 } from "./spec/linux-7.2.ts";
export { PROGRAM_TYPES, type ProgramTypeName } from "./spec/program-type-names.ts";
export { type ProgramTypeSpec, programType, type ReturnRange } from "./spec/program-types.ts";

// asm/parse.ts, asm/finish.ts
export type { AssembleOptions } from "./asm/finish.ts";
export { assemble, type Assembled, tryAssemble } from "./asm/parse.ts";

// asm/build.ts, asm/dsl.ts
export { build } from "./asm/build.ts";
export {
  add32,
  add64,
  addrSpaceCast,
  type AluFunction,
  and32,
  and64,
  arsh32,
  arsh64,
  atomicAdd,
  atomicAnd,
  type AtomicFunction,
  atomicOr,
  type AtomicSize,
  atomicXor,
  be16,
  be32,
  be64,
  bswap16,
  bswap32,
  bswap64,
  type BuiltInsn,
  call,
  callKfunc,
  callSubprog,
  callx,
  cmpxchg,
  div32,
  div64,
  exit,
  fetchAdd,
  fetchAnd,
  fetchOr,
  fetchXor,
  fp,
  gotol,
  gotox,
  type InsnLabel,
  type Item,
  ja,
  jeq,
  jeq32,
  jge,
  jge32,
  jgt,
  jgt32,
  jle,
  jle32,
  jlt,
  jlt32,
  jne,
  jne32,
  jset,
  jset32,
  jsge,
  jsge32,
  jsgt,
  jsgt32,
  jsle,
  jsle32,
  jslt,
  jslt32,
  type JumpFunction,
  label,
  ldAbs,
  lddw,
  ldInd,
  le16,
  le32,
  le64,
  load,
  loadAcquire,
  loadBtfId,
  loadMap,
  loadMapFd,
  loadMapValue,
  type LoadSize,
  loadSubprog,
  lsh32,
  lsh64,
  mayGoto,
  mod32,
  mod64,
  mov32,
  mov64,
  movsx32,
  movsx64,
  mul32,
  mul64,
  neg32,
  neg64,
  or32,
  or64,
  r0,
  r1,
  r10,
  r2,
  r3,
  r4,
  r5,
  r6,
  r7,
  r8,
  r9,
  type Register,
  register,
  rsh32,
  rsh64,
  s16,
  s32,
  s8,
  sdiv32,
  sdiv64,
  smod32,
  smod64,
  store,
  storeRelease,
  type StoreSize,
  sub32,
  sub64,
  subprog,
  tailCall,
  type Target,
  u16,
  u32,
  u64,
  u8,
  type UnaryFunction,
  xchg,
  xor32,
  xor64,
} from "./asm/dsl.ts";

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
export { type Fields, MAY_GOTO, MAY_GOTO_PASSES, type Meaning, SEMANTICS } from "./isa/semantics.ts";

// machine/frames.ts
export type { LiveFrame } from "./machine/frames.ts";

// machine/interpreter.ts
export { interpreter } from "./machine/interpreter.ts";

// machine/definedness.ts
export {
  type TrackedEngine,
  type TrackedExecutable,
  type TrackedExecution,
  trackedInterpreter,
  type UndefinedUse,
} from "./machine/definedness.ts";

// machine/engine.ts
export type {
  Engine,
  Executable,
  Execution,
  FunctionCall,
  FunctionExecution,
  GuestCall,
  Host,
  HostCall,
  HostFunction,
  LoadOptions,
  MachineRun,
  PlacedCode,
  Resume,
  StackSpace,
  StartOptions,
  Symbol,
  TextEngine,
  TrampolineSymbol,
} from "./machine/engine.ts";

// jit/image.ts
export type { FrameSlot, Image, ImageSubprog, PatchSite, PokeDescriptor, Relocation } from "./jit/image.ts";

// jit/backend.ts
export type {
  Abi,
  Backend,
  Capabilities,
  CompileOptions,
  Cpu,
  CpuCounts,
  CpuOptions,
  CpuState,
  CpuStop,
  FrameChain,
  Line,
  Settings,
  SmallWord,
  TrampolineTraits,
} from "./jit/backend.ts";

// jit/code-buffer.ts
export { CodeBuffer, type CodeSink, type Label } from "./jit/code-buffer.ts";

// jit/bits.ts
export {
  type BitChunk,
  type BitField,
  type BitName,
  type BitNames,
  type BitNumbers,
  type BitOperands,
  type BitPattern,
  bitPattern,
  type EmitWord,
  type FieldSpec,
  type FieldSpecs,
  fieldValue,
  operandOrder,
  overlaps,
  packBits,
  unpackBits,
  type WordDecoder,
  type WordSink,
  wordDecoder,
  wordEmitter,
} from "./jit/bits.ts";

// jit/define-backend.ts
export {
  type BackendParts,
  defineBackend,
  type LowerContext,
  type LoweredKind,
  type LowerGuard,
  type Lowering,
  type LowerInsn,
  type FunctionContext,
  type TrampolineContext,
  type TrampolineParts,
  UNSUPPORTED_KINDS,
} from "./jit/define-backend.ts";

// jit/engine.ts
export { jit } from "./jit/engine.ts";

// jit/frame.ts
export { type Frame, frameOf } from "./jit/frame.ts";

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

// jit/poke.ts
export {
  type FarJump,
  type PokePhase,
  type PokePlan,
  type PokeTrap,
  type SiteState,
  type TextSite,
  type ZippedPhase,
  zipPlans,
} from "./jit/poke.ts";

// jit/poke-batch.ts
export { type PokeStages, type SiteColumns, SiteKind } from "./jit/poke-batch.ts";

// trampoline/*.ts
export {
  type ArgPlaces,
  type ArgRules,
  type ArgSlot,
  MAX_ARG_SLOTS,
  placeArgs,
  placesKey,
  samePlaces,
} from "./trampoline/args.ts";
export {
  type ArgModel,
  type FuncModel,
  formatFuncModel,
  parseFuncModel,
  type ResultModel,
} from "./trampoline/func-model.ts";
export {
  type LinkKind,
  MAX_LINKS,
  MAX_TRAMPOLINE,
  planTrampoline,
  type TrampolineLink,
  type TrampolinePlan,
  type TrampolineRun,
  type TrampolineSpec,
} from "./trampoline/plan.ts";
export { type EncodedRow, encodeRow, Row, type RowProgram } from "./trampoline/row.ts";

// multi/*.ts
export { applyPlan } from "./multi/apply.ts";
export { type FunctionFacts, FunctionFlag, ModelKeys } from "./multi/facts.ts";
export { type OrderedFunctions, orderFunctions } from "./multi/order.ts";
export {
  type MoveKind,
  type MultiCost,
  type MultiMove,
  type MultiPlan,
  planAttach,
  planDetach,
} from "./multi/plan.ts";
export {
  functionsOf,
  MAX_MULTI_FUNCTIONS,
  matchesPattern,
  type MultiRefusal,
  type MultiRequest,
  refusalsOf,
} from "./multi/request.ts";
export { type ClassKey, type MultiClass, type MultiLink, MultiState, NO_CLASS } from "./multi/state.ts";
export {
  MULTI_STRATEGIES,
  type MultiNeeds,
  type MultiStrategy,
  type MultiStrategyName,
} from "./multi/strategies.ts";
export { classTable, hashState, membersOf, type TableRow } from "./multi/table.ts";

// jit/tail-call-schemes.ts
export {
  type CounterCode,
  type CounterEdge,
  type CounterPlace,
  TAIL_CALL_SCHEMES,
  type TailCallScheme,
  type TailCallSchemeName,
} from "./jit/tail-call-schemes.ts";

// machine/prog-array.ts
export { MAX_TAIL_CALLS, PROG, PROG_ARRAY, tailCallTarget } from "./machine/prog-array.ts";

// analysis/tail-calls.ts
export {
  type CallChain,
  checkTailCallStack,
  checkTailCalls,
  MAX_STACK_ABOVE_TAIL_CALL,
  type TailCallSite,
  type TailCallStack,
  type TailCallWorstCase,
  tailCallStackOf,
  tailCallsOf,
  worstTailCallStack,
} from "./analysis/tail-calls.ts";

// machine/cpu.ts
export { type CpuParts, type DecodedInsn, EmulatedCpu } from "./machine/cpu.ts";

// analysis/facts.ts, analysis/infer-facts.ts
export { Fact, type InsnFacts, NO_FACTS, noFacts, PointerKind } from "./analysis/facts.ts";
export { inferFacts } from "./analysis/infer-facts.ts";

// patch/list.ts
export { type Patch, PatchList, type PatchStore } from "./patch/list.ts";

// patch/linearize.ts, patch/metadata.ts
export { type Linearized, type LinearizeOptions, linearize, type Provenance } from "./patch/linearize.ts";
export type { AuxColumn, IndexTable, Metadata } from "./patch/metadata.ts";

// patch/patch.ts
export { type Pass, type Patched, patch } from "./patch/patch.ts";

// passes/*.ts
export { blindConstants } from "./passes/blind-constants.ts";
export {
  type ContextField,
  type ContextLayout,
  type ContextLayouts,
  convertContext,
} from "./passes/convert-context.ts";
export { expandMayGoto } from "./passes/expand-may-goto.ts";
export { guardDivision } from "./passes/guard-division.ts";
export { inlineArrayLookup } from "./passes/inline-array-lookup.ts";
export { maskTailCalls } from "./passes/mask-tail-calls.ts";
export { allPasses, type PassOptions } from "./passes/registry.ts";
export { removeDeadCode } from "./passes/remove-dead-code.ts";
export { zeroExtend } from "./passes/zero-extend.ts";

// verifier/*.ts
export { formatExplanation } from "./verifier/diagnostics.ts";
export type { CausalStep, Explanation, Place, SourcePlace, StepRole } from "./verifier/explanation.ts";
export type { LogDialect, LogLevel } from "./verifier/log.ts";
export type { MessageClass, MessageKind } from "./verifier/messages/kind.ts";
export { MESSAGE_KINDS, messageKind } from "./verifier/messages.ts";
export type { NotPruned, PruneMiss, PruneMisses } from "./verifier/not-pruned.ts";
export type { Explained, LookedAt, Rejected, Verdict, Verified, VerifierStats } from "./verifier/result.ts";
export type { Budget } from "./verifier/verification.ts";
export type {
  VerifierFrame,
  VerifierSlot,
  VerifierState,
  VerifierStates,
  VerifierValue,
} from "./verifier/states.ts";
export { verified } from "./verifier/verified.ts";
export { KERNELS, verify, type VerifyOptions } from "./verifier/verify.ts";
