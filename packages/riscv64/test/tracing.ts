// A small world for trampolines: functions to trace, programs that write down what they see, a host that gives its registers back changed.
import {
  Access,
  type Allocation,
  type ArgPlaces,
  assemble,
  type CompileOptions,
  type Image,
  type MapSpec,
  Memory,
  type SiteState,
  type Symbol as SymbolRef,
  type TextSite,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import { Assembler } from "../src/assembler.ts";
import { emit } from "../src/emit.ts";
import { type Reg, RiscvCpu, riscv64 } from "../src/index.ts";

const PAGE = 1 << 16;
/** Bytes of a record that a program writes: who it is, how many words follow, and those. */
const RECORD = 256;
const LOG = 32 * RECORD;
const PRESERVED: readonly Reg[] = [...(["gp", "tp"] as const), ...Array.from({ length: 12 }, (_, i) => `s${i}` as Reg)];
const ARGS = Array.from({ length: 8 }, (_, i) => `a${i}` as Reg);
const HOST = ["return", "program-enter", "program-exit", "enter", "exit", "body"] as const;
type HostPart = (typeof HOST)[number];
/** What the function is called in the records of one that is written in BPF. */
const ORIGINAL = 1000;

/** A function that can be traced: two words that do nothing at its entry, then what calls the body. */
export interface Traced {
  readonly address: bigint;
  readonly size: number;
}

/** How a program of a link behaves. */
export interface Behaviour {
  /** Its r0. */
  readonly result: bigint;
  /** `program-enter` answers 0. */
  readonly skipped?: boolean;
}

/** What a call came to. */
export interface Outcome {
  /** In order, what the host and the programs have seen. */
  readonly events: readonly string[];
  readonly a0: bigint;
  readonly a5: bigint;
  readonly steps: number;
}

/** What somebody wants to look at or change while code runs. */
export interface Hooks {
  /** Before every instruction. */
  readonly step?: (pc: bigint) => void;
  readonly body?: () => void;
  /** When a part of the host is called. */
  readonly host?: (part: HostPart) => void;
}

export class TracingWorld {
  readonly memory: Memory = new Memory({ sizes: { host: PAGE, text: 4 * PAGE, stack: PAGE, data: PAGE } });
  readonly cpu: RiscvCpu = new RiscvCpu(this.memory);
  readonly trampoline: Allocation;
  readonly stack: Allocation;
  readonly objects: Allocation;
  /** The trampoline's code, and where the links' programs are. */
  image: Image | undefined;
  behaviours: readonly Behaviour[] = [];
  /** What the body gives, and leaves in a5. */
  bodyResult = 0n;
  bodyRest = 0n;
  readonly #host: Allocation;
  readonly #log: Allocation;
  readonly #options: CompileOptions;
  readonly #programs: Map<string, bigint> = new Map();
  #garbage = 1n;
  #events: string[] = [];
  #places: ArgPlaces = riscv64.classifyArgs({ args: [], result: { size: 0, signed: false } });

  constructor(options: CompileOptions = {}) {
    const { memory } = this;
    this.#options = options;
    this.trampoline = memory.allocate("text", 4096, "trampoline", Access.READ | Access.EXECUTE);
    this.stack = memory.allocate("stack", 8192, "stack");
    this.objects = memory.allocate("data", 16 * 64, "objects");
    this.#host = memory.allocate("host", 16 * HOST.length, "host", Access.HOST);
    this.#log = memory.allocate("data", 8 + LOG, "log");
  }

  /** Where a part of the host is called. */
  host(part: HostPart): bigint {
    return this.#host.address + 16n * BigInt(HOST.indexOf(part));
  }

  place(code: Uint8Array, owner: string): bigint {
    const { address } = this.memory.allocate("text", code.length, owner, Access.READ | Access.EXECUTE);
    this.memory.write(address, code);
    return address;
  }

  /** Places a program in BPF that may name maps. */
  placeProgram(
    text: string,
    maps: readonly MapSpec[] = [],
    map = 0n,
  ): { readonly address: bigint; readonly image: Image } {
    const image = riscv64.compile(trust({ ...assemble(text, { maps }), name: "program" }), this.#options);
    const { length } = image.code;
    const { address } = this.memory.allocate("text", length, "program", Access.READ | Access.EXECUTE);
    this.memory.write(
      address,
      riscv64.link(image, address, () => map),
    );
    return { address, image };
  }

  /** A function in raw code. Its body is the host's, which finds the stack arguments at s0. */
  rawFunction(): Traced {
    const a = new Assembler();
    a.choose({ c: true, zba: true, zbb: true }, {});
    a.nop();
    a.nop();
    a.addi(2, 2, -32);
    a.sd(1, 24, 2);
    a.sd(8, 16, 2);
    a.addi(8, 2, 32);
    a.li(6, Number(this.host("body")));
    emit.jalr(a, 1, 0, 6);
    a.ld(1, 24, 2);
    a.ld(8, 16, 2);
    a.addi(2, 2, 32);
    a.ret();
    return { address: this.place(a.bytes.slice(0, a.length), "function"), size: a.length };
  }

  /** A function in BPF that writes down its five arguments and gives a number. */
  bpfFunction(result: bigint): Traced {
    const { address, image } = this.placeProgram(
      `r7 = ${this.#log.address}
       r8 = *(u64 *)(r7 + 0)
       r9 = ${ORIGINAL}
       *(u64 *)(r8 + 0) = r9
       r9 = 5
       *(u64 *)(r8 + 8) = r9
       ${[1, 2, 3, 4, 5].map((i) => `*(u64 *)(r8 + ${8 + 8 * i}) = r${i}`).join("\n")}
       r8 += ${RECORD}
       *(u64 *)(r7 + 0) = r8
       r0 = ${result} ll
       exit`,
    );
    return { address, size: image.code.length };
  }

  /** A program that writes down what it finds around its context. */
  program(link: number, words: number, { spec, result }: { spec: TrampolineSpec; result: bigint }): bigint {
    const { kind } = spec.links[link]!;
    const finds = [`*(u64 *)(r6 - 8)`];
    for (let word = 0; word < words; word++) finds.push(`*(u64 *)(r6 + ${8 * word})`);
    if (spec.funcIp) finds.push("*(u64 *)(r6 - 16)");
    if (kind !== "fentry") finds.push(`*(u64 *)(r6 + ${8 * words})`);
    const lines = finds.map((from, i) => {
      // The number of a session's word is of no use to others.
      const mask = i === 0 && kind !== "fsession" ? "r1 = 0x80000000000000ff ll\nr9 &= r1\n" : "";
      return `r9 = ${from}\n${mask}*(u64 *)(r8 + ${16 + 8 * i}) = r9`;
    });
    if (kind === "fsession") {
      lines.push(
        `r1 = *(u64 *)(r6 - 8)\nr1 >>= 8\nr1 &= 255\nr1 <<= 3\nr2 = r6\nr2 -= r1\nr3 = *(u64 *)(r2 + 0)`,
        `*(u64 *)(r8 + ${16 + 8 * finds.length}) = r3\nr3 += ${link + 1}\n*(u64 *)(r2 + 0) = r3`,
      );
      finds.push("its word");
    }
    const text = `
      r6 = r1
      r7 = ${this.#log.address}
      r8 = *(u64 *)(r7 + 0)
      r9 = ${link}
      *(u64 *)(r8 + 0) = r9
      r9 = ${finds.length}
      *(u64 *)(r8 + 8) = r9
      ${lines.join("\n")}
      r8 += ${RECORD}
      *(u64 *)(r7 + 0) = r8
      r0 = ${result} ll
      exit`;
    let address = this.#programs.get(text);
    if (address === undefined) {
      ({ address } = this.placeProgram(text));
      this.#programs.set(text, address);
    }
    return address;
  }

  /** Puts the trampoline of a specification in its place. Programs that are not given write down what they find. */
  install(
    spec: TrampolineSpec,
    traced: Pick<Traced, "address">,
    behaviours: readonly Behaviour[],
    others: readonly bigint[] = [],
  ): Image {
    const image = riscv64.emitTrampoline(spec, this.#options);
    const places = riscv64.classifyArgs(spec.model);
    const programs = behaviours.map(
      ({ result }, link) => others[link] ?? this.program(link, places.slots.length, { spec, result }),
    );
    this.image = image;
    this.behaviours = behaviours;
    this.#places = places;
    this.memory.write(
      this.trampoline.address,
      this.link(image, (symbol) => {
        if (symbol.kind === "program") return programs[symbol.index]!;
        if (symbol.kind === "program-object") return this.object(symbol.index);
        if (symbol.kind !== "trampoline") throw new Error(symbol.kind);
        if (symbol.part === "image") return this.objects.address;
        if (symbol.part === "original") return traced.address + 8n;
        return symbol.part === "function" ? traced.address : this.host(symbol.part);
      }),
    );
    return image;
  }

  link(image: Image, resolve: (symbol: SymbolRef) => bigint): Uint8Array {
    return riscv64.link(image, this.trampoline.address, resolve);
  }

  object(link: number): bigint {
    return this.objects.address + 16n * BigInt(link + 1);
  }

  /** Makes the entry of a function call the trampoline. */
  attach({ address }: Pick<Traced, "address">): void {
    this.poke({ address, size: 8 }, { kind: "nop" }, { kind: "call", target: this.trampoline.address });
  }

  /** Turns block `index` of the trampoline into a jump over it. */
  turnOff(index: number): void {
    const site = this.image!.patchSites.filter(({ kind }) => kind === "block")[index]!;
    const base = this.trampoline.address;
    const target = base + BigInt(site.end!);
    this.poke({ address: base + BigInt(site.offset), size: site.size }, { kind: "nop" }, { kind: "jump", target });
  }

  poke(site: TextSite, from: SiteState, to: SiteState): void {
    for (const phase of riscv64.poke(site, from, to).phases) {
      if (phase.kind !== "write") continue;
      const now = this.memory.view(phase.address, phase.expect.length);
      if (phase.expect.some((byte, i) => byte !== now[i])) throw new Error("something else stands there");
      this.memory.write(phase.address, phase.bytes);
    }
  }

  /**
   * Calls a function as its type says, with these words as arguments. sp is looked at before every instruction.
   *
   * @throws {Error} for a trap, a stack pointer that is no multiple of 16, and registers that a function may not change
   */
  call(entry: bigint, words: readonly bigint[], hooks: Hooks = {}): Outcome {
    const { cpu, memory } = this;
    const top = this.stack.address + 8192n - 256n;
    const kept = new Map<Reg, bigint>(PRESERVED.map((register) => [register, this.#random()]));
    for (const [register, value] of kept) cpu.set(register, value);
    this.#clobber();
    cpu.set("sp", top);
    cpu.set("ra", this.host("return"));
    for (const [i, { in: where, index }] of this.#places.slots.entries()) {
      if (where === "register") cpu.set(ARGS[index]!, words[i]!);
      else memory.store(8, top + 8n * BigInt(index), words[i]!);
    }
    memory.store(8, this.#log.address, this.#log.address + 8n);
    this.#events = [];
    cpu.pc = entry;
    let steps = 0;
    for (; steps < 50_000; steps++) {
      if ((cpu.get("sp") & 15n) !== 0n) throw new Error(`sp ${cpu.get("sp")} at ${cpu.pc}`);
      hooks.step?.(cpu.pc);
      const stop = cpu.run(1);
      if (stop.kind === "trap")
        throw new Error(`${JSON.stringify(stop, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`);
      if (stop.kind !== "host") continue;
      this.#drain();
      const part = HOST[Number(stop.address - this.#host.address) / 16]!;
      if (part === "return") break;
      this.#serve(part, hooks);
    }
    for (const [register, value] of kept) if (cpu.get(register) !== value) throw new Error(`${register} has changed`);
    if (cpu.get("sp") !== top) throw new Error("sp has changed");
    for (const [i, { in: where, index }] of this.#places.slots.entries()) {
      if (where === "stack" && memory.load(8, top + 8n * BigInt(index)) !== words[i])
        throw new Error("arguments changed");
    }
    return { events: this.#events, a0: cpu.get("a0"), a5: cpu.get("a5"), steps };
  }

  #serve(part: HostPart, hooks: Hooks): void {
    hooks.host?.(part);
    const { cpu, memory } = this;
    const [a0, a1, a2] = [cpu.get("a0"), cpu.get("a1"), cpu.get("a2")];
    const link = Number(a0 - this.objects.address) / 16 - 1;
    let result = this.#random();
    let rest = this.#random();
    if (part === "program-enter") {
      this.#events.push(`ask ${link} cookie ${memory.load(8, a1)}`);
      // The second word is the host's until the program is over.
      memory.store(8, a1 + 8n, BigInt(link) + 77n);
      result = this.behaviours[link]!.skipped ? 0n : BigInt(link) + 1000n;
    } else if (part === "program-exit") {
      this.#events.push(`over ${link} with ${a1} and ${memory.load(8, a2 + 8n)}`);
    } else if (part === "body") {
      const words = this.#places.slots.map(({ in: where, index }) =>
        where === "register" ? cpu.get(ARGS[index]!) : memory.load(8, cpu.get("s0") + 8n * BigInt(index)),
      );
      this.#events.push(`original ${words.join()}`);
      hooks.body?.();
      result = this.bodyResult;
      rest = this.bodyRest;
    } else {
      if (a0 !== this.objects.address) throw new Error(`${part} of ${a0}`);
      this.#events.push(part);
    }
    const back = cpu.get("ra");
    this.#clobber();
    cpu.set("a0", result);
    cpu.set("a5", rest);
    cpu.pc = back;
  }

  /** Reads what programs have written. */
  #drain(): void {
    const { memory } = this;
    const start = this.#log.address + 8n;
    const end = memory.load(8, this.#log.address);
    for (let at = start; at < end; at += BigInt(RECORD)) {
      const who = Number(memory.load(8, at));
      const count = Number(memory.load(8, at + 8n));
      const words = Array.from({ length: count }, (_, i) => memory.load(8, at + 16n + 8n * BigInt(i)));
      if (who === ORIGINAL) this.#events.push(`original ${words.slice(0, this.#places.slots.length).join()}`);
      else this.#events.push(`program ${who} finds ${words.join()}`);
    }
    memory.store(8, this.#log.address, start);
  }

  #clobber(): void {
    for (const register of riscv64.abi.callerSaved) this.cpu.set(register, this.#random());
  }

  #random(): bigint {
    this.#garbage = BigInt.asUintN(64, this.#garbage * 0x5851_f42d_4c95_7f2dn + 0x1405_7b7e_f767_814fn);
    return this.#garbage | 1n;
  }
}

/** What a call has to come to, said without a plan: links in the order of their attachment, words of the call. */
export function expectedOutcome(
  spec: TrampolineSpec,
  traced: Traced,
  words: readonly bigint[],
  behaviours: readonly Behaviour[],
  body: { result: bigint; rest: bigint },
  off: (kind: "fentry" | "fmod_ret" | "fexit", link: number) => boolean = () => false,
): Outcome {
  const { links, funcIp = false } = spec;
  const lastFirst = links.map((link, index) => ({ ...link, index })).reverse();
  const calls = links.some(({ kind }) => kind !== "fentry");
  const sessions = links.flatMap(({ kind }, link) => (kind === "fsession" ? [link] : []));
  const word = new Map<number, bigint>();
  const isWide = spec.model.result.size === 8;
  const events: string[] = [];
  let [result, rest] = [0n, undefined as bigint | undefined];

  const run = (
    when: "fentry" | "fmod_ret" | "fexit",
    { index, kind, cookie = 0n }: (typeof lastFirst)[number],
  ): boolean => {
    if (off(when, index)) return false;
    events.push(`ask ${index} cookie ${cookie}`);
    const { skipped = false } = behaviours[index]!;
    if (!skipped) {
      const finds = [BigInt(words.length), ...words];
      if (when === "fexit" && sessions.length > 0) finds[0]! |= 1n << 63n;
      if (funcIp) finds.push(traced.address);
      if (kind !== "fentry") finds.push(result);
      if (kind === "fsession") {
        const distance = BigInt(sessions.indexOf(index) + (funcIp ? 3 : 2));
        finds[0]! |= distance << 8n;
        const mine = word.get(index) ?? 0n;
        finds.push(mine);
        word.set(index, mine + BigInt(index + 1));
      }
      events.push(`program ${index} finds ${finds.join()}`);
    }
    events.push(`over ${index} with ${skipped ? 0 : index + 1000} and ${index + 77}`);
    return !skipped;
  };

  if (calls) events.push("enter");
  for (const link of lastFirst) if (link.kind === "fentry" || link.kind === "fsession") run("fentry", link);
  for (const link of lastFirst) {
    if (link.kind !== "fmod_ret" || result !== 0n) continue;
    if (!run("fmod_ret", link)) continue;
    rest = behaviours[link.index]!.result;
    result = isWide ? rest : BigInt.asUintN(64, BigInt.asIntN(32, rest));
  }
  if (result === 0n) {
    events.push(`original ${words.join()}`);
    result = body.result;
    rest = body.rest;
  }
  for (const link of lastFirst) if (link.kind === "fexit" || link.kind === "fsession") run("fexit", link);
  if (calls) events.push("exit");
  return { events, a0: result, a5: rest!, steps: 0 };
}
