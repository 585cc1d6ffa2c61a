// What a subprogram's frame keeps and where; prologue.ts draws it.
import type { Frame, LowerContext } from "@bpfkit/core";
import { A6, RA, REG, S0, S5, S6 } from "./abi.ts";
import type { Assembler } from "./assembler.ts";

/** The parts of a frame. Sizes in bytes. */
export interface Shape {
  /** BPF's own memory, at the bottom. */
  readonly space: number;
  /** Registers kept above it, from the top down. What a6 keeps here is for the counter of tail calls, and so is s6. */
  readonly kept: readonly number[];
  /** All of that. */
  readonly total: number;
  /** Above it, where tail calls find a word for the count and leave it. */
  readonly above: 0 | 16;
}

/** The shape of the subprogram's frame. */
export function shapeOf(context: LowerContext<Assembler>): Shape {
  const { frame, scheme, subprog, info } = context;
  const { stack, counter, saved, usesR10, hasCalls } = frame;
  const space = (stack + counter + 15) & -16;
  const kept = hasCalls ? [RA, S0] : [S0];
  for (const register of saved) kept.push(REG[register]!);
  if (usesR10 || space > 0) kept.push(S5);
  if (hasSlot(context)) kept.push(A6);
  else if (parks(context)) kept.push(S6);
  const above = scheme.carries === "address" && (subprog === 0 || info.tailCallReachable) ? 16 : 0;
  return { space, kept, total: space + ((8 * kept.length + 15) & -16), above };
}

/**
 * Whether the frame has a slot for what a6 carries: {@link slotOf}. Where callers take the count back, a program that makes no tail calls
 * may still have been entered by one, from a subprogram whose caller waits for the count: what it calls may not lose it.
 */
export function hasSlot({ scheme, subprog, info }: LowerContext<Assembler>): boolean {
  if (!scheme.slot) return false;
  return info.tailCallReachable || (scheme.writesBack && subprog === 0 && info.hasCalls);
}

/** Offset from sp of the slot for what a6 carries: the lowest of what is kept. */
export function slotOf(context: LowerContext<Assembler>): number {
  const { kept, total } = shapeOf(context);
  return total - 8 * kept.length;
}

/** Whether a6 has to be put aside in s6 somewhere in the subprogram, for code that does not keep it; in main programs for the same reason. */
export function parks({ scheme, subprog, info, structure }: LowerContext<Assembler>): boolean {
  if (!scheme.parks || !(info.tailCallReachable || subprog === 0)) return false;
  return info.hasHostCalls || info.calls.some((callee) => !structure.subprogs[callee]!.tailCallReachable);
}

/** Offset of the may_goto counter from s5. */
export function mayGotoOffset(frame: Frame): number {
  return -(frame.stack + 8);
}
