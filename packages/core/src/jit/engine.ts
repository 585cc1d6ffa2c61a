// The engine that runs a backend's machine code on its emulated CPU: placing it, calling it, and being called by it.
import { BpfError, invariant } from "../errors.ts";
import type {
  Engine,
  Executable,
  Execution,
  GuestCall,
  Host,
  HostCall,
  HostFunction,
  LoadOptions,
  MachineRun,
  Resume,
  StartOptions,
  Symbol as SymbolRef,
} from "../machine/engine.ts";
import { trapping } from "../machine/fault.ts";
import { Access, type Allocation, type Memory } from "../machine/memory.ts";
import { Placed } from "../machine/placed.ts";
import { MAX_TAIL_CALLS } from "../machine/prog-array.ts";
import type { Stop } from "../machine/stop.ts";
import type { VerifiedProgram } from "../program.ts";
import type { Abi, Backend, CompileOptions, Cpu, CpuCounts, CpuOptions, CpuStop } from "./backend.ts";
import type { Image } from "./image.ts";

/** Bytes between the entry points of host functions. */
const ENTRY = 16;

/** What undefined registers hold, in turn. */
const GARBAGE: BigUint64Array = garbage(61);

/**
 * Runs programs as machine code of `backend`.
 *
 * @example
 * ```ts
 * const engine = jit(backend, { features: {} });
 * const kernel = new Kernel({ engine });
 * ```
 */
export function jit<R extends string>(backend: Backend<R>, options: CompileOptions & CpuOptions = {}): Engine {
  const setting = { backend, options, placed: new Placed<Loaded<R>>() };
  return {
    name: backend.arch,
    text: backend,
    load: (program, host, loadOptions) => new Loaded(setting, program, host, loadOptions),
  };
}

/** What all programs of an engine share. */
interface Setting<R extends string> {
  readonly backend: Backend<R>;
  readonly options: CompileOptions & CpuOptions;
  /** Programs by their code and by their host entry points. */
  readonly placed: Placed<Loaded<R>>;
}

/** What lies where: the places of an image in which BPF instructions begin, found by pc. */
interface Boundaries {
  /** Per byte of code, 1 where a BPF instruction begins. */
  readonly marks: Uint8Array;
  /** Per byte of code, the first slot that begins there, or -1. */
  readonly slots: Int32Array;
}

class Loaded<R extends string> implements Executable {
  readonly program: VerifiedProgram;
  readonly image: Image;
  readonly imageAddress: bigint;
  readonly backend: Backend<R>;
  readonly memory: Memory;
  /** The address that host functions and the program return to; entry points of host functions lie behind it. */
  readonly returnAddress: bigint;
  readonly functions: readonly HostFunction[];
  readonly #setting: Setting<R>;
  readonly #text: Allocation;
  readonly #entries: Allocation;
  readonly #subprogAddress: ((index: number) => bigint) | undefined;
  #boundaries: Boundaries | undefined;
  /** CPUs without work. */
  readonly #idle: Cpu<R>[] = [];

  constructor(setting: Setting<R>, program: VerifiedProgram, host: Host, loadOptions: LoadOptions = {}) {
    const { backend, options, placed } = setting;
    const { name } = program.program;
    this.#setting = setting;
    this.program = program;
    const image = backend.compile(program, options);
    const { memory } = host;
    this.backend = backend;
    this.image = image;
    this.memory = memory;
    this.#subprogAddress = loadOptions.subprogAddress;

    const functions: HostFunction[] = [];
    const indices = new Map<string, number>();
    const addresses: bigint[] = [];
    const symbols = image.relocations.map(({ symbol }) => symbol);
    for (const symbol of symbols) {
      if (!isFunction(symbol)) addresses.push(symbol.kind === "subprog" ? 0n : host.address(symbol));
      else {
        const key = keyOf(symbol);
        let index = indices.get(key);
        if (index === undefined) {
          index = functions.push(host.function(symbol)) - 1;
          indices.set(key, index);
        }
        addresses.push(BigInt(index));
      }
    }
    this.functions = functions;
    this.#text = memory.allocate("text", image.code.length, `${name} (${backend.arch})`, Access.READ | Access.EXECUTE);
    this.imageAddress = this.#text.address;
    try {
      this.#entries = memory.allocate("host", ENTRY * (functions.length + 1), `host functions of ${name}`, Access.HOST);
    } catch (error) {
      memory.free(this.#text);
      throw error;
    }
    this.returnAddress = this.#entries.address;
    let next = 0;
    try {
      const code = backend.link(image, this.imageAddress, (symbol) => {
        const value = addresses[next++]!;
        if (symbol.kind === "subprog") return this.subprogAddress(symbol.index);
        return isFunction(symbol) ? this.returnAddress + BigInt(ENTRY) * (value + 1n) : value;
      });
      memory.write(this.imageAddress, code);
      placed.add(memory, this.#text, this);
      placed.add(memory, this.#entries, this);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  subprogAddress(index: number): bigint {
    return this.#subprogAddress?.(index) ?? this.#entryOf(index);
  }

  /** Where the code of a callback lies, whose address may be another engine's. */
  codeAddress(address: bigint): bigint {
    if (this.#subprogAddress === undefined) return address;
    const index = this.image.subprogs.findIndex((_, i) => this.#subprogAddress!(i) === address);
    return index < 0 ? address : this.#entryOf(index);
  }

  start(options: StartOptions): Execution {
    return new Run(this, options);
  }

  release(): void {
    const { placed } = this.#setting;
    for (const allocation of [this.#text, this.#entries]) {
      placed.remove(this.memory, allocation);
      this.memory.free(allocation);
    }
  }

  /** The program whose code, or whose host entry points, lie at an address: this one or another. */
  placedAt(address: bigint): Loaded<R> | undefined {
    const offset = address - this.imageAddress;
    if (offset >= 0n && offset < BigInt(this.image.code.length)) return this;
    return this.#setting.placed.at(this.memory, address);
  }

  get boundaries(): Boundaries {
    this.#boundaries ??= boundariesOf(this.image);
    return this.#boundaries;
  }

  takeCpu(): Cpu<R> {
    const { counting = false } = this.#setting.options;
    // A CPU that counts begins anew with every run.
    return (counting ? undefined : this.#idle.pop()) ?? this.backend.createCpu(this.memory, { counting });
  }

  giveCpu(cpu: Cpu<R>): void {
    this.#idle.push(cpu);
  }

  #entryOf(index: number): bigint {
    return this.imageAddress + BigInt(this.image.subprogs[index]!.start);
  }
}

/** A host function that waits for a callback, and the stack as it was when it was called. */
interface Pending {
  readonly generator: Generator<GuestCall, bigint, bigint>;
  readonly stackPointer: bigint;
  readonly returnAddress: bigint;
}

class Run<R extends string> implements Execution, MachineRun {
  /** The program that was started. */
  readonly #loaded: Loaded<R>;
  /** The one that its CPU was in when somebody last looked; see {@link executable}. */
  #current: Loaded<R>;
  readonly #abi: Abi<R>;
  readonly #cpu: Cpu<R>;
  readonly #cpuIndex: number;
  readonly #before: number;
  readonly #pending: Pending[] = [];
  /** What it ended with, and what was in the registers and on the clock then: the CPU goes on to other work. */
  #end: { readonly stop: Stop; readonly registers: readonly bigint[]; readonly executed: number } | undefined;
  #garbage = 0;

  constructor(loaded: Loaded<R>, { args, stack, cpu = 0 }: StartOptions) {
    const { abi } = loaded.backend;
    if (args.length > 5)
      throw new BpfError("argument", `${args.length} arguments`, { expected: "at most 5, for r1 to r5" });
    this.#loaded = loaded;
    this.#current = loaded;
    this.#abi = abi;
    this.#cpuIndex = cpu;
    this.#cpu = loaded.takeCpu();
    this.#before = this.#cpu.executed;
    for (const register of new Set([...abi.bpf, ...abi.callerSaved])) this.#cpu.set(register, this.#nextGarbage());
    const entry = loaded.imageAddress + BigInt(loaded.image.subprogs[0]!.start);
    this.#cpu.pc = entry;
    this.#trapping(entry, () => this.#call(entry, args, stack.high));
  }

  get executed(): number {
    return this.#end?.executed ?? this.#cpu.executed - this.#before;
  }

  get executable(): Executable {
    return this.#look();
  }

  get at(): number {
    if (this.#end !== undefined) return -1;
    return this.#look().boundaries.slots[this.#offset()] ?? -1;
  }

  get tailCalls(): number {
    const { at } = this;
    const { program, image } = this.#current;
    const place = at < 0 ? undefined : image.subprogs[program.structure.subprogAt(at)]!.counter;
    if (place === undefined) return -1;
    const cpu = this.#cpu;
    let value =
      place.in === "register"
        ? cpu.get(place.register as R)
        : this.#loaded.memory.load(8, cpu.get(place.base as R) + BigInt(place.offset));
    if (place.holds === "address") value = this.#loaded.memory.load(8, value);
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
      const { imageAddress, boundaries } = this.#look();
      this.#meet(cpu.run(left, { base: imageAddress, marks: boundaries.marks }));
      // What a host function returns to is a boundary, too, where the call is the last of its instruction's code.
      if (this.#end === undefined && this.#look().boundaries.marks[this.#offset()] === 1) return undefined;
    }
    return this.#end.stop;
  }

  /** Does what a CPU that has stopped wants; gives how the run ended, if it did. */
  #meet(stop: CpuStop): Stop | undefined {
    if (stop.kind === "host") this.#enterHost(stop.address);
    else if (stop.kind === "trap") this.#finish(stop);
    return this.#end?.stop;
  }

  /** Finds the program that the CPU is in; outside all of them, the last one it was in. */
  #look(): Loaded<R> {
    if (this.#end === undefined) this.#current = this.#current.placedAt(this.#cpu.pc) ?? this.#current;
    return this.#current;
  }

  #offset(): number {
    return Number(this.#cpu.pc - this.#current.imageAddress);
  }

  /** A fetch at a host address: a host function was called, or a subprogram that the host called returned. */
  #enterHost(address: bigint): void {
    const { returnAddress } = this.#loaded;
    if (address === returnAddress) {
      const value = this.#cpu.get(this.#abi.bpf[0]!); // r0 as the program left it; what the host's calls see may be narrower
      const waiting = this.#pending.at(-1);
      if (waiting === undefined) this.#finish({ kind: "returned", value });
      else this.#trapping(waiting.returnAddress - 1n, () => this.#advance(waiting, waiting.generator.next(value)));
      return;
    }
    const owner = this.#current.placedAt(address);
    const entry = owner === undefined ? 0 : Number(address - owner.returnAddress);
    const called = entry > 0 && entry % ENTRY === 0 ? owner?.functions[entry / ENTRY - 1] : undefined;
    if (called === undefined)
      this.#finish({ kind: "trap", cause: "call", pc: address, detail: this.#loaded.memory.describe(address) });
    else this.#trapping(address, () => this.#callHost(called, this.#returnAddress()));
  }

  #callHost(called: HostFunction, returnAddress: bigint): void {
    const { args, bpf } = this.#abi;
    const cpu = this.#cpu;
    const call: HostCall = {
      args: [cpu.get(args[0]!), cpu.get(args[1]!), cpu.get(args[2]!), cpu.get(args[3]!), cpu.get(args[4]!)],
      r6: cpu.get(bpf[6]!),
      cpu: this.#cpuIndex,
    };
    const stackPointer = cpu.get(this.#abi.stackPointer);
    this.#current = this.#current.placedAt(returnAddress) ?? this.#current;
    this.#trapping(returnAddress - 1n, () => {
      const result = called(call);
      if (typeof result === "bigint") this.#returnToGuest(stackPointer, returnAddress, result);
      else {
        const waiting = { generator: result, stackPointer, returnAddress };
        this.#pending.push(waiting);
        this.#advance(waiting, result.next());
      }
    });
  }

  /** Goes on with what a helper wants: a callback, or to return. */
  #advance({ stackPointer, returnAddress }: Pending, { done, value }: IteratorResult<GuestCall, bigint>): void {
    if (done === true) {
      this.#pending.pop();
      this.#returnToGuest(stackPointer, returnAddress, value as bigint);
      return;
    }
    const { address, args } = value as GuestCall;
    this.#scramble();
    this.#call(this.#current.codeAddress(address), args, stackPointer);
  }

  /** Enters a subprogram as a function of the host would, with its frame below `stackPointer`. */
  #call(address: bigint, args: readonly bigint[], stackPointer: bigint): void {
    const { stackAlign, returnAddress } = this.#abi;
    const cpu = this.#cpu;
    let top = stackPointer & -BigInt(stackAlign);
    args.forEach((value, i) => {
      cpu.set(this.#abi.args[i]!, BigInt.asUintN(64, value));
    });
    if (returnAddress.in === "register") cpu.set(returnAddress.register, this.#loaded.returnAddress);
    else {
      top -= 8n;
      this.#loaded.memory.store(8, top, this.#loaded.returnAddress);
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
    return this.#loaded.memory.load(8, this.#cpu.get(stackPointer));
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
    this.#loaded.giveCpu(this.#cpu);
    while (this.#pending.length > 0) {
      const { generator } = this.#pending.pop()!;
      trapping(
        () => generator.return(0n),
        () => 0n,
      );
    }
  }
}

function boundariesOf({ code, boundaries }: Image): Boundaries {
  const marks = new Uint8Array(code.length + 1);
  const slots = new Int32Array(code.length + 1).fill(-1);
  for (let slot = boundaries.length - 1; slot >= 0; slot--) {
    marks[boundaries[slot]!] = 1;
    slots[boundaries[slot]!] = slot;
  }
  return { marks, slots };
}

function garbage(count: number): BigUint64Array {
  let state = 0x9e37_79b9_7f4a_7c15n;
  return BigUint64Array.from({ length: count }, () => {
    state = BigInt.asUintN(64, (state ^ (state >> 29n)) * 0xbf58_476d_1ce4_e5b9n);
    return state;
  });
}

function isFunction({ kind }: SymbolRef): boolean {
  return kind === "helper" || kind === "kfunc" || kind === "packet-load";
}

function keyOf(symbol: SymbolRef): string {
  return symbol.kind === "helper"
    ? `helper ${symbol.id}`
    : symbol.kind === "packet-load"
      ? `packet-load ${symbol.size}`
      : symbol.kind === "kfunc"
        ? `kfunc ${symbol.index}`
        : symbol.kind;
}
