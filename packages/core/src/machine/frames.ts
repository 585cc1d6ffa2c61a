// One invocation of a program in some reading: frames, calls to the host and back, steps. Every interpreting engine stands on it.
import { BpfError, invariant } from "../errors.ts";
import { MAY_GOTO, MAY_GOTO_PASSES } from "../isa/semantics.ts";
import type { CpuCounts } from "../jit/backend.ts";
import type { VerifiedProgram } from "../program.ts";
import { MAX_CALL_FRAMES } from "../spec/limits.ts";
import type { Executable, Execution, GuestCall, HostFunction, StartOptions } from "./engine.ts";
import { Fault, trapping } from "./fault.ts";
import { Loaded } from "./loaded.ts";
import { Access } from "./memory.ts";
import type { BpfOps, Ops, Size } from "./ops.ts";
import { MAX_TAIL_CALLS, tailCallTarget } from "./prog-array.ts";
import type { Stop } from "./stop.ts";

/** The words of {@link BpfOps} that frames give a meaning to; a reading hands them on. */
export type FrameOps<V> = Omit<BpfOps<V>, keyof Ops<V>>;

/** What frames need of a reading beside its words. */
export interface FrameReading<V> extends BpfOps<V> {
  readonly registers: V[];
  target: bigint | undefined;
  begin(): void;
  /** The number that a value is in this run. */
  numberOf(value: V): bigint;
  /** The same where it decides how the run goes on. */
  decidedBy(value: V): bigint;
  /** A value that nobody gave, which happens to be `number`. */
  leftover(number: bigint): V;
  /** The bytes from `low` to below `high` have become the stack of a new frame. */
  frameEntered(low: bigint, high: bigint): void;
  /** Instructions of another program come next. */
  programEntered(program: VerifiedProgram): void;
}

/** Number of registers of a frame: r0..r10, the one of passes and the hidden one. */
export const REGISTERS: 13 = 13;

const FP = 10;
/** First of the registers that a call preserves: r6..r10 and those behind them. */
const SAVED = 6;
/** What registers hold that nobody gave a value: r1..r5 after a call, r0 and r6..r9 in a new frame. */
const LEFTOVER: readonly bigint[] = Array.from({ length: REGISTERS }, (_, reg) => 0xdead_0000_0000_0000n + BigInt(reg));

type Callback = Generator<GuestCall, bigint, bigint>;

/** A subprogram in progress. */
export interface LiveFrame {
  /** r10. */
  readonly base: bigint;
  /** Bytes below `base` that the frame may use. */
  readonly depth: number;
  /** How many frames of its program there are up to this one. */
  readonly level: number;
}

interface Activation<V> extends LiveFrame {
  /** The program whose subprogram it is. */
  readonly loaded: Loaded;
  /** Slot where the caller goes on. */
  readonly resume: number;
  /** Who gets r0 instead of the caller. */
  readonly callback: Callback | undefined;
  /** The caller's r6..r10 and what is behind them. */
  readonly saved: readonly V[];
}

const BUDGET: Stop = { kind: "budget" };

/** An {@link Execution} in some reading. */
export class Invocation<V, R extends FrameReading<V>> implements Execution {
  protected readonly reading: R;
  /** The program whose instructions run. */
  #loaded: Loaded;
  readonly #options: StartOptions;
  readonly #frames: Activation<V>[] = [];
  #at = -1;
  #executed = 0;
  #tailCalls = 0;
  #stop: Stop | undefined;

  constructor(loaded: Loaded, options: StartOptions, read: (words: FrameOps<V>, at: () => number) => R) {
    if (options.args.length > 5)
      throw new BpfError("argument", `${options.args.length} arguments`, { expected: "at most 5" });
    this.#loaded = loaded;
    this.#options = options;
    const words: FrameOps<V> = {
      call: (target) => this.#enter(this.#loaded.program.structure.subprogAt(target), this.#resumeSlot(), undefined),
      helper: (id) => this.#callHost(this.#loaded.helpers.get(id)!),
      kfunc: (index) => this.#callHost(this.#loaded.kfuncs.get(index)!),
      tailCall: () => this.#tailCall(),
      symbol: (at) => this.reading.constant(this.#loaded.symbols.get(at)!),
      packetLoad: (size, offset) => this.#loadPacket(size, offset),
      exit: (condition) => {
        if (condition === undefined || this.reading.numberOf(condition) !== 0n) this.#leave();
      },
    };
    this.reading = read(words, () => this.#at);
  }

  get executable(): Executable {
    return this.#loaded.executable;
  }

  get at(): number {
    return this.#at;
  }

  get tailCalls(): number {
    return this.#tailCalls;
  }

  get counts(): CpuCounts | undefined {
    return undefined;
  }

  get executed(): number {
    return this.#executed;
  }

  register(index: number): bigint {
    return this.reading.numberOf(this.reading.registers[index]!);
  }

  /** The subprograms in progress, the innermost last. */
  frames(): readonly LiveFrame[] {
    return this.#frames;
  }

  step(budget: number): Stop | undefined {
    if (!this.#isStarted) {
      this.#start();
      return this.#stop;
    }
    const stop = this.run(Math.min(budget, 1));
    return stop.kind === "budget" && budget > 0 ? undefined : stop;
  }

  run(budget: number): Stop {
    if (!this.#isStarted) this.#start();
    const { reading } = this;
    try {
      for (let left = budget; left > 0 && this.#stop === undefined; left--) {
        const insn = this.#loaded.decoded[this.#at] ?? this.#loaded.decode(this.#at);
        this.#executed++;
        reading.begin();
        insn.meaning(reading, insn);
        const { target } = reading;
        this.#at = target === undefined ? insn.next : Number(target);
      }
    } catch (error) {
      this.#trap(error);
    }
    return this.#stop ?? BUDGET;
  }

  get #isStarted(): boolean {
    return this.#frames.length > 0 || this.#stop !== undefined;
  }

  #start(): void {
    const { stack, args } = this.#options;
    this.#at = 0;
    try {
      this.#loaded.host.memory.protect(stack.low, Number(stack.high - stack.low), 0);
      this.reading.programEntered(this.#loaded.program);
      this.#enter(0, -1, undefined);
      this.#setArguments(args);
    } catch (error) {
      this.#trap(error);
    }
  }

  /** A fault ends the run; host functions that wait for a callback are closed, the innermost first. */
  #trap(error: unknown): void {
    if (!(error instanceof Fault)) throw error;
    this.#stop = error.toTrap(BigInt(this.#at));
    for (const { callback } of this.#frames.toReversed()) {
      if (callback !== undefined)
        trapping(
          () => callback.return(0n),
          () => 0n,
        );
    }
  }

  /** Slot behind the instruction that is running. */
  #resumeSlot(): number {
    return this.#loaded.decoded[this.#at]!.next;
  }

  #enter(subprog: number, resume: number, callback: Callback | undefined): void {
    const caller = this.#frames.at(-1);
    const level = caller === undefined ? 1 : caller.level + 1;
    const { name } = this.#loaded.program.structure.subprogs[subprog]!;
    if (level > MAX_CALL_FRAMES)
      throw new Fault("stack", `${name} would be frame ${level} of at most ${MAX_CALL_FRAMES}`);
    const below = caller === undefined ? this.#options.stack.high : caller.base - BigInt(roundUp(caller.depth, 16));
    this.#push(subprog, below, { level, resume, callback, saved: this.reading.registers.slice(SAVED) });
  }

  /**
   * Gives the innermost frame to the main subprogram of another program; who called it gets that one's result. Where the array has no
   * program in the slot, or there were too many tail calls, nothing happens but what a helper does to registers.
   */
  #tailCall(): void {
    const { reading } = this;
    const { registers } = reading;
    const { memory } = this.#loaded.host;
    const array = reading.decidedBy(registers[2]!);
    const target = tailCallTarget(memory, array, reading.decidedBy(reading.zext(4, registers[3]!)));
    if (target === undefined || this.#tailCalls === MAX_TAIL_CALLS) {
      this.#forget(0);
      this.#forgetArguments();
      return;
    }
    const next = Loaded.at(memory, target);
    if (next === undefined) throw new Fault("call", "no program to tail-call", target);
    const context = registers[1]!;
    const { base, depth, resume, callback, saved } = this.#frames.pop()!;
    if (depth > 0) memory.protect(base - BigInt(depth), depth, 0);
    this.#tailCalls++;
    this.#goInto(next);
    this.#push(0, base, { level: 1, resume, callback, saved });
    this.#forgetArguments();
    registers[1] = context;
  }

  #goInto(loaded: Loaded): void {
    if (loaded === this.#loaded) return;
    this.#loaded = loaded;
    this.reading.programEntered(loaded.program);
  }

  /** Makes a frame, at `below` unless it has to be where another engine has it, and goes to its first instruction. */
  #push(subprog: number, below: bigint, link: Pick<Activation<V>, "level" | "resume" | "callback" | "saved">): void {
    const { registers } = this.reading;
    const { name, start, stackDepth: depth, registers: named } = this.#loaded.program.structure.subprogs[subprog]!;
    const { stack, frameAddress } = this.#options;
    const base = frameAddress?.() ?? below;
    const low = base - BigInt(depth);
    const usesFrame = (named & (1 << FP)) !== 0; // without, code that is followed may have no frame address at all
    if (usesFrame && (low < stack.low || base > stack.high)) {
      throw new Fault(
        "stack",
        `${depth} bytes of stack for ${name} below 0x${base.toString(16)}, ${describeStack(stack)}`,
      );
    }
    this.#frames.push({ loaded: this.#loaded, base, depth, ...link });
    if (depth > 0) this.#loaded.host.memory.protect(low, depth, Access.READ | Access.WRITE);
    this.reading.frameEntered(low, base);
    for (const reg of [0, 6, 7, 8, 9]) this.#forget(reg);
    registers[FP] = this.reading.constant(base);
    registers[MAY_GOTO] = this.reading.constant(BigInt(MAY_GOTO_PASSES));
    this.reading.target = BigInt(start);
  }

  #leave(): void {
    const { reading } = this;
    const { registers } = reading;
    const { base, depth, resume, callback, saved } = this.#frames.pop()!;
    if (depth > 0) this.#loaded.host.memory.protect(base - BigInt(depth), depth, 0);
    if (this.#frames.length === 0) {
      this.#stop = { kind: "returned", value: reading.numberOf(registers[0]!) };
      reading.target = -1n;
      return;
    }
    for (const [i, value] of saved.entries()) registers[SAVED + i] = value;
    this.#goInto(this.#frames.at(-1)!.loaded);
    if (callback !== undefined) {
      this.#goOn(callback, resume, reading.numberOf(registers[0]!));
      return;
    }
    this.#forgetArguments();
    reading.target = BigInt(resume);
  }

  #callHost(callee: HostFunction): void {
    const result = this.#ask(
      callee,
      [1, 2, 3, 4, 5].map((reg) => this.register(reg)),
    );
    if (typeof result === "bigint") this.#setResult(result);
    else this.#goOn(result, this.#resumeSlot());
  }

  #ask(callee: HostFunction, args: readonly bigint[]): bigint | Callback {
    const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = args;
    return callee({ args: [a, b, c, d, e], r6: this.register(6), cpu: this.#options.cpu ?? 0 });
  }

  /** Runs a host function to its next callback, which becomes a frame, or to its end. */
  #goOn(host: Callback, resume: number, ...results: [] | [bigint]): void {
    const step = host.next(...(results as [bigint]));
    if (step.done === true) {
      this.#setResult(step.value);
      this.reading.target = BigInt(resume);
      return;
    }
    const { address, args } = step.value;
    const subprog = this.#loaded.subprogOf(address);
    if (subprog === undefined) {
      throw new Fault("call", `no subprogram of ${this.#loaded.program.program.name} to call back`, address);
    }
    this.#enter(subprog, resume, host);
    this.#setArguments(args);
  }

  #loadPacket(size: Size, offset: V): V {
    const { reading } = this;
    const result = this.#ask(this.#loaded.packetLoads.get(size)!, [this.register(6), reading.numberOf(offset)]);
    invariant(typeof result === "bigint", "a packet load without callbacks");
    this.#forgetArguments();
    return reading.constant(BigInt.asUintN(64, result));
  }

  #setResult(value: bigint): void {
    this.reading.registers[0] = this.reading.constant(BigInt.asUintN(64, value));
    this.#forgetArguments();
  }

  #setArguments(args: readonly bigint[]): void {
    this.#forgetArguments();
    for (const [i, arg] of args.entries())
      this.reading.registers[1 + i] = this.reading.constant(BigInt.asUintN(64, arg));
  }

  #forgetArguments(): void {
    for (let reg = 1; reg <= 5; reg++) this.#forget(reg);
  }

  #forget(reg: number): void {
    this.reading.registers[reg] = this.reading.leftover(LEFTOVER[reg]!);
  }
}

function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}

function describeStack({ low, high }: StartOptions["stack"]): string {
  return `where the stack is 0x${low.toString(16)}..0x${high.toString(16)}`;
}
