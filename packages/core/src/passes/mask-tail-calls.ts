// Pass: a tail call's index cannot leave its array even where the CPU guesses; Linux does this for users without privileges.
import { Fact } from "../analysis/facts.ts";
import type { Pass } from "../patch/patch.ts";
import { callsHelper, op } from "./words.ts";

const TAIL_CALL = 12;
const INDEX = 3;

/** `if w3 >= max goto +2; w3 &= mask` before each tail call through a map that is known, unless the index is. The index has 32 bits; prog arrays have room up to the mask. */
export const maskTailCalls: Pass = {
  name: "mask-tail-calls",
  run(list) {
    for (const at of list) {
      const map = list.program.maps[(list.facts.map[at] ?? 0) - 1];
      if (!callsHelper(list, at, TAIL_CALL) || map === undefined) continue;
      if ((list.flags(at) & Fact.INDEX_KNOWN) !== 0 && list.facts.index[at]! >>> 0 < map.maxEntries) continue;
      const call = list.replace(at, [
        ...op("jge32_imm", { dst: INDEX, imm: map.maxEntries, off: 2 }),
        ...op("and32_imm", { dst: INDEX, imm: maskOf(map.maxEntries) }),
        ...list.words(at),
      ]);
      list.inherit(call + 2, at);
    }
  },
};

/** All ones up to the highest index. */
const maskOf = (entries: number): number => (entries > 1 ? 2 ** (32 - Math.clz32(entries - 1)) - 1 : 0) | 0;
