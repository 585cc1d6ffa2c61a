// A small world with one function that is traced: its trampoline, the linked programs and the host's part, all on one emulated CPU.
import {
  Access,
  type ArgPlaces,
  assemble,
  type Image,
  Memory,
  parseFuncModel,
  type Settings,
  type SiteState,
  type Symbol as SymbolRef,
  type TrampolineLink,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import { expect } from "vitest";
import { type Arm64Cpu, arm64, createCpu, encode, REGS, type Reg } from "../src/index.ts";
import { apply } from "./tail-world.ts";

const MASK = (1n << 64n) - 1n;
const REPORT = 5;
/** Offset of what stands for the image, among what stands for programs. */
const IMAGE = 32n;
/** What stands for the traced function where programs say who they are. */
const FUNCTION = 99;
const KEPT: readonly Reg[] = Array.from({ length: 10 }, (_, i) => `x${19 + i}` as Reg);
const NAMES = ["enter", "exit", "program-enter", "program-exit", "report", "body", "caller", "outer"] as const;
type HostName = (typeof NAMES)[number];

/** What one call of the traced function is to meet. */
export interface Behaviour {
  /** Per link: whether program-enter lets it run. */
  readonly allowed: readonly boolean[];
  /** Per link: what its program returns. */
  readonly results: readonly bigint[];
  /** What the function returns. */
  readonly result: bigint;
  /** Blocks that are turned off, by their order in the code. */
  readonly off?: ReadonlySet<number>;
}

/** What a call did, in order, and what the caller has in x0. */
export interface Trace {
  readonly events: readonly string[];
  readonly result: bigint;
}

export interface WorldOptions {
  readonly layout?: Settings;
  /** The function is compiled from BPF; else it is raw code that keeps a frame and asks the host for its result. */
  readonly compiled?: boolean;
}

/** A function of one model. Its trampolines may have three links. */
export class TrampolineWorld {
  readonly memory: Memory = new Memory({ sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
  readonly cpu: Arm64Cpu = createCpu(this.memory);
  readonly places: ArgPlaces;
  readonly entry: bigint;
  /** Behind the patch site. */
  readonly original: bigint;
  readonly trampoline: bigint;
  readonly host: Readonly<Record<HostName, bigint>>;
  /** Code that keeps frames: the programs and the function. */
  readonly parts: { readonly address: bigint; readonly code: Uint8Array; readonly is: "program" | "function" }[] = [];
  /** What the function has had in x12 and x26. */
  counts: readonly bigint[] = [];
  readonly #model: string;
  readonly #options: WorldOptions;
  /** Those of sessions, and the others. */
  readonly #programs: Readonly<Record<"plain" | "session", bigint[]>>;
  readonly #objects: bigint;
  readonly #top: bigint;
  #spec: TrampolineSpec | undefined;
  #image: Image | undefined;
  #state: SiteState = { kind: "nop" };
  #events: string[] = [];
  #behaviour: Behaviour | undefined;

  constructor(model: string, options: WorldOptions = {}) {
    const { memory } = this;
    this.#model = model;
    this.#options = options;
    this.places = arm64.classifyArgs(parseFuncModel(model));
    this.host = Object.fromEntries(
      NAMES.map((name) => [name, memory.allocate("host", 16, name, Access.HOST).address]),
    ) as Record<HostName, bigint>;
    this.#objects = memory.allocate("data", 64, "objects").address;
    this.#top = memory.allocate("stack", 1 << 14, "stack").address + (1n << 14n) - 0x400n;
    const words = this.places.slots.length;
    this.#programs = { plain: [], session: [] };
    for (const index of [0, 1, 2]) {
      for (const kind of ["plain", "session"] as const) {
        this.#programs[kind].push(this.#place(program(index, words, kind === "session"), "program").address);
      }
    }
    this.trampoline = memory.allocate("text", 4096, "trampoline", Access.READ | Access.EXECUTE).address;
    if (options.compiled) {
      const { address, image } = this.#place(compiledFunction(words), "function");
      this.entry = address;
      this.original = address + BigInt(image.patchSites[0]!.offset + 4);
    } else {
      const bti = options.layout?.bti === true ? [encode("bti", { target: 1 })] : [];
      const code = memory.allocate("text", 64, "function", Access.READ | Access.EXECUTE);
      this.entry = code.address;
      const bl = 4;
      const insns = [...bti, ...rawFunction((Number(this.host.body - code.address) >> 2) - bti.length - bl)];
      const bytes = new Uint8Array(Int32Array.from(insns).buffer);
      memory.write(this.entry, bytes);
      this.parts.push({ address: this.entry, code: bytes, is: "function" });
      this.original = this.entry + BigInt(4 * (bti.length + 2));
    }
  }

  /** The trampoline that the function's entry leads to, at its place. */
  get image(): Image {
    return this.#image!;
  }

  /** Links programs 0, 1, … to the function, and leads its entry to the trampoline. */
  link(links: readonly TrampolineLink[], rest: Partial<TrampolineSpec> = {}): void {
    this.#spec = { model: parseFuncModel(this.#model), links, original: "known", ...rest };
    this.#image = arm64.emitTrampoline(this.#spec, { layout: this.#options.layout ?? {} });
    const code = arm64.link(this.#image, this.trampoline, (symbol) => this.#resolve(symbol));
    this.memory.write(this.trampoline, code);
    const state: SiteState = this.#spec.indirect ? { kind: "nop" } : { kind: "call", target: this.trampoline };
    apply(this.memory, arm64.poke({ address: this.original - 4n, size: 4 }, this.#state, state));
    this.#state = state;
  }

  /** Turns blocks off, or on again. */
  turn(blocks: Iterable<number>, to: "off" | "on"): void {
    for (const block of blocks) {
      const { offset, size, end } = this.image.patchSites[block]!;
      const jump: SiteState = { kind: "jump", target: this.trampoline + BigInt(end!) };
      const site = { address: this.trampoline + BigInt(offset), size };
      const nop: SiteState = { kind: "nop" };
      apply(this.memory, to === "off" ? arm64.poke(site, nop, jump) : arm64.poke(site, jump, nop));
    }
  }

  /** Calls the function, and checks everything that any call has to leave alone. `each` sees the CPU before every instruction. */
  run(behaviour: Behaviour, each?: (pc: bigint) => void): Trace {
    const { cpu, memory, host } = this;
    this.#events = [];
    this.#behaviour = behaviour;
    if (behaviour.off !== undefined) this.turn(behaviour.off, "off");
    for (const [i, register] of REGS.entries()) if (register.startsWith("x")) cpu.set(register, garbage(i));
    const sp = this.#top;
    const record = sp + 0x200n;
    memory.store(8, record, 0n);
    memory.store(8, record + 8n, host.outer);
    for (let i = 0n; i < 32n; i++) memory.store(8, sp + 8n * i, garbage(100 + Number(i)));
    for (const [i, { in: where, index }] of this.places.slots.entries()) {
      if (where === "register") cpu.set(`x${index}` as Reg, argument(i));
      else memory.store(8, sp + BigInt(8 * index), argument(i));
    }
    const caller = memory.view(sp, 0x210).slice();
    cpu.set("sp", sp);
    cpu.set("x29", record);
    cpu.set("x30", host.caller);
    const kept = KEPT.map((register) => cpu.get(register));
    cpu.pc = this.#spec?.indirect ? this.trampoline : this.entry;

    for (let left = 100_000; cpu.pc !== host.caller; left--) {
      expect(left).toBeGreaterThan(0);
      each?.(cpu.pc);
      const stop = cpu.run(each === undefined ? left : 1);
      if (stop.kind === "host" && stop.address === host.caller) break;
      if (stop.kind === "host") this.#serve(stop.address);
      else if (each === undefined || stop.kind !== "budget") {
        throw new Error(`${JSON.stringify(stop, (_, v) => `${v}`)} at ${hex(cpu.pc)} of ${hex(this.trampoline)}`);
      }
    }
    expect(KEPT.map((register) => cpu.get(register))).toEqual(kept);
    expect([cpu.get("sp"), cpu.get("x29")]).toEqual([sp, record]);
    expect(memory.view(sp, 0x210).slice()).toEqual(caller);
    if (behaviour.off !== undefined) this.turn(behaviour.off, "on");
    return { events: this.#events, result: cpu.get("x0") };
  }

  /** Return addresses by the frame pointers, from the frame that x29 is of. */
  backtrace(): bigint[] {
    const addresses: bigint[] = [];
    for (let at = this.cpu.get("x29"); at !== 0n; at = this.memory.load(8, at)) {
      addresses.push(this.memory.load(8, at + 8n));
    }
    return addresses;
  }

  /** What a call does, said without a trampoline. */
  expected(behaviour: Behaviour): Trace {
    const { links, funcIp = false, indirect = false } = this.#spec!;
    const { slots } = this.places;
    const events: string[] = [];
    const whole = slots.map((_, i) => argument(i));
    const seen = slots.map(({ in: where, size }, i) =>
      where === "stack" ? BigInt.asUintN(8 * size, argument(i)) : argument(i),
    );
    const original = (): bigint => {
      events.push(`function ${list(whole)}`);
      return behaviour.result;
    };
    const has = (...kinds: TrampolineLink["kind"][]): boolean => links.some(({ kind }) => kinds.includes(kind));
    const callsOriginal = has("fmod_ret", "fexit", "fsession");
    const sessions = links.flatMap(({ kind }, i) => (kind === "fsession" ? [i] : []));
    const memory = new Map(sessions.map((i) => [i, 0n]));
    let block = 0;
    /** Runs one program; gives what it returns, if it has run. */
    const run = (i: number, phase: "entry" | "return", result?: bigint): bigint | undefined => {
      if (behaviour.off?.has(block++)) return undefined;
      const cookie = links[i]!.cookie ?? 0n;
      events.push(`program-enter ${i} cookie ${hex(cookie)}`);
      const runs = behaviour.allowed[i]!;
      if (runs) {
        const session = memory.get(i);
        const index = session === undefined ? undefined : 2 + Number(funcIp) + sessions.indexOf(i);
        events.push(
          `program ${i} of ${slots.length} ${list(seen)}${phase === "return" ? " at exit" : ""}${funcIp ? ` ip ${hex(this.entry)}` : ""}` +
            `${result === undefined ? "" : ` result ${hex(result)}`}${index === undefined ? "" : ` word ${index} ${hex(session!)}`}`,
        );
        if (session !== undefined) memory.set(i, session + 77n);
      }
      events.push(`program-exit ${i} ${runs ? token(i) : 0n}`);
      return runs ? behaviour.results[i]! : undefined;
    };
    const last = (...kinds: TrampolineLink["kind"][]): number[] =>
      links.flatMap(({ kind }, i) => (kinds.includes(kind) ? [i] : [])).reverse();

    if (indirect) return { result: run(0, "entry") ?? 0n, events };
    if (callsOriginal) events.push("enter");
    for (const i of last("fentry", "fsession")) run(i, "entry", sessions.length > 0 ? 0n : undefined);
    let result = 0n;
    for (const i of last("fmod_ret")) {
      if (result !== 0n) block++;
      else result = run(i, "entry", 0n) ?? 0n;
    }
    if (result === 0n) result = original();
    for (const i of last("fexit", "fsession")) run(i, sessions.length > 0 ? "return" : "entry", result);
    if (callsOriginal) events.push("exit");
    return { result, events };
  }

  #place(text: string, is: "program" | "function"): { readonly address: bigint; readonly image: Image } {
    const image = arm64.compile(trust(assemble(text)), { layout: this.#options.layout ?? {} });
    const { address } = this.memory.allocate("text", image.code.length, "program", Access.READ | Access.EXECUTE, 8);
    const code = arm64.link(image, address, () => this.host.report);
    this.memory.write(address, code);
    this.parts.push({ address, code, is });
    return { address, image };
  }

  #resolve(symbol: SymbolRef): bigint {
    if (symbol.kind === "program") {
      const { kind } = this.#spec!.links[symbol.index]!;
      return this.#programs[kind === "fsession" ? "session" : "plain"][symbol.index]!;
    }
    if (symbol.kind === "program-object") return this.#objects + BigInt(8 * symbol.index);
    if (symbol.kind !== "trampoline") throw new Error(symbol.kind);
    const { part } = symbol;
    if (part === "image") return this.#objects + IMAGE;
    // A trampoline that many functions share must not ask where the one is.
    if (this.#spec!.original === "from-stack" && (part === "function" || part === "original")) throw new Error(part);
    if (part === "function") return this.entry;
    return part === "original" ? this.original : this.host[part];
  }

  /** Does what the host function does, and leaves garbage in all registers that a call may change. */
  #serve(address: bigint): void {
    const { cpu, memory, host } = this;
    const behaviour = this.#behaviour!;
    const name = NAMES.find((each) => host[each] === address)!;
    const [x0, x1, x2] = [cpu.get("x0"), cpu.get("x1"), cpu.get("x2")];
    const link = Number(x0 - this.#objects) / 8;
    const back = cpu.get("x30");
    let result = garbage(77);
    if (cpu.get("sp") % 16n !== 0n) this.#events.push(`${name} with sp at ${hex(cpu.get("sp"))}`);
    if (name === "enter" || name === "exit") {
      this.#events.push(x0 === this.#objects + IMAGE ? name : `${name} of ${hex(x0)}`);
    } else if (name === "program-enter") {
      this.#events.push(`program-enter ${link} cookie ${hex(memory.load(8, x1))}`);
      memory.store(8, x1 + 8n, garbage(55));
      result = behaviour.allowed[link]! ? token(link) : 0n;
    } else if (name === "program-exit") {
      const isSame = memory.load(8, x2 + 8n) === garbage(55);
      this.#events.push(`program-exit ${link} ${x1}${isSame ? "" : " with another run context"}`);
    } else if (name === "report" && x0 !== BigInt(FUNCTION)) {
      this.#events.push(this.#seenBy(Number(x0), x1, x2));
      result = behaviour.results[Number(x0)]!;
    } else {
      result = behaviour.result;
      this.counts = [cpu.get("x12"), cpu.get("x26")];
      this.#events.push(this.#given(name === "report" ? x1 : undefined));
    }
    const inFunction = name === "body" || (name === "report" && x0 === BigInt(FUNCTION));
    const frames = [host.caller, host.outer];
    const { indirect = false, links } = this.#spec!;
    const callsOriginal = links.some(({ kind }) => kind !== "fentry");
    if (!indirect && (callsOriginal || !inFunction)) frames.unshift(this.original);
    const trace = this.backtrace().slice(-frames.length).map(hex).join(" < ");
    if (trace !== frames.map(hex).join(" < ")) this.#events.push(`${name} below ${trace}`);
    for (const [i, register] of arm64.abi.callerSaved.entries()) cpu.set(register, garbage(200 + i));
    cpu.set("x0", result);
    cpu.pc = back;
  }

  /** What a program has seen: words below its `r10`, which are func_meta, the word below that, arguments, and the word behind them. */
  #seenBy(index: number, r10: bigint, session: bigint): string {
    const { slots } = this.places;
    const { funcIp = false, indirect = false, links } = this.#spec!;
    const words = Array.from({ length: slots.length + 3 }, (_, i) => this.memory.load(8, r10 - BigInt(8 * (i + 1))));
    const [meta, ip] = words as [bigint, bigint];
    const { kind } = links[index]!;
    const seesResult = !indirect && (kind !== "fentry" || links.some((each) => each.kind === "fsession"));
    return (
      `program ${index} of ${meta & 0xffn} ${list(words.slice(2, -1))}${meta >> 63n === 1n ? " at exit" : ""}` +
      `${funcIp ? ` ip ${hex(ip)}` : ""}${seesResult ? ` result ${hex(words.at(-1)!)}` : ""}` +
      `${kind === "fsession" ? ` word ${(meta >> 8n) & 0xffn} ${hex(session)}` : ""}`
    );
  }

  /** What the function has got: in registers and on the stack, or what compiled code has put below its `r10`. */
  #given(r10: bigint | undefined): string {
    const { cpu, memory } = this;
    const { slots } = this.places;
    if (r10 !== undefined) return `function ${list(slots.map((_, i) => memory.load(8, r10 - BigInt(8 * (i + 1)))))}`;
    const stack = cpu.get("x29") + 16n;
    const words = slots.map(({ in: where, index }) =>
      where === "register" ? cpu.get(`x${index}` as Reg) : memory.load(8, stack + BigInt(8 * index)),
    );
    return `function ${list(words)}`;
  }
}

/** Reads all of its context, counts its session's word up, tells the host, and returns what that says. */
function program(index: number, words: number, isSession: boolean): string {
  const copy = (from: number, to: number): string[] => [
    `r2 = *(u64 *)(r6 ${from < 0 ? "-" : "+"} ${Math.abs(from)})`,
    `*(u64 *)(r10 - ${8 * (to + 1)}) = r2`,
  ];
  const lines = [
    "r6 = r1",
    ...copy(-8, 0),
    ...copy(-16, 1),
    ...Array.from({ length: words + 1 }, (_, i) => copy(8 * i, i + 2)).flat(),
    ...(isSession ? SESSION_WORD : []),
    `r1 = ${index}`,
    "r2 = r10",
    `call ${REPORT}`,
    "exit",
  ];
  return lines.join("\n");
}

/** The word that func_meta tells of, to r3; 77 more is in it then. */
const SESSION_WORD: readonly string[] = [
  "r7 = *(u64 *)(r6 - 8)",
  "r7 >>= 8",
  "r7 &= 255",
  "r7 <<= 3",
  "r6 -= r7",
  "r3 = *(u64 *)(r6 + 0)",
  "r4 = r3",
  "r4 += 77",
  "*(u64 *)(r6 + 0) = r4",
];

/** A function of up to 5 words. */
function compiledFunction(words: number): string {
  const lines = Array.from({ length: words }, (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = r${i + 1}`);
  return [...lines, `r1 = ${FUNCTION}`, "r2 = r10", `call ${REPORT}`, "exit"].join("\n");
}

/** One that keeps a frame and calls the host, `body` words from the call. */
function rawFunction(body: number): number[] {
  return [
    encode("orr_shift", { sf: 1, shift: 0, rd: 9, rn: 31, rm: 30, imm6: 0 }),
    encode("nop", {}),
    encode("stp_pre", { sf: 1, rt: 29, rt2: 30, rn: 31, simm7: -2 }),
    encode("add_imm", { sf: 1, rd: 29, rn: 31, imm12: 0, sh: 0 }),
    encode("bl", { simm26: body }),
    encode("ldp_post", { sf: 1, rt: 29, rt2: 30, rn: 31, simm7: 2 }),
    encode("ret", { rn: 30 }),
  ];
}

/** Numbers with all bytes in use: what register `seed` holds at the call of the function, and 200 + `i` where the host has left it. */
export function garbage(seed: number): bigint {
  return (BigInt(seed + 1) * 0x9e37_79b9_7f4a_7c15n) & MASK;
}

/** What the caller passes as word `i`. */
const argument = (i: number): bigint => garbage(1000 + i);
/** What program-enter gives for a link. */
const token = (link: number): bigint => BigInt(2 + 5 * link);
const hex = (value: bigint): string => value.toString(16);
const list = (words: readonly bigint[]): string => `(${words.map(hex).join(", ")})`;
