// Pass: looking up an element of an array takes no call, as in Linux.
import { MAP_TYPES } from "../isa/maps.ts";
import type { Pass } from "../patch/patch.ts";
import { callsHelper, op } from "./words.ts";

const MAP_LOOKUP_ELEM = 1;
/** Where the call has its arguments and its result. */
const [RESULT, MAP, KEY] = [0, 1, 2];

/** `map_lookup_elem` in an array that is known becomes a comparison and an address. Element 0 has the address of the array's value. */
export const inlineArrayLookup: Pass = {
  name: "inline-array-lookup",
  run(list) {
    for (const at of list) {
      const index = (list.facts.map[at] ?? 0) - 1;
      const map = list.program.maps[index];
      if (map?.type !== MAP_TYPES.array || !callsHelper(list, at, MAP_LOOKUP_ELEM)) continue;
      const stride = (map.valueSize + 7) & ~7;
      const shift = Math.log2(stride);
      const offset = Number.isInteger(shift)
        ? op("lsh64_imm", { dst: RESULT, imm: shift })
        : op("mul64_imm", { dst: RESULT, imm: stride });
      list.replace(at, [
        ...op("lddw_map_idx_value", { dst: MAP, imm: index }),
        ...op("load32", { dst: RESULT, src: KEY }),
        ...op("jge64_imm", { dst: RESULT, imm: map.maxEntries, off: 3 }),
        ...offset,
        ...op("add64_reg", { dst: RESULT, src: MAP }),
        ...op("ja", { off: 1 }),
        ...op("mov64_imm", { dst: RESULT }),
      ]);
    }
  },
};
