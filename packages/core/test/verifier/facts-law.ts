// The law of facts: what a verification promises of an instruction holds in every run.
import { Fact } from "../../src/analysis/facts.ts";
import { kindOf, opAt } from "../../src/isa/decode.ts";
import { targetOf } from "../../src/isa/targets.ts";
import type { VerifiedProgram } from "../../src/program.ts";

const TAIL_CALL = 12;
const BY_REGISTER = 8;

/** Holds the facts of a program against one run of it, asked before every instruction. */
export class FactFollower {
  readonly #verified: VerifiedProgram;
  #last = -1;

  constructor(verified: VerifiedProgram) {
    this.#verified = verified;
  }

  /** What is broken at the instruction `at`, with registers as halves, the low one first; undefined where all holds. */
  broken(at: number, registers: Int32Array): string | undefined {
    const last = this.#last;
    this.#last = at;
    const { facts, program } = this.#verified;
    if (facts === undefined) return undefined;
    const { insns } = program;
    const low = (reg: number): number => registers[2 * reg]!;
    const high = (reg: number): number => registers[2 * reg + 1]!;
    const flags = facts.flags[at]!;
    const fail = (insn: number, fact: string): string => `${fact} does not hold of instruction ${insn}`;
    if ((flags & Fact.UNREACHABLE) !== 0) return fail(at, "unreachable");
    if (last >= 0) {
      const before = facts.flags[last]!;
      const target = targetOf(insns, last, opAt(insns, last));
      if ((before & Fact.ALWAYS_TAKEN) !== 0 && at !== target) return fail(last, "always taken");
      if ((before & Fact.NEVER_TAKEN) !== 0 && at === target && target !== last + 1) return fail(last, "never taken");
      if ((before & Fact.TOP_CLEAR) !== 0 && low(insns.dst(last)) < 0) return fail(last, "top clear");
    }
    const kind = kindOf(opAt(insns, at));
    const byRegister = (insns.code(at) & BY_REGISTER) !== 0;
    const src = insns.src(at);
    const wide = (insns.code(at) & 7) === 7;
    if (kind === "div" && byRegister) {
      const is = (value: number): boolean => low(src) === value && (!wide || high(src) === value);
      if ((flags & Fact.DIVISOR_NONZERO) !== 0 && is(0)) return fail(at, "divisor nonzero");
      if ((flags & Fact.DIVISOR_NOT_MINUS_ONE) !== 0 && is(-1)) return fail(at, "divisor not minus one");
    }
    if (kind === "shift" && byRegister && (flags & Fact.SHIFT_IN_RANGE) !== 0) {
      const isBelow = low(src) >>> 0 < (wide ? 64 : 32) && (!wide || high(src) === 0);
      if (!isBelow) return fail(at, "shift in range");
    }
    if (kind === "tailCall" || (kind === "callHelper" && insns.imm(at) === TAIL_CALL)) {
      const size = program.maps[facts.map[at]! - 1]?.maxEntries ?? Number.POSITIVE_INFINITY;
      const isBelow = low(3) >>> 0 < size && high(3) === 0;
      if ((flags & Fact.INDEX_IN_RANGE) !== 0 && !isBelow) return fail(at, "index in range");
      if ((flags & Fact.INDEX_KNOWN) !== 0 && low(3) !== facts.index[at]) return fail(at, "index known");
    }
    return undefined;
  }
}
