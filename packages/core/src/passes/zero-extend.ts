// Pass: clears the upper halves of registers in plain sight, for machines that do not do it by themselves.
import { Fact } from "../analysis/facts.ts";
import type { PatchList } from "../patch/list.ts";
import { writesHalf } from "../patch/metadata.ts";
import type { Pass } from "../patch/patch.ts";
import { BY_REGISTER, isMove, op } from "./words.ts";

/** `wX = wX` behind what writes 32 bits of a register that somebody may read in full. */
export const zeroExtend: Pass = {
  name: "zero-extend",
  run(list) {
    for (const at of list) {
      if ((list.flags(at) & Fact.UPPER_UNUSED) !== 0) continue;
      const register = writtenHalf(list, at);
      if (register < 0) continue;
      const first = list.replace(at, [...list.words(at), ...op("mov32_reg", { dst: register, src: register })]);
      list.inherit(first, at);
      list.record(first, Fact.UPPER_UNUSED);
    }
  },
};

const [CLASS_LD, CLASS_STX] = [0, 3];
const CMPXCHG = 0xf1;

/**
 * The register of which an instruction writes 32 bits; -1 where there is none. A packet load gives what a call gave, in full, and a
 * 32-bit move between registers is the very instruction that would follow it.
 */
function writtenHalf(list: PatchList, at: number): number {
  const code = list.code(at);
  if (!writesHalf(list.word(at), list.imm(at)) || (code & 7) === CLASS_LD) return -1;
  if (isMove(code) && (code & BY_REGISTER) !== 0 && list.off(at) === 0) return -1;
  if ((code & 7) !== CLASS_STX) return list.dst(at);
  const operation = list.imm(at);
  return operation === CMPXCHG ? 0 : isLoadAcquire(operation) ? list.dst(at) : list.src(at);
}

const isLoadAcquire = (operation: number): boolean => operation === 0x100;
