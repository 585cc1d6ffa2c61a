// A reader that is a run of machine code on an emulated CPU, in as many pieces as others can come between.
import {
  type Abi,
  type Backend,
  type Cpu,
  type CpuState,
  type CpuStop,
  invariant,
  type Memory,
  type SiteState,
  WriteJournal,
} from "@bpfkit/core";
import type { Move, Outcome, Reader } from "./rules.ts";
import type { Callee, Timeline, Trace } from "./trace.ts";

/** A piece of code whose place in memory matters. */
export interface Extent {
  readonly start: bigint;
  readonly end: bigint;
}

/** What runs, and where. */
export interface MachineScene {
  readonly backend: Backend;
  readonly memory: Memory;
  /** Where the program is entered from outside. */
  readonly entry: bigint;
  readonly context: bigint;
  readonly stack: { readonly low: bigint; readonly high: bigint };
  /** A host address to return to. */
  readonly returnAddress: bigint;
  /** The code of each program that tail calls can lead to, and r0 when it, or none of them, has run. */
  readonly callees: Readonly<Record<"f" | "g", Extent>>;
  readonly results: Readonly<Record<Callee, bigint>>;
  readonly trace: Trace;
  readonly timeline: Timeline;
  /**
   * `site`: places are in front of what is rewritten, at the first instruction of a callee, and behind the last instruction of a run, since waits
   * are for its end; `instruction`: in front of every instruction, too.
   */
  readonly granularity: Granularity;
  /** An address of code in words, where it has any: a program and an offset, or the name of a site. */
  readonly nameOf: (address: bigint) => string;
}

/** Where readers stop so that others can come between. */
export type Granularity = "site" | "instruction";

/** One executed instruction, in words. */
export interface ExecutedLine {
  readonly pc: bigint;
  readonly text: string;
  /** Bytes. */
  readonly size: number;
}

/** A move with what it takes to make it again. */
export interface MachineMove extends Move {
  /** What is fetched at a site, from the place on; undefined elsewhere. */
  readonly fetched: Uint8Array | undefined;
  /** How a breakpoint there is gone on from. */
  readonly resume: SiteState | undefined;
}

/** Instructions between two places. */
const BUDGET = 10_000;
const LONGEST = 16;
/** What registers that a program has to preserve hold when it is entered. */
const PRESERVED = 0x5afe_0000_0000_0000n;

interface Place {
  readonly cpu: CpuState;
  readonly stack: Uint8Array;
  /** Index of the site that it is in, or -1. */
  readonly site: number;
  /** What a run has come to whose last instruction is done; only that it has ended is not known yet. */
  readonly outcome: Outcome | undefined;
}

/**
 * Runs machine code. Equal places (registers, stack and pc) are one; each is executed once for each thing that can be fetched there.
 *
 * All a run may write is its stack, which is watched; so one reader can stand for any number of CPUs. A breakpoint is met and gone on from
 * in one move: how one goes on from it does not change until the sync that ends the plan, and that sync (an interrupt to each CPU)
 * is answered by nobody who is in the handler.
 *
 * A run has to come back to its caller with a result that one of the programs gives, its stack pointer and r6 to r10. Registers that BPF
 * does not use are not looked at here, nor is the red zone below the stack pointer.
 */
export class MachineReader implements Reader {
  readonly entry: number;
  readonly #scene: MachineScene;
  readonly #cpu: Cpu;
  readonly #places: Place[] = [];
  readonly #ids = new Map<string, number>();
  /** Where moves lead, by place and what is fetched. */
  readonly #executed = new Map<string, number>();
  /** Per place, at sites per step count, too. */
  readonly #moves = new Map<number, readonly MachineMove[]>();
  /** Code addresses at which places are, as marks for the CPU. */
  readonly #marks: { readonly base: bigint; readonly marks: Uint8Array };
  readonly #journal: WriteJournal = new WriteJournal();
  /** Whether the move last made went through the handler of a breakpoint. */
  #handled = false;

  constructor(scene: MachineScene, stops: readonly Extent[]) {
    this.#scene = scene;
    this.#cpu = scene.backend.createCpu(scene.memory);
    const base = [scene.entry, ...stops.map(({ start }) => start)].sort((a, b) => Number(a - b))[0]!;
    const end = [scene.callees.g.end, ...stops.map((stop) => stop.end)].sort((a, b) => Number(b - a))[0]!;
    const marks = new Uint8Array(Number(end - base) + LONGEST);
    for (const stop of stops) marks.fill(1, Number(stop.start - base), Number(stop.end - base));
    this.#marks = { base, marks };
    this.entry = this.#enter();
  }

  /** Different states of the CPU that were met. */
  get places(): number {
    return this.#places.length;
  }

  pc(place: number): bigint {
    return this.#places[place]!.cpu.pc;
  }

  inside(place: number): Callee | undefined {
    if (this.#places[place]!.outcome !== undefined) return undefined;
    const pc = this.pc(place);
    const { f, g } = this.#scene.callees;
    return pc >= f.start && pc < f.end ? "f" : pc >= g.start && pc < g.end ? "g" : undefined;
  }

  next(place: number, count: number): readonly MachineMove[] {
    const key = place * (this.#scene.trace.steps.length + 1) + (this.#places[place]!.site < 0 ? 0 : count);
    let moves = this.#moves.get(key);
    if (moves === undefined) {
      moves = this.#find(place, count);
      this.#moves.set(key, moves);
    }
    return moves;
  }

  /** The instructions that a move executes, one by one. */
  trail(place: number, count: number, choice: number): readonly ExecutedLine[] {
    const { fetched, resume } = this.next(place, count)[choice]!;
    if (this.#places[place]!.outcome !== undefined) return [];
    const lines: ExecutedLine[] = [this.#line(this.pc(place), fetched)];
    let stop = this.#begin(place, fetched, resume);
    if (resume !== undefined && this.#handled)
      lines.push({ pc: this.pc(place), text: `handler: goes on as the new ${resume.kind} does`, size: 0 });
    while (stop.kind === "budget" && !this.#isPlace() && this.#cpu.pc !== this.#scene.returnAddress) {
      lines.push(this.#line(this.#cpu.pc, undefined));
      stop = this.#cpu.run(1);
    }
    this.#stray();
    return lines;
  }

  #find(place: number, count: number): readonly MachineMove[] {
    const { timeline, memory, trace } = this.#scene;
    const { outcome, site } = this.#places[place]!;
    if (outcome !== undefined) {
      const what = outcome.kind === "broken" ? outcome.what : `comes back: ${outcome.callee}`;
      return [{ what, to: outcome, fetched: undefined, resume: undefined }];
    }
    const pc = this.pc(place);
    if (site < 0) return [this.#move(place, undefined, undefined)];
    const { start } = timeline.extent(site);
    const moves = new Map<string, MachineMove>();
    for (const variant of timeline.variants(count, site)) {
      const bytes = memory.view(start, LONGEST + variant.length).slice();
      bytes.set(variant);
      const trap = trace.traps[count]!.find(({ address }) => address === pc);
      const move = this.#move(place, bytes.subarray(Number(pc - start)), trap?.resume);
      moves.set(`${move.what} ${move.to}`, move);
    }
    return [...moves.values()];
  }

  /** Executes the instruction at a place, and on to the next place. */
  #move(place: number, fetched: Uint8Array | undefined, resume: SiteState | undefined): MachineMove {
    const { pc, text: what, size } = this.#line(this.pc(place), fetched);
    const move = { what: `${this.#scene.nameOf(pc)}: ${what}`, fetched, resume };
    const { timeline } = this.#scene;
    if (fetched !== undefined && pc + BigInt(size) > timeline.extent(timeline.siteAt(pc)).end)
      return { ...move, to: this.#intern(broken("runs an instruction that reaches over the end of its site")) };
    const key = `${place} ${fetched === undefined ? "" : what} ${resume === undefined ? "" : JSON.stringify(resume, plain)}`;
    let to = this.#executed.get(key);
    if (to === undefined) {
      to = this.#execute(place, fetched, resume);
      this.#executed.set(key, to);
    }
    return { ...move, to };
  }

  /** An instruction in words; at sites its bytes, too. */
  #line(pc: bigint, fetched: Uint8Array | undefined): ExecutedLine {
    const { backend, memory } = this.#scene;
    const isCode = pc >= memory.base && pc + BigInt(LONGEST) <= memory.base + BigInt(memory.size);
    const code = fetched ?? (isCode ? memory.view(pc, LONGEST) : new Uint8Array());
    const [line] = code.length === 0 ? [] : backend.disassemble(code.slice(0, LONGEST), pc);
    if (line === undefined) return { pc, text: "nothing", size: 0 };
    const { text, bytes } = line;
    return { pc, text: fetched === undefined ? text : `${text} [${hex(bytes)}]`, size: bytes.length };
  }

  #execute(place: number, fetched: Uint8Array | undefined, resume: SiteState | undefined): number {
    const cpu = this.#cpu;
    const { marks } = this.#marks;
    let stop = this.#begin(place, fetched, resume);
    while (stop.kind === "budget" && cpu.pc !== this.#scene.returnAddress) {
      if (this.#isPlace()) return this.#intern(this.#stray());
      stop = cpu.run(BUDGET, this.#marks);
      const at = Number(cpu.pc - this.#marks.base);
      invariant(stop.kind !== "budget" || marks[at] !== 0, "a place within some instructions");
    }
    const trap =
      stop.kind === "trap" ? broken(`traps: ${stop.cause}${stop.detail ? `, ${stop.detail}` : ""}`) : undefined;
    return this.#intern(this.#stray() ?? trap ?? this.#end());
  }

  /** Executes the first instruction of a move, and the handler of a breakpoint. */
  #begin(place: number, fetched: Uint8Array | undefined, resume: SiteState | undefined): CpuStop {
    const cpu = this.#cpu;
    const { memory } = this.#scene;
    this.#restore(this.#places[place]!);
    this.#journal.clear();
    memory.journal = this.#journal;
    const stop = fetched === undefined ? cpu.run(1) : cpu.execute(fetched);
    this.#handled = stop.kind === "trap" && stop.cause === "breakpoint" && resume !== undefined;
    if (!this.#handled) return stop;
    this.#resume(resume!);
    return { kind: "budget" };
  }

  #isPlace(): boolean {
    const { base, marks } = this.#marks;
    return this.#scene.granularity === "instruction" || marks[Number(this.#cpu.pc - base)] === 1;
  }

  /** Takes back what was written outside of the stack, and says so. */
  #stray(): Outcome | undefined {
    const { memory, stack } = this.#scene;
    const journal = this.#journal;
    memory.journal = undefined;
    const low = Number(stack.low - memory.base);
    const high = Number(stack.high - memory.base);
    for (let i = 0; i < journal.length; i++) {
      const at = journal.offset(i);
      if (at >= low && at + journal.size(i) <= high) continue;
      memory.undo(journal);
      return broken(`writes to 0x${(memory.base + BigInt(at)).toString(16)}, which is not its stack`);
    }
    return undefined;
  }

  /** Goes on behind a breakpoint as the instruction would that is about to stand there. */
  #resume(state: SiteState): void {
    const cpu = this.#cpu;
    const { abi } = this.#scene.backend;
    const { timeline } = this.#scene;
    const behind = timeline.extent(timeline.siteAt(cpu.pc)).end;
    if (state.kind === "call") {
      if (abi.returnAddress.in === "register") cpu.set(abi.returnAddress.register, behind);
      else {
        const top = cpu.get(abi.stackPointer) - 8n;
        cpu.set(abi.stackPointer, top);
        this.#scene.memory.store(8, top, behind);
      }
    }
    cpu.pc = state.kind === "nop" ? behind : state.target;
  }

  /** A run has come back: with what, and did it keep what it has to. */
  #end(): Outcome {
    const cpu = this.#cpu;
    const { backend, stack, results, returnAddress } = this.#scene;
    const { abi } = backend;
    if (cpu.pc !== returnAddress) return broken(`leaves for 0x${cpu.pc.toString(16)}`);
    const lost = preservedBy(abi).filter((register, i) => cpu.get(register) !== PRESERVED + BigInt(i));
    if (lost.length > 0) return broken(`comes back without its caller's ${lost.join(", ")}`);
    if (cpu.get(abi.stackPointer) !== stack.high) return broken("comes back with another stack");
    const r0 = cpu.get(abi.bpf[0]!);
    const callee = (Object.keys(results) as Callee[]).find((name) => results[name] === r0);
    return callee === undefined ? broken(`comes back with 0x${r0.toString(16)}`) : { kind: "returned", callee };
  }

  /** The place in front of the first instruction. */
  #enter(): number {
    const { backend, memory, stack, returnAddress, context, entry } = this.#scene;
    const { abi } = backend;
    const cpu = this.#cpu;
    for (const [i, register] of preservedBy(abi).entries()) cpu.set(register, PRESERVED + BigInt(i));
    cpu.set(abi.args[0]!, context);
    let top = stack.high;
    if (abi.returnAddress.in === "register") cpu.set(abi.returnAddress.register, returnAddress);
    else {
      top -= 8n;
      memory.store(8, top, returnAddress);
    }
    cpu.set(abi.stackPointer, top);
    cpu.pc = entry;
    return this.#intern();
  }

  /** The number of the place where the CPU is; of one that is all there is to say of a run that has come to an outcome. */
  #intern(outcome?: Outcome): number {
    const { memory, stack } = this.#scene;
    const cpu = this.#cpu.save();
    const bytes = memory.view(stack.low, Number(stack.high - stack.low)).slice();
    const key =
      outcome === undefined
        ? `${cpu.pc} ${cpu.registers.join()} ${String.fromCharCode(...bytes)}`
        : JSON.stringify(outcome, plain);
    let id = this.#ids.get(key);
    if (id === undefined) {
      const site = outcome === undefined ? this.#scene.timeline.siteAt(cpu.pc) : -1;
      id = this.#places.push({ cpu, stack: bytes, site, outcome }) - 1;
      this.#ids.set(key, id);
    }
    return id;
  }

  #restore({ cpu, stack }: Place): void {
    this.#cpu.restore(cpu);
    this.#scene.memory.write(this.#scene.stack.low, stack);
  }
}

function broken(what: string): Outcome {
  return { kind: "broken", what };
}

/** The registers that BPF programs preserve and machine code has to: r6 to r10. */
function preservedBy({ bpf }: Abi): readonly string[] {
  return bpf.slice(6, 11);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString(16) : value;
}
