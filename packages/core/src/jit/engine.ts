// The engine that runs a backend's machine code on its emulated CPU: placing it, calling it, and being called by it.
import { BpfError, invariant } from "../errors.ts";
import type {
  Engine,
  Executable,
  Execution,
  FunctionCall,
  FunctionExecution,
  GuestCall,
  Host,
  HostCall,
  HostFunction,
  LoadOptions,
  MachineRun,
  PlacedCode,
  Resume,
  StackSpace,
  StartOptions,
  Symbol as SymbolRef,
} from "../machine/engine.ts";
import { trapping } from "../machine/fault.ts";
import { Access, type Allocation, type Memory } from "../machine/memory.ts";
import { Placed } from "../machine/placed.ts";
import { MAX_TAIL_CALLS } from "../machine/prog-array.ts";
import type { Stop } from "../machine/stop.ts";
import type { VerifiedProgram } from "../program.ts";
import type { ArgPlaces, ArgSlot } from "../trampoline/args.ts";
import type { Abi, Backend, CompileOptions, Cpu, CpuCounts, CpuOptions, CpuStop } from "./backend.ts";
import type { Image } from "./image.ts";

/** Bytes between the entry points of host functions. */
const ENTRY = 16;
/** Arguments of a BPF function. */
const BPF_ARGS = 5;
/** Pieces of code without boundaries. */
const NOWHERE: Uint8Array = new Uint8Array(1);

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
  const setting: Setting<R> = { backend, options, placed: new Placed(), idle: new WeakMap() };
  let functionImage: Image | undefined;
  const { arch, poke, pokeMany, capabilities, disassemble, classifyArgs, funcModelEqual, planTrampoline } = backend;
  return {
    name: arch,
    text: {
      arch,
      poke,
      pokeMany,
      capabilities,
      disassemble,
      classifyArgs,
      funcModelEqual,
      planTrampoline,
      emitTrampoline: (spec) => backend.emitTrampoline(spec, options),
      emitFunction: () => {
        functionImage ??= backend.emitFunction(options);
        return functionImage;
      },
      place: (image, name, host) => new Code(setting, image, name, host, noSubprog),
    },
    load: (program, host, loadOptions) => new Loaded(setting, program, host, loadOptions),
  };
}

function noSubprog(): never {
  return invariant(false, "a subprogram outside of programs") as never;
}

/** What all code of an engine shares. */
interface Setting<R extends string> {
  readonly backend: Backend<R>;
  readonly options: CompileOptions & CpuOptions;
  /** Code, by where it lies and by its host entry points. */
  readonly placed: Placed<Code<R>>;
  /** CPUs without work. */
  readonly idle: WeakMap<Memory, Cpu<R>[]>;
}

/** What lies where: the places of an image in which BPF instructions begin, found by pc. */
interface Boundaries {
  /** Per byte of code, 1 where a BPF instruction begins. */
  readonly marks: Uint8Array;
  /** Per byte of code, the first slot that begins there, or -1. */
  readonly slots: Int32Array;
}

/** The functions of the host that an image calls. */
interface Imports {
  readonly symbols: readonly SymbolRef[];
  /** Per relocation, the index of its function; -1 for others. */
  readonly indices: Int32Array;
  /** By the key of a symbol, the index of its function. */
  readonly byKey: ReadonlyMap<string, number>;
}

/** Images can be placed many times. */
const IMPORTS = new WeakMap<Image, Imports>();

function importsOf(image: Image): Imports {
  let imports = IMPORTS.get(image);
  if (imports === undefined) {
    imports = findImports(image);
    IMPORTS.set(image, imports);
  }
  return imports;
}

function findImports({ relocations }: Image): Imports {
  const symbols: SymbolRef[] = [];
  const indices = new Int32Array(relocations.length).fill(-1);
  const byKey = new Map<string, number>();
  for (const [i, { symbol }] of relocations.entries()) {
    if (!isFunction(symbol)) continue;
    const key = keyOf(symbol);
    let index = byKey.get(key);
    if (index === undefined) {
      index = symbols.push(symbol) - 1;
      byKey.set(key, index);
    }
    indices[i] = index;
  }
  return { symbols, indices, byKey };
}

/** Machine code in memory, with the functions of the host that it calls. */
class Code<R extends string> implements PlacedCode {
  readonly image: Image;
  readonly address: bigint;
  readonly backend: Backend<R>;
  readonly memory: Memory;
  /** The address that host functions and the code return to; entry points of host functions lie behind it. */
  readonly returnAddress: bigint;
  readonly functions: readonly HostFunction[];
  readonly #imports: Imports;
  readonly #setting: Setting<R>;
  readonly #text: Allocation;
  readonly #entries: Allocation;

  /** `subprogAddress` gives what stands for a subprogram of the code that is placed at an address. */
  constructor(
    setting: Setting<R>,
    image: Image,
    name: string,
    host: Host,
    subprogAddress: (index: number, address: bigint) => bigint,
  ) {
    const { backend, placed } = setting;
    const { memory } = host;
    this.#setting = setting;
    this.backend = backend;
    this.image = image;
    this.memory = memory;

    this.#imports = importsOf(image);
    const { symbols, indices } = this.#imports;
    const functions = symbols.map((symbol) => host.function(symbol));
    const addresses = image.relocations.map(({ symbol }, i) => {
      if (isFunction(symbol)) return BigInt(indices[i]!);
      return symbol.kind === "subprog" ? 0n : host.address(symbol);
    });
    this.functions = functions;
    this.#text = memory.allocate("text", image.code.length, `${name} (${backend.arch})`, Access.READ | Access.EXECUTE);
    this.address = this.#text.address;
    try {
      this.#entries = memory.allocate("host", ENTRY * (functions.length + 1), `host functions of ${name}`, Access.HOST);
    } catch (error) {
      memory.free(this.#text);
      throw error;
    }
    this.returnAddress = this.#entries.address;
    let next = 0;
    try {
      const code = backend.link(image, this.address, (symbol) => {
        const value = addresses[next++]!;
        if (symbol.kind === "subprog") return subprogAddress(symbol.index, this.address);
        return isFunction(symbol) ? this.returnAddress + BigInt(ENTRY) * (value + 1n) : value;
      });
      memory.write(this.address, code);
      placed.add(memory, this.#text, this);
      placed.add(memory, this.#entries, this);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** The program that it is the code of. */
  get program(): Loaded<R> | undefined {
    return undefined;
  }

  hostAddress(symbol: SymbolRef): bigint | undefined {
    const index = this.#imports.byKey.get(keyOf(symbol));
    return index === undefined ? undefined : this.returnAddress + BigInt(ENTRY * (index + 1));
  }

  /** Where the code of a callback lies, whose address may be another engine's. */
  codeAddress(address: bigint): bigint {
    return address;
  }

  start({ words, places, stack, cpu = 0 }: FunctionCall): FunctionExecution {
    if (words.length !== places.slots.length) {
      throw new BpfError("argument", `${words.length} words of arguments`, { expected: `${places.slots.length}` });
    }
    return new Run(this, { address: this.address, args: words, places, stack, cpu });
  }

  release(): void {
    const { placed } = this.#setting;
    for (const allocation of [this.#text, this.#entries]) {
      placed.remove(this.memory, allocation);
      this.memory.free(allocation);
    }
  }

  /** The code, or the code whose host entry points, lie at an address: this one or another. */
  placedAt(address: bigint): Code<R> | undefined {
    const offset = address - this.address;
    if (offset >= 0n && offset < BigInt(this.image.code.length)) return this;
    return this.#setting.placed.at(this.memory, address);
  }

  takeCpu(): Cpu<R> {
    const { counting = false } = this.#setting.options;
    // A CPU that counts begins anew with every run.
    return (counting ? undefined : this.#idle().pop()) ?? this.backend.createCpu(this.memory, { counting });
  }

  giveCpu(cpu: Cpu<R>): void {
    this.#idle().push(cpu);
  }

  #idle(): Cpu<R>[] {
    const { idle } = this.#setting;
    let cpus = idle.get(this.memory);
    if (cpus === undefined) {
      cpus = [];
      idle.set(this.memory, cpus);
    }
    return cpus;
  }
}

/** The code of a program. */
class Loaded<R extends string> implements Executable {
  readonly program: VerifiedProgram;
  readonly code: Code<R>;
  readonly #subprogAddress: ((index: number) => bigint) | undefined;
  #boundaries: Boundaries | undefined;

  constructor(setting: Setting<R>, program: VerifiedProgram, host: Host, { subprogAddress }: LoadOptions = {}) {
    const image = setting.backend.compile(program, setting.options);
    this.program = program;
    this.#subprogAddress = subprogAddress;
    this.code = new ProgramCode(this, setting, image, program.program.name, host, (index, address) =>
      subprogAddress === undefined ? entryOf(image, address, index) : subprogAddress(index),
    );
  }

  get image(): Image {
    return this.code.image;
  }

  get imageAddress(): bigint {
    return this.code.address;
  }

  subprogAddress(index: number): bigint {
    return this.#subprogAddress?.(index) ?? entryOf(this.image, this.imageAddress, index);
  }

  codeAddress(address: bigint): bigint {
    if (this.#subprogAddress === undefined) return address;
    const index = this.image.subprogs.findIndex((_, i) => this.#subprogAddress!(i) === address);
    return index < 0 ? address : entryOf(this.image, this.imageAddress, index);
  }

  start({ args, stack, cpu = 0 }: StartOptions): Execution {
    if (args.length > BPF_ARGS)
      throw new BpfError("argument", `${args.length} arguments`, { expected: "at most 5, for r1 to r5" });
    return new Run(this.code, { address: entryOf(this.image, this.imageAddress, 0), args, stack, cpu });
  }

  release(): void {
    this.code.release();
  }

  get boundaries(): Boundaries {
    this.#boundaries ??= boundariesOf(this.image);
    return this.#boundaries;
  }
}

class ProgramCode<R extends string> extends Code<R> {
  readonly #program: Loaded<R>;

  constructor(program: Loaded<R>, ...code: ConstructorParameters<typeof Code<R>>) {
    super(...code);
    this.#program = program;
  }

  override get program(): Loaded<R> {
    return this.#program;
  }

  override codeAddress(address: bigint): bigint {
    return this.#program.codeAddress(address);
  }
}

function entryOf({ subprogs }: Image, address: bigint, index: number): bigint {
  return address + BigInt(subprogs[index]!.start);
}

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

class Run<R extends string> implements Execution, MachineRun {
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
    const owner = this.#current.placedAt(address);
    const entry = owner === undefined ? 0 : Number(address - owner.returnAddress);
    const called = entry > 0 && entry % ENTRY === 0 ? owner?.functions[entry / ENTRY - 1] : undefined;
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

/** Parts of trampolines that are addresses, not functions. */
const ADDRESSES: readonly string[] = ["image", "original", "function"];

function isFunction(symbol: SymbolRef): boolean {
  const { kind } = symbol;
  if (kind === "trampoline") return !ADDRESSES.includes(symbol.part);
  return kind === "helper" || kind === "kfunc" || kind === "packet-load" || kind === "body";
}

function keyOf(symbol: SymbolRef): string {
  return symbol.kind === "helper"
    ? `helper ${symbol.id}`
    : symbol.kind === "packet-load"
      ? `packet-load ${symbol.size}`
      : symbol.kind === "kfunc"
        ? `kfunc ${symbol.index}`
        : symbol.kind === "trampoline"
          ? symbol.part
          : symbol.kind;
}
