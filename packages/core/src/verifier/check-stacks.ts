// Bytes of stack along chains of calls, as they were found in use.
import { Errno, Refusal } from "./refusal.ts";
import type { Verification } from "./verification.ts";

/** Bytes of each subprogram, and of the worst chain. */
export interface StackBytes {
  readonly bytes: readonly number[];
  readonly chain: number;
}

/** Frames are rounded up to this, as compiled code does. */
const STEP = 16;

/** @throws {Refusal} when a chain takes more than the kernel allows, or a tail call happens below too much of it */
export function checkStacks(v: Verification): StackBytes {
  const { subprogs } = v.structure;
  const { callFrames, stackBytes, stackBytesAboveTailCall } = v.profile.limits;
  const bytes = [...v.stackBytes].map((depth) => Math.ceil(depth / 8) * 8);
  const rounded = bytes.map((depth) => Math.ceil(Math.max(depth, 1) / STEP) * STEP);
  let chain = 0;
  const walk = (subprog: number, above: number, frames: number): void => {
    if (v.functions.has(subprog) && frames === 0 && subprog !== 0) return;
    const { calls, callbacks, hasTailCall: makes } = subprogs[subprog]!;
    if (frames > 0 && above >= stackBytesAboveTailCall && makes)
      throw new Refusal(Errno.EACCES, [
        `tail_calls are not allowed when call stack of previous frames is ${above} bytes. Too large`,
      ]);
    const here = above + rounded[subprog]!;
    chain = Math.max(chain, here);
    if (here > stackBytes)
      throw new Refusal(Errno.EACCES, [`combined stack size of ${frames + 1} calls is ${here}. Too large`]);
    for (const callee of [...calls, ...callbacks]) {
      if (frames + 1 >= callFrames)
        throw new Refusal(Errno.E2BIG, [`the call stack of ${frames + 2} frames is too deep !`]);
      walk(callee, here, frames + 1);
    }
  };
  walk(0, 0, 0);
  return { bytes, chain };
}
