// Facts for passes and lowerings, from every state that an instruction was seen in: what holds in all of them.
import { Fact, type InsnFacts, noFacts, PointerKind } from "../analysis/facts.ts";
import { inferFacts } from "../analysis/infer-facts.ts";
import { markUnusedUppers } from "../analysis/upper-halves.ts";
import type { Program, VerifiedProgram } from "../program.ts";
import { Refusal } from "./refusal.ts";
import { AUX, baseOf, fixedOf, REG_WORDS, SCALAR, Type } from "./register.ts";
import { ROWS } from "./rows.ts";
import { holds, isConstant, UMAX, UMAX32 } from "./scalar.ts";
import type { Verification } from "./verification.ts";

const KINDS: Readonly<Record<number, number>> = {
  [Type.CONTEXT]: PointerKind.CONTEXT,
  [Type.STACK]: PointerKind.STACK,
  [Type.MAP]: PointerKind.MAP,
  [Type.MAP_VALUE]: PointerKind.MAP_VALUE,
  [Type.PACKET]: PointerKind.PACKET,
};
/** Low three bits of the opcode: arithmetic of 32 bits. */
const ALU32 = 4;
/** Of a call's map argument: register by helper number. */
const MAP_ARGUMENT: ReadonlyMap<number, number> = new Map([
  [1, 1],
  [2, 1],
  [3, 1],
  [12, 2],
]);

export class FactCollector {
  readonly #facts: InsnFacts;
  readonly #seen: Uint8Array;
  /** By slot: the one before it, where that writes 32 bits of a register; else −1. */
  readonly #halfBefore: Int32Array;
  /** By slot: the register was seen behind it with its bit 31 clear (1), not known to be (2). */
  readonly #top: Uint8Array;
  readonly #ops: Int16Array;
  readonly #program: Program;

  constructor(program: Program, ops: Int16Array) {
    this.#facts = noFacts(program.insns.length);
    this.#seen = new Uint8Array(program.insns.length);
    this.#halfBefore = halvesBefore(program, ops);
    this.#top = new Uint8Array(program.insns.length);
    this.#ops = ops;
    this.#program = program;
  }

  /** The state before the current instruction. */
  see(v: Verification): void {
    const i = v.state.insn;
    const row = ROWS[this.#ops[i]!]!;
    const { insns } = v;
    const first = this.#seen[i] === 0;
    this.#seen[i] = 1;
    const r = v.frame.words;
    const half = this.#halfBefore[i]!;
    if (half >= 0) this.#seeTop(v, i, half);
    switch (row.kind) {
      case "div":
      case "shift": {
        const at = insns.src(i) * REG_WORDS;
        const imm = insns.imm(i);
        let flags = 0;
        if (row.kind === "shift") {
          const most = row.wide
            ? r[at + SCALAR + UMAX + 1] === 0
              ? r[at + SCALAR + UMAX]! >>> 0
              : 64
            : r[at + SCALAR + UMAX32]! >>> 0;
          if (row.immediate || most < (row.wide ? 64 : 32)) flags = Fact.SHIFT_IN_RANGE;
        } else {
          const can = (value: number): boolean =>
            row.immediate
              ? imm === value
              : row.wide
                ? holds(r, at + SCALAR, value, value >> 31)
                : canLow(r, at + SCALAR, value);
          if (!can(0)) flags |= Fact.DIVISOR_NONZERO;
          if (!can(-1)) flags |= Fact.DIVISOR_NOT_MINUS_ONE;
        }
        this.#meetFlags(i, flags, first);
        return;
      }
      case "load":
      case "loadSx":
      case "loadAcquire":
        this.#pointer(v, i, insns.src(i), first);
        return;
      case "store":
      case "storeImm":
      case "storeRelease":
      case "atomic":
        this.#pointer(v, i, insns.dst(i), first);
        return;
      case "callHelper":
      case "tailCall":
        this.#call(v, i, first);
        return;
      default:
    }
  }

  /** What the instruction before this one left in its register, by whatever way this state came here. */
  #seeTop(v: Verification, i: number, half: number): void {
    const dst = v.insns.dst(half);
    const r = v.frame.words;
    const at = dst * REG_WORDS;
    // Of a register that nobody reads, states that end paths need not hold the number.
    const isClear = (v.live[i]! >> dst) & 1 && r[at] === Type.SCALAR && r[at + SCALAR + UMAX32]! >= 0;
    this.#top[half]! |= isClear ? 1 : 2;
  }

  #meetFlags(i: number, flags: number, first: boolean): void {
    const column = this.#facts.flags;
    column[i] = first ? flags : column[i]! & flags;
  }

  #pointer(v: Verification, i: number, reg: number, first: boolean): void {
    const r = v.frame.words;
    const at = reg * REG_WORDS;
    const { facts } = this;
    const kind = KINDS[baseOf(r[at]!)] ?? PointerKind.UNKNOWN;
    const map = baseOf(r[at]!) === Type.MAP_VALUE ? r[at + AUX]! : 0;
    const isFixed = isConstant(r, at + SCALAR) && r[at + SCALAR + 1] === r[at + SCALAR]! >> 31;
    const place = (r[at + SCALAR]! + fixedOf(r, at) + v.insns.off(i)) | 0;
    const own = baseOf(r[at]!) !== Type.STACK || r[at + 4] === v.state.frames.length - 1;
    if (first) {
      facts.pointer[i] = own ? kind : PointerKind.UNKNOWN;
      facts.map[i] = map;
      facts.offset[i] = place;
      if (isFixed && own && kind !== PointerKind.UNKNOWN && kind !== PointerKind.PACKET)
        facts.flags[i]! |= Fact.OFFSET_KNOWN;
      return;
    }
    if (facts.pointer[i] !== kind || !own) facts.pointer[i] = PointerKind.UNKNOWN;
    if (facts.map[i] !== map) facts.map[i] = 0;
    if (!isFixed || !own || facts.offset[i] !== place || facts.pointer[i] === PointerKind.UNKNOWN) {
      facts.flags[i]! &= ~Fact.OFFSET_KNOWN;
      facts.offset[i] = 0;
    }
  }

  #call(v: Verification, i: number, first: boolean): void {
    const r = v.frame.words;
    const argument = MAP_ARGUMENT.get(v.insns.imm(i));
    if (argument === undefined) return;
    const { facts } = this;
    const map = r[argument * REG_WORDS] === Type.MAP ? r[argument * REG_WORDS + AUX]! : 0;
    let index: number | undefined;
    if (v.insns.imm(i) === 12) {
      const at = 3 * REG_WORDS + SCALAR;
      // A pointer is taken as an index, too, and its number is only where it points from its beginning on.
      const isNumber = r[3 * REG_WORDS] === Type.SCALAR;
      const isBelow = isNumber && map !== 0 && r[at + UMAX + 1] === 0 && r[at + UMAX]! >>> 0 < v.map(map).maxEntries;
      if (!isBelow) facts.flags[i]! &= ~Fact.INDEX_IN_RANGE;
      else if (first) facts.flags[i]! |= Fact.INDEX_IN_RANGE;
      if (isNumber && isConstant(r, at) && r[at + 1] === 0) index = r[at]!;
    } else if (
      map !== 0 &&
      v.map(map).keySize === 4 &&
      r[2 * REG_WORDS] === Type.STACK &&
      isConstant(r, 2 * REG_WORDS + SCALAR)
    ) {
      index = v.constantOnStack(2 * REG_WORDS, 4);
    }
    if (first) {
      facts.map[i] = map;
      if (index === undefined) return;
      facts.index[i] = index;
      facts.flags[i]! |= Fact.INDEX_KNOWN;
      return;
    }
    if (facts.map[i] !== map) facts.map[i] = 0;
    if (index === undefined || facts.index[i] !== (index | 0)) {
      facts.flags[i]! &= ~Fact.INDEX_KNOWN;
      facts.index[i] = 0;
    }
  }

  get facts(): InsnFacts {
    return this.#facts;
  }

  /** All columns, once every path has been walked. */
  finish(v: Verification): InsnFacts {
    const { insns } = this.#program;
    for (let i = 0; i < insns.length; i += insns.width(i)) {
      if (this.#seen[i] === 0) this.#facts.flags[i]! |= Fact.UNREACHABLE;
      if (ROWS[this.#ops[i]!]!.kind !== "jumpIf") continue;
      if (v.sides[i] === 1) this.#facts.flags[i]! |= Fact.ALWAYS_TAKEN;
      if (v.sides[i] === 2) this.#facts.flags[i]! |= Fact.NEVER_TAKEN;
    }
    for (let i = 0; i < insns.length; i++) if (this.#top[i] === 1) this.#facts.flags[i]! |= Fact.TOP_CLEAR;
    markUnusedUppers(insns, v.structure, this.#facts.flags);
    return this.#facts;
  }
}

function halvesBefore({ insns }: Program, ops: Int16Array): Int32Array {
  const before = new Int32Array(insns.length).fill(-1);
  for (let i = 0; i + 1 < insns.length; i += insns.width(i)) {
    const { kind } = ROWS[ops[i]!]!;
    if ((insns.code(i) & 7) === ALU32 && kind !== "end") before[i + 1] = i;
  }
  return before;
}

function canLow(r: Int32Array, x: number, value: number): boolean {
  return (
    value >>> 0 >= r[x + 12]! >>> 0 &&
    value >>> 0 <= r[x + 13]! >>> 0 &&
    value >= r[x + 14]! &&
    value <= r[x + 15]! &&
    ((r[x]! ^ value) & ~r[x + 2]!) === 0
  );
}

/** Flags that depend on numbers: where paths ended though such a number differed, they have not been seen in all states. */
const OF_NUMBERS =
  Fact.DIVISOR_NONZERO |
  Fact.DIVISOR_NOT_MINUS_ONE |
  Fact.SHIFT_IN_RANGE |
  Fact.INDEX_KNOWN |
  Fact.TOP_CLEAR |
  Fact.INDEX_IN_RANGE;

/**
 * The facts of an accepted program. Where some path ended at a state that differed in a number that no decision depended on, facts about
 * numbers come from a second walk that leaves nothing out, or, where that takes too long, from the flow analysis alone.
 */
export function factsOf(
  v: Verification,
  collector: FactCollector,
  trusted: VerifiedProgram,
  second: () => { readonly again: Verification; readonly run: () => void },
): InsnFacts {
  const facts = collector.finish(v);
  const inferred = inferFacts(trusted);
  let numbers: InsnFacts | undefined = facts;
  if (v.leftOut) {
    numbers = undefined;
    const { again, run } = second();
    const complete = new FactCollector(v.program, v.ops);
    again.watch = (at) => complete.see(at);
    try {
      run();
      numbers = complete.finish(again);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  for (let i = 0; i < facts.flags.length; i++) {
    const flags = (numbers?.flags[i] ?? 0) & OF_NUMBERS;
    facts.flags[i] = (facts.flags[i]! & ~OF_NUMBERS) | flags;
    facts.index[i] = (flags & Fact.INDEX_KNOWN) !== 0 ? numbers!.index[i]! : 0;
    const own = inferred.flags[i]! & OF_NUMBERS;
    if ((own & Fact.INDEX_KNOWN) !== 0 && (flags & Fact.INDEX_KNOWN) === 0) facts.index[i] = inferred.index[i]!;
    facts.flags[i]! |= own;
  }
  return facts;
}
