// Which writes of 32 bits leave an upper half that nobody reads: a backward flow of one bit a register.
import { kindOf, OPS, opAt } from "../isa/decode.ts";
import type { Insns } from "../isa/insns.ts";
import type { InsnKind } from "../isa/opcodes.ts";
import { targetOf } from "../isa/targets.ts";
import { Fact } from "./facts.ts";
import { Mark, type Structure } from "./structure.ts";

const MAX_SWEEPS = 8;
const [FETCH, CMPXCHG, LOAD_ACQUIRE] = [0x01, 0xf1, 0x100];
const ARGUMENTS = 0b11_1110;
const CALLED = 0b11_1111;

const KIND: readonly InsnKind[] = OPS.map((_, op) => kindOf(op));
const NARROW: readonly boolean[] = OPS.map((op) => /32/.test(op));
const IMMEDIATE: readonly boolean[] = OPS.map((op) => op.endsWith("_imm"));
/** Loads and stores whose register counts with all its bits. */
const WHOLE: readonly boolean[] = OPS.map((op) => /64/.test(op));

/** Sets `UPPER_UNUSED`. Linear: where loops take more than a few sweeps, nothing is said. */
export function markUnusedUppers(insns: Insns, structure: Structure, flags: Uint16Array): void {
  const { marks } = structure;
  /** Registers whose upper half is read before it is written, by slot. */
  const live = new Uint16Array(insns.length + 1);
  live[insns.length] = 0xffff;
  let changed = true;
  for (let sweep = 0; changed; sweep++) {
    if (sweep === MAX_SWEEPS) return;
    changed = false;
    for (let at = insns.length - 1; at >= 0; at--) {
      if ((marks[at]! & Mark.START) === 0) continue;
      const op = opAt(insns, at);
      const before = op < 0 ? 0xffff : transfer(insns, at, op, after(insns, at, op, live));
      if (before === live[at]) continue;
      live[at] = before;
      changed = true;
    }
  }
  for (let at = 0; at < insns.length; at++) {
    if ((marks[at]! & Mark.START) === 0) continue;
    const op = opAt(insns, at);
    const register = op < 0 ? -1 : narrowWrite(insns, at, op);
    if (register >= 0 && ((after(insns, at, op, live) >> register) & 1) === 0) flags[at]! |= Fact.UPPER_UNUSED;
  }
}

/** Live after an instruction: before the next one, and before where it jumps. */
function after(insns: Insns, at: number, op: number, live: Uint16Array): number {
  const kind = KIND[op]!;
  if (kind === "exit") return 0;
  if (kind === "gotox") return 0xffff;
  const next = live[Math.min(at + insns.width(at), insns.length)]!;
  if (kind !== "jump" && kind !== "jumpIf" && kind !== "mayGoto") return next;
  const target = targetOf(insns, at, op)!;
  const there = target >= 0 && target < insns.length ? live[target]! : 0xffff;
  return kind === "jump" ? there : next | there;
}

/** The register of which an instruction writes 32 bits; -1 when there is none. */
function narrowWrite(insns: Insns, at: number, op: number): number {
  switch (KIND[op]!) {
    case "alu":
    case "div":
    case "shift":
    case "neg":
    case "mov":
      return NARROW[op]! ? insns.dst(at) : -1;
    case "movsx":
      return (insns.code(at) & 7) === 4 ? insns.dst(at) : -1;
    case "load":
    case "loadAcquire":
      return WHOLE[op]! ? -1 : insns.dst(at);
    case "atomic":
      if (WHOLE[op]! || (insns.imm(at) & FETCH) === 0) return -1;
      return insns.imm(at) === CMPXCHG ? 0 : insns.src(at);
    default:
      return -1;
  }
}

function transfer(insns: Insns, at: number, op: number, after: number): number {
  const dst = 1 << insns.dst(at);
  const src = 1 << insns.src(at);
  const operand = IMMEDIATE[op]! ? 0 : src;
  const narrow = NARROW[op]!;
  switch (KIND[op]!) {
    case "alu":
    case "div":
    case "shift":
      // A narrow one reads and writes the low half; the upper becomes 0.
      return narrow ? after & ~dst : after | dst | operand;
    case "neg":
      return narrow ? after & ~dst : after | dst;
    case "mov":
      return narrow ? after & ~dst : (after & ~dst) | operand;
    case "movsx":
    case "loadImm64":
      return after & ~dst;
    case "addrSpaceCast":
      return (after & ~dst) | src;
    case "end":
      return insns.imm(at) === 64 ? after | dst : after & ~dst;
    case "load":
    case "loadSx":
    case "loadAcquire":
      return (after & ~dst) | src;
    case "store":
    case "storeRelease":
      return after | dst | (WHOLE[op]! ? src : 0);
    case "storeImm":
      return after | dst;
    case "atomic": {
      const fetches = (insns.imm(at) & FETCH) !== 0 && insns.imm(at) !== LOAD_ACQUIRE;
      const written = !fetches ? 0 : insns.imm(at) === CMPXCHG ? 1 : src;
      return (after & ~written) | dst | (WHOLE[op]! ? src | (insns.imm(at) === CMPXCHG ? 1 : 0) : 0);
    }
    case "jumpIf":
      return narrow ? after : after | dst | operand;
    case "callHelper":
    case "tailCall":
    case "callSubprog":
    case "callKfunc":
      return (after & ~CALLED) | ARGUMENTS;
    case "callx":
      return (after & ~CALLED) | ARGUMENTS | dst;
    case "packetLoad":
      return (after & ~CALLED) | (1 << 6) | src;
    case "exit":
      return 1;
    case "jump":
    case "mayGoto":
      return after;
    default:
      return 0xffff;
  }
}
