// The kernel around programs: memory, CPUs, time, maps and helpers, on one engine.
import {
  BpfError,
  checkTailCallStack,
  type Engine,
  type Executable,
  type FuncModel,
  type GuestCall,
  type HostCall,
  helperByName,
  invariant,
  type LoadOptions,
  type MapSpec,
  Memory,
  type MemoryOptions,
  type MultiStrategyName,
  type Program,
  type StackSpace,
  type VerifiedProgram,
} from "@bpfkit/core";
import { VirtualClock } from "./clock.ts";
import type { Context, ContextInput } from "./context/context.ts";
import { CONTEXTS } from "./context/registry.ts";
import type { HelperSite } from "./helpers/helper.ts";
import { type ExtensionLink, extending } from "./links.ts";
import type { KernelMap, LiveMap } from "./maps/map.ts";
import { ProgArrayMap } from "./maps/prog-array.ts";
import { createLiveMap } from "./maps/registry.ts";
import type { MultiTracingLink } from "./multi/link.ts";
import { drain, type Operation } from "./operation.ts";
import { ProgArray } from "./prog-array.ts";
import { LoadedProgram, type ProgramSite } from "./program.ts";
import { checkProgram, ProgramHost, type UserFunctions, type UserKfunc } from "./program-host.ts";
import { Random } from "./random.ts";
import { Rcu, type Reader, readerKind } from "./rcu.ts";
import { Resident, residentOf } from "./resident.ts";
import { type Scheduled, type ScheduleOptions, schedule } from "./scheduler/schedule.ts";
import { Ledger, type LedgerCounts } from "./text/ledger.ts";
import { PokeTable } from "./text/poke-table.ts";
import type { PokeProtocol } from "./text/protocols.ts";
import { type LiveSite, TextSites } from "./text/sites.ts";
import type { FunctionBody, FunctionOptions, TracedFunction } from "./tracing/function.ts";
import type { TracingLink } from "./tracing/link.ts";
import type { AttachTarget } from "./tracing/target.ts";
import { type AttachOptions, type MultiAttachOptions, Tracer } from "./tracing/tracer.ts";

/** What a {@link Kernel} is made with. */
export interface KernelOptions {
  /** What runs the programs: core's `interpreter`, or `jit(backend)`. */
  readonly engine: Engine;
  /** Virtual CPUs, 1 unless told. */
  readonly cpus?: number;
  /** Of the random numbers that programs get; 0 unless told. */
  readonly seed?: number;
  /** Size and place of guest memory. */
  readonly memory?: MemoryOptions;
  /** How direct tail calls are brought along when a slot changes; as Linux does it unless told. */
  readonly pokeProtocol?: PokeProtocol;
  /**
   * Entries of functions from which on a change writes them together, in as few steps as there can be; 64 unless told. Fewer are written one by one, so that
   * under a schedule CPUs go on in between.
   */
  readonly writeTogether?: number;
  /**
   * How calls of functions find the programs that are attached to them: by a trampoline that functions of equal arguments and programs share
   * (`shared`, unless told), one for each function (`per-function`), or one that looks up by the function's address what to run (`global`). What runs is the same.
   */
  readonly multi?: MultiStrategyName;
}

/**
 * Code of the host that programs call: a helper of yours, or a kfunc. Gives r0; a generator may yield calls back into the program.
 * A `Fault` that `kernel.memory` throws ends the program with a trap.
 */
export type KernelFunction = (call: HostCall, kernel: Kernel) => bigint | Generator<GuestCall, bigint, bigint>;

/** Options of {@link Kernel.load}. */
export interface KernelLoadOptions extends LoadOptions {
  /** The program that a program of type `ext` extends. */
  readonly target?: LoadedProgram;
}

/** Bytes of each CPU's stack: 16 frames of 512 bytes, and what compiled code and calls of the host put between them. */
const STACK_SIZE = 16 << 10;
const PAGE = 64 << 10;
const MAX_CPUS = 1024;
/** Arguments that BPF calls have. */
const BPF_ARGS = 5;
/** Of functions without any. */
const NO_OPTIONS: FunctionOptions = {};
/** Trace lines that are kept. */
const MAX_TRACE = 10_000;

/**
 * A kernel in which programs run; where kernels differ, Linux 7.2. Everything is deterministic: the same calls give the same addresses, times, random numbers and
 * results, on every engine.
 *
 * Tail calls go through prog arrays ({@link progArray}), with the kernel's rules for what may share one. Code that jumps straight to what a slot
 * holds is rewritten when the slot changes; {@link ledger} counts what that costs. Changes that other CPUs could watch also exist as
 * operations, step by step: {@link loading}, `ProgArray.changing`.
 *
 * @example
 * ```ts
 * import { assemble, interpreter, verified } from "@bpfkit/core";
 * import { Kernel } from "@bpfkit/kernel";
 * const kernel = new Kernel({ engine: interpreter });
 * const program = kernel.load(verified(assemble("r0 = 2\nexit", { type: "xdp" })));
 * const { returnValue } = program.run({ data: new Uint8Array(64) });
 * console.log(returnValue); // 2, XDP_PASS
 * ```
 */
export class Kernel {
  readonly engine: Engine;
  readonly cpus: number;
  readonly memory: Memory;
  /** Virtual time; settable. */
  readonly clock: VirtualClock = new VirtualClock();
  readonly #rcu = new Rcu();
  readonly #ledger = new Ledger();
  /** Undefined where the engine has no machine code. */
  readonly #text: TextSites | undefined;
  readonly #tracer: Tracer | undefined;
  readonly #stacks: readonly StackSpace[];
  readonly #random: readonly Random[];
  readonly #trace: string[] = [];
  readonly #maps = new Map<MapSpec, LiveMap>();
  readonly #mapsByAddress = new Map<bigint, LiveMap>();
  /** Programs loaded so far. */
  #programs = 0;
  readonly #functions: UserFunctions = { helpers: new Map(), kfuncs: new Map() };
  /** Per program type, what prepares contexts on each CPU. */
  readonly #contexts = new Map<string, ((input: ContextInput) => Context)[]>();
  /** Per CPU, the run that is going on, and its context if it is one of a program. */
  readonly #running: ({ readonly run: Reader; readonly context: Context | undefined } | undefined)[] = [];

  /** @throws {BpfError} `argument` when there are no CPUs or too many, or memory does not fit below 4 GiB */
  constructor({
    engine,
    cpus = 1,
    seed = 0,
    memory = {},
    pokeProtocol,
    writeTogether = 64,
    multi = "shared",
  }: KernelOptions) {
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
      throw new BpfError("argument", `${cpus} cpus`, { expected: `1 to ${MAX_CPUS}` });
    }
    this.engine = engine;
    this.cpus = cpus;
    const stack = Math.max(1 << 20, Math.ceil((cpus * (STACK_SIZE + 128) + 128) / PAGE) * PAGE);
    this.memory = new Memory({ ...memory, sizes: { stack, ...memory.sizes } });
    if (engine.text !== undefined) {
      const { text } = engine;
      this.#text = new TextSites(this.memory, text, this.#ledger, pokeProtocol);
      this.#tracer = new Tracer({
        kernel: this,
        memory: this.memory,
        text,
        sites: this.#text,
        rcu: this.#rcu,
        cpus,
        writeTogether,
        design: multi,
        ledger: this.#ledger,
        functions: {
          stackOf: (cpu) => this.stackOf(cpu),
          take: (cpu) => this.#take(cpu),
          enter: (run) => this.#enter(run, undefined),
          leave: (run) => this.#leave(run),
        },
        runOn: (cpu) => this.#running[cpu]?.run,
      });
    }
    this.#stacks = Array.from({ length: cpus }, (_, cpu) => {
      const { address } = this.memory.allocate("stack", STACK_SIZE, `stack of cpu ${cpu}`);
      return { low: address, high: address + BigInt(STACK_SIZE) };
    });
    this.#random = Array.from({ length: cpus }, (_, cpu) => new Random(seed, cpu));
  }

  /** What programs printed, oldest first; the last 10,000 lines. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** All maps in the order in which they were made. */
  get maps(): readonly KernelMap[] {
    return [...this.#maps.values()];
  }

  /**
   * Makes a map. Programs that name the same `spec` object share it; a program's maps that do not exist yet are made when it is
   * loaded.
   *
   * @throws {BpfError} `argument` where the kernel refuses, with its errno; `unsupported` for map types that are not built yet;
   * `limit` when guest memory is full
   */
  createMap(spec: MapSpec): KernelMap {
    if (this.#maps.has(spec)) throw new BpfError("argument", `map '${spec.name}' exists`);
    return this.#make(spec);
  }

  /** A map by its name or its `spec` object; @throws {BpfError} `unknown-symbol` when there is none, `argument` when several have the name */
  map(nameOrSpec: string | MapSpec): KernelMap {
    const found =
      typeof nameOrSpec === "string"
        ? this.maps.filter(({ name }) => name === nameOrSpec)
        : [this.#maps.get(nameOrSpec)];
    const name = typeof nameOrSpec === "string" ? nameOrSpec : nameOrSpec.name;
    if (found.length > 1)
      throw new BpfError("argument", `${found.length} maps named '${name}'`, { expected: "a map's spec" });
    if (found[0] === undefined) {
      throw new BpfError("unknown-symbol", `map '${name}'`, {
        expected: this.maps.map((map) => map.name).join(", ") || "a map to be made",
      });
    }
    return found[0];
  }

  /**
   * Puts a program in place, with the maps it names. A load that fails leaves nothing behind.
   *
   * @param options - what an extension extends; for engines that follow one another
   * @throws {BpfError} `unsupported` names a program type, helper, map type or instruction that is not built; `unknown-symbol` a
   * helper or kfunc that does not exist, with the instruction that calls it; `argument` where the kernel refuses, with its errno: a prog array of
   * other programs (EINVAL), a tail call below 256 bytes of stack or more (EACCES)
   */
  load(verified: VerifiedProgram, options?: KernelLoadOptions): LoadedProgram {
    return drain(this.loading(verified, options), (step) => this.#rcu.blocks(step));
  }

  /** {@link load} step by step, for whoever runs something in between: its direct tail calls are put right under the mutexes of their prog arrays. */
  *loading(verified: VerifiedProgram, { target, ...options }: KernelLoadOptions = {}): Operation<LoadedProgram> {
    const extended = this.#targetOf(verified, target);
    const program: Program = extended === undefined ? verified.program : { ...verified.program, type: extended.type };
    checkProgram({ ...verified, program }, this.#functions);
    checkTailCallStack(verified);
    const undo: (() => void)[] = [];
    const id = ++this.#programs;
    undo.push(() => {
      if (id === this.#programs) this.#programs--;
    });
    try {
      const maps = program.maps.map((spec) => this.#maps.get(spec) ?? this.#makeFor(spec, undo));
      const host = new ProgramHost(this, this.#site, program, maps, this.#functions);
      const executable = this.engine.load(verified, host, options);
      let pokes: PokeTable | undefined;
      undo.push(() => (pokes ? pokes.defer(() => executable.release()) : executable.release()));
      pokes = this.#placeText(executable, maps, undo);
      const resident = new Resident({
        id,
        memory: this.memory,
        verified,
        executable,
        target: extended,
        type: program.type,
        jited: this.#text !== undefined,
        pokes,
        retire: (retired) => this.#retire(retired),
      });
      undo.push(() => extended?.drop());
      for (const map of maps) if (map instanceof ProgArrayMap) undo.push(map.join(resident));
      yield* settleAll(pokes, undo);
      return new LoadedProgram(this.#programSite(program.type), resident);
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  /**
   * A prog array by its name or its `spec` object, to put programs into.
   *
   * @throws {BpfError} as {@link map}; `argument` for a map of another type
   */
  progArray(nameOrSpec: string | MapSpec): ProgArray {
    const map = this.map(nameOrSpec);
    if (map instanceof ProgArrayMap) return new ProgArray(map);
    throw new BpfError("argument", `${map.type} map '${map.name}' as a prog array`, { expected: "a prog_array" });
  }

  /**
   * Has an extension (a program of type `ext`, loaded with a `target`) replace a subprogram of its target, given by name or index: its entry becomes a
   * jump to the extension. The target cannot be put into prog arrays meanwhile. On an engine without machine code the link only keeps these rules.
   *
   * @throws {BpfError} `argument`: (EBUSY) where the target is in a prog array, with the cycle that would let it run forever, the
   * subprogram is replaced already, or programs are attached to it
   */
  extend(extension: LoadedProgram, subprog: string | number = 0): ExtensionLink {
    return drain(this.extending(extension, subprog), (step) => this.#rcu.blocks(step));
  }

  /** {@link extend} step by step, for whoever runs something in between. */
  *extending(extension: LoadedProgram, subprog: string | number = 0): Operation<ExtensionLink> {
    const resident = this.#residentOf(extension, "extension");
    const { targets, trampolines } = this.#tracer ?? {};
    const text = this.#text && { targets: targets!, sites: this.#text, trampolines: trampolines! };
    return yield* extending({ text, blocks: (step) => this.#rcu.blocks(step) }, resident, subprog);
  }

  /**
   * Makes a function of the host whose calls programs can be attached to: machine code with an entry that can be rewritten, and a body. Call it with
   * `run`, from another body, or from programs, which find it as a kfunc of its name where all its arguments are in registers that BPF has.
   *
   * @param shape - what `parseFuncModel` reads, or what it gives: `"int (u64, struct{u64,u32})"`
   * @throws {BpfError} `unsupported` on an engine without machine code, and for more than 12 words of arguments (ENOTSUPP); `syntax` for a shape that
   * cannot be read; `limit` when guest memory is full
   *
   * @example
   * ```ts
   * const open = kernel.defineFunction("do_open", "int (u64, u32)", ({ words }) => words[0]! & 0xffn);
   * using link = kernel.attach(program, open, { cookie: 7n });
   * console.log(open.run([0x1234n, 0n]).value); // 52n, and the program has seen it
   * ```
   */
  defineFunction(
    name: string,
    shape: string | FuncModel,
    body: FunctionBody,
    options: FunctionOptions = NO_OPTIONS,
  ): TracedFunction {
    const traced = this.#withText().define(name, shape, body, options);
    if (traced.places.slots.length <= BPF_ARGS) this.#functions.kfuncs.set(name, new FunctionAsKfunc(traced));
    return traced;
  }

  /**
   * Has a program of type `tracing` run with every call of a function: before it (`fentry`), behind it (`fexit`), both (`fsession`), or in place of it
   * (`fmod_ret`). The program attached last runs first. A function has one trampoline, which is made anew when a program comes or goes; calls that are in
   * the old one finish there.
   *
   * @throws {BpfError} `argument`: (EINVAL) for a program that is not of this kind, one that may sleep where the function may not, `fmod_ret` where the
   * result may not be replaced; (EBUSY) where the program is attached already, an extension replaces the subprogram, or runs in progress would
   * have to move on first. `limit` (E2BIG) for more than 38 programs, a session being two, or more than a page of code. `unsupported` on an
   * engine without machine code
   */
  attach(program: LoadedProgram, to: AttachTarget, options: AttachOptions = {}): TracingLink {
    return drain(this.attaching(program, to, options), (step) => this.#rcu.blocks(step));
  }

  /** {@link attach} step by step, for whoever runs something in between. */
  *attaching(program: LoadedProgram, to: AttachTarget, options: AttachOptions = {}): Operation<TracingLink> {
    return yield* this.#withText().attaching(this.#residentOf(program, "program"), to, options);
  }

  /**
   * Has a program of type `tracing` run with every call of many functions, whatever their arguments are. Functions whose arguments lie in equal places and
   * that run the same programs share one trampoline. Together with programs that were attached otherwise, the one attached last runs first.
   *
   * @param functions - functions, and programs or their subprograms as in {@link attach}, each once; or a pattern of functions' names with `*` and `?`
   * @throws {BpfError} naming the function, its place in the list and the reason, as {@link attach}; `argument` (EINVAL) for no function, one that is listed
   * twice or is not of this kernel, `fmod_ret`, cookies for a pattern, and another number of cookies than functions; `limit` (E2BIG) for more than
   * 1,048,576 functions
   *
   * @example
   * ```ts
   * using link = kernel.attachMulti(program, [read, write, close], { cookies: [1n, 2n, 3n] });
   * console.log(link.images); // 2, where read and write have their arguments in the same places
   * ```
   */
  attachMulti(
    program: LoadedProgram,
    functions: readonly AttachTarget[] | string,
    options: MultiAttachOptions = {},
  ): MultiTracingLink {
    return drain(this.attachingMulti(program, functions, options), (step) => this.#rcu.blocks(step));
  }

  /** {@link attachMulti} step by step, for whoever runs something in between. Where a step fails, everything is as before. */
  *attachingMulti(
    program: LoadedProgram,
    functions: readonly AttachTarget[] | string,
    options: MultiAttachOptions = {},
  ): Operation<MultiTracingLink> {
    const resident = this.#residentOf(program, "program");
    return yield* this.#withText().attachingMulti(resident, functions, options);
  }

  /** The trampolines around functions that entries lead to now: how many, and their bytes with those of the rows that they go by. O(trampolines) */
  get trampolines(): { readonly count: number; readonly bytes: number } {
    const { count = 0, bytes = 0 } = this.#tracer?.trampolines.design ?? {};
    return { count, bytes };
  }

  /** How often a program was not let in by a trampoline because it was running on that CPU already. */
  missesOf(program: LoadedProgram): number {
    return this.#tracer?.entered.missesOf(this.#residentOf(program, "program")) ?? 0;
  }

  /**
   * Lets runs on several CPUs and operations go on at the same time, interleaved step by step: from a seed, from a recorded schedule, or as a
   * function chooses. CPUs fetch code that is being rewritten as real ones can: old or new until they are synchronized. Never hangs: where
   * nothing can move, `stuck` says who waits for whom.
   *
   * Cost: moves × (CPUs + operations).
   *
   * @example
   * ```ts
   * const { schedule, stuck, runs } = kernel.schedule({
   *   runs: [{ program, times: 3 }, { program, times: 3 }],
   *   operations: { update: table.changing(0, next) },
   *   choose: { seed: 7 },
   * });
   * ```
   *
   * @throws {BpfError} `argument` for a CPU that is not there, a program that does not run, and a recorded schedule that does not fit
   */
  schedule(options: ScheduleOptions): Scheduled {
    return schedule(
      {
        memory: this.memory,
        rcu: this.#rcu,
        cpus: this.cpus,
        text: this.engine.text,
        sites: this.#text,
        runOn: (cpu) => this.#running[cpu]?.run,
      },
      options,
    );
  }

  /** What changes of live code have cost so far. */
  get ledger(): LedgerCounts {
    return this.#ledger.counts;
  }

  /** All places in live code that may be rewritten, with what stands there; none on an engine without machine code. */
  get textSites(): readonly LiveSite[] {
    return this.#text?.all ?? [];
  }

  /**
   * Supplies a helper, by number or name (with or without `bpf_`), for programs loaded from now on; it goes before the built-in one.
   *
   * @throws {BpfError} `unknown-symbol` when the kernel has no helper of that name
   */
  registerHelper(idOrName: number | string, run: KernelFunction): void {
    const id = typeof idOrName === "number" ? idOrName : helperByName(idOrName)?.id;
    if (id === undefined) {
      throw new BpfError("unknown-symbol", `helper '${idOrName}'`, {
        expected: "a name of the kernel's UAPI, or a number of your own",
      });
    }
    this.#functions.helpers.set(id, run);
  }

  /** Supplies a kernel function by name, for programs loaded from now on. */
  defineKfunc(name: string, run: KernelFunction): void {
    this.#functions.kfuncs.set(name, { run, sleeps: false });
  }

  /** The stack of a CPU. */
  stackOf(cpu: number): StackSpace {
    return this.#stacks[cpu]!;
  }

  #make(spec: MapSpec): LiveMap {
    const map = createLiveMap({ memory: this.memory, rcu: this.#rcu, cpus: this.cpus }, spec);
    this.#maps.set(spec, map);
    this.#mapsByAddress.set(map.address, map);
    return map;
  }

  #makeFor(spec: MapSpec, undo: (() => void)[]): LiveMap {
    const map = this.#make(spec);
    undo.push(() => this.#forget(map));
    return map;
  }

  #forget(map: LiveMap): void {
    this.#maps.delete(map.spec);
    this.#mapsByAddress.delete(map.address);
    map.release();
  }

  /** The program that an extension is for. */
  #targetOf({ program: { name, type } }: VerifiedProgram, target: LoadedProgram | undefined): Resident | undefined {
    if ((type === "ext") !== (target !== undefined)) {
      throw new BpfError("argument", `program '${name}' of type ${type} with${target ? "" : "out"} a target (EINVAL)`, {
        expected: "a target for programs of type ext, and only for them",
      });
    }
    if (target === undefined) return undefined;
    const resident = residentOf(target);
    if (
      resident === undefined ||
      target.isReleased ||
      resident.memory !== this.memory ||
      resident.target !== undefined
    ) {
      throw new BpfError("argument", `target '${target.name}' of extension '${name}' (EINVAL)`, {
        expected: "a live program of this kernel that is no extension itself",
      });
    }
    return resident;
  }

  /** Takes the patch sites of a placed program into the table. */
  #placeText(
    { image, imageAddress, program }: Executable,
    maps: readonly LiveMap[],
    undo: (() => void)[],
  ): PokeTable | undefined {
    const text = this.#text;
    if (text === undefined || image === undefined || imageAddress === undefined) return undefined;
    text.add(program.program.name, image, imageAddress);
    let pokes: PokeTable | undefined;
    const remove = (): void => text.remove(image, imageAddress);
    undo.push(() => (pokes ? pokes.defer(remove) : remove()));
    if (image.pokes.length > 0)
      pokes = new PokeTable(text, image, imageAddress, readerKind(program), (index) => progArrayAt(maps, index));
    return pokes;
  }

  /** Nobody holds the program: no change of a prog array touches its code from here on, and when the last run ends its memory goes. */
  #retire(resident: Resident): void {
    const { pokes, executable, target } = resident;
    this.#tracer?.targets.forget(resident);
    for (const map of pokes?.maps ?? []) map.untrack(pokes!);
    const free = (): void => {
      const { image, imageAddress } = executable;
      if (image !== undefined && imageAddress !== undefined) this.#text?.remove(image, imageAddress);
      resident.free();
    };
    const afterRuns = (): void =>
      this.#rcu.defer(free, readerKind((target ?? resident).verified) === "rcu" ? ["rcu"] : ["rcu", "sleepable"]);
    if (pokes === undefined) afterRuns();
    else pokes.defer(afterRuns);
  }

  #programSite(type: string): ProgramSite {
    return {
      cpus: this.cpus,
      stackOf: (cpu) => this.stackOf(cpu),
      prepare: (cpu, input) => this.#prepare(type, cpu, input),
      enter: (run, context) => this.#enter(run, context),
      leave: (run) => this.#leave(run),
      clock: this.clock,
    };
  }

  get #site(): HelperSite {
    return {
      memory: this.memory,
      clock: this.clock,
      cpus: this.cpus,
      random: (cpu) => this.#random[cpu]!.next(),
      mapAt: (address) => this.#mapsByAddress.get(address),
      contextOf: (cpu) => this.#running[cpu]?.context,
      runContextOf: (cpu) => this.#tracer?.entered.on(cpu)?.context,
      seesResult: (cpu) => (this.#tracer?.entered.on(cpu)?.kind ?? "fentry") !== "fentry",
      print: (line) => {
        if (this.#trace.length === MAX_TRACE) this.#trace.shift();
        this.#trace.push(line);
      },
    };
  }

  #prepare(type: string, cpu: number, input: ContextInput): Context {
    this.#take(cpu);
    let kinds = this.#contexts.get(type);
    if (kinds === undefined) {
      kinds = [];
      this.#contexts.set(type, kinds);
    }
    kinds[cpu] ??= CONTEXTS[type]!.create(this.memory, cpu);
    return kinds[cpu](input);
  }

  /** @throws {BpfError} `argument` when there is no such CPU, or it is taken */
  #take(cpu: number): void {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= this.cpus)
      throw new BpfError("argument", `cpu ${cpu}`, { expected: `a cpu below ${this.cpus}` });
    if (this.#running[cpu] === undefined) return;
    throw new BpfError("argument", `cpu ${cpu} is running a program`, {
      hint: "a run that was started has to end, or be disposed of",
    });
  }

  #enter(run: Reader, context: Context | undefined): void {
    this.#running[run.cpu] = { run, context };
    this.#rcu.enter(run);
  }

  #leave(run: Reader): void {
    this.#running[run.cpu] = undefined;
    this.#tracer?.entered.clear(run.cpu);
    this.#rcu.leave(run);
  }

  #withText(): Tracer {
    if (this.#tracer !== undefined) return this.#tracer;
    throw new BpfError("unsupported", `functions that can be traced on engine ${this.engine.name}`, {
      expected: "an engine with machine code, as `jit(backend)`",
    });
  }

  #residentOf(program: LoadedProgram, what: string): Resident {
    const resident = residentOf(program);
    if (resident !== undefined && !program.isReleased && resident.memory === this.memory) return resident;
    throw new BpfError("argument", `${what} '${program.name}'`, { expected: "a live program of this kernel" });
  }
}

/** A function of the host as programs call it. */
class FunctionAsKfunc implements UserKfunc {
  readonly #traced: TracedFunction;

  constructor(traced: TracedFunction) {
    this.#traced = traced;
  }

  get sleeps(): boolean {
    return this.#traced.options.sleeps === true;
  }

  get run(): KernelFunction {
    const traced = this.#traced;
    return function* ({ args }) {
      return yield traced.call(...args.slice(0, traced.places.slots.length));
    };
  }
}

function progArrayAt(maps: readonly LiveMap[], index: number): ProgArrayMap {
  const map = maps[index];
  invariant(map instanceof ProgArrayMap, `a prog array as map ${index} of a direct tail call`);
  return map;
}

/** Has prog arrays track a program's direct tail calls, then brings these to what the slots hold. */
function* settleAll(pokes: PokeTable | undefined, undo: (() => void)[]): Operation<void> {
  if (pokes === undefined) return;
  undo.push(() => {
    for (const map of pokes.maps) map.untrack(pokes);
  });
  for (const map of pokes.maps) map.track(pokes);
  for (const map of pokes.maps) yield* map.settle(pokes);
}
