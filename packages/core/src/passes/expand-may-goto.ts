// Pass: the counter of a frame's `may_goto`s becomes a slot of its stack, as in Linux without timed ones.
import { structureOf } from "../analysis/structure.ts";
import { AX } from "../isa/insns.ts";
import { MAY_GOTO_PASSES } from "../isa/semantics.ts";
import type { Pass } from "../patch/patch.ts";
import { isMayGoto, op } from "./words.ts";

const FP = 10;
const MAX_STACK = 512;

/** Load, test, count and store in place of each `may_goto`. A subprogram whose stack is full keeps its own. */
export const expandMayGoto: Pass = {
  name: "expand-may-goto",
  run(list) {
    const { subprogs, subprogAt } = structureOf(list.program);
    const slots = subprogs.map(({ stackDepth }) => (stackDepth < MAX_STACK ? -stackDepth - 8 : 0));
    let [current, entry, counted] = [-1, -1, false];
    for (const at of list) {
      const subprog = subprogAt(list.origin(at));
      if (subprog !== current) [current, entry, counted] = [subprog, at, false];
      const off = slots[subprog]!;
      if (!isMayGoto(list.code(at)) || off === 0) continue;
      if (!counted) list.prepend(entry, op("store64_imm", { dst: FP, off, imm: MAY_GOTO_PASSES }));
      counted = true;
      const taken = list.target(at)!;
      const first = list.replace(at, [
        ...op("load64", { dst: AX, src: FP, off }),
        ...op("jeq64_imm", { dst: AX }),
        ...op("sub64_imm", { dst: AX, imm: 1 }),
        ...op("store64_reg", { dst: FP, src: AX, off }),
      ]);
      list.aim(first + 1, taken);
    }
  },
};
