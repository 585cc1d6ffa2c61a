// Machine code as data: position-independent bytes and everything that is known about them.
import type { Symbol as SymbolRef } from "../machine/engine.ts";

/** A field of the code that depends on where things lie. `kind` is the backend's word for how the field is written. */
export interface Relocation {
  /** Byte offset of the field. */
  readonly offset: number;
  readonly kind: string;
  readonly symbol: SymbolRef;
}

/** Bytes that may be rewritten while the code is live. */
export interface PatchSite {
  readonly kind: "entry";
  readonly offset: number;
  readonly size: number;
  /** The subprogram whose entry it is. */
  readonly subprog: number;
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
  readonly subprogs: readonly ImageSubprog[];
  /** Per BPF slot, the code offset where it begins; instructions that share code, or have none, share an offset. */
  readonly boundaries: Uint32Array;
  /** Per BPF slot, one past the last byte of its code in the straight line; guards placed out of line are not counted. */
  readonly ends: Uint32Array;
  /** The layout it was made with, as text, for listings. */
  readonly layout: string;
}
