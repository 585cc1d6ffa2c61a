// What travels down the pipeline: a program with its metadata, and the same program once something vouches for it.
import type { InsnFacts } from "./analysis/facts.ts";
import type { Structure } from "./analysis/structure.ts";
import type { Insns } from "./isa/insns.ts";

/** A named run of instructions; the first starts at 0, each ends where the next begins. */
export interface Subprog {
  readonly name: string;
  /** Slot index of the first instruction. */
  readonly start: number;
  /** Of a global subprogram, which is verified alone; a static one is verified where it is called. */
  readonly signature?: FunctionSignature;
}

/** The types of a global subprogram, which take the place of its body where it is called. */
export interface FunctionSignature {
  /** `ctx`, `int`, or `mem N`: memory of N bytes or null; `mem N nonnull`: never null. */
  readonly args: readonly string[];
  /** It gives nothing back, which kernels before 7 do not take; a number unless told. */
  readonly returns?: "void";
  /** Why a kernel takes no function with these types, in its words. */
  readonly refusal?: string;
}

/** Source lines in columns, sorted by instruction; entry `i` covers from `insn[i]` to before `insn[i + 1]`. */
export interface LineInfo {
  readonly insn: Uint32Array;
  /** Index into `files`. */
  readonly file: Uint32Array;
  /** From 1. */
  readonly line: Uint32Array;
  readonly column: Uint32Array;
  /** The source text of each entry, trimmed at the right; empty where the object has none. */
  readonly text: readonly string[];
  readonly files: readonly string[];
}

/** A map as an object declares it. Sizes in bytes; `type` and `flags` are the numbers of the kernel's UAPI. */
export interface MapSpec {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Contents of element 0 at creation (global data sections). */
  readonly initial?: Uint8Array;
  /** Name of the map that the maps inside of a map of maps are like. */
  readonly inner?: string;
  /** Offsets of kernel structures in the value, as BTF tells them: a spin lock, a timer. */
  readonly fields?: { readonly spin_lock?: number; readonly timer?: number };
  /** Programs may not write it, nor may the host once it is filled (`.rodata`). */
  readonly frozen?: boolean;
}

/**
 * A BPF program as data. Two-slot loads with source register 5 or 6 (`BPF_PSEUDO_MAP_IDX`, `BPF_PSEUDO_MAP_IDX_VALUE`) name
 * maps by their index in `maps`; kfunc calls (source register 2) name functions by their index in `kfuncs`.
 */
export interface Program {
  readonly name: string;
  /** Program type in the kernel's words, lower case: `xdp`, `syscall`, `socket_filter`, … */
  readonly type: string;
  readonly attachType?: string;
  /** May wait for something; no unless told. */
  readonly sleepable?: boolean;
  /** Takes packets in several fragments (xdp); no unless told. */
  readonly frags?: boolean;
  readonly license: string;
  readonly insns: Insns;
  /** At least the entry at 0. */
  readonly subprogs: readonly Subprog[];
  /** Whether types of its functions (BTF) come with it, without which a kernel does not allow some things in subprograms; yes unless told. */
  readonly typed?: boolean;
  readonly lines?: LineInfo;
  readonly maps: readonly MapSpec[];
  readonly kfuncs: readonly string[];
}

/** A program that engines and backends accept, with what vouches for it and what was done to it. */
export interface VerifiedProgram {
  readonly program: Program;
  readonly structure: Structure;
  /** `verified`: by the rules of a kernel version. `trusted`: nobody has proved that it stays inside its memory. */
  readonly basis: { readonly kind: "trusted" } | { readonly kind: "verified"; readonly profile: string };
  /** Names of the passes applied, in order. */
  readonly passes: readonly string[];
  /** What is known of its instructions; nothing where it is left out. */
  readonly facts?: InsnFacts;
}
