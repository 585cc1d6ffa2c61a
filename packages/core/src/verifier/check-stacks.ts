// Bytes of stack along chains of calls, as they were found in use.
import { callSite } from "./check-structure.ts";
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
  const { insns, ops, structure } = v;
  const { subprogs } = structure;
  const { callFrames, stackBytes, stackBytesAboveTailCall } = v.profile.limits;
  const bytes = [...v.stackBytes].map((depth) => Math.ceil(depth / 8) * 8);
  const rounded = bytes.map((depth) => Math.ceil(depth / STEP) * STEP);
  let chain = 0;
  const refuse = (text: string, site: number | undefined, errno: number = Errno.EACCES): never => {
    throw new Refusal(errno, [text], undefined, site);
  };
  const walk = (subprog: number, above: number, frames: number, site: number | undefined): void => {
    if (v.functions.has(subprog) && frames === 0 && subprog !== 0) return;
    const { calls, callbacks, hasTailCall: makes } = subprogs[subprog]!;
    if (frames > 0 && above >= stackBytesAboveTailCall && makes)
      refuse(`tail_calls are not allowed when call stack of previous frames is ${above} bytes. Too large`, site);
    const here = above + rounded[subprog]!;
    chain = Math.max(chain, here);
    if (here > stackBytes) refuse(`combined stack size of ${frames + 1} calls is ${here}. Too large`, site);
    for (const callee of [...calls, ...callbacks]) {
      const call = callSite(insns, ops, structure, subprog, callee);
      if (frames + 1 >= callFrames)
        refuse(`the call stack of ${frames + (v.modern ? 2 : 1)} frames is too deep !`, call, Errno.E2BIG);
      walk(callee, here, frames + 1, call);
    }
  };
  walk(0, 0, 0, undefined);
  return { bytes, chain };
}
