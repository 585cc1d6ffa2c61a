// Machine code as data: position-independent bytes and everything that is known about them.
import type { Symbol as SymbolRef } from "../machine/engine.ts";
import type { FarJump } from "./poke.ts";
import type { CounterCode, CounterPlace } from "./tail-call-schemes.ts";

/** A field of the code that depends on where things lie. `kind` is the backend's word for how the field is written. */
export interface Relocation {
  /** Byte offset of the field. */
  readonly offset: number;
  readonly kind: string;
  readonly symbol: SymbolRef;
}

/** Bytes that may be rewritten while the code is live. A `bypass` begins as a jump, every other site as nothing. */
export interface PatchSite {
  /** The entry of a subprogram; one of the two sites of a direct tail call; the beginning of a trampoline's block of one program. */
  readonly kind: "entry" | "bypass" | "target" | "block";
  readonly offset: number;
  readonly size: number;
  /** The subprogram that it is in. */
  readonly subprog: number;
  /** Slot of the tail call, of a `bypass` and a `target`. */
  readonly insn?: number;
  /** Byte offset of the end of a `block`, where a jump in its place leads when its program must not run any more. */
  readonly end?: number;
  /** What leads it to targets out of its reach, where the layout has that. Offsets in bytes. */
  readonly far?: FarJump<number>;
}

/**
 * A direct tail call. Its code checks the count, passes the `bypass` (a jump to behind the `target`, or nothing), leaves the frame and passes
 * the `target` (nothing, or a jump to where the program in slot `key` is entered). Whoever changes the slot changes both.
 */
export interface PokeDescriptor {
  /** Slot of the instruction. */
  readonly insn: number;
  readonly subprog: number;
  /** Index in `program.maps`. */
  readonly map: number;
  readonly key: number;
  readonly bypass: PatchSite;
  readonly target: PatchSite;
}

/** One subprogram's code. Offsets in bytes. */
export interface ImageSubprog {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Where its first BPF instruction begins, behind the prologue. */
  readonly body: number;
  /** What its frame holds, drawn by listings: each slot's place relative to the frame register, in bytes. */
  readonly frame: readonly FrameSlot[];
  /** Where its body finds the count of tail calls, where one can happen below it. */
  readonly counter: CounterPlace | undefined;
}

/** A part of a stack frame. */
export interface FrameSlot {
  readonly name: string;
  /** Bytes from the frame register; negative is below. */
  readonly offset: number;
  readonly size: number;
}

/** Position-independent machine code; immutable, and equal byte for byte for equal input. */
export interface Image {
  readonly arch: string;
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  readonly patchSites: readonly PatchSite[];
  /** Its direct tail calls, by instruction. */
  readonly pokes: readonly PokeDescriptor[];
  /** Bytes behind the entry of the main program at which tail calls of other programs enter it: the same in all images of one layout. */
  readonly landing: number;
  /** What of the code is there to count tail calls. */
  readonly counterCode: readonly CounterCode[];
  readonly subprogs: readonly ImageSubprog[];
  /** Per BPF slot, the code offset where it begins; instructions that share code, or have none, share an offset. */
  readonly boundaries: Uint32Array;
  /** Per BPF slot, one past the last byte of its code in the straight line; guards placed out of line are not counted. */
  readonly ends: Uint32Array;
  /** The layout it was made with, as text, for listings. */
  readonly layout: string;
}
