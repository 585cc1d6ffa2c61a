// Facts from the program alone, until a verifier gives better ones: a forward flow of pointers and small numbers, and upper halves.
import { kindOf, OPS, opAt } from "../isa/decode.ts";
import { helperById } from "../isa/helpers.ts";
import type { Insns } from "../isa/insns.ts";
import type { InsnKind } from "../isa/opcodes.ts";
import { targetOf } from "../isa/targets.ts";
import type { Program, VerifiedProgram } from "../program.ts";
import { mayWrite } from "../spec/helper-words.ts";
import { Fact, type InsnFacts, noFacts, PointerKind } from "./facts.ts";
import { SlotQueue } from "./slot-queue.ts";
import { Mark, type Structure } from "./structure.ts";
import { markUnusedUppers } from "./upper-halves.ts";
import {
  ANY,
  binary,
  constant,
  decide,
  isConstant,
  isNonzero,
  isPointer,
  isRange,
  join,
  Kind,
  kindOfValue,
  lowHalf,
  mapOf,
  NONZERO32,
  offsetOf,
  pointer,
  range,
  refine,
  type Value,
} from "./values.ts";

/** r0..r10, and the one of passes. */
const REGISTERS = 12;
/** The second half of a value of 8 bytes. */
const WIDE: Value = { tag: 15, low: 0, high: 0 };
/** Changes of a block's entry after which bounds widen, and after which what changes becomes unknown. */
const [WIDEN, GIVE_UP] = [4, 12];
/** Above this many slots, the stack is not followed: each block keeps what its frame holds. */
const STACK_LIMIT = 1 << 15;
const [FETCH, CMPXCHG] = [0x01, 0xf1];
const [MAP_FD, MAP_FD_VALUE, MAP_IDX, MAP_IDX_VALUE] = [1, 2, 5, 6];
/** Offsets of packet pointers in the contexts of program types. */
const PACKET_FIELDS: Readonly<Record<string, readonly number[]>> = {
  xdp: [0, 4, 8],
  sched_cls: [76, 80, 140],
  sched_act: [76, 80, 140],
};

interface Row {
  readonly kind: InsnKind;
  /** `add`, `eq`, … */
  readonly operation: string;
  readonly wide: boolean;
  readonly immediate: boolean;
  readonly signed: boolean;
  /** Bytes that a load or store moves. */
  readonly bytes: number;
}

const ROWS: readonly Row[] = OPS.map((op, index) => {
  const kind = kindOf(index);
  const name = /^[a-z]+/.exec(op)![0];
  const signed = kind === "div" && name.startsWith("s");
  return {
    kind,
    operation: kind === "jumpIf" ? name.slice(1) : signed ? name.slice(1) : name,
    wide: /64/.test(op),
    immediate: op.endsWith("_imm"),
    signed,
    bytes: Number(/\d+/.exec(op)?.[0] ?? 64) / 8,
  };
});

/**
 * What can be told of each instruction from constants, from where pointers come from and from branches. A pointer kind says what an
 * address was computed from; with a known offset it is exact. Time is linear in the program, up to a constant for loops.
 */
export function inferFacts({ program, structure }: VerifiedProgram): InsnFacts {
  const facts = noFacts(program.insns.length);
  for (let at = 0; at < program.insns.length; at++) {
    if ((structure.marks[at]! & Mark.START) !== 0 && ROWS[opAt(program.insns, at)]?.kind === "gotox") return facts;
  }
  new Flow(program, structure, facts).run();
  markUnusedUppers(program.insns, structure, facts.flags);
  return facts;
}

interface Entry {
  readonly state: Value[];
  changes: number;
  queued: boolean;
}

class Flow {
  readonly #program: Program;
  readonly #insns: Insns;
  readonly #structure: Structure;
  readonly #facts: InsnFacts;
  readonly #entries = new Map<number, Entry>();
  readonly #queue = new SlotQueue();
  /** Registers, then every 4 bytes of the frame from its lowest; a value of 8 bytes stands in the first of its two, WIDE in the other. */
  #now: Value[] = [];
  /** Bytes of the frame that are followed. */
  #depth = 0;
  #recording = false;

  constructor(program: Program, structure: Structure, facts: InsnFacts) {
    this.#program = program;
    this.#insns = program.insns;
    this.#structure = structure;
    this.#facts = facts;
  }

  run(): void {
    this.#enterSubprog(0, [pointer(PointerKind.CONTEXT, 0)]);
    for (let at = this.#queue.pop(); at >= 0; at = this.#queue.pop()) this.#block(at);
    this.#recording = true;
    const { marks } = this.#structure;
    const { flags } = this.#facts;
    for (let at = 0; at < marks.length; at++) if ((marks[at]! & Mark.START) !== 0) flags[at]! |= Fact.UNREACHABLE;
    for (const at of this.#entries.keys()) this.#block(at);
  }

  #depthAt(at: number): number {
    if (this.#insns.length > STACK_LIMIT) return 0;
    return this.#structure.subprogs[this.#structure.subprogAt(at)]!.stackDepth;
  }

  #enterSubprog(start: number, args: readonly Value[]): void {
    if (this.#recording) return;
    const state: Value[] = new Array<Value>(REGISTERS + this.#depthAt(start) / 4).fill(ANY);
    for (const [index, value] of args.entries()) {
      state[1 + index] = kindOfValue(value) === PointerKind.STACK ? ANY : value;
    }
    state[10] = pointer(PointerKind.STACK, 0);
    this.#enter(start, state);
  }

  #enter(at: number, state: readonly Value[]): void {
    if (this.#recording || at < 0 || at >= this.#insns.length) return;
    const entry = this.#entries.get(at);
    if (entry === undefined) {
      this.#entries.set(at, { state: [...state], changes: 0, queued: true });
      this.#queue.push(at);
      return;
    }
    let changed = false;
    for (let i = 0; i < entry.state.length; i++) {
      const before = entry.state[i]!;
      if (before === ANY || before === state[i]) continue;
      let after = join(before, state[i] ?? ANY, entry.changes > WIDEN);
      if (after.tag === before.tag && after.low === before.low && after.high === before.high) continue;
      if (entry.changes > GIVE_UP) after = ANY;
      entry.state[i] = after;
      changed = true;
    }
    if (!changed) return;
    entry.changes++;
    if (entry.queued) return;
    entry.queued = true;
    this.#queue.push(at);
  }

  #block(first: number): void {
    const entry = this.#entries.get(first)!;
    entry.queued = false;
    this.#now = [...entry.state];
    this.#depth = this.#depthAt(first);
    const { marks } = this.#structure;
    for (let at = first; at < this.#insns.length; at += this.#insns.width(at)) {
      if (at !== first && (marks[at]! & (Mark.TARGET | Mark.SUBPROG)) !== 0) {
        this.#enter(at, this.#now);
        return;
      }
      if (this.#recording) this.#facts.flags[at]! &= ~Fact.UNREACHABLE;
      const op = opAt(this.#insns, at);
      if (op < 0 || !this.#insn(at, op)) return;
    }
  }

  #record(at: number, flag: number, holds = true): void {
    if (this.#recording && holds) this.#facts.flags[at]! |= flag;
  }

  /** One instruction; false when nothing follows it. */
  #insn(at: number, op: number): boolean {
    const insns = this.#insns;
    const now = this.#now;
    const row = ROWS[op]!;
    const dst = insns.dst(at);
    const src = insns.src(at);
    const operand = row.immediate ? constant(insns.imm(at)) : now[src]!;
    switch (row.kind) {
      case "div":
        this.#record(at, Fact.DIVISOR_NONZERO, isNonzero(operand, row.wide));
        this.#record(at, Fact.DIVISOR_NOT_MINUS_ONE, isRange(operand) && operand.low !== -1);
        now[dst] = row.signed ? ANY : binary(row.operation, now[dst]!, operand, row.wide);
        break;
      case "shift":
        this.#record(
          at,
          Fact.SHIFT_IN_RANGE,
          isRange(operand) && operand.low >= 0 && operand.high < (row.wide ? 64 : 32),
        );
        now[dst] = binary(row.operation, now[dst]!, operand, row.wide);
        break;
      case "alu":
        now[dst] = binary(row.operation, now[dst]!, operand, row.wide);
        break;
      case "mov":
        now[dst] = row.wide ? operand : lowHalf(operand);
        break;
      case "end":
        now[dst] = row.bytes === 2 ? range(0, 0xffff) : ANY;
        break;
      case "neg":
      case "movsx":
      case "addrSpaceCast":
        now[dst] = ANY;
        break;
      case "loadImm64":
        now[dst] = this.#loadImm64(at, src);
        break;
      case "load":
      case "loadSx":
      case "loadAcquire": {
        const address = now[src]!;
        this.#access(at, address, insns.off(at));
        const loaded = row.kind === "loadSx" ? ANY : this.#load(address, insns.off(at), row.bytes);
        now[dst] = loaded;
        break;
      }
      case "store":
      case "storeRelease":
      case "storeImm":
        this.#access(at, now[dst]!, insns.off(at));
        this.#store(now[dst]!, insns.off(at), row.bytes, row.kind === "storeImm" ? constant(insns.imm(at)) : now[src]!);
        break;
      case "atomic":
        this.#access(at, now[dst]!, insns.off(at));
        this.#store(now[dst]!, insns.off(at), row.bytes, ANY);
        if (insns.imm(at) === CMPXCHG) now[0] = ANY;
        else if ((insns.imm(at) & FETCH) !== 0) now[src] = ANY;
        break;
      case "jumpIf":
        return this.#branch(at, op, row, operand);
      case "mayGoto":
        this.#enter(targetOf(insns, at, op)!, now);
        break;
      case "jump":
        this.#enter(targetOf(insns, at, op)!, now);
        return false;
      case "callSubprog":
        this.#enterSubprog(targetOf(insns, at, op)!, now.slice(1, 6));
        this.#afterCall(ANY, false);
        break;
      case "callHelper":
      case "tailCall":
        this.#helper(at, insns.imm(at));
        break;
      case "callKfunc":
      case "callx":
      case "packetLoad":
        this.#afterCall(ANY, row.kind === "packetLoad");
        break;
      case "exit":
      case "gotox":
        return false;
    }
    return true;
  }

  #loadImm64(at: number, src: number): Value {
    const insns = this.#insns;
    const map = insns.imm(at) + 1;
    if (src === MAP_FD || src === MAP_IDX) return pointer(PointerKind.MAP, 0, map);
    if (src === MAP_FD_VALUE || src === MAP_IDX_VALUE) return pointer(PointerKind.MAP_VALUE, insns.imm(at + 1), map);
    if (src !== 0) {
      const start = at + 1 + insns.imm(at);
      if (src === 4 && start >= 0 && start < insns.length) this.#enterSubprog(start, []);
      return ANY;
    }
    const [low, high] = [insns.imm(at), insns.imm(at + 1)];
    if (high === low >> 31) return constant(low);
    return low !== 0 ? NONZERO32 : ANY;
  }

  #access(at: number, address: Value, off: number): void {
    if (!this.#recording || !isPointer(address)) return;
    const { pointer: kinds, offset, map } = this.#facts;
    kinds[at] = kindOfValue(address);
    map[at] = mapOf(address);
    const base = offsetOf(address);
    if (base === undefined) return;
    offset[at] = base + off;
    this.#record(at, Fact.OFFSET_KNOWN);
  }

  #branch(at: number, op: number, row: Row, operand: Value): boolean {
    const now = this.#now;
    const dst = this.#insns.dst(at);
    const value = now[dst]!;
    const verdict = decide(row.operation, value, operand, row.wide);
    this.#record(at, Fact.ALWAYS_TAKEN, verdict > 0);
    this.#record(at, Fact.NEVER_TAKEN, verdict < 0);
    if (verdict >= 0) {
      now[dst] = refine(row.operation, value, operand, row.wide, true);
      this.#enter(targetOf(this.#insns, at, op)!, now);
    }
    now[dst] = refine(row.operation, value, operand, row.wide, false);
    return verdict <= 0;
  }

  #helper(at: number, id: number): void {
    const now = this.#now;
    const spec = helperById(id);
    const { maps } = this.#program;
    let map = 0;
    for (const [index, arg] of (spec?.args ?? []).entries()) {
      const value = now[1 + index]!;
      if (arg === "map" && kindOfValue(value) === PointerKind.MAP) map = mapOf(value);
      if (!this.#recording) continue;
      if (arg === "key" && maps[map - 1]?.keySize === 4) this.#index(at, this.#load(value, 0, 4));
    }
    if (this.#recording) this.#facts.map[at] = map;
    if (spec?.name === "tail_call") this.#index(at, lowHalf(now[3]!));
    const harmless = spec !== undefined && !spec.args.some(mayWrite);
    const found = spec?.returns === "map-value?" && map !== 0;
    this.#afterCall(found ? { tag: Kind.MAP_VALUE_OR_NULL | (map << 5), low: 0, high: 0 } : ANY, harmless);
  }

  #index(at: number, index: Value): void {
    if (!this.#recording || !isConstant(index)) return;
    this.#facts.index[at] = index.low;
    this.#record(at, Fact.INDEX_KNOWN);
  }

  #afterCall(result: Value, keepsStack: boolean): void {
    this.#now.fill(ANY, 1, 6);
    this.#now[0] = result;
    if (!keepsStack) this.#now.fill(ANY, REGISTERS);
  }

  /** Index of the cell of a stack address; -1 when it is none that is followed. */
  #cell(address: Value, off: number, bytes: number): number {
    const base = kindOfValue(address) === PointerKind.STACK ? offsetOf(address) : undefined;
    if (base === undefined) return -1;
    const at = base + off + this.#depth;
    return at >= 0 && at + bytes <= this.#depth ? REGISTERS + (at >> 2) : -1;
  }

  #load(address: Value, off: number, bytes: number): Value {
    const kind = kindOfValue(address);
    const offset = offsetOf(address);
    if (kind === PointerKind.CONTEXT && offset !== undefined) {
      if (bytes === 4 && PACKET_FIELDS[this.#program.type]?.includes(offset + off))
        return pointer(PointerKind.PACKET, undefined);
    }
    const cell = this.#cell(address, off, bytes);
    if (cell >= 0 && ((offset! + off) & (bytes - 1)) === 0) {
      const value = this.#now[cell]!;
      if (bytes === 8 && this.#now[cell + 1] === WIDE) return value;
      if (bytes === 4 && isRange(value)) return lowHalf(value);
    }
    return bytes === 1 ? range(0, 0xff) : bytes === 2 ? range(0, 0xffff) : ANY;
  }

  #store(address: Value, off: number, bytes: number, value: Value): void {
    const now = this.#now;
    const kind = kindOfValue(address);
    const offset = offsetOf(address);
    if (kind !== PointerKind.STACK && kind !== Kind.ANY && offset !== undefined) {
      const size = kind === PointerKind.MAP_VALUE ? (this.#program.maps[mapOf(address) - 1]?.valueSize ?? 0) : 0;
      if (kind === PointerKind.CONTEXT || (offset + off >= 0 && offset + off + bytes <= size)) return;
    }
    const cell = this.#cell(address, off, bytes);
    if (cell < 0) {
      now.fill(ANY, REGISTERS);
      return;
    }
    const at = offset! + off;
    const first = REGISTERS + (((at + this.#depth) >> 3) << 1);
    const last = REGISTERS + (((at + bytes - 1 + this.#depth) >> 3) << 1) + 1;
    if ((at & (bytes - 1)) !== 0 || bytes < 4) {
      now.fill(ANY, first, last + 1);
    } else if (bytes === 8) {
      now[cell] = value;
      now[cell + 1] = WIDE;
    } else {
      if (now[first + 1] === WIDE) now.fill(ANY, first, first + 2);
      now[cell] = isRange(value) ? value : ANY;
    }
  }
}
