// A second reading of BPF's meanings: which bits of registers and memory hold values that somebody gave. Lockstep follows other
// engines with it, because what nobody gave may differ between engines.
import { Fact, NO_FACTS } from "../analysis/facts.ts";
import type { VerifiedProgram } from "../program.ts";
import type { Engine, Executable, Execution, Host, LoadOptions, StartOptions } from "./engine.ts";
import { type FrameOps, type FrameReading, Invocation, type LiveFrame, REGISTERS } from "./frames.ts";
import { interpret } from "./interpreter.ts";
import type { Loaded } from "./loaded.ts";
import type { Memory } from "./memory.ts";
import type { AtomicOp, Fence, Flow, Size } from "./ops.ts";
import { Run } from "./run.ts";
import type { TrapCause } from "./stop.ts";

const ALL = 0xffff_ffff_ffff_ffffn;
const LOW = 0xffff_ffffn;

/** A number, and which of its bits mean something. */
export interface Tracked {
  readonly value: bigint;
  readonly defined: bigint;
}

/** Where a run first let a bit that nobody gave decide something; from there on engines may differ. */
export interface UndefinedUse {
  /** Slot index. */
  readonly at: number;
  readonly what: "address" | "branch";
}

/** An {@link Execution} that knows which of its values are defined. */
export interface TrackedExecution extends Execution {
  /** Bit `i` is set when every bit of register `i` is defined; r0..r10. */
  definedRegisters(): number;
  /** The defined bits of a register. */
  definedMask(register: number): bigint;
  /** Whether every bit of these bytes is defined; memory outside frames is, until something undefined is stored there. */
  isDefined(address: bigint, size: number): boolean;
  /** The subprograms in progress, the innermost last. */
  frames(): readonly LiveFrame[];
  readonly undefinedUse: UndefinedUse | undefined;
}

/** A program placed for tracked executions. */
export interface TrackedExecutable extends Executable {
  start(options: StartOptions): TrackedExecution;
}

/** An {@link Engine} whose executions are tracked. */
export interface TrackedEngine extends Engine {
  load(program: VerifiedProgram, host: Host, options?: LoadOptions): TrackedExecutable;
}

/** The bits below the lowest undefined one: what carries leave defined. */
function belowUndefined(defined: bigint): bigint {
  const rest = defined ^ ALL;
  return rest === 0n ? ALL : (rest & -rest) - 1n;
}

/**
 * Numbers come from a {@link Run}; this reading adds the masks. A bit of a result is defined when the defined bits of the operands
 * alone decide it, by rules that err on the side of undefined.
 */
export class Definedness implements FrameReading<Tracked> {
  readonly registers: Tracked[] = new Array<Tracked>(REGISTERS).fill({ value: 0n, defined: 0n });
  target: bigint | undefined = undefined;
  undefinedUse: UndefinedUse | undefined = undefined;
  readonly #run: Run;
  readonly #memory: Memory;
  readonly #words: FrameOps<Tracked>;
  readonly #at: () => number;
  /** Facts of the program that runs, by slot. */
  #flags: Uint16Array = NO_FACTS.flags;

  constructor(memory: Memory, words: FrameOps<Tracked>, at: () => number) {
    this.#run = new Run({ memory, registers: 0 });
    this.#memory = memory;
    this.#words = words;
    this.#at = at;
    memory.undefinedBits ??= new Uint8Array(memory.size);
  }

  begin(): void {
    this.target = undefined;
  }

  numberOf(value: Tracked): bigint {
    return value.value;
  }

  decidedBy(value: Tracked): bigint {
    this.#use(value, "branch");
    return value.value;
  }

  leftover(value: bigint): Tracked {
    return { value, defined: 0n };
  }

  programEntered({ facts = NO_FACTS }: VerifiedProgram): void {
    this.#flags = facts.flags;
  }

  frameEntered(low: bigint, high: bigint): void {
    const { base, undefinedBits } = this.#memory;
    undefinedBits!.fill(0xff, Number(low - base), Number(high - base));
  }

  constant(value: bigint): Tracked {
    return { value, defined: ALL };
  }

  add(a: Tracked, b: Tracked): Tracked {
    return { value: this.#run.add(a.value, b.value), defined: belowUndefined(a.defined & b.defined) };
  }

  sub(a: Tracked, b: Tracked): Tracked {
    return { value: this.#run.sub(a.value, b.value), defined: belowUndefined(a.defined & b.defined) };
  }

  mul(a: Tracked, b: Tracked): Tracked {
    return { value: this.#run.mul(a.value, b.value), defined: belowUndefined(a.defined & b.defined) };
  }

  mulhu(a: Tracked, b: Tracked): Tracked {
    return whole(this.#run.mulhu(a.value, b.value), a, b);
  }

  and(a: Tracked, b: Tracked): Tracked {
    const zeros = (a.defined & ~a.value) | (b.defined & ~b.value);
    return { value: a.value & b.value, defined: (a.defined & b.defined) | zeros };
  }

  or(a: Tracked, b: Tracked): Tracked {
    const ones = (a.defined & a.value) | (b.defined & b.value);
    return { value: a.value | b.value, defined: (a.defined & b.defined) | ones };
  }

  xor(a: Tracked, b: Tracked): Tracked {
    if (a === b) return this.constant(0n); // a register with itself
    return { value: a.value ^ b.value, defined: a.defined & b.defined };
  }

  shl(a: Tracked, count: Tracked): Tracked {
    const run = this.#run;
    const defined = run.shl(a.defined, count.value) | ~run.shl(ALL, count.value);
    return shifted(run.shl(a.value, count.value), BigInt.asUintN(64, defined), count);
  }

  shr(a: Tracked, count: Tracked): Tracked {
    const run = this.#run;
    const defined = run.shr(a.defined, count.value) | ~run.shr(ALL, count.value);
    return shifted(run.shr(a.value, count.value), BigInt.asUintN(64, defined), count);
  }

  sar(a: Tracked, count: Tracked): Tracked {
    return shifted(this.#run.sar(a.value, count.value), this.#run.sar(a.defined, count.value), count);
  }

  udiv(a: Tracked, b: Tracked): Tracked {
    return whole(this.#run.udiv(a.value, b.value), a, b);
  }

  urem(a: Tracked, b: Tracked): Tracked {
    return whole(this.#run.urem(a.value, b.value), a, b);
  }

  sdiv(a: Tracked, b: Tracked): Tracked {
    return whole(this.#run.sdiv(a.value, b.value), a, b);
  }

  srem(a: Tracked, b: Tracked): Tracked {
    return whole(this.#run.srem(a.value, b.value), a, b);
  }

  eq(a: Tracked, b: Tracked): Tracked {
    const differs = ((a.value ^ b.value) & a.defined & b.defined) !== 0n;
    return differs ? this.constant(0n) : truth(this.#run.eq(a.value, b.value), a, b);
  }

  ult(a: Tracked, b: Tracked): Tracked {
    return truth(this.#run.ult(a.value, b.value), a, b);
  }

  slt(a: Tracked, b: Tracked): Tracked {
    return truth(this.#run.slt(a.value, b.value), a, b);
  }

  select(condition: Tracked, then: Tracked, otherwise: Tracked): Tracked {
    const chosen = condition.value === 0n ? otherwise : then;
    if (isDecided(condition)) return chosen;
    return { value: chosen.value, defined: then.defined & otherwise.defined & ~(then.value ^ otherwise.value) };
  }

  zext(size: Size, a: Tracked): Tracked {
    const extension = ALL ^ this.#run.zext(size, ALL);
    return { value: this.#run.zext(size, a.value), defined: this.#run.zext(size, a.defined) | extension };
  }

  sext(size: Size, a: Tracked): Tracked {
    return { value: this.#run.sext(size, a.value), defined: this.#run.sext(size, a.defined) };
  }

  load(size: Size, address: Tracked): Tracked {
    this.#use(address, "address");
    return { value: this.#run.load(size, address.value), defined: this.#definedAt(size, address.value) };
  }

  store(size: Size, address: Tracked, value: Tracked): void {
    this.#use(address, "address");
    this.#run.store(size, address.value, value.value);
    this.#define(size, address.value, value.defined);
  }

  atomic(op: AtomicOp, size: Size, address: Tracked, value: Tracked, expected?: Tracked): Tracked {
    this.#use(address, "address");
    const before = this.#memory.accessAt(address.value) === 0 ? ALL : this.#definedAt(size, address.value);
    const old = {
      value: this.#run.atomic(op, size, address.value, value.value, expected?.value),
      defined: before,
    };
    const after = this.#afterAtomic(op, size, old, value, expected);
    if (after !== undefined) this.#define(size, address.value, after);
    return op === "store-conditional" ? this.constant(old.value) : old;
  }

  /** Defined bits of what an atomic access wrote; undefined where it wrote nothing. */
  #afterAtomic(op: AtomicOp, size: Size, old: Tracked, value: Tracked, expected?: Tracked): bigint | undefined {
    switch (op) {
      case "load-reserved":
        return undefined;
      case "store-conditional":
        return old.value === 0n ? value.defined : undefined;
      case "exchange":
        return value.defined;
      case "compare-exchange": {
        const equal = this.eq(old, this.zext(size, expected!));
        if (isDecided(equal)) return equal.value === 0n ? undefined : value.defined;
        return this.select(equal, this.zext(size, value), old).defined;
      }
      default:
        return this[op](old, value).defined;
    }
  }

  fence(_kind: Fence): void {}

  get(reg: number): Tracked {
    return this.registers[reg]!;
  }

  set(reg: number, value: Tracked): void {
    // A backend may leave anything where a fact says that nobody looks.
    const half = (this.#flags[this.#at()]! & Fact.UPPER_UNUSED) !== 0;
    this.registers[reg] = half ? { value: value.value, defined: value.defined & LOW } : value;
  }

  setLazy(regs: readonly number[], value: (reg: number) => Tracked): void {
    for (const reg of regs) this.set(reg, value(reg));
  }

  branch(condition: Tracked, target: bigint): void {
    if (!isDecided(condition)) this.#note("branch");
    if (condition.value !== 0n) this.target = target;
  }

  jump(target: Tracked, _flow: Flow): void {
    this.#use(target, "branch");
    this.target = target.value;
  }

  trapIf(condition: Tracked, cause: TrapCause): void {
    if (!isDecided(condition)) this.#note("branch");
    this.#run.trapIf(condition.value, cause);
  }

  call(target: number): void {
    this.#words.call(target);
  }

  helper(id: number): void {
    this.#words.helper(id);
  }

  kfunc(index: number): void {
    this.#words.kfunc(index);
  }

  tailCall(): void {
    this.#words.tailCall();
  }

  symbol(at: number): Tracked {
    return this.#words.symbol(at);
  }

  packetLoad(size: Size, offset: Tracked): Tracked {
    this.#use(offset, "address");
    return this.#words.packetLoad(size, offset);
  }

  exit(condition?: Tracked): void {
    this.#words.exit(condition);
  }

  #use(value: Tracked, what: UndefinedUse["what"]): void {
    if (value.defined !== ALL) this.#note(what);
  }

  #note(what: UndefinedUse["what"]): void {
    this.undefinedUse ??= { at: this.#at(), what };
  }

  #definedAt(size: Size, address: bigint): bigint {
    const at = Number(address - this.#memory.base);
    let rest = 0n;
    for (let i = size - 1; i >= 0; i--) rest = (rest << 8n) | BigInt(this.#memory.undefinedBits![at + i] ?? 0);
    return rest ^ ALL;
  }

  #define(size: Size, address: bigint, defined: bigint): void {
    const at = Number(address - this.#memory.base);
    for (let i = 0; i < size; i++) {
      this.#memory.undefinedBits![at + i] = ~Number((defined >> BigInt(8 * i)) & 0xffn);
    }
  }
}

/** Every bit depends on every bit. */
function whole(value: bigint, a: Tracked, b: Tracked): Tracked {
  return { value, defined: (a.defined & b.defined) === ALL ? ALL : 0n };
}

/** 0 or 1, which depends on every bit. */
function truth(value: bigint, a: Tracked, b: Tracked): Tracked {
  return { value, defined: (a.defined & b.defined) === ALL ? ALL : ALL - 1n };
}

function shifted(value: bigint, defined: bigint, count: Tracked): Tracked {
  return { value, defined: (count.defined & 63n) === 63n ? defined : 0n };
}

/** Whether the defined bits alone tell a condition from 0. */
function isDecided({ value, defined }: Tracked): boolean {
  return defined === ALL || (value & defined) !== 0n;
}

class TrackedInvocation extends Invocation<Tracked, Definedness> implements TrackedExecution {
  readonly #memory: Memory;

  constructor(loaded: Loaded, options: StartOptions) {
    super(loaded, options, (words, at) => new Definedness(loaded.host.memory, words, at));
    this.#memory = loaded.host.memory;
  }

  get undefinedUse(): UndefinedUse | undefined {
    return this.reading.undefinedUse;
  }

  definedMask(register: number): bigint {
    return this.reading.registers[register]!.defined;
  }

  definedRegisters(): number {
    let registers = 0;
    for (let reg = 0; reg <= 10; reg++) if (this.definedMask(reg) === ALL) registers |= 1 << reg;
    return registers;
  }

  isDefined(address: bigint, size: number): boolean {
    const at = Number(address - this.#memory.base);
    return !this.#memory.undefinedBits!.subarray(at, at + size).some((bits) => bits !== 0);
  }
}

/**
 * The interpreter in the definedness reading: the reference that lockstep compares other engines with. Slower than `interpreter`,
 * with the same results.
 */
export const trackedInterpreter: TrackedEngine = {
  name: "interpreter",
  load: (program, host, options) =>
    interpret(program, host, options, (loaded, start) => new TrackedInvocation(loaded, start)),
};
