// How far below r10 a subprogram reaches: a forward flow of "r10 plus something" through registers and stack slots.
import type { Insns } from "../isa/insns.ts";

/** Placeholder. */
export function stackDepthOf(_insns: Insns, _start: number, _end: number, _marks: Uint8Array): { readonly bytes: number; readonly work: number } {
  return { bytes: 512, work: 0 };
}
