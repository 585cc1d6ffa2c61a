// Pass: the divisors that hardware treats in ways of its own are taken care of before the division. Linux does this on all machines.
import { Fact } from "../analysis/facts.ts";
import { AX } from "../isa/insns.ts";
import type { PatchList } from "../patch/list.ts";
import type { Pass } from "../patch/patch.ts";
import { BY_REGISTER, isDivision, isModulo, isWide, op } from "./words.ts";

/** x / 0 is 0, x % 0 is x, x / −1 is −x and x % −1 is 0: explicitly, so that no division has to know. */
export const guardDivision: Pass = {
  name: "guard-division",
  run(list) {
    for (const at of list) {
      const code = list.code(at);
      if (!isDivision(code) && !isModulo(code)) continue;
      const signed = list.off(at) !== 0;
      if ((code & BY_REGISTER) === 0) {
        if (signed && list.imm(at) === -1) list.inherit(list.replace(at, byMinusOne(list, at)), at);
        continue;
      }
      const harmless = Fact.DIVISOR_NONZERO | (signed ? Fact.DIVISOR_NOT_MINUS_ONE : 0);
      if ((list.flags(at) & harmless) === harmless || list.src(at) === AX) continue;
      const [before, after] = signed ? signedGuard(list, at) : unsignedGuard(list, at);
      const division = list.replace(at, [...before, ...list.words(at), ...after]) + before.length / 2;
      list.inherit(division, at);
      list.record(division, harmless);
    }
  },
};

type Guard = readonly [before: readonly number[], after: readonly number[]];

function byMinusOne(list: PatchList, at: number): readonly number[] {
  const dst = list.dst(at);
  if (isModulo(list.code(at))) return op("mov32_imm", { dst });
  return op(isWide(list.code(at)) ? "neg64" : "neg32", { dst });
}

function unsignedGuard(list: PatchList, at: number): Guard {
  const code = list.code(at);
  const [dst, src] = [list.dst(at), list.src(at)];
  if (isDivision(code)) {
    const jne = isWide(code) ? "jne64_imm" : "jne32_imm";
    return [[...op(jne, { dst: src, off: 2 }), ...op("xor32_reg", { dst, src: dst }), ...op("ja", { off: 1 })], []];
  }
  if (isWide(code)) return [op("jeq64_imm", { dst: src, off: 1 }), []];
  return [op("jeq32_imm", { dst: src, off: 2 }), [...op("ja", { off: 1 }), ...op("mov32_reg", { dst, src: dst })]];
}

/** The divisor plus one, in the hidden register, tells both at once: it is 1 for 0 and 0 for −1. */
function signedGuard(list: PatchList, at: number): Guard {
  const code = list.code(at);
  const wide = isWide(code);
  const [dst, src] = [list.dst(at), list.src(at)];
  const [add, jgt, jeq] = wide
    ? (["add64_imm", "jgt64_imm", "jeq64_imm"] as const)
    : (["add32_imm", "jgt32_imm", "jeq32_imm"] as const);
  const next = [...op("mov64_reg", { dst: AX, src }), ...op(add, { dst: AX, imm: 1 })];
  if (isDivision(code)) {
    return [
      [
        ...next,
        ...op(jgt, { dst: AX, imm: 1, off: 4 }),
        ...op(jeq, { dst: AX, off: 1 }),
        ...op(wide ? "mov64_imm" : "mov32_imm", { dst }),
        ...op(wide ? "neg64" : "neg32", { dst }),
        ...op("ja", { off: 1 }),
      ],
      [],
    ];
  }
  const skip = [...op("mov32_imm", { dst }), ...op("ja", { off: 1 })];
  return [
    [...next, ...op(jgt, { dst: AX, imm: 1, off: 3 }), ...op(jeq, { dst: AX, imm: 1, off: wide ? 3 : 4 }), ...skip],
    wide ? [] : [...op("ja", { off: 1 }), ...op("mov32_reg", { dst, src: dst })],
  ];
}
