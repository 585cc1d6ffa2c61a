// A function that can be traced, who calls it, and programs that tell what they find: all of it functions and code that a backend made.
import {
  Access,
  type Allocation,
  type ArgPlaces,
  assemble,
  type Backend,
  type CompileOptions,
  type Cpu,
  type EncodedRow,
  type Executable,
  encodeRow,
  type FunctionExecution,
  type GuestCall,
  type Host,
  type HostCall,
  type HostFunction,
  invariant,
  jit,
  Memory,
  type PlacedCode,
  Row,
  type SiteState,
  type Symbol as SymbolRef,
  type TextSite,
  type TrampolineLink,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import {
  cookieOf,
  enterText,
  exitText,
  findingText,
  nextWord,
  type Outcome,
  originalText,
  rowText,
  searchText,
  seesResult,
  type TracedCall,
  tokenOf,
} from "./call-model.ts";
import { MOST_LINKS } from "./cases.ts";

const KIB = 1 << 10;
const PAGE = 64 * KIB;
const STACK = 16 * KIB;
/** Room above the frames, where nobody may write. */
const ABOVE = 256;
const BUDGET = 100_000;
/** Bytes between what stands for programs in the host's calls. */
const OBJECT = 16n;
const NOP: SiteState = { kind: "nop" };
const NOTHING: ArgPlaces = { slots: [], registers: 0, stack: 0, result: { size: 8, signed: false } };

/** The host's part in programs: one tells what it finds, one is the body of a function that is a program, two find cookies and rows. */
export const TELL: number = 1;
const BODY = 2;
const SEARCH = 3;
const FIND_ROW = 4;

/** Tells its context, and uses all registers that it has to give back. */
const telling = (link: number): string =>
  `r6 = r1\nr7 = ${link + 7}\nr8 = r7\nr9 = r10\nr2 = ${link}\ncall ${TELL}\nexit`;

/** A function that is a program: its arguments are the body's. */
const FUNCTION = `call ${BODY}\nr6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\nexit`;

/** What is traced: functions of the host, or a program. */
export type Target = "function" | "second function" | "third function" | "program";

export interface WorldOptions {
  readonly compile?: CompileOptions | undefined;
  /** Text of the program of a link; it tells what it finds unless told. */
  readonly program?: (link: number) => string;
}

/** What can be traced: its code, and the site at its entry. */
export interface TraceTarget {
  readonly place: Place;
  readonly site: TextSite;
}

/** A piece of code and its place. */
export interface Place {
  readonly name: "outer" | "caller" | "function" | "program" | "trampoline";
  readonly code: PlacedCode | Executable;
  readonly address: bigint;
  readonly size: number;
}

/**
 * A caller's caller (`outer`), a caller, a function of either kind, three programs, and one trampoline at a time. Whatever goes against the calling
 * convention turns up among the events of a call.
 */
export class TrampolineWorld {
  readonly backend: Backend;
  readonly memory: Memory = new Memory({ sizes: { host: 2 * PAGE, text: 8 * PAGE, stack: PAGE, data: PAGE } });
  /** The only one: runs take turns. */
  cpu: Cpu;
  readonly outer: PlacedCode;
  readonly caller: PlacedCode;
  readonly targets: Readonly<Record<Target, TraceTarget>>;
  readonly programs: readonly Executable[];
  /** Frame registers of those two while they wait. */
  readonly frames: { outer: bigint; caller: bigint } = { outer: 0n, caller: 0n };
  /** Where the caller's caller, and functions that the host calls, return to. */
  hostReturn = 0n;
  readonly #text: NonNullable<ReturnType<typeof jit>["text"]>;
  readonly #objects: Allocation;
  readonly #cookies: Allocation;
  /** Finds cookies: a program, which gives all 64 bits on every architecture. */
  readonly #search: Executable;
  /** Finds rows, in the same way. */
  readonly #rowSearch: Executable;
  readonly #stack: Allocation;
  /** The rows of functions, by their addresses. */
  readonly #rows = new Map<bigint, { readonly row: EncodedRow; readonly at: Allocation }>();
  #spec: TrampolineSpec | undefined;
  #places: ArgPlaces = NOTHING;
  #trampoline: PlacedCode | undefined;
  /** Whose entries lead to the trampoline, and which of them is called. */
  #attached: Target[] = [];
  #target: Target = "function";
  #state: SiteState = NOP;
  #call: TracedCall | undefined;
  #events: string[] = [];
  #result = 0n;
  #runContext = 0n;
  #turned: readonly number[] = [];

  constructor(backend: Backend, { compile, program = telling }: WorldOptions = {}) {
    const { memory } = this;
    this.backend = backend;
    this.cpu = backend.createCpu(memory);
    const engine = jit({ ...backend, createCpu: () => this.cpu }, compile);
    this.#text = engine.text!;
    this.#objects = memory.allocate("data", Number(OBJECT) * (MOST_LINKS + 1), "objects");
    this.#cookies = memory.allocate("data", Number(OBJECT) * MOST_LINKS, "cookies");
    this.#stack = memory.allocate("stack", STACK, "stack");
    const host = (functions: Readonly<Record<string, HostFunction>>): Host => ({
      memory,
      address: (symbol) => invariant(false, `an address of ${symbol.kind}`) as never,
      function: (symbol) => functions[symbol.kind === "helper" ? symbol.id : symbol.kind]!,
    });
    const image = this.#text.emitFunction();
    this.outer = this.#text.place(image, "outer", host({ body: () => this.#outerBody() }));
    this.caller = this.#text.place(image, "caller", host({ body: () => this.#callerBody() }));
    const traced = (target: Target): TraceTarget => {
      const code = this.#text.place(image, target, host({ body: (call) => this.#body(call, target) }));
      return targetOf(code, code.address);
    };
    const load = (text: string): Executable =>
      engine.load(
        trust(assemble(text)),
        host({
          [TELL]: (call) => this.#tell(call),
          [BODY]: (call) => this.#body(call, "program"),
          [SEARCH]: (call) => this.#findCookie(call),
          [FIND_ROW]: (call) => this.#findRow(call),
        }),
      );
    this.#search = load(`call ${SEARCH}\nexit`);
    this.#rowSearch = load(`call ${FIND_ROW}\nexit`);
    const bpf = load(FUNCTION);
    this.targets = {
      function: traced("function"),
      "second function": traced("second function"),
      "third function": traced("third function"),
      program: targetOf(bpf, bpf.imageAddress!),
    };
    this.programs = Array.from({ length: MOST_LINKS }, (_, link) => load(program(link)));
  }

  /** The trampoline that was made last, and what for. */
  get trampoline(): PlacedCode {
    return this.#trampoline!;
  }

  get spec(): TrampolineSpec {
    return this.#spec!;
  }

  get places(): ArgPlaces {
    return this.#places;
  }

  /** The traced function's address, and where it goes on behind its site. */
  get function(): { readonly address: bigint; readonly original: bigint } {
    const { place, site } = this.targets[this.#target];
    return { address: place.address, original: site.address + BigInt(site.size) };
  }

  /** Runs of programs that can be turned off, in their order. */
  get blocks(): number {
    if (this.spec.fromRow !== true) return this.trampoline.image.patchSites.length;
    return this.#rows.get(this.function.address)?.row.entries.length ?? 0;
  }

  /** How the target's entry leads to the trampoline. */
  get entered(): "call" | "jump" {
    return this.backend.trampolines.jumps && this.spec.original === "known" && this.#callsOriginal ? "jump" : "call";
  }

  /**
   * Makes a trampoline, and leads the target's entry there, which is called from now on. Where it goes by rows, the links are in the target's.
   *
   * @throws {BpfError} what the backend throws
   */
  attach(spec: TrampolineSpec, target: Target): void {
    this.detach();
    const { memory } = this;
    const image = this.#text.emitTrampoline(spec.fromRow === true ? { ...spec, links: [] } : spec);
    this.#spec = spec;
    this.#target = target;
    this.#places = this.#text.classifyArgs(spec.model);
    this.#trampoline = this.#text.place(image, "trampoline", {
      memory,
      address: (symbol) => this.#addressOf(symbol),
      function: (symbol) => this.#functionOf(symbol),
    });
    if (spec.indirect === true) return;
    const state: SiteState = { kind: this.entered, target: this.#trampoline.address };
    this.#state = state;
    this.share(target);
  }

  /** Leads another target's entry to the same trampoline; it is called from now on. A row of its own can have other links. */
  share(target: Target, links: readonly TrampolineLink[] = this.spec.links): void {
    this.#spec = { ...this.spec, links };
    if (this.spec.fromRow === true) this.#writeRow(this.targets[target].place.address);
    this.#poke(this.targets[target].site, NOP, this.#state);
    this.#attached.push(target);
    this.#target = target;
  }

  detach(): void {
    if (this.#trampoline === undefined) return;
    for (const target of this.#attached) this.#poke(this.targets[target].site, this.#state, NOP);
    this.#attached = [];
    for (const { at } of this.#rows.values()) this.memory.free(at);
    this.#rows.clear();
    this.#state = NOP;
    this.#trampoline.release();
    this.#trampoline = undefined;
  }

  /** Calls the function; `step` is called before every instruction. */
  run(call: TracedCall, step?: (pc: bigint) => void): Outcome {
    const { cpu, memory } = this;
    const { abi } = this.backend;
    this.#call = call;
    this.#events = [];
    this.#result = 0n;
    const high = this.#stack.address + BigInt(STACK - ABOVE);
    const above = memory.view(high, ABOVE);
    above.fill(0x5a);
    if (call.offFrom === "start") this.#turnOff();
    const execution = this.outer.start({ words: [], places: NOTHING, stack: { low: this.#stack.address, high } });
    const { returnAddress: back } = abi;
    this.hostReturn = back.in === "register" ? cpu.get(back.register) : memory.load(8, cpu.get(abi.stackPointer));
    for (const [i, register] of abi.preserved.entries()) cpu.set(register, kept(i));
    cpu.set(abi.frameChain.register, 0n);
    const stop = step === undefined ? execution.run(BUDGET) : steps(execution, step);
    if (stop?.kind !== "returned") {
      this.#note(
        stop === undefined ? "does not end" : stop.kind === "trap" ? `${stop.cause}: ${stop.detail}` : "goes on",
      );
    }
    if (above.some((byte) => byte !== 0x5a)) this.#note("the stack above the frames was written");
    this.#turnOn();
    return { events: this.#events, result: this.#result };
  }

  isInStack(address: bigint): boolean {
    const { address: low, size } = this.#stack;
    return address >= low && address <= low + BigInt(size);
  }

  #note(event: string): void {
    this.#events.push(event);
  }

  *#outerBody(): Generator<GuestCall, bigint, bigint> {
    this.frames.outer = this.cpu.get(this.backend.abi.frameChain.register);
    return yield { address: this.caller.address, args: [], places: NOTHING };
  }

  *#callerBody(): Generator<GuestCall, bigint, bigint> {
    const { cpu } = this;
    const { preserved, stackPointer, stackAlign, frameChain } = this.backend.abi;
    this.frames.caller = cpu.get(frameChain.register);
    const before = preserved.map((register) => cpu.get(register));
    const top = (cpu.get(stackPointer) - BigInt(8 * this.#places.stack)) & -BigInt(stackAlign);
    this.#result = yield {
      address: this.#call!.indirect ? this.trampoline.address : this.function.address,
      args: this.#call!.words,
      places: this.#places,
    };
    for (const [i, register] of preserved.entries()) {
      if (cpu.get(register) !== before[i]) this.#note(`${register} is not what it was`);
    }
    if (cpu.get(stackPointer) !== top) this.#note(`${stackPointer} is ${cpu.get(stackPointer) - top} bytes off`);
    return 0n;
  }

  /** The function: it writes over its words on the stack, which are its own. */
  #body({ word }: HostCall, target: Target): bigint {
    const { cpu, memory } = this;
    const { stackPointer, bodyStack } = this.backend.abi;
    const { slots } = this.#places;
    this.#checkStack("the function", !this.#isLoose);
    const words = slots.map((slot) => word!(slot));
    this.#note(originalText(this.targets[target].place.address, words));
    const stack = cpu.get(stackPointer) + BigInt(bodyStack);
    for (const { in: where, index } of slots) {
      if (where === "stack") memory.store(8, stack + BigInt(8 * index), 0xbad_0bad_0badn);
    }
    if (this.#call!.offFrom === "original") this.#turnOff();
    return this.#call!.result;
  }

  /** What program `link` finds around its context. */
  #tell({ args: [context, link] }: HostCall): bigint {
    const { links, funcIp = false, indirect = false } = this.spec;
    const { memory } = this;
    const index = Number(link);
    const at = (words: number): bigint => context + BigInt(8 * words);
    const kind = links[index]?.kind;
    if (kind === undefined) {
      this.#note(`program ${index}, which is not linked`);
      return 0n;
    }
    const meta = memory.load(8, at(-1));
    const count = Number(meta & 0xffn);
    const place = Number((meta >> 8n) & 0xffn);
    const word = kind === "fsession" ? memory.load(8, at(-place)) : undefined;
    if (word !== undefined) memory.store(8, at(-place), nextWord(word, index));
    const text = findingText({
      link: index,
      words: Array.from({ length: Math.min(count, 16) }, (_, i) => memory.load(8, at(i))),
      result: seesResult(links, kind, indirect) ? memory.load(8, at(count)) : undefined,
      ip: funcIp ? memory.load(8, at(-2)) : undefined,
      atExit: meta >> 63n === 1n,
      session: word === undefined ? undefined : { place, word },
    });
    this.#note(text);
    return this.#call!.returns[index]!;
  }

  #findCookie({ args: [table, ip] }: HostCall): bigint {
    const link = Number((table - this.#cookies.address) / OBJECT);
    this.#note(searchText(link, ip));
    return cookieOf(link, ip);
  }

  /** The row of a function: none where it has no programs. */
  #writeRow(ip: bigint): void {
    const { fromRow: _, ...spec } = this.spec;
    if (spec.links.length === 0) return;
    const programs = this.programs.map(({ imageAddress }, i) => ({ code: imageAddress!, object: this.#objectOf(i) }));
    const row = encodeRow(this.#text.planTrampoline({ ...spec, funcIp: true }), programs);
    const at = this.memory.allocate("data", row.bytes.length, "row", Access.READ);
    this.memory.write(at.address, row.bytes);
    this.#rows.set(ip, { row, at });
  }

  #findRow({ args: [rows, ip] }: HostCall): bigint {
    this.#note(rows === this.#cookies.address ? rowText(ip) : `a row of ${rows}`);
    return this.#rows.get(ip)?.at.address ?? 0n;
  }

  #objectOf(link: number): bigint {
    return this.#objects.address + OBJECT * BigInt(link + 1);
  }

  #addressOf(symbol: SymbolRef): bigint {
    if (symbol.kind === "program") return this.programs[symbol.index]!.imageAddress!;
    if (symbol.kind === "program-object") return this.#objectOf(symbol.index);
    if (symbol.kind === "row-search") return this.#rowSearch.imageAddress!;
    if (symbol.kind === "rows") return this.#cookies.address;
    if (symbol.kind === "cookie-search") return this.#search.imageAddress!;
    if (symbol.kind === "cookies") return this.#cookies.address + OBJECT * BigInt(symbol.index);
    invariant(symbol.kind === "trampoline", `${symbol.kind} in a trampoline`);

    if (symbol.part === "image") return this.#objects.address;
    return symbol.part === "original" ? this.function.original : this.function.address;
  }

  #functionOf(symbol: SymbolRef): HostFunction {
    invariant(symbol.kind === "trampoline", `${symbol.kind} in a trampoline`);
    const { part } = symbol;
    if (part === "program-enter") return (call) => this.#programEnter(call);
    if (part === "program-exit") return (call) => this.#programExit(call);
    return ({ args: [image] }) => {
      this.#checkStack(part, this.#isAligned);
      const row = this.#rows.get(this.function.address)?.at.address;
      const expected = this.spec.fromRow === true ? row : this.#objects.address;
      this.#note(image === expected ? part : `${part} of ${image}`);
      return 0x1234_5678_9abc_def0n; // means nothing
    };
  }

  #programEnter({ args: [object, runContext] }: HostCall): bigint {
    const link = this.#linkOf(object);
    this.#checkStack(`program-enter of ${link}`, this.#isAligned);
    this.#note(enterText(link, this.memory.load(8, runContext)));
    this.#runContext = runContext;
    this.memory.store(8, runContext + 8n, tokenOf(link)); // the host's own
    return this.#call!.allowed[link] ? tokenOf(link) : 0n;
  }

  #programExit({ args: [object, token, runContext] }: HostCall): bigint {
    const link = this.#linkOf(object);
    this.#checkStack(`program-exit of ${link}`, this.#isAligned);
    this.#note(exitText(link, token));
    const isSame = runContext === this.#runContext && this.memory.load(8, runContext + 8n) === tokenOf(link);
    if (!isSame) this.#note("another run context");
    return 0xfedc_ba98_7654_3210n;
  }

  #linkOf(object: bigint): number {
    return Number((object - this.#objects.address) / OBJECT) - 1;
  }

  /** Whether the trampoline promises an aligned stack at its calls. */
  get #isAligned(): boolean {
    return this.backend.trampolines.aligned === "always" || (this.#places.stack > 0 && this.#callsOriginal);
  }

  /** Whether the function may find another stack than its caller gave it. */
  get #isLoose(): boolean {
    return this.#callsOriginal && !this.#isAligned;
  }

  get #callsOriginal(): boolean {
    return this.spec.links.some(({ kind }) => kind !== "fentry");
  }

  /** The stack pointer before the call of the host that begins now. */
  #checkStack(where: string, isAligned: boolean): void {
    const { abi } = this.backend;
    const pushed = abi.returnAddress.in === "stack" ? 8n : 0n;
    const top = this.cpu.get(abi.stackPointer) + pushed;
    if (top % (isAligned ? BigInt(abi.stackAlign) : 8n) !== 0n) {
      this.#note(`${where} called with ${abi.stackPointer} at ${top.toString(16)}`);
    }
  }

  #turnOff(): void {
    if (this.#turned.length > 0) return;
    this.#turned = [...this.#call!.off];
    if (this.spec.fromRow === true) this.#markRow(Row.SKIPPED);
    else for (const block of this.#turned) this.#poke(...this.#blockJump(block));
  }

  #turnOn(): void {
    if (this.spec.fromRow === true) this.#markRow(Row.LIVE);
    else
      for (const block of this.#turned) {
        const [site, from, to] = this.#blockJump(block);
        this.#poke(site, to, from);
      }
    this.#turned = [];
  }

  /** Writes what the entries of a row that were turned off begin with. */
  #markRow(word: number): void {
    if (this.#turned.length === 0) return;
    const { row, at } = this.#rows.get(this.function.address)!;
    for (const block of this.#turned)
      this.memory.write(at.address + BigInt(row.entries[block]!.offset), Uint8Array.of(word));
  }

  #blockJump(block: number): readonly [TextSite, SiteState, SiteState] {
    const { image, address } = this.trampoline;
    const { offset, size, end } = image.patchSites[block]!;
    const target = address + BigInt(end!);
    return [{ address: address + BigInt(offset), size }, NOP, { kind: "jump", target }];
  }

  #poke(site: TextSite, from: SiteState, to: SiteState): void {
    const { memory } = this;
    for (const phase of this.#text.poke(site, from, to).phases) {
      if (phase.kind !== "write") continue;
      const now = memory.view(phase.address, phase.expect.length);
      invariant(!phase.expect.some((byte, i) => byte !== now[i]), `what stands at ${phase.address}`);
      memory.write(phase.address, phase.bytes);
    }
  }
}

function targetOf(code: PlacedCode | Executable, address: bigint): TraceTarget {
  const image = code.image!;
  const { offset, size } = image.patchSites.find(({ kind, subprog }) => kind === "entry" && subprog === 0)!;
  return {
    place: { name: "function", code, address, size: image.code.length },
    site: { address: address + BigInt(offset), size },
  };
}

/** What preserved register `i` holds. */
const kept = (i: number): bigint => 0xabcd_ef01_2345_0000n + BigInt(i);

function steps(
  { machine }: FunctionExecution,
  step: (pc: bigint) => void,
): ReturnType<FunctionExecution["run"]> | undefined {
  for (let i = 0; i < BUDGET; i++) {
    step(machine.pc);
    const stop = machine.advance(1);
    if (stop !== undefined) return stop;
  }
  return undefined;
}
