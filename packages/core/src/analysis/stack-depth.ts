// How far below r10 a subprogram reaches: a forward flow of "r10 plus something" and of small numbers through registers and stack slots.
import { kindOf, OPS, opAt } from "../isa/decode.ts";
import { type HelperArg, helperById } from "../isa/helpers.ts";
import type { Insns } from "../isa/insns.ts";
import type { InsnKind } from "../isa/opcodes.ts";
import { targetOf } from "../isa/targets.ts";
import {
  atMost,
  type Bounds,
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
  SOMEWHERE,
  signExtend,
  sub,
  totalBits,
  truncate,
  UNKNOWN,
  unsigned,
  widen,
} from "./bounds.ts";

/** Bit of a mark that says that a slot is jumped to. */
const TARGET = 2;
const REGISTERS = 11;
const SLOTS = MAX_STACK / 8;
/** Changes of a block's entry, and rounds over stack slots, after which values only widen. */
const PATIENCE = 16;
const MAX_ROUNDS = 3 * PATIENCE;

/** Arguments that a helper only reads memory through, or does not use as an address. */
const READ_ONLY: ReadonlySet<HelperArg> = new Set<HelperArg>([
  "any",
  "context",
  "in",
  "in?",
  "key",
  "map",
  "size",
  "string",
  "value",
]);

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

/**
 * Bytes below r10 that the subprogram in `start..end` can touch, a multiple of 8: the lowest address of an access, or of a pointer
 * that a call gets. 512 where a pointer is lost sight of. `work` counts instruction visits, at most a constant times its length.
 */
export function stackDepthOf(
  insns: Insns,
  start: number,
  end: number,
  marks: Uint8Array,
): { readonly bytes: number; readonly work: number } {
  const flow = new Flow(insns, start, end, marks);
  flow.run();
  return { bytes: Math.min(MAX_STACK, (flow.depth + 7) & -8), work: flow.work };
}

class Flow {
  depth = 0;
  work = 0;
  readonly #insns: Insns;
  readonly #start: number;
  readonly #end: number;
  readonly #marks: Uint8Array;
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

  constructor(insns: Insns, start: number, end: number, marks: Uint8Array) {
    this.#insns = insns;
    this.#start = start;
    this.#end = end;
    this.#marks = marks;
  }

  run(): void {
    this.#now.fill(UNKNOWN);
    this.#now[10] = FRAME;
    this.#enter(this.#start);
    for (;;) {
      for (let at = this.#queue.pop(); at >= 0 && this.depth < MAX_STACK; at = this.#queue.pop()) this.#block(at);
      if (!this.#slotsChanged || this.depth >= MAX_STACK) return;
      if (++this.#rounds > MAX_ROUNDS) {
        this.depth = MAX_STACK;
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
      let after = join(before, this.#now[r]!);
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
        else now[dst] = wide ? now[src]! : truncate(now[src]!);
        break;
      }
      case "movsx": {
        const moved = signExtend(now[src]!, insns.off(i) / 8);
        now[dst] = ALU[op]!.wide ? moved : truncate(moved);
        break;
      }
      case "neg":
        now[dst] = isPointer(now[dst]!) ? SOMEWHERE : sub(constant(0), now[dst]!);
        if (!ALU[op]!.wide) now[dst] = truncate(now[dst]!);
        break;
      case "end":
        now[dst] = isPointer(now[dst]!) ? SOMEWHERE : unsigned(insns.imm(i));
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
        this.depth = MAX_STACK; // where it goes is in a table that nothing here reads
        return false;
      case "exit":
        return false;
      case "packetLoad":
        this.#clobber();
        now[0] = unsigned(32);
        break;
      default:
        this.#call(KIND[op] === "callHelper" || KIND[op] === "tailCall" ? helperById(insns.imm(i))?.args : undefined);
    }
    now[10] = FRAME;
    return true;
  }

  #alu(i: number, { operation, wide, immediate }: Alu): Bounds {
    const insns = this.#insns;
    const a = this.#now[insns.dst(i)]!;
    const b = immediate ? constant(wide ? insns.imm(i) : insns.imm(i) >>> 0) : this.#now[insns.src(i)]!;
    if (wide) return binary(operation, a, b);
    const isShift = operation === "lsh" || operation === "rsh" || operation === "arsh";
    const right = isShift && isExact(b) ? constant(lowOf(b) & 31) : truncate(b);
    return truncate(binary(operation, truncate(a), right));
  }

  /** Counts an access of `base + off`. */
  #touch(base: Bounds, off: number): void {
    if (!isPointer(base)) return;
    this.depth = Math.max(this.depth, isKnown(base) ? -(lowOf(base) + off) : MAX_STACK);
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
    if (slot >= 0) this.#keep(slot, value);
    else if (isPointer(value))
      this.depth = MAX_STACK; // it can come back from anywhere
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
    let after = before === -1 ? value : join(before, value);
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
    if (isPointer(this.#now[insns.src(i)]!)) this.depth = MAX_STACK;
    if (isPointer(base)) this.#spoil(base, insns.off(i), bytes);
    const name = OPS[op]!;
    if (name.startsWith("cmpxchg")) this.#now[0] = unsigned(8 * bytes);
    else if (name.startsWith("xchg") || name.includes("fetch")) this.#now[insns.src(i)] = unsigned(8 * bytes);
  }

  /** A call with these arguments; with five of any kind when nothing is known about it. */
  #call(args: readonly HelperArg[] | undefined): void {
    for (let arg = 0; arg < (args?.length ?? 5); arg++) {
      const value = this.#now[arg + 1]!;
      if (!isPointer(value)) continue;
      this.#touch(value, 0);
      if (args === undefined || !READ_ONLY.has(args[arg]!)) this.#spoil(value, 0, MAX_STACK);
    }
    this.#clobber();
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

/** Blocks to visit, least slot first: inner loops settle before what follows them. A binary heap. */
class SlotQueue {
  readonly #heap: number[] = [];

  push(slot: number): void {
    const heap = this.#heap;
    let at = heap.push(slot) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= slot) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = slot;
  }

  /** -1 when empty. */
  pop(): number {
    const heap = this.#heap;
    const top = heap[0];
    if (top === undefined) return -1;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
