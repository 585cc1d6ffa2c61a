// Machine code of an engine in guest memory: what it calls, where its instructions begin, and which program it is.
import { BpfError } from "../errors.ts";
import type {
  Executable,
  Execution,
  FunctionCall,
  FunctionExecution,
  Host,
  HostFunction,
  LoadOptions,
  PlacedCode,
  StartOptions,
  Symbol as SymbolRef,
} from "../machine/engine.ts";
import { Access, type Allocation, type Memory } from "../machine/memory.ts";
import type { Placed } from "../machine/placed.ts";
import type { VerifiedProgram } from "../program.ts";
import type { Backend, CompileOptions, Cpu, CpuOptions } from "./backend.ts";
import type { Image } from "./image.ts";
import { Run } from "./run.ts";

/** Bytes between the entry points of host functions. */
const ENTRY = 16;
/** Arguments of a BPF function. */
const BPF_ARGS = 5;

/** What all code of an engine shares. */
export interface Setting<R extends string> {
  readonly backend: Backend<R>;
  readonly options: CompileOptions & CpuOptions;
  /** Code, by where it lies and by its host entry points. */
  readonly placed: Placed<Code<R>>;
  /** CPUs without work. */
  readonly idle: WeakMap<Memory, Cpu<R>[]>;
}

/** What lies where: the places of an image in which BPF instructions begin, found by pc. */
export interface Boundaries {
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
export class Code<R extends string> implements PlacedCode {
  readonly image: Image;
  readonly address: bigint;
  readonly backend: Backend<R>;
  readonly memory: Memory;
  /** The address that host functions and the code return to; entry points of host functions lie behind it. */
  readonly returnAddress: bigint;
  readonly #functions: readonly HostFunction[];
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
    this.#functions = functions;
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

  /** The function of the host that is entered at an address behind {@link returnAddress}. */
  functionAt(address: bigint): HostFunction | undefined {
    const entry = Number(address - this.returnAddress);
    return entry > 0 && entry % ENTRY === 0 ? this.#functions[entry / ENTRY - 1] : undefined;
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
export class Loaded<R extends string> implements Executable {
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

function boundariesOf({ code, boundaries }: Image): Boundaries {
  const marks = new Uint8Array(code.length + 1);
  const slots = new Int32Array(code.length + 1).fill(-1);
  for (let slot = boundaries.length - 1; slot >= 0; slot--) {
    marks[boundaries[slot]!] = 1;
    slots[boundaries[slot]!] = slot;
  }
  return { marks, slots };
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
