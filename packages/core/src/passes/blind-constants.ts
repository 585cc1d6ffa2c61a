// Pass: no number that a program chose stands in its code (JIT spraying); what Linux does with net.core.bpf_jit_harden.
import { Fact } from "../analysis/facts.ts";
import { AX } from "../isa/insns.ts";
import { INSNS } from "../isa/opcodes.ts";
import type { PatchList } from "../patch/list.ts";
import type { Pass } from "../patch/patch.ts";
import {
  BY_REGISTER, hasOperandNumber, isConditional, isDivision, isModulo, isMove, isStoreNumber, isWide, op,
} from "./words.ts"; // biome-ignore format: names

/**
 * A number K becomes `K ^ r` and `r` for a random r, which meet in the hidden register. Counts of bits, distances and byte swaps stay, and
 * what uses that register already. `random` gives 32 bits, anew at each call.
 *
 * @example
 * ```ts
 * import { assemble, blindConstants, formatProgram, patch, verified } from "@bpfkit/core";
 * const blinded = patch(verified(assemble("r0 = 42\nexit")), [blindConstants(() => 0x1234)]);
 * console.log(formatProgram(blinded.program)); // r11 = 4638; r11 ^= 4660; r0 = r11; exit
 * ```
 */
export function blindConstants(random: () => number): Pass {
  return {
    name: "blind-constants",
    run(list) {
      for (const at of list) {
        if (list.dst(at) === AX || list.src(at) === AX) continue;
        const code = list.code(at);
        if (hasOperandNumber(code)) blindOperand(list, at, random() | 0);
        else if (isConditional(code) && (code & BY_REGISTER) === 0) blindComparison(list, at, random() | 0);
        else if (isStoreNumber(code)) blindStore(list, at, random() | 0);
        else if (code === INSNS.lddw.code && list.src(at) === 0) blindLoad(list, at, random() | 0, random() | 0);
      }
    },
  };
}

/** AX = K. */
function hidden(wide: boolean, number: number, random: number): readonly number[] {
  return [
    ...op(wide ? "mov64_imm" : "mov32_imm", { dst: AX, imm: number ^ random }),
    ...op(wide ? "xor64_imm" : "xor32_imm", { dst: AX, imm: random }),
  ];
}

/** The instruction with the hidden register for its number. */
function byHidden(list: PatchList, at: number): readonly number[] {
  const registers = list.code(at) | BY_REGISTER | (list.dst(at) << 8) | (AX << 12);
  return [registers | (list.off(at) << 16), 0];
}

function blindOperand(list: PatchList, at: number, random: number): void {
  const code = list.code(at);
  const dst = list.dst(at);
  const number = list.imm(at);
  if (isMove(code) && number === 0) {
    list.inherit(list.replace(at, op("xor64_reg", { dst, src: dst })), at);
    return;
  }
  const last = list.replace(at, [...hidden(isWide(code), number, random), ...byHidden(list, at)]) + 2;
  list.inherit(last, at);
  if (isDivision(code) || isModulo(code)) {
    const notZero = number === 0 ? 0 : Fact.DIVISOR_NONZERO;
    list.record(last, notZero | (number === -1 ? 0 : Fact.DIVISOR_NOT_MINUS_ONE));
  }
}

function blindComparison(list: PatchList, at: number, random: number): void {
  const target = list.target(at)!;
  const wide = isWide(list.code(at));
  const last = list.replace(at, [...hidden(wide, list.imm(at), random), ...byHidden(list, at)]) + 2;
  list.aim(last, target);
  list.inherit(last, at);
}

function blindStore(list: PatchList, at: number, random: number): void {
  const store = list.code(at) | 1; // from the class of numbers, 2, to that of registers, 3
  const words = [store | (list.dst(at) << 8) | (AX << 12) | (list.off(at) << 16), 0];
  const last = list.replace(at, [...hidden(true, list.imm(at), random), ...words]) + 2;
  list.inherit(last, at);
}

function blindLoad(list: PatchList, at: number, random: number, other: number): void {
  const dst = list.dst(at);
  list.replace(at, [
    ...hidden(true, list.imm(at + 1), random),
    ...op("lsh64_imm", { dst: AX, imm: 32 }),
    ...op("mov64_reg", { dst, src: AX }),
    ...hidden(false, list.imm(at), other),
    ...op("or64_reg", { dst, src: AX }),
  ]);
}
