// What runs programs: the contract between engines (the interpreter, and a backend's code on its emulated CPU) and their surroundings.
import type { Backend, CpuCounts } from "../jit/backend.ts";
import type { Image } from "../jit/image.ts";
import type { SiteState } from "../jit/poke.ts";
import type { VerifiedProgram } from "../program.ts";
import type { ArgPlaces, ArgSlot } from "../trampoline/args.ts";
import type { TrampolineSpec } from "../trampoline/plan.ts";
import type { Memory } from "./memory.ts";
import type { Size } from "./ops.ts";
import type { Stop } from "./stop.ts";

/** Something outside the program's own instructions that it refers to. */
export type Symbol =
  | { readonly kind: "map"; readonly index: number } // index in Program.maps
  | { readonly kind: "map-value"; readonly index: number; readonly offset: number }
  | { readonly kind: "helper"; readonly id: number }
  | { readonly kind: "kfunc"; readonly index: number } // index in Program.kfuncs
  | { readonly kind: "packet-load"; readonly size: Size }
  | { readonly kind: "subprog"; readonly index: number } // only inside an image, and for callback addresses
  | { readonly kind: "body" } // what a function of the host does; in its image there is nothing else
  | TrampolineSymbol;

/** What a trampoline refers to; in images of programs there is none. */
export type TrampolineSymbol =
  | { readonly kind: "program"; readonly index: number } // code of linked program `index`
  | { readonly kind: "program-object"; readonly index: number } // what stands for it in calls of the two below
  | { readonly kind: "cookies"; readonly index: number } // the table of cookies of link `index`
  | { readonly kind: "cookie-search" } // code: (table of cookies, function) → the function's cookie
  | { readonly kind: "rows" } // where the rows of functions are
  | { readonly kind: "row-search" } // code: (rows, function) → the function's row, or 0
  | {
      readonly kind: "trampoline";
      readonly part:
        | "program-enter" // (program-object, run context) → 0: not now; else what program-exit wants back
        | "program-exit" // (program-object, what program-enter gave, run context)
        | "enter" // (image, or row): a call of the original begins
        | "exit" // (image, or row): it is over, and so is all but the end of the trampoline
        | "image" // what stands for this trampoline in calls of the two above
        | "original" // where the original is called: behind its patch site
        | "function"; // the function's own address, for `bpf_get_func_ip`
    };

/** What a host function is called with. */
export interface HostCall {
  /** The BPF arguments r1..r5. */
  readonly args: readonly [bigint, bigint, bigint, bigint, bigint];
  /** r6 at the call: the context of legacy packet loads. */
  readonly r6: bigint;
  /** The virtual CPU the program runs on. */
  readonly cpu: number;
  /** A word of the arguments of a function of the host, for its body; on engines without machine code there is none. */
  readonly word?: (slot: ArgSlot) => bigint;
}

/** A host function's wish to run code, and to go on with its result: a subprogram of the program that called it (a callback), or a function. */
export interface GuestCall {
  readonly address: bigint;
  /** r1 to r5, or the words of a function's arguments. */
  readonly args: readonly bigint[];
  /** Where a function expects its words; a subprogram has them in r1 to r5. */
  readonly places?: ArgPlaces;
}

/**
 * A helper or kfunc: gives r0, and yields where it calls back into the program. A packet load gets the context and the signed
 * 32-bit offset as its arguments, gives the bytes in host order, or a negative value where they lie outside, and never yields.
 */
export type HostFunction = (call: HostCall) => bigint | Generator<GuestCall, bigint, bigint>;

/** Everything a loaded program can reach. The kernel package implements it; tests use small ones. */
export interface Host {
  readonly memory: Memory;
  /** Address of a map or map value. @throws {BpfError} `unknown-symbol` */
  address(symbol: Symbol): bigint;
  /** Code behind a helper, kfunc or packet load; asked once, at load. @throws {BpfError} `unknown-symbol` */
  function(symbol: Symbol): HostFunction;
}

/** Stack space of one invocation: the first frame lies below `high`. */
export interface StackSpace {
  readonly low: bigint;
  readonly high: bigint;
}

/** How to start an {@link Executable}. */
export interface StartOptions {
  /** r1..r5. */
  readonly args: readonly bigint[];
  readonly stack: StackSpace;
  readonly cpu?: number;
  /** What this run follows instructions of another engine with: the value of r10 in the frame it is about to enter. */
  readonly frameAddress?: () => bigint;
}

/** One invocation in progress. */
export interface Execution {
  /** Goes on for at most `budget` instructions of the engine (BPF instructions, or machine instructions). */
  run(budget: number): Stop;
  /** Goes on to the next place where a BPF instruction begins, in this frame or another; undefined when one was reached. */
  step(budget: number): Stop | undefined;
  /** The program that the next instruction belongs to: another one than was started, after a tail call. */
  readonly executable: Executable;
  /** Slot index, in that program, of the BPF instruction about to run; where several share their code, the first of them. -1 before the first step and between boundaries. */
  readonly at: number;
  /** BPF r0..r10 as the engine holds them; meaningful at a boundary. */
  register(index: number): bigint;
  /** Instructions executed so far, in the engine's own unit. */
  readonly executed: number;
  /** Tail calls so far, as the engine's own count says; -1 where it holds none, as between boundaries. Meaningful at a boundary. */
  readonly tailCalls: number;
  /** What the CPU has done for it, where the engine counts that. */
  readonly counts: CpuCounts | undefined;
  /** The same run as machine code, where it is. */
  readonly machine?: MachineRun | undefined;
}

/** A run of machine code, for whoever decides instruction by instruction what its CPU meets. */
export interface MachineRun {
  /** Address of the next instruction: in code, or of a host function that is about to be called. */
  readonly pc: bigint;
  /**
   * Executes at most `budget` instructions, or one call of the host. When `stopAt` is given, also stops before an instruction other than
   * the first whose address minus `stopAt.base` has a nonzero entry in `stopAt.marks`, or none.
   *
   * @returns how the run ended, if it did
   */
  advance(budget: number, stopAt?: { readonly base: bigint; readonly marks: Uint8Array }): Stop | undefined;
  /**
   * Executes the one instruction that `bytes` begin with, as if it had been fetched at `pc`. Where that is a breakpoint and `resume` is given,
   * goes on as that says: behind its code, or at its target, after a call with the return address where its code puts it.
   *
   * @returns how the run ended, if it did
   */
  execute(bytes: Uint8Array, resume?: Resume): Stop | undefined;
}

/** What a CPU does in place of a breakpoint: a state, and the code of it as it belongs there. */
export interface Resume {
  readonly resume: SiteState;
  readonly code: Uint8Array;
}

/** A program placed in memory, ready to start. */
export interface Executable {
  readonly program: VerifiedProgram;
  /** Address that stands for a subprogram in callback arguments. */
  subprogAddress(index: number): bigint;
  start(options: StartOptions): Execution;
  /** The machine code, where there is any, and where it lies. */
  readonly image?: Image;
  readonly imageAddress?: bigint;
  /** Gives its memory back. */
  release(): void;
}

/** Options of {@link Engine.load}. */
export interface LoadOptions {
  /** Addresses of subprograms in the engine that this one follows, so that both programs see the same pointers. */
  readonly subprogAddress?: (index: number) => bigint;
}

/** How to start {@link PlacedCode}. */
export interface FunctionCall {
  /** The words of its arguments, and where it expects them. */
  readonly words: readonly bigint[];
  readonly places: ArgPlaces;
  readonly stack: StackSpace;
  readonly cpu?: number;
}

/** A call of a function in progress. */
export interface FunctionExecution extends Pick<Execution, "run" | "executed" | "counts"> {
  readonly machine: MachineRun;
}

/** Machine code in memory that is no program: a function of the host, or a trampoline. */
export interface PlacedCode {
  readonly image: Image;
  readonly address: bigint;
  /** The address that it calls for a function of the host; undefined where it does not. */
  hostAddress(symbol: Symbol): bigint | undefined;
  /** Calls it. What it returns is the `value` of its stop, all 64 bits of the register. @throws {BpfError} `argument` for another number of words than places */
  start(call: FunctionCall): FunctionExecution;
  /** Gives its memory back. */
  release(): void;
}

/** What can be done with machine code besides running programs, in the engine's layout. */
export interface TextEngine
  extends Pick<
    Backend,
    "arch" | "poke" | "pokeMany" | "capabilities" | "disassemble" | "classifyArgs" | "funcModelEqual" | "planTrampoline"
  > {
  /** @throws {BpfError} as `Backend.emitTrampoline` */
  emitTrampoline(spec: TrampolineSpec): Image;
  /** As `Backend.emitFunction`. */
  emitFunction(): Image;
  /** Puts code into memory. What it refers to is asked for once, here. @throws {BpfError} `limit` where memory is full; what `host` throws */
  place(image: Image, name: string, host: Host): PlacedCode;
}

/** A way to run programs: `interpreter`, or `jit(backend)`. */
export interface Engine {
  readonly name: string;
  /** Of an engine that runs machine code. */
  readonly text?: TextEngine;
  load(program: VerifiedProgram, host: Host, options?: LoadOptions): Executable;
}
