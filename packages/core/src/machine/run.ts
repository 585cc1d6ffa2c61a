// The run reading: values are bigints, registers an array, memory the guest's; docs/architecture.md, "One meaning, many readings".
import { enforceAssignment } from "./checked.ts";
import { Fault } from "./fault.ts";
import { Access, type Memory } from "./memory.ts";
import type { AtomicOp, Fence, Flow, Ops, Size } from "./ops.ts";
import type { TrapCause } from "./stop.ts";

const ONES = 0xffff_ffff_ffff_ffffn;

/** What a {@link Run} is made of. */
export interface RunOptions {
  readonly memory: Memory;
  /** Size of the register file, flags included. */
  readonly registers: number;
  /** Number of the first register that rows set through `setLazy`; at most 32 can follow. None unless told. */
  readonly firstLazy?: number;
  /** Throws on a row that is not one parallel assignment; for tests, because it is slow. */
  readonly checked?: boolean;
}

/**
 * Executes meanings one instruction at a time. Every value is a bigint in 0 ≤ v < 2⁶⁴. What steps an instruction set does this:
 *
 * ```ts
 * const insn = fetch(pc);       // decoded once and cached: its meaning, its fields
 * run.begin();
 * insn.meaning(run, insn);      // may throw a Fault: then nothing but memory has changed
 * pc = run.target ?? insn.next;
 * ```
 */
export class Run implements Ops<bigint> {
  readonly memory: Memory;
  /** The register file; {@link get} is the way to a register that may have been set lazily. */
  readonly registers: bigint[];
  /** Where a taken branch or a jump leads; undefined where the next instruction follows. */
  target: bigint | undefined = undefined;
  readonly #firstLazy: number;
  /** Lazily set registers whose value nobody has asked for (bit 0 is the first lazy register), and what makes it. */
  #stale = 0;
  #producer: ((reg: number) => bigint) | undefined = undefined;
  #group: readonly number[] | undefined = undefined;
  #groupMask = 0;

  constructor({ memory, registers, firstLazy = registers, checked = false }: RunOptions) {
    this.memory = memory;
    this.registers = new Array<bigint>(registers).fill(0n);
    this.#firstLazy = firstLazy;
    if (checked) enforceAssignment(this);
  }

  /** To be called before every instruction. */
  begin(): void {
    this.target = undefined;
  }

  constant(value: bigint): bigint {
    return value;
  }

  add(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, a + b);
  }

  sub(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, a - b);
  }

  mul(a: bigint, b: bigint): bigint {
    return BigInt.asUintN(64, a * b);
  }

  mulhu(a: bigint, b: bigint): bigint {
    return (a * b) >> 64n;
  }

  and(a: bigint, b: bigint): bigint {
    return a & b;
  }

  or(a: bigint, b: bigint): bigint {
    return a | b;
  }

  xor(a: bigint, b: bigint): bigint {
    return a ^ b;
  }

  shl(a: bigint, count: bigint): bigint {
    return BigInt.asUintN(64, a << (count & 63n));
  }

  shr(a: bigint, count: bigint): bigint {
    return a >> (count & 63n);
  }

  sar(a: bigint, count: bigint): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(64, a) >> (count & 63n));
  }

  udiv(a: bigint, b: bigint): bigint {
    return b === 0n ? ONES : a / b;
  }

  urem(a: bigint, b: bigint): bigint {
    return b === 0n ? a : a % b;
  }

  sdiv(a: bigint, b: bigint): bigint {
    return b === 0n ? ONES : BigInt.asUintN(64, BigInt.asIntN(64, a) / BigInt.asIntN(64, b));
  }

  srem(a: bigint, b: bigint): bigint {
    return b === 0n ? a : BigInt.asUintN(64, BigInt.asIntN(64, a) % BigInt.asIntN(64, b));
  }

  eq(a: bigint, b: bigint): bigint {
    return a === b ? 1n : 0n;
  }

  ult(a: bigint, b: bigint): bigint {
    return a < b ? 1n : 0n;
  }

  slt(a: bigint, b: bigint): bigint {
    return BigInt.asIntN(64, a) < BigInt.asIntN(64, b) ? 1n : 0n;
  }

  select(condition: bigint, then: bigint, otherwise: bigint): bigint {
    return condition === 0n ? otherwise : then;
  }

  zext(size: Size, a: bigint): bigint {
    switch (size) {
      case 1:
        return BigInt.asUintN(8, a);
      case 2:
        return BigInt.asUintN(16, a);
      case 4:
        return BigInt.asUintN(32, a);
      case 8:
        return a;
    }
  }

  sext(size: Size, a: bigint): bigint {
    switch (size) {
      case 1:
        return BigInt.asUintN(64, BigInt.asIntN(8, a));
      case 2:
        return BigInt.asUintN(64, BigInt.asIntN(16, a));
      case 4:
        return BigInt.asUintN(64, BigInt.asIntN(32, a));
      case 8:
        return a;
    }
  }

  load(size: Size, address: bigint): bigint {
    return this.memory.load(size, address);
  }

  store(size: Size, address: bigint, value: bigint): void {
    this.memory.store(size, address, value);
  }

  atomic(op: AtomicOp, size: Size, address: bigint, value: bigint, expected: bigint = 0n): bigint {
    const { memory } = this;
    if (op === "load-reserved") {
      const loaded = memory.load(size, address);
      memory.reserve(this, address);
      return loaded;
    }
    memory.check(size, address, op === "store-conditional" ? Access.WRITE : Access.READ | Access.WRITE, "store");
    if (op === "store-conditional") {
      if (!memory.takeReservation(this, address)) return 1n;
      memory.store(size, address, value);
      return 0n;
    }
    const old = memory.load(size, address);
    if (op !== "compare-exchange") memory.store(size, address, this.#combine(op, old, value));
    else if (old === this.zext(size, expected)) memory.store(size, address, value);
    return old;
  }

  #combine(op: "add" | "and" | "or" | "xor" | "exchange", old: bigint, value: bigint): bigint {
    switch (op) {
      case "add":
        return this.add(old, value);
      case "and":
        return old & value;
      case "or":
        return old | value;
      case "xor":
        return old ^ value;
      case "exchange":
        return value;
    }
  }

  /** Nothing to do: this reading's accesses happen in program order. */
  fence(_kind: Fence): void {}

  get(reg: number): bigint {
    const lazy = reg - this.#firstLazy;
    return lazy < 0 || (this.#stale & (1 << lazy)) === 0 ? this.registers[reg]! : this.#produce(reg);
  }

  set(reg: number, value: bigint): void {
    this.registers[reg] = value;
    const lazy = reg - this.#firstLazy;
    if (lazy >= 0) this.#stale &= ~(1 << lazy);
  }

  /** One closure stands for the whole group until somebody looks; what an earlier group leaves uncovered is computed now. */
  setLazy(regs: readonly number[], value: (reg: number) => bigint): void {
    if (regs !== this.#group) {
      this.#group = regs;
      this.#groupMask = regs.reduce((mask, reg) => mask | (1 << (reg - this.#firstLazy)), 0);
    }
    this.#settle(this.#stale & ~this.#groupMask);
    this.#producer = value;
    this.#stale = this.#groupMask;
  }

  branch(condition: bigint, target: bigint): void {
    if (condition !== 0n) this.target = target;
  }

  jump(target: bigint, _flow: Flow): void {
    this.target = target;
  }

  trapIf(condition: bigint, cause: TrapCause): void {
    if (condition !== 0n) throw new Fault(cause);
  }

  #produce(reg: number): bigint {
    const value = this.#producer!(reg);
    this.registers[reg] = value;
    this.#stale &= ~(1 << (reg - this.#firstLazy));
    return value;
  }

  #settle(stale: number): void {
    for (let rest = stale; rest !== 0; rest &= rest - 1) this.#produce(this.#firstLazy + 31 - Math.clz32(rest & -rest));
  }
}
