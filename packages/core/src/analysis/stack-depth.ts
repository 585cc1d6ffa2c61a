// How far below r10 one subprogram reaches: a forward flow of "r10 plus something" and of small numbers through registers and stack
// slots. A pointer to a caller's frame that comes in is followed as well.
import { kindOf, OPS, opAt } from "../isa/decode.ts";
import { helperById } from "../isa/helpers.ts";
import type { Insns } from "../isa/insns.ts";
import type { InsnKind } from "../isa/opcodes.ts";
import { targetOf } from "../isa/targets.ts";
import { type HelperSpec, mayWrite } from "../spec/helper-words.ts";
import {
  argument,
  atMost,
  type Bounds,
  belowOf,
  binary,
  bitsOf,
  constant,
  FRAME,
  isExact,
  isKnown,
  isPointer,
  join,
  lowOf,
  MAX_STACK,
  regionOf,
  SOMEWHERE,
  signExtend,
  sub,
  totalBits,
  truncate,
  UNKNOWN,
  unsigned,
  widen,
} from "./bounds.ts";
import { SlotQueue } from "./slot-queue.ts";

/** Bit of a mark that says that a slot is jumped to. */
const TARGET = 2;
/** r0..r10, and the one of passes. */
const REGISTERS = 12;
const SLOTS = MAX_STACK / 8;
/** Changes of a block's entry, and rounds over stack slots, after which values only widen. */
const PATIENCE = 16;
const MAX_ROUNDS = 3 * PATIENCE;

/** Register names and operation of each row, worked out once: `add64_imm` is [`add`, 64 bits, immediate]. */
interface Alu {
  readonly operation: string;
  readonly wide: boolean;
  readonly immediate: boolean;
}

const KIND: readonly InsnKind[] = OPS.map((_, op) => kindOf(op));
const ALU: readonly Alu[] = OPS.map((op) => ({
  operation: /^[a-z]+/.exec(op)![0],
  wide: /64/.test(op),
  immediate: op.endsWith("_imm"),
}));
/** Bytes that a load or store moves. */
const BYTES: readonly number[] = OPS.map((op) => Number(/\d+/.exec(op)?.[0] ?? 64) / 8);

/** Where pointers into the stack of this subprogram, or of its callers, went. */
export interface Passed {
  /** The subprogram that is called; -1 for those that helpers call back. */
  readonly callee: number;
  /** Register in which it gets the pointer, 1 to 5. */
  readonly arg: number;
  /** The argument that the pointer was made from; 0 for r10. */
  readonly from: number;
  /** Most bytes that it was below that. */
  below: number;
}

/** What {@link stackUseOf} finds. */
export interface StackUse {
  /** Most bytes below r10 that are touched, and below what came in r1..r5; at most 512. */
  readonly below: Int32Array;
  readonly passed: readonly Passed[];
  /** Instruction visits, at most a constant times the length. */
  readonly work: number;
}

/** Register in which a callback gets what its helper got for it. */
const CALLBACK_ARGUMENT: Readonly<Record<string, number>> = { loop: 2, for_each_map_elem: 4 };

/**
 * How far below r10 the subprogram in `start..end` reaches, and below those of its arguments that point into a caller's frame (bit
 * `i` of `pointers` for ri): the lowest address of an access, of a pointer that a call gets or that is put away. 512 where a pointer
 * is lost sight of.
 */
export function stackUseOf(
  insns: Insns,
  { start, end }: { readonly start: number; readonly end: number },
  marks: Uint8Array,
  subprogAt: (index: number) => number,
  pointers: number,
): StackUse {
  const flow = new Flow(insns, start, end, marks, subprogAt);
  flow.run(pointers);
  return { below: flow.below, passed: [...flow.passed.values()], work: flow.work };
}

class Flow {
  /** Bytes below r10, then below r1..r5 as they came in. */
  readonly below = new Int32Array(6);
  readonly passed = new Map<number, Passed>();
  work = 0;
  readonly #insns: Insns;
  readonly #start: number;
  readonly #end: number;
  readonly #marks: Uint8Array;
  readonly #subprogAt: (index: number) => number;
  /** Registers at the block being read, and at the entry of each block that was reached, by slot. */
  readonly #now = new Int32Array(REGISTERS);
  readonly #entries = new Map<number, { readonly state: Int32Array; changes: number; queued: boolean }>();
  readonly #queue = new SlotQueue();
  /** What was ever stored in each 8 bytes of stack; -1 where nothing was. */
  readonly #slots: Int32Array = new Int32Array(SLOTS).fill(-1);
  /** 1 for those that were read: a change of one of these starts another round. */
  readonly #read = new Uint8Array(SLOTS);
  #slotsChanged = false;
  #rounds = 0;

  constructor(insns: Insns, start: number, end: number, marks: Uint8Array, subprogAt: (index: number) => number) {
    this.#insns = insns;
    this.#start = start;
    this.#end = end;
    this.#marks = marks;
    this.#subprogAt = subprogAt;
  }

  run(pointers: number): void {
    this.#now.fill(UNKNOWN);
    for (let arg = 1; arg <= 5; arg++) if ((pointers >> arg) & 1) this.#now[arg] = argument(arg);
    this.#now[10] = FRAME;
    this.#enter(this.#start);
    for (;;) {
      for (let at = this.#queue.pop(); at >= 0; at = this.#queue.pop()) this.#block(at);
      if (!this.#slotsChanged) return;
      if (++this.#rounds > MAX_ROUNDS) {
        this.below.fill(MAX_STACK);
        return;
      }
      this.#slotsChanged = false;
      for (const [at, entry] of this.#entries) {
        entry.queued = true;
        this.#queue.push(at);
      }
    }
  }

  /** Merges the registers into a block's entry and queues it when that changed something. */
  #enter(at: number): void {
    if (at < this.#start || at >= this.#end) return;
    const entry = this.#entries.get(at);
    if (entry === undefined) {
      this.#entries.set(at, { state: this.#now.slice(), changes: 0, queued: true });
      this.#queue.push(at);
      return;
    }
    let changed = false;
    for (let r = 0; r < REGISTERS; r++) {
      const before = entry.state[r]!;
      let after = this.#join(before, this.#now[r]!);
      if (after === before) continue;
      if (entry.changes > PATIENCE) after = widen(before, after);
      entry.state[r] = after;
      changed = true;
    }
    if (!changed) return;
    entry.changes++;
    if (entry.queued) return;
    entry.queued = true;
    this.#queue.push(at);
  }

  #block(first: number): void {
    const insns = this.#insns;
    const entry = this.#entries.get(first)!;
    entry.queued = false;
    this.#now.set(entry.state);
    for (let i = first; i < this.#end; i += insns.width(i)) {
      if (i !== first && (this.#marks[i]! & TARGET) !== 0) {
        this.#enter(i);
        return;
      }
      this.work++;
      const op = opAt(insns, i);
      if (op < 0 || !this.#insn(i, op)) return;
    }
  }

  /** One instruction; false when nothing follows it. */
  #insn(i: number, op: number): boolean {
    const insns = this.#insns;
    const now = this.#now;
    const dst = insns.dst(i);
    const src = insns.src(i);
    switch (KIND[op]!) {
      case "alu":
      case "div":
      case "shift":
        now[dst] = this.#alu(i, ALU[op]!);
        break;
      case "mov": {
        const { wide, immediate } = ALU[op]!;
        if (immediate) now[dst] = constant(wide ? insns.imm(i) : insns.imm(i) >>> 0);
        else now[dst] = wide ? now[src]! : this.#moved(now[src]!, truncate(now[src]!));
        break;
      }
      case "movsx": {
        const moved = signExtend(now[src]!, insns.off(i) / 8);
        now[dst] = this.#moved(now[src]!, ALU[op]!.wide ? moved : truncate(moved));
        break;
      }
      case "neg": {
        const negated = isPointer(now[dst]!) ? SOMEWHERE : sub(constant(0), now[dst]!);
        now[dst] = this.#moved(now[dst]!, ALU[op]!.wide ? negated : truncate(negated));
        break;
      }
      case "end":
        now[dst] = this.#moved(now[dst]!, isPointer(now[dst]!) ? SOMEWHERE : unsigned(insns.imm(i)));
        break;
      case "addrSpaceCast":
        break;
      case "loadImm64": {
        const value = insns.imm64(i);
        now[dst] = src === 0 && value < 1n << 62n ? constant(Number(value)) : UNKNOWN;
        break;
      }
      case "load":
      case "loadAcquire":
        now[dst] = this.#load(now[src]!, insns.off(i), BYTES[op]!);
        break;
      case "loadSx": {
        const loaded = this.#load(now[src]!, insns.off(i), BYTES[op]!);
        now[dst] = signExtend(loaded, BYTES[op]!);
        break;
      }
      case "store":
      case "storeRelease":
        this.#store(now[dst]!, insns.off(i), BYTES[op]!, now[src]!);
        break;
      case "storeImm":
        this.#store(now[dst]!, insns.off(i), BYTES[op]!, constant(insns.imm(i)));
        break;
      case "atomic":
        this.#atomic(i, op);
        break;
      case "jumpIf":
        this.#jumpIf(i, op);
        break;
      case "mayGoto":
        this.#enter(targetOf(insns, i, op)!);
        break;
      case "jump":
        this.#enter(targetOf(insns, i, op)!);
        return false;
      case "gotox":
        this.below.fill(MAX_STACK); // where it goes is in a table that nothing here reads
        return false;
      case "exit":
        return false;
      case "packetLoad":
        this.#clobber();
        now[0] = unsigned(32);
        break;
      case "callSubprog": {
        const target = targetOf(insns, i, op)!;
        this.#call(undefined, target < 0 || target >= insns.length ? undefined : this.#subprogAt(target));
        break;
      }
      case "callHelper":
      case "tailCall":
        this.#call(helperById(insns.imm(i)));
        break;
      default:
        this.#call();
    }
    now[10] = FRAME;
    return true;
  }

  #alu(i: number, { operation, wide, immediate }: Alu): Bounds {
    const insns = this.#insns;
    const a = this.#now[insns.dst(i)]!;
    const b = immediate ? constant(wide ? insns.imm(i) : insns.imm(i) >>> 0) : this.#now[insns.src(i)]!;
    if (operation === "sub" && isPointer(b)) return UNKNOWN; // the distance of two pointers
    return this.#moved(b, this.#moved(a, wide ? binary(operation, a, b) : narrow(operation, a, b)));
  }

  /**
   * What has become of a value. A pointer into a caller's frame that moves to where nobody can say costs the caller all of its stack,
   * and is a number from then on.
   */
  #moved(from: Bounds, to: Bounds): Bounds {
    const region = regionOf(from);
    if (region === 0 || (regionOf(to) === region && isPointer(to))) return to;
    this.below[region] = MAX_STACK;
    return UNKNOWN;
  }

  /** Either of two values; pointers into different frames are both lost. */
  #join(a: Bounds, b: Bounds): Bounds {
    if (!isPointer(a) || !isPointer(b) || regionOf(a) === regionOf(b)) return join(a, b);
    for (const region of [regionOf(a), regionOf(b)]) if (region !== 0) this.below[region] = MAX_STACK;
    return SOMEWHERE;
  }

  /** Counts an access of `base + off`. */
  #touch(base: Bounds, off: number): void {
    if (!isPointer(base)) return;
    const region = regionOf(base);
    const below = isKnown(base) ? Math.min(MAX_STACK, belowOf(base) - off) : MAX_STACK;
    this.below[region] = Math.max(this.below[region]!, below);
  }

  /** A pointer is put where anybody can find it and come back with it. */
  #expose(value: Bounds): void {
    if (isPointer(value)) this.below[regionOf(value)] = MAX_STACK;
  }

  /** The slot that an access of 8 bytes hits exactly; -1 when there is no such one. */
  #slotOf(base: Bounds, off: number, bytes: number): number {
    const at = MAX_STACK + lowOf(base) + off;
    return isPointer(base) && isExact(base) && bytes === 8 && at % 8 === 0 && at >= 0 && at < MAX_STACK ? at / 8 : -1;
  }

  #load(base: Bounds, off: number, bytes: number): Bounds {
    this.#touch(base, off);
    const slot = this.#slotOf(base, off, bytes);
    if (slot < 0) return unsigned(8 * bytes);
    this.#read[slot] = 1;
    return this.#slots[slot] === -1 ? UNKNOWN : this.#slots[slot]!;
  }

  #store(base: Bounds, off: number, bytes: number, value: Bounds): void {
    this.#touch(base, off);
    const slot = this.#slotOf(base, off, bytes);
    if (slot >= 0) {
      this.#touch(value, 0); // who gets a pointer to this slot can follow it
      this.#keep(slot, value);
    } else if (isPointer(value)) this.#expose(value);
    else if (isPointer(base)) this.#spoil(base, off, bytes);
  }

  /** Bytes from `base + off` on hold what nobody knows. */
  #spoil(base: Bounds, off: number, bytes: number): void {
    if (!isKnown(base)) return; // the depth is 512 already
    const from = Math.max(0, (MAX_STACK + lowOf(base) + off) >> 3);
    const to = bitsOf(base) > 9 ? SLOTS : (MAX_STACK + lowOf(base) + 2 ** bitsOf(base) - 1 + off + bytes + 7) >> 3;
    for (let slot = from; slot < Math.min(to, SLOTS); slot++) if (this.#slots[slot] !== -1) this.#keep(slot, UNKNOWN);
  }

  #keep(slot: number, value: Bounds): void {
    const before = this.#slots[slot]!;
    let after = before === -1 ? value : this.#join(before, value);
    if (after === before) return;
    if (this.#rounds > PATIENCE && before !== -1) after = widen(before, after);
    this.#slots[slot] = after;
    if (this.#read[slot] === 1) this.#slotsChanged = true;
  }

  #atomic(i: number, op: number): void {
    const insns = this.#insns;
    const base = this.#now[insns.dst(i)]!;
    const bytes = BYTES[op]!;
    this.#touch(base, insns.off(i));
    this.#expose(this.#now[insns.src(i)]!);
    if (isPointer(base)) this.#spoil(base, insns.off(i), bytes);
    const name = OPS[op]!;
    if (name.startsWith("cmpxchg")) this.#now[0] = unsigned(8 * bytes);
    else if (name.startsWith("xchg") || name.includes("fetch")) this.#now[insns.src(i)] = unsigned(8 * bytes);
  }

  /** A call of a helper, or of a subprogram; with five arguments of any kind when nothing is known about it. */
  #call(helper?: HelperSpec, callee?: number): void {
    const args = helper?.args;
    for (let arg = 1; arg <= (args?.length ?? 5); arg++) {
      const value = this.#now[arg]!;
      if (!isPointer(value)) continue;
      this.#touch(value, 0);
      const use = args?.[arg - 1];
      if (use === undefined || mayWrite(use)) this.#spoil(value, 0, MAX_STACK);
      if (callee !== undefined) this.#pass(value, callee, arg);
      else if (use === "stack?") this.#passBack(value, CALLBACK_ARGUMENT[helper!.name]);
    }
    this.#clobber();
  }

  #passBack(value: Bounds, arg: number | undefined): void {
    if (arg === undefined) this.#expose(value);
    else this.#pass(value, -1, arg);
  }

  #pass(value: Bounds, callee: number, arg: number): void {
    const from = regionOf(value);
    const below = isKnown(value) ? belowOf(value) : MAX_STACK;
    const key = (callee * 8 + arg) * 8 + from;
    const known = this.passed.get(key);
    if (known === undefined) this.passed.set(key, { callee, arg, from, below });
    else known.below = Math.max(known.below, below);
  }

  #clobber(): void {
    this.#now.fill(UNKNOWN, 0, 6);
  }

  /** Enters the target, and goes on behind it, with what the comparison with a constant tells about the register on each side. */
  #jumpIf(i: number, op: number): void {
    const insns = this.#insns;
    const now = this.#now;
    const dst = insns.dst(i);
    const target = targetOf(insns, i, op)!;
    const { operation, wide, immediate } = ALU[op]!;
    const limit = immediate ? insns.imm(i) : -1;
    const before = now[dst]!;
    // A 32-bit comparison tells about the register only when nothing is above its 32 bits; a signed one when the sign is clear.
    const bits = totalBits(before);
    const signed = operation.startsWith("js");
    const tells = limit >= 0 && !isPointer(before) && (wide || bits <= (signed ? 31 : 32)) && (!signed || bits <= 63);
    if (!tells) {
      this.#enter(target);
      return;
    }
    const [taken, fallen] = LIMITS[operation] ?? [];
    now[dst] = taken === undefined ? before : atMost(before, Math.max(0, limit + taken));
    if (operation === "jeq") now[dst] = constant(limit);
    this.#enter(target);
    now[dst] = fallen === undefined ? before : atMost(before, Math.max(0, limit + fallen));
    if (operation === "jne") now[dst] = constant(limit);
  }
}

/** An operation of 32 bits. */
function narrow(operation: string, a: Bounds, b: Bounds): Bounds {
  const isShift = operation === "lsh" || operation === "rsh" || operation === "arsh";
  const right = isShift && isExact(b) ? constant(lowOf(b) & 31) : truncate(b);
  return truncate(binary(operation, truncate(a), right));
}

/** By comparison: what to add to the constant for the greatest value on the taken side, and on the other. */
const LIMITS: Readonly<Record<string, readonly [taken: number | undefined, fallen: number | undefined]>> = {
  jgt: [undefined, 0],
  jge: [undefined, -1],
  jlt: [-1, undefined],
  jle: [0, undefined],
  jsgt: [undefined, 0],
  jsge: [undefined, -1],
  jslt: [-1, undefined],
  jsle: [0, undefined],
};
