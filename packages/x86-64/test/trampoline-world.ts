// A function that is traced, who calls it, and programs that write down what they see: machine code and host calls on one CPU, and a model of all of it.
import {
  Access,
  assemble,
  CodeBuffer,
  type Cpu,
  type CpuStop,
  type FuncModel,
  type Image,
  type LinkKind,
  MAX_TRAMPOLINE,
  Memory,
  planTrampoline,
  type SiteState,
  type Symbol as SymbolRef,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import { expect } from "vitest";
import { R11, RAX, RBP, RSP } from "../src/abi.ts";
import { emit, emitMem } from "../src/emit.ts";
import { type Reg, x86_64 } from "../src/index.ts";

/** What happens, in order. */
export type Event =
  | { readonly at: "enter" | "exit" }
  | { readonly at: "program-enter"; readonly program: number; readonly cookie: bigint }
  | { readonly at: "program-exit"; readonly program: number; readonly gave: bigint }
  | {
      readonly at: "program";
      readonly program: number;
      readonly words: readonly bigint[];
      /** Where the program can know them: the function's result so far, its address, its word of a session, and that this is the exit. */
      readonly result: bigint | undefined;
      readonly ip: bigint | undefined;
      readonly session: bigint | undefined;
      readonly atExit: boolean | undefined;
    }
  | { readonly at: "original"; readonly words: readonly bigint[] };

/** One call of the traced function. */
export interface Call {
  readonly links: readonly { readonly kind: LinkKind; readonly cookie: bigint }[];
  readonly original: TrampolineSpec["original"];
  readonly funcIp: boolean;
  /** What each program returns, and whether it is let in. */
  readonly returns: readonly bigint[];
  readonly letIn: readonly boolean[];
  /** What the function returns. */
  readonly result: bigint;
}

/** A word of the arguments as System V places it. */
interface Word {
  readonly onStack: boolean;
  /** A small number on the stack, whose upper half is nobody's. */
  readonly clear: boolean;
}

export function wordsOf(model: FuncModel): readonly Word[] {
  let registers = 0;
  return model.args.flatMap(({ size, struct }) => {
    const words = size > 8 ? 2 : 1;
    const onStack = registers + words > 6;
    if (!onStack) registers += words;
    return new Array<Word>(words).fill({ onStack, clear: onStack && !struct && size <= 4 });
  });
}

const low = (value: bigint): bigint => value & 0xffff_ffffn;

/** The blocks of a trampoline, in order: link, and whether it is at exit. */
export function blocksOf(links: Call["links"]): { link: number; part: "fentry" | "fmod_ret" | "fexit" }[] {
  const lastFirst = links.map(({ kind }, link) => ({ kind, link })).reverse();
  const of = (part: "fentry" | "fmod_ret" | "fexit") =>
    lastFirst
      .filter(({ kind }) => kind === part || (kind === "fsession" && part !== "fmod_ret"))
      .map(({ link }) => ({ link, part }));
  return [...of("fentry"), ...of("fmod_ret"), ...of("fexit")];
}

/** What a session's program leaves in its word. */
const sessionWord = (link: number): bigint => 0x5e55_0000n + BigInt(link);

/** What has to happen, and what the caller gets; `off` is the index of a block that is turned off. */
export function predict(
  model: FuncModel,
  args: readonly bigint[],
  call: Call,
  ip: bigint,
  off = -1,
): { events: Event[]; result: bigint } {
  const { links, returns, letIn, funcIp } = call;
  const words = wordsOf(model);
  const seen = args.map((value, i) => (words[i]!.clear ? low(value) : value));
  const blocks = blocksOf(links);
  const wraps = blocks.some(({ part }) => part !== "fentry");
  const events: Event[] = [];
  const sessions = new Map<number, bigint>();
  let result = 0n;
  const run = (part: string): void => {
    for (const [index, { link, part: own }] of blocks.entries()) {
      if (own !== part || index === off || (part === "fmod_ret" && result !== 0n)) continue;
      const { kind, cookie } = links[link]!;
      events.push({ at: "program-enter", program: link, cookie });
      if (letIn[link]) {
        const isSession = kind === "fsession";
        events.push({
          at: "program",
          program: link,
          words: seen,
          result: kind === "fentry" ? undefined : result,
          ip: funcIp ? ip : undefined,
          session: isSession ? (sessions.get(link) ?? 0n) : undefined,
          atExit: isSession ? part === "fexit" : undefined,
        });
        if (isSession) sessions.set(link, sessionWord(link));
        if (part === "fmod_ret") result = returns[link]!;
      }
      events.push({ at: "program-exit", program: link, gave: letIn[link] ? BigInt(100 + link) : 0n });
    }
  };
  if (wraps) events.push({ at: "enter" });
  run("fentry");
  run("fmod_ret");
  if (result === 0n) {
    events.push({ at: "original", words: wraps ? seen : args });
    result = call.result;
  }
  run("fexit");
  if (wraps) events.push({ at: "exit" });
  return { events, result };
}

const ARGS: readonly Reg[] = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"];
const PRESERVED: readonly Reg[] = ["rbx", "r12", "r13", "r14", "r15"];
const STACK = 1 << 14;
const NOP: SiteState = { kind: "nop" };
const SITE = 5;
const ENDBR = 4;
/** Words of a record: func_meta, then what lies at ctx - 16, at ctx + 8 * i, and in a session's word. */
const RECORD = 16;

/** One model of functions: an original, its caller and the caller's caller, and programs for three links. */
export class TrampolineWorld {
  readonly memory: Memory = new Memory({ sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
  readonly cpu: Cpu<Reg> = x86_64.createCpu(this.memory);
  readonly model: FuncModel;
  readonly args: readonly bigint[];
  readonly #words: readonly Word[];
  readonly #isBpf: boolean;
  /** Addresses: the traced function, where it is called, and where its caller's caller goes on. */
  readonly traced: bigint;
  #caller = 0n;
  #inCaller = 0n;
  #inOuter = 0n;
  /** Where the caller has the address of what it calls, in bytes. */
  #calledAt = 0;
  readonly #outer: bigint;
  readonly #end: bigint;
  readonly #top: bigint;
  readonly #record: bigint;
  readonly #objects: bigint;
  readonly #hosts = new Map<bigint, () => bigint>();
  readonly #helpers: readonly bigint[];
  readonly #parts = new Map<string, bigint>();
  readonly #programs: readonly (readonly bigint[])[];
  #state: SiteState = NOP;
  #call: Call | undefined;
  #events: Event[] = [];
  /** Of the program that is in: the run context, with what the host put there. */
  #runContext = 0n;
  /** Whether rsp was a multiple of 16 at the original's call. */
  aligned: boolean | undefined = undefined;
  /** The original that was called. */
  called = 0n;
  /** rax as the original got it, and what it hands back in r11. */
  rax = 0n;
  handsBack: bigint | undefined = undefined;
  trampoline = 0n;
  image: Image | undefined = undefined;

  /** The function is machine code that calls the host at once, or a BPF program (of at most five words). */
  constructor(model: FuncModel, traced: "machine code" | "bpf" = "machine code") {
    const { memory } = this;
    this.model = model;
    this.#words = wordsOf(model);
    this.#isBpf = traced === "bpf";
    this.args = this.#words.map((_, i) => BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)));
    const stack = memory.allocate("stack", STACK, "stack");
    this.#top = stack.address + BigInt(STACK);
    this.#record = memory.allocate("data", 8 * RECORD, "record").address;
    this.#objects = memory.allocate("data", 64, "objects").address;
    this.#end = this.#host("end", () => 0n);
    this.#helpers = [
      this.#host("record", () => this.#record),
      this.#host("recorded", () => this.#recorded()),
      this.#host("body", () => this.#original()),
    ];
    this.#parts.set("image", this.#objects);
    for (const part of ["enter", "exit"] as const) {
      const served = (): bigint => {
        expect(this.cpu.get("rdi")).toBe(this.#objects);
        this.#events.push({ at: part });
        return 0n;
      };
      this.#parts.set(part, this.#host(part, served));
    }
    this.#parts.set(
      "program-enter",
      this.#host("program-enter", () => this.#enter()),
    );
    this.#parts.set(
      "program-exit",
      this.#host("program-exit", () => this.#exit()),
    );
    this.traced = this.#isBpf ? this.#bpfFunction() : this.machineFunction();
    this.#parts.set("function", this.traced);
    this.#parts.set("original", this.traced + BigInt(ENDBR + SITE));
    this.#outer = this.#callers();
    this.#programs = [false, true].map((isSession) => [0, 1, 2].map((id) => this.#program(id, isSession)));
  }

  /** Makes the trampoline of a call and leads the function to it. Undo it with {@link detach}. */
  attach(call: Call, spec: Partial<TrampolineSpec> = {}, layout: Record<string, string> = {}): void {
    const { links, original, funcIp } = call;
    const full: TrampolineSpec = { model: this.model, links, original, funcIp, ...spec };
    this.image = x86_64.emitTrampoline(full, { layout });
    const { memory, image } = this;
    const page = memory.allocate("text", MAX_TRAMPOLINE, "trampoline", Access.READ | Access.EXECUTE);
    this.trampoline = page.address;
    const programOf = (link: number): bigint => this.#programs[links[link]!.kind === "fsession" ? 1 : 0]![link]!;
    const resolve = (symbol: SymbolRef): bigint => {
      if (symbol.kind === "program") return programOf(symbol.index);
      if (symbol.kind === "program-object") return this.#objects + BigInt(8 + 8 * symbol.index);
      return this.#parts.get((symbol as { part: string }).part)!;
    };
    memory.write(this.trampoline, x86_64.link(image, this.trampoline, resolve));
    const { entered } = planTrampoline(full, x86_64.classifyArgs(this.model), true);
    this.#state = { kind: entered, target: this.trampoline };
    if (full.indirect !== true) this.poke(this.traced + BigInt(ENDBR), NOP, this.#state);
  }

  /** Leads another function to the same trampoline. */
  share(traced: bigint): void {
    this.poke(traced + BigInt(ENDBR), NOP, this.#state);
  }

  detach(): void {
    this.poke(this.traced + BigInt(ENDBR), this.#state, NOP);
    this.#state = NOP;
    this.memory.free(this.memory.allocationAt(this.trampoline)!.allocation);
  }

  poke(address: bigint, from: SiteState, to: SiteState): void {
    for (const phase of x86_64.poke({ address, size: SITE }, from, to).phases) {
      if (phase.kind !== "write") continue;
      expect(this.memory.view(phase.address, phase.expect.length)).toEqual(phase.expect);
      this.memory.write(phase.address, phase.bytes);
    }
  }

  /** Turns the block of a run off, or on again. */
  turn(block: number, to: "off" | "on"): void {
    const { offset, end } = this.image!.patchSites[block]!;
    const jump: SiteState = { kind: "jump", target: this.trampoline + BigInt(end!) };
    this.poke(this.trampoline + BigInt(offset), to === "off" ? NOP : jump, to === "off" ? jump : NOP);
  }

  /** Calls the function with its trampoline, `step` before every instruction, and gives what happened and what the caller got. */
  run(call: Call, step?: () => void): { events: Event[]; result: bigint } {
    const { cpu } = this;
    this.#call = call;
    this.#events = [];
    this.aligned = undefined;
    for (const [i, register] of PRESERVED.entries()) cpu.set(register, 0xabcd_0000n + BigInt(i));
    cpu.set("rbp", 0n);
    const top = this.#top - 8n;
    this.memory.store(8, top, this.#end);
    cpu.set("rsp", top);
    cpu.pc = this.#outer;
    for (;;) {
      step?.();
      const stop: CpuStop = cpu.run(step === undefined ? 10_000 : 1);
      if (stop.kind === "budget" && step !== undefined) continue;
      if (stop.kind !== "host") throw new Error(JSON.stringify(stop, (_, v) => (typeof v === "bigint" ? `${v}` : v)));
      if (stop.address === this.#end) break;
      this.#serve(stop.address);
    }
    expect(PRESERVED.map((register) => cpu.get(register))).toEqual(PRESERVED.map((_, i) => 0xabcd_0000n + BigInt(i)));
    expect([cpu.get("rbp"), cpu.get("rsp")]).toEqual([0n, this.#top]);
    return { events: this.#events, result: cpu.get("rax") };
  }

  /** Return addresses from here upwards, by the frame pointer alone. */
  backtrace(): bigint[] {
    const addresses: bigint[] = [];
    for (let frame = this.cpu.get("rbp"); frame !== 0n; frame = this.memory.load(8, frame)) {
      addresses.push(this.memory.load(8, frame + 8n));
    }
    return addresses;
  }

  /** Whether an argument lies on the stack. */
  get onStack(): boolean {
    return this.#words.some(({ onStack }) => onStack);
  }

  /** Where the function's caller goes on, and who called that one, and the host. */
  get callers(): { caller: bigint; outer: bigint; end: bigint } {
    return { caller: this.#inCaller, outer: this.#inOuter, end: this.#end };
  }

  #host(name: string, serve: () => bigint): bigint {
    const { address } = this.memory.allocate("host", 16, name, Access.HOST);
    this.#hosts.set(address, serve);
    return address;
  }

  /** One call of the host: its result is all it keeps of the registers that a call may change. */
  #serve(address: bigint): void {
    const { cpu, memory } = this;
    const rsp = cpu.get("rsp");
    expect(rsp % 8n).toBe(0n);
    const result = this.#hosts.get(address)!();
    for (const register of x86_64.abi.callerSaved) cpu.set(register, 0xdead_dead_dead_deadn);
    if (this.handsBack !== undefined && address === this.#helpers[2]) cpu.set("r11", this.handsBack);
    cpu.set("rax", result);
    cpu.pc = memory.load(8, rsp);
    cpu.set("rsp", rsp + 8n);
  }

  #place(code: Uint8Array, owner: string): bigint {
    const { address } = this.memory.allocate("text", code.length, owner, Access.READ | Access.EXECUTE);
    this.memory.write(address, code);
    return address;
  }

  /** Another function: `endbr64; nop5; push rbp; mov rbp, rsp; call body; pop rbp; ret`. */
  machineFunction(): bigint {
    const a = new CodeBuffer();
    emit.endbr64(a);
    for (let i = 0; i < SITE; i++) emit.nop(a);
    a.bytes.set([0x0f, 0x1f, 0x44, 0, 0], ENDBR);
    emit.push_r64(a, RBP);
    emit.mov_rm64_r64(a, RBP, RSP);
    emit.mov_r64_imm64(a, R11, Number(this.#helpers[2]!), 0);
    emit.call_rm64(a, R11);
    emit.pop_r64(a, RBP);
    emit.ret(a);
    return this.#place(a.bytes.slice(0, a.length), "traced");
  }

  #compiled(text: string, owner: string): bigint {
    const image = x86_64.compile(trust(assemble(text)));
    const { allocation } = this.memory.allocationAt(this.#place(image.code, owner))!;
    const resolve = (symbol: SymbolRef): bigint => this.#helpers[(symbol as { id: number }).id - 1]!;
    this.memory.write(allocation.address, x86_64.link(image, allocation.address, resolve));
    return allocation.address;
  }

  #bpfFunction(): bigint {
    expect(this.args.length).toBeLessThanOrEqual(5);
    const keep = this.args.map((_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = r${i + 1}`);
    const record = this.args.map((_, i) => `r1 = *(u64 *)(r10 - ${8 * (i + 1)})\n*(u64 *)(r9 + ${8 * i}) = r1`);
    return this.#compiled(
      `${keep.join("\n")}\ncall 1\nr9 = r0\n${record.join("\n")}\nr6 = 1\nr7 = 2\nr8 = 3\ncall 3\nexit`,
      "traced",
    );
  }

  /** outer calls caller calls the function: each has a frame. */
  #callers(): bigint {
    const a = new CodeBuffer();
    const stackWords = this.#words.filter(({ onStack }) => onStack).length;
    const frame = (call: () => void): void => {
      emit.push_r64(a, RBP);
      emit.mov_rm64_r64(a, RBP, RSP);
      call();
      emit.leave(a);
      emit.ret(a);
    };
    const halves = (value: bigint): [number, number] => [
      Number(BigInt.asIntN(32, value)),
      Number(BigInt.asIntN(32, value >> 32n)),
    ];
    let returnAt = 0;
    frame(() => {
      emit.sub_rm64_imm32(a, RSP, 16 * Math.ceil(stackWords / 2));
      let [register, word] = [0, 0];
      for (const [i, { onStack }] of this.#words.entries()) {
        if (onStack) {
          emit.mov_r64_imm64(a, RAX, ...halves(this.args[i]!));
          emitMem.mov_rm64_r64(a, RSP, 8 * word++, RAX);
        } else emit.mov_r64_imm64(a, [7, 6, 2, 1, 8, 9][register++]!, ...halves(this.args[i]!));
      }
      emit.mov_r64_imm64(a, RAX, 7, 0);
      emit.mov_r64_imm64(a, R11, ...halves(this.traced));
      this.#calledAt = a.length - 8;
      emit.call_rm64(a, R11);
      returnAt = a.length;
    });
    const caller = this.#place(a.bytes.slice(0, a.length), "caller");
    this.#inCaller = caller + BigInt(returnAt);
    this.#caller = caller;
    a.reset(0);
    frame(() => {
      emit.mov_r64_imm64(a, R11, ...halves(caller));
      emit.call_rm64(a, R11);
      returnAt = a.length;
    });
    const outer = this.#place(a.bytes.slice(0, a.length), "outer");
    this.#inOuter = outer + BigInt(returnAt);
    return outer;
  }

  /** Makes the caller call something else. */
  redirect(target: bigint): void {
    this.memory.write(this.#caller + BigInt(this.#calledAt), new Uint8Array(new BigUint64Array([target]).buffer));
  }

  /** Writes down what it finds around its context, and what the host says is its result. */
  #program(id: number, isSession: boolean): bigint {
    const words = [-8, -16, ...Array.from({ length: this.args.length + 1 }, (_, i) => 8 * i)];
    const record = words.map(
      (offset, i) => `r2 = *(u64 *)(r6 ${offset < 0 ? "-" : "+"} ${Math.abs(offset)})\n*(u64 *)(r7 + ${8 * i}) = r2`,
    );
    const session = `
      r8 = *(u64 *)(r6 - 8)
      r8 >>= 8
      r8 &= 255
      r8 <<= 3
      r9 = r6
      r9 -= r8
      r2 = *(u64 *)(r9 + 0)
      *(u64 *)(r7 + ${8 * (RECORD - 1)}) = r2
      r2 = ${sessionWord(id)}
      *(u64 *)(r9 + 0) = r2`;
    return this.#compiled(
      `r6 = r1\ncall 1\nr7 = r0\n${record.join("\n")}${isSession ? session : ""}\nr1 = ${id}\ncall 2\nr8 = 8\nr9 = 9\nexit`,
      `program ${id}`,
    );
  }

  #recorded(): bigint {
    const { links, funcIp, returns } = this.#call!;
    const program = Number(this.cpu.get("rdi"));
    const word = (i: number): bigint => this.memory.load(8, this.#record + BigInt(8 * i));
    const meta = word(0);
    const { kind } = links[program]!;
    this.#events.push({
      at: "program",
      program,
      words: Array.from({ length: Number(meta & 0xffn) }, (_, i) => word(2 + i)),
      result: kind === "fentry" ? undefined : word(2 + this.args.length),
      ip: funcIp ? word(1) : undefined,
      session: kind === "fsession" ? word(RECORD - 1) : undefined,
      atExit: kind === "fsession" ? meta >> 63n === 1n : undefined,
    });
    return returns[program]!;
  }

  /** The original, with its arguments in registers and on the stack, or in the record; then it writes over those on the stack, which are its own. */
  #original(): bigint {
    const { cpu, memory } = this;
    let [register, word] = [0, 0];
    const frame = cpu.get("rbp");
    this.#events.push({
      at: "original",
      words: this.#words.map(({ onStack }, i) => {
        if (this.#isBpf) return memory.load(8, this.#record + BigInt(8 * i));
        if (!onStack) return cpu.get(ARGS[register++]!);
        const at = frame + BigInt(16 + 8 * word++);
        const value = memory.load(8, at);
        memory.store(8, at, 0xbad_bad_badn);
        return value;
      }),
    });
    this.aligned = frame % 16n === 0n;
    this.rax = cpu.get("rax");
    this.called = memory.allocationAt(memory.load(8, cpu.get("rsp")))!.allocation.address;
    return this.#call!.result;
  }

  #enter(): bigint {
    const { cpu, memory } = this;
    const program = Number((cpu.get("rdi") - this.#objects) / 8n) - 1;
    this.#runContext = cpu.get("rsi");
    this.#events.push({ at: "program-enter", program, cookie: memory.load(8, this.#runContext) });
    memory.store(8, this.#runContext + 8n, 0x5a5a_5a5an);
    return this.#call!.letIn[program] ? BigInt(100 + program) : 0n;
  }

  #exit(): bigint {
    const { cpu, memory } = this;
    const program = Number((cpu.get("rdi") - this.#objects) / 8n) - 1;
    this.#events.push({ at: "program-exit", program, gave: cpu.get("rsi") });
    expect(cpu.get("rdx")).toBe(this.#runContext);
    expect(memory.load(8, this.#runContext)).toBe(this.#call!.links[program]!.cookie);
    expect(memory.load(8, this.#runContext + 8n)).toBe(0x5a5a_5a5an);
    return 0n;
  }
}
