// Pass: what never runs, and what does nothing when it runs, goes. The verifier of Linux ends with this.
import { Fact } from "../analysis/facts.ts";
import type { PatchList } from "../patch/list.ts";
import type { Pass } from "../patch/patch.ts";
import { isGoto, isMayGoto, op } from "./words.ts";

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
  },
};

/** Whether a jump leads to what follows it in any case. */
function isIdle(list: PatchList, at: number): boolean {
  const code = list.code(at);
  return (isGoto(code) || isMayGoto(code)) && list.landing(list.target(at)!) === list.next(at);
}
