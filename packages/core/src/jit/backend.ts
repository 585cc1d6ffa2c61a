// Everything the rest of the project knows about an architecture.

import type { Symbol as SymbolRef } from "../machine/engine.ts";
import type { Memory } from "../machine/memory.ts";
import type { Trap } from "../machine/stop.ts";
import type { VerifiedProgram } from "../program.ts";
import type { ArgPlaces } from "../trampoline/args.ts";
import type { FuncModel } from "../trampoline/func-model.ts";
import type { TrampolinePlan, TrampolineSpec } from "../trampoline/plan.ts";
import type { Image } from "./image.ts";
import type { PokePlan, SiteState, TextSite } from "./poke.ts";
import type { PokeStages, SiteColumns } from "./poke-batch.ts";
import type { TailCallSchemeName } from "./tail-call-schemes.ts";

/** Choices of code layout and CPU features, as data that the backend declares and core does not look into. */
export type Settings = Readonly<Record<string, boolean | number | string>>;

export interface CompileOptions {
  /** Overrides of {@link Capabilities.layout}. */
  readonly layout?: Settings;
  /** Overrides of {@link Capabilities.features}. */
  readonly features?: Settings;
}

/** What a backend can be asked for, with defaults. */
export interface Capabilities {
  /**
   * Entry hardening and the like; the defaults are what Linux 7.2 shows. Every backend has `tailCalls`, one of `tailCallSchemes`, and
   * `directTailCalls`: whether tail calls whose array and slot are known become jumps that are rewritten when the slot changes.
   */
  readonly layout: Settings;
  /** Optional CPU features that the code may use. */
  readonly features: Settings;
  /** Bytes of code that a CPU fetches in one go: of code that changes, it can see old and new ones side by side, but never half of one. */
  readonly fetchUnit: 1 | 2 | 4;
  /** The ways of counting tail calls that it has, the kernel's own first. */
  readonly tailCallSchemes: readonly TailCallSchemeName[];
}

/** How values enter and leave code, as data: enough to call it, to be called by it and to read BPF registers at a boundary. */
export interface Abi<R extends string = string> {
  /** Where BPF r0..r10 live. */
  readonly bpf: readonly R[];
  /** Arguments and result of a call to or from the host, and of functions; BPF has the first five. */
  readonly args: readonly R[];
  readonly result: R;
  /** Where a program that has returned left r0, all 64 bits of it: what the host's calls see as the result may be narrower. */
  readonly returned: R;
  readonly stackPointer: R;
  /** Bytes the stack pointer is a multiple of before a call. */
  readonly stackAlign: number;
  /** Whether a call pushes the return address or puts it in a register. */
  readonly returnAddress: { readonly in: "stack" } | { readonly in: "register"; readonly register: R };
  /** Registers a call may change. */
  readonly callerSaved: readonly R[];
  /** Registers that a call gives back as they were, the frame register among them; the stack pointer is not named. */
  readonly preserved: readonly R[];
  readonly frameChain: FrameChain<R>;
  /** Bytes from the stack pointer, as the body of a function of the host finds it, up to the function's arguments on the stack. */
  readonly bodyStack: number;
}

/** How frames are chained, as a backtrace follows them. */
export interface FrameChain<R extends string = string> {
  /** Points to the frame of whoever runs. */
  readonly register: R;
  /** Bytes from there to the return address, and to what the register was in the caller. */
  readonly returnAddress: number;
  readonly caller: number;
  /** Functions that call nothing may keep the latter alone, where else the return address is: that is in its register still. */
  readonly shortLeaves: boolean;
}

/** What trampolines of an architecture do in its own way, as callers, programs and functions see it. */
export interface TrampolineTraits {
  /** Whether entries lead by a jump to trampolines that call a known original, so that these return straight to the function's caller. */
  readonly jumps: boolean;
  /** Frames that a trampoline makes where an entry leads to it: one of its own, or one for the function before that. */
  readonly frames: 1 | 2;
  /** When the stack is aligned at calls of a trampoline, as `Abi.stackAlign` says: always, or where it copies words on the stack for the original. */
  readonly aligned: "always" | "with-stack-words";
  /**
   * What becomes of a small number that has a word on the stack for itself, where programs see it and where the original gets it: all of the
   * word, without its upper half where the number has at most 4 bytes, or only the number's own bytes.
   */
  readonly smallOnStack: { readonly seen: SmallWord; readonly passed: SmallWord };
}

/** A word with a small number in it. */
export type SmallWord = "whole" | "lower-half" | "own-bytes";

/** A decoded line of a listing. */
export interface Line {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Mnemonic and operands; `.byte 0x..` for what does not decode. */
  readonly text: string;
}

/** Why a CPU stopped: its budget, a fetch at a host entry point (`pc` is there), or a trap. */
export type CpuStop = { readonly kind: "budget" } | { readonly kind: "host"; readonly address: bigint } | Trap;

/** What a CPU that counts has done. */
export interface CpuCounts {
  readonly loads: number;
  readonly stores: number;
  /** Jumps, calls, returns and conditional branches, taken or not. */
  readonly branches: number;
  /** The lowest value that the stack pointer has had; undefined before it had any. */
  readonly lowestStack: bigint | undefined;
}

/** What decides, memory aside, what a CPU does next. */
export interface CpuState {
  readonly pc: bigint;
  /** Its whole register file, flags included, in the backend's order. */
  readonly registers: readonly bigint[];
}

/** How to make a CPU. */
export interface CpuOptions {
  /** Keep {@link CpuCounts}; slower. */
  readonly counting?: boolean;
}

/** An emulated CPU over guest memory. */
export interface Cpu<R extends string = string> {
  pc: bigint;
  get(register: R): bigint;
  set(register: R, value: bigint): void;
  /**
   * Runs at most `budget` instructions. When `stopAt` is given, also stops (as `budget`) before an instruction other than the first
   * whose address minus `stopAt.base` has a nonzero entry in `stopAt.marks`, or none.
   */
  run(budget: number, stopAt?: { readonly base: bigint; readonly marks: Uint8Array }): CpuStop;
  /** Executes the one instruction that `bytes` begin with, as if it had fetched them at `pc`. */
  execute(bytes: Uint8Array): CpuStop;
  save(): CpuState;
  restore(state: CpuState): void;
  /** Instructions executed since it was made. */
  readonly executed: number;
  /** Counts since it was made, where it was made to count. */
  readonly counts: CpuCounts | undefined;
}

/** One architecture: pure functions from programs to code, and a CPU to run the code on. */
export interface Backend<R extends string = string> {
  readonly arch: string;
  readonly abi: Abi<R>;
  readonly capabilities: Capabilities;
  readonly trampolines: TrampolineTraits;
  /** Lowers a program to machine code. Pure. @throws {BpfError} `unsupported` names an instruction that has no lowering yet. */
  compile(program: VerifiedProgram, options?: CompileOptions): Image;
  /** The image's code as it has to be at `address`, every relocation filled in. @throws {BpfError} `out-of-range` */
  link(image: Image, address: bigint, resolve: (symbol: SymbolRef) => bigint): Uint8Array;
  /** Decodes code into listing lines; never throws. */
  disassemble(code: Uint8Array, address?: bigint): Iterable<Line>;
  /**
   * How to rewrite a patch site. What is there now has to be what `from` says. Pure.
   *
   * @throws {BpfError} `out-of-range` when a target is too far for the site, `argument` when the site is too small for such a state
   */
  poke(site: TextSite, from: SiteState, to: SiteState): PokePlan;
  /**
   * {@link poke} for very many sites: the same bytes in the end, and between any two stages the same things hold. Pure. Undefined where a site
   * needs more than what lies in it, or reaches its target by {@link poke} only, or not at all.
   *
   * Cost: linear in the sites, without an object for each.
   */
  pokeMany(sites: SiteColumns): PokeStages | undefined;
  createCpu(memory: Memory, options?: CpuOptions): Cpu<R>;
  /** Where the arguments of a function lie. @throws {BpfError} `unsupported` for more than 12 words */
  classifyArgs(model: FuncModel): ArgPlaces;
  /** Whether two functions can share trampolines: equal places of their arguments. */
  funcModelEqual(one: FuncModel, other: FuncModel): boolean;
  /** What a trampoline does, in order. @throws {BpfError} as {@link emitTrampoline}, but for the size of the code */
  planTrampoline(spec: TrampolineSpec): TrampolinePlan;
  /**
   * The code that runs the linked programs around a function. Pure; equal specifications give equal bytes.
   *
   * @throws {BpfError} `limit` (E2BIG) for too many links or more than a page of code; `unsupported` as {@link classifyArgs}
   */
  emitTrampoline(spec: TrampolineSpec, options?: CompileOptions): Image;
  /**
   * A function of the host, as the kernel's own are compiled: an `entry` site, a frame, and a call of the symbol `body`, which finds all arguments
   * where the function got them and gives the result. The same bytes for all functions.
   */
  emitFunction(options?: CompileOptions): Image;
}
