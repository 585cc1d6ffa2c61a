// A run of machine code on an emulated CPU: entering it, being called by it, calling it back, and how it ends.
import { BpfError, invariant } from "../errors.ts";
import type {
  Executable,
  Execution,
  GuestCall,
  HostCall,
  HostFunction,
  MachineRun,
  Resume,
  StackSpace,
} from "../machine/engine.ts";
import { trapping } from "../machine/fault.ts";
import { MAX_TAIL_CALLS } from "../machine/prog-array.ts";
import type { Stop } from "../machine/stop.ts";
import type { ArgPlaces, ArgSlot } from "../trampoline/args.ts";
import type { Abi, Cpu, CpuCounts, CpuStop } from "./backend.ts";
import type { Code, Loaded } from "./code.ts";

/** Pieces of code without boundaries. */
const NOWHERE: Uint8Array = new Uint8Array(1);

/** What undefined registers hold, in turn. */
const GARBAGE: BigUint64Array = garbage(61);

/** A call of code by the host. */
interface Entering {
  readonly address: bigint;
  readonly args: readonly bigint[];
  /** Of a function; a program has its arguments in r1 to r5. */
  readonly places?: ArgPlaces | undefined;
  readonly stack: StackSpace;
  readonly cpu: number;
}

/** A host function that waits for a callback, and the stack as it was when it was called. */
interface Pending {
  readonly generator: Generator<GuestCall, bigint, bigint>;
  readonly stackPointer: bigint;
  readonly returnAddress: bigint;
  /** Whether it waits for a function, not a subprogram. */
  isFunction: boolean;
}

/** A call of code by the host, from its first instruction to its end, on a CPU of its own. */
export class Run<R extends string> implements Execution, MachineRun {
  /** What was started, and whether it is a function. */
  readonly #started: Code<R>;
  readonly #isFunction: boolean;
  /** The code that its CPU was in when somebody last looked. */
  #current: Code<R>;
  /** The last program among those. */
  #program: Loaded<R> | undefined;
  readonly #abi: Abi<R>;
  readonly #cpu: Cpu<R>;
  readonly #cpuIndex: number;
  readonly #before: number;
  readonly #pending: Pending[] = [];
  /** What it ended with, and what was in the registers and on the clock then: the CPU goes on to other work. */
  #end: { readonly stop: Stop; readonly registers: readonly bigint[]; readonly executed: number } | undefined;
  #garbage = 0;

  constructor(code: Code<R>, { address, args, places, stack, cpu }: Entering) {
    const { abi } = code.backend;
    this.#started = code;
    this.#isFunction = places !== undefined;
    this.#current = code;
    this.#program = code.program;
    this.#abi = abi;
    this.#cpuIndex = cpu;
    this.#cpu = code.takeCpu();
    this.#before = this.#cpu.executed;
    for (const register of new Set([...abi.bpf, ...abi.callerSaved])) this.#cpu.set(register, this.#nextGarbage());
    this.#cpu.pc = address;
    this.#trapping(address, () => this.#call(address, args, stack.high, places));
  }

  get executed(): number {
    return this.#end?.executed ?? this.#cpu.executed - this.#before;
  }

  get executable(): Executable {
    this.#look();
    invariant(this.#program !== undefined, "a run of a program");
    return this.#program;
  }

  get at(): number {
    if (this.#end !== undefined) return -1;
    return this.#look().program?.boundaries.slots[this.#offset()] ?? -1;
  }

  get tailCalls(): number {
    const { at } = this;
    const { program, image } = this.#current;
    const place = at < 0 ? undefined : image.subprogs[program!.program.structure.subprogAt(at)]!.counter;
    if (place === undefined) return -1;
    const cpu = this.#cpu;
    let value =
      place.in === "register"
        ? cpu.get(place.register as R)
        : this.#started.memory.load(8, cpu.get(place.base as R) + BigInt(place.offset));
    if (place.holds === "address") value = this.#started.memory.load(8, value);
    const count = Number(BigInt.asIntN(64, value));
    return place.counts === "up" ? count : MAX_TAIL_CALLS - count;
  }

  get counts(): CpuCounts | undefined {
    return this.#cpu.counts;
  }

  register(index: number): bigint {
    const register = this.#abi.bpf[index];
    if (register === undefined) throw new BpfError("argument", `register ${index}`, { expected: "0 to 10" });
    return this.#end?.registers[index] ?? this.#cpu.get(register);
  }

  get machine(): MachineRun {
    return this;
  }

  get pc(): bigint {
    return this.#cpu.pc;
  }

  advance(budget: number, stopAt?: { readonly base: bigint; readonly marks: Uint8Array }): Stop | undefined {
    return this.#end?.stop ?? this.#meet(this.#cpu.run(budget, stopAt));
  }

  execute(bytes: Uint8Array, resume?: Resume): Stop | undefined {
    if (this.#end !== undefined) return this.#end.stop;
    const cpu = this.#cpu;
    const start = cpu.pc;
    let stop = cpu.execute(bytes);
    if (stop.kind === "trap" && stop.cause === "breakpoint" && resume !== undefined) stop = this.#resume(start, resume);
    return this.#meet(stop);
  }

  #resume(start: bigint, { resume, code }: Resume): CpuStop {
    const cpu = this.#cpu;
    const end = start + BigInt(code.length);
    let stop: CpuStop = { kind: "budget" };
    if (resume.kind === "call") {
      do stop = cpu.execute(code.subarray(Number(cpu.pc - start)));
      while (stop.kind === "budget" && cpu.pc > start && cpu.pc < end);
    }
    if (stop.kind === "budget") cpu.pc = resume.kind === "nop" ? end : resume.target;
    return stop;
  }

  run(budget: number): Stop {
    const cpu = this.#cpu;
    const limit = this.executed + budget;
    while (this.#end === undefined) {
      const left = limit - this.executed;
      if (left <= 0) return { kind: "budget" };
      this.#meet(cpu.run(left));
    }
    return this.#end.stop;
  }

  step(budget: number): Stop | undefined {
    const cpu = this.#cpu;
    const limit = this.executed + budget;
    while (this.#end === undefined) {
      const left = limit - this.executed;
      if (left <= 0) return { kind: "budget" };
      const { address, program } = this.#look();
      this.#meet(cpu.run(left, { base: address, marks: program?.boundaries.marks ?? NOWHERE }));
      // What a host function returns to is a boundary, too, where the call is the last of its instruction's code.
      if (this.#end === undefined && this.#look().program?.boundaries.marks[this.#offset()] === 1) return undefined;
    }
    return this.#end.stop;
  }

  /** Does what a CPU that has stopped wants; gives how the run ended, if it did. */
  #meet(stop: CpuStop): Stop | undefined {
    if (stop.kind === "host") this.#enterHost(stop.address);
    else if (stop.kind === "trap") this.#finish(stop);
    return this.#end?.stop;
  }

  /** Finds the code that the CPU is in; outside all of it, the last one it was in. */
  #look(): Code<R> {
    if (this.#end === undefined) this.#enter(this.#cpu.pc);
    return this.#current;
  }

  #enter(address: bigint): void {
    this.#current = this.#current.placedAt(address) ?? this.#current;
    this.#program = this.#current.program ?? this.#program;
  }

  #offset(): number {
    return Number(this.#cpu.pc - this.#current.address);
  }

  /** A fetch at a host address: a host function was called, or a subprogram that the host called returned. */
  #enterHost(address: bigint): void {
    const { returnAddress } = this.#started;
    if (address === returnAddress) {
      const waiting = this.#pending.at(-1);
      const { result, returned } = this.#abi;
      const value = this.#cpu.get((waiting?.isFunction ?? this.#isFunction) ? result : returned);
      if (waiting === undefined) this.#finish({ kind: "returned", value });
      else this.#trapping(waiting.returnAddress - 1n, () => this.#advance(waiting, waiting.generator.next(value)));
      return;
    }
    const called = this.#current.placedAt(address)?.functionAt(address);
    if (called === undefined)
      this.#finish({ kind: "trap", cause: "call", pc: address, detail: this.#started.memory.describe(address) });
    else this.#trapping(address, () => this.#callHost(called, this.#returnAddress()));
  }

  #callHost(called: HostFunction, returnAddress: bigint): void {
    const { args, bpf, bodyStack } = this.#abi;
    const cpu = this.#cpu;
    const { memory } = this.#started;
    const stackPointer = cpu.get(this.#abi.stackPointer);
    const call: HostCall = {
      args: [cpu.get(args[0]!), cpu.get(args[1]!), cpu.get(args[2]!), cpu.get(args[3]!), cpu.get(args[4]!)],
      r6: cpu.get(bpf[6]!),
      cpu: this.#cpuIndex,
      word: ({ in: where, index }) =>
        where === "register" ? cpu.get(args[index]!) : memory.load(8, stackPointer + BigInt(bodyStack + 8 * index)),
    };
    this.#enter(returnAddress);
    this.#trapping(returnAddress - 1n, () => {
      const result = called(call);
      if (typeof result === "bigint") this.#returnToGuest(stackPointer, returnAddress, result);
      else {
        const waiting: Pending = { generator: result, stackPointer, returnAddress, isFunction: false };
        this.#pending.push(waiting);
        this.#advance(waiting, result.next());
      }
    });
  }

  /** Goes on with what a helper wants: a callback, or to return. */
  #advance(waiting: Pending, { done, value }: IteratorResult<GuestCall, bigint>): void {
    const { stackPointer, returnAddress } = waiting;
    if (done === true) {
      this.#pending.pop();
      this.#returnToGuest(stackPointer, returnAddress, value as bigint);
      return;
    }
    const { address, args, places } = value as GuestCall;
    waiting.isFunction = places !== undefined;
    this.#scramble();
    this.#call(this.#current.codeAddress(address), args, stackPointer, places);
  }

  /** Enters a subprogram, or a function, as a function of the host would, with its frame below `stackPointer`. */
  #call(address: bigint, args: readonly bigint[], stackPointer: bigint, places?: ArgPlaces): void {
    const { stackAlign, returnAddress } = this.#abi;
    const cpu = this.#cpu;
    const { memory } = this.#started;
    let top = (stackPointer - BigInt(8 * (places?.stack ?? 0))) & -BigInt(stackAlign);
    args.forEach((value, i) => {
      const { in: where, index }: Pick<ArgSlot, "in" | "index"> = places?.slots[i] ?? { in: "register", index: i };
      if (where === "register") cpu.set(this.#abi.args[index]!, BigInt.asUintN(64, value));
      else memory.store(8, top + BigInt(8 * index), BigInt.asUintN(64, value));
    });
    if (returnAddress.in === "register") cpu.set(returnAddress.register, this.#started.returnAddress);
    else {
      top -= 8n;
      memory.store(8, top, this.#started.returnAddress);
    }
    cpu.set(this.#abi.stackPointer, top);
    cpu.pc = address;
  }

  /** Goes on behind a call of a host function. */
  #returnToGuest(stackPointer: bigint, returnAddress: bigint, result: bigint): void {
    const cpu = this.#cpu;
    this.#scramble();
    cpu.set(this.#abi.result, BigInt.asUintN(64, result));
    cpu.set(this.#abi.stackPointer, this.#abi.returnAddress.in === "stack" ? stackPointer + 8n : stackPointer);
    cpu.pc = returnAddress;
  }

  /** Where a host function that has just been called returns to. */
  #returnAddress(): bigint {
    const { returnAddress, stackPointer } = this.#abi;
    if (returnAddress.in === "register") return this.#cpu.get(returnAddress.register);
    return this.#started.memory.load(8, this.#cpu.get(stackPointer));
  }

  /** A fault on the host's side ends the run; where a call led there, `pc` is the last byte of the call. */
  #trapping(pc: bigint, body: () => void): void {
    const trap = trapping(body, () => pc);
    if (trap !== undefined) this.#finish(trap);
  }

  /** Registers that a call may change hold anything afterwards; the same run gives the same anything. */
  #scramble(): void {
    for (const register of this.#abi.callerSaved) this.#cpu.set(register, this.#nextGarbage());
  }

  #nextGarbage(): bigint {
    this.#garbage = (this.#garbage + 1) % GARBAGE.length;
    return GARBAGE[this.#garbage]!;
  }

  /** Ends the run; helpers that still wait for a callback are closed, the innermost first. */
  #finish(stop: Stop): void {
    invariant(this.#end === undefined, "one end of a run");
    const registers = this.#abi.bpf.map((register) => this.#cpu.get(register));
    this.#end = { stop, registers, executed: this.executed };
    this.#started.giveCpu(this.#cpu);
    while (this.#pending.length > 0) {
      const { generator } = this.#pending.pop()!;
      trapping(
        () => generator.return(0n),
        () => 0n,
      );
    }
  }
}

function garbage(count: number): BigUint64Array {
  let state = 0x9e37_79b9_7f4a_7c15n;
  return BigUint64Array.from({ length: count }, () => {
    state = BigInt.asUintN(64, (state ^ (state >> 29n)) * 0xbf58_476d_1ce4_e5b9n);
    return state;
  });
}
