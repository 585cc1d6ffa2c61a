// Pass: what never runs, and what does nothing when it runs, goes. The verifier of Linux ends with this.
import { Fact } from "../analysis/facts.ts";
import type { PatchList } from "../patch/list.ts";
import type { Pass } from "../patch/patch.ts";
import { isConditional, isGoto, isMayGoto, op } from "./words.ts";

/** Jumps whose outcome is known are wired to it, instructions that nothing reaches are deleted, and then jumps to what follows them. */
export const removeDeadCode: Pass = {
  name: "remove-dead-code",
  run(list) {
    for (const at of list) {
      const flags = list.flags(at);
      if ((flags & (Fact.UNREACHABLE | Fact.NEVER_TAKEN)) !== 0) list.delete(at);
      else if ((flags & Fact.ALWAYS_TAKEN) !== 0) {
        const target = list.target(at)!;
        list.aim(list.replace(at, op("ja")), target);
      }
    }
    // From the end, so that of jumps that only jump over each other the last goes first.
    for (const at of [...list].reverse()) if (isIdle(list, at)) list.delete(at);
    // Later passes may put something before what follows; jumps are to pass over it.
    for (const at of list) {
      if (isJump(list.code(at)) && list.standing(list.target(at)!) < 0) list.aim(at, landing(list, at));
    }
  },
};

/** Whether a jump leads to what follows it in any case. */
function isIdle(list: PatchList, at: number): boolean {
  const code = list.code(at);
  return (isGoto(code) || isMayGoto(code)) && landing(list, at) === list.next(at);
}

const isJump = (code: number): boolean => isConditional(code) || isGoto(code) || isMayGoto(code);

/** The node that a jump leads to now. */
function landing(list: PatchList, at: number): number {
  const target = list.target(at)!;
  const standing = list.standing(target);
  return standing >= 0 ? standing : list.next(target);
}
