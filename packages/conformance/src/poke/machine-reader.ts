// A reader that is a run of machine code on an emulated CPU, in as many pieces as others can come between.
import { type Abi, type Backend, type Cpu, type CpuState, invariant, type Memory, type SiteState } from "@bpfkit/core";
import type { Move, Outcome, Reader } from "./explore.ts";
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
  /** `site`: places are in front of what is rewritten and at the first instruction of a callee; `instruction`: in front of every instruction. */
  readonly granularity: "site" | "instruction";
}

/** Instructions between two places. */
const BUDGET = 10_000;
const LONGEST = 16;
/** What registers that a program has to preserve hold when it is entered. */
const PRESERVED = 0x5afe_0000_0000_0000n;

interface Place {
  readonly cpu: CpuState;
  readonly stack: Uint8Array;
}

/** Runs machine code. Equal places (registers, stack and pc) are one; each is executed once for each thing that can be fetched there. */
export class MachineReader implements Reader {
  readonly entry: number;
  readonly #scene: MachineScene;
  readonly #cpu: Cpu;
  readonly #places: Place[] = [];
  readonly #ids = new Map<string, number>();
  readonly #outcomes = new Map<string, number | Outcome>();
  /** Per place and step count. */
  readonly #moves = new Map<number, readonly Move[]>();
  /** Code addresses at which places are, as marks for the CPU. */
  readonly #marks: { readonly base: bigint; readonly marks: Uint8Array };

  constructor(scene: MachineScene, stops: readonly Extent[]) {
    this.#scene = scene;
    this.#cpu = scene.backend.createCpu(scene.memory);
    const base = [scene.entry, ...stops.map(({ start }) => start)].sort((a, b) => Number(a - b))[0]!;
    const { address, size } = scene.memory.allocationAt(scene.callees.g.start)!.allocation;
    const marks = new Uint8Array(Number(address + BigInt(size) - base) + LONGEST);
    for (const { start, end } of stops) marks.fill(1, Number(start - base), Number(end - base));
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
    const pc = this.pc(place);
    const { f, g } = this.#scene.callees;
    return pc >= f.start && pc < f.end ? "f" : pc >= g.start && pc < g.end ? "g" : undefined;
  }

  next(place: number, count: number): readonly Move[] {
    const key = place * (this.#scene.trace.steps.length + 1) + count;
    let moves = this.#moves.get(key);
    if (moves === undefined) {
      moves = this.#find(place, count);
      this.#moves.set(key, moves);
    }
    return moves;
  }

  #find(place: number, count: number): readonly Move[] {
    const { timeline, memory, trace } = this.#scene;
    const pc = this.pc(place);
    const site = timeline.siteAt(pc);
    if (site < 0) return [this.#move(place, memory.view(pc, LONGEST), undefined)];
    const { start } = timeline.extent(site);
    const moves = new Map<string, Move>();
    for (const variant of timeline.variants(count, site)) {
      const bytes = memory.view(start, LONGEST + variant.length).slice();
      bytes.set(variant);
      const trap = trace.traps[count]!.find(({ address }) => address === pc);
      const move = this.#move(place, bytes.subarray(Number(pc - start)), trap?.resume);
      moves.set(`${move.what} ${typeof move.to === "number" ? move.to : JSON.stringify(move.to, text)}`, move);
    }
    return [...moves.values()];
  }

  /** Executes what `bytes` begin with, and on to the next place. */
  #move(place: number, bytes: Uint8Array, resume: SiteState | undefined): Move {
    const { backend } = this.#scene;
    const pc = this.pc(place);
    const [line] = backend.disassemble(bytes.slice(0, LONGEST), pc);
    const what = `${pc.toString(16)}: ${line!.text}`;
    const key = `${place} ${line!.bytes.join()} ${resume === undefined ? "" : JSON.stringify(resume, text)}`;
    const known = this.#outcomes.get(key);
    if (known !== undefined) return { what, to: known };
    const to = this.#execute(place, bytes, resume);
    this.#outcomes.set(key, to);
    return { what, to };
  }

  #execute(place: number, bytes: Uint8Array, resume: SiteState | undefined): number | Outcome {
    const cpu = this.#cpu;
    this.#restore(this.#places[place]!);
    let stop = cpu.execute(bytes);
    if (stop.kind === "trap" && stop.cause === "breakpoint") {
      if (resume === undefined) return { kind: "broken", what: "stops at a breakpoint that nobody put there" };
      this.#resume(resume);
      stop = { kind: "budget" };
    }
    const { granularity, returnAddress } = this.#scene;
    const { base, marks } = this.#marks;
    while (stop.kind === "budget") {
      if (cpu.pc === returnAddress) return this.#end();
      if (granularity === "instruction" || marks[Number(cpu.pc - base)] === 1) return this.#intern();
      stop = cpu.run(BUDGET, this.#marks);
      invariant(stop.kind !== "budget" || marks[Number(cpu.pc - base)] !== 0, "a place within some instructions");
    }
    if (stop.kind === "host") return this.#end();
    return { kind: "broken", what: `traps: ${stop.cause}${stop.detail === undefined ? "" : `, ${stop.detail}`}` };
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
    const { backend, stack, results } = this.#scene;
    const { abi } = backend;
    const lost = preservedBy(abi).filter((register, i) => cpu.get(register) !== PRESERVED + BigInt(i));
    if (lost.length > 0) return { kind: "broken", what: `comes back without its caller's ${lost.join(", ")}` };
    if (cpu.get(abi.stackPointer) !== stack.high) return { kind: "broken", what: "comes back with another stack" };
    const r0 = cpu.get(abi.bpf[0]!);
    const callee = (Object.keys(results) as Callee[]).find((name) => results[name] === r0);
    if (callee === undefined) return { kind: "broken", what: `comes back with 0x${r0.toString(16)}` };
    return { kind: "returned", callee };
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

  #intern(): number {
    const { memory, stack } = this.#scene;
    const cpu = this.#cpu.save();
    const bytes = memory.view(stack.low, Number(stack.high - stack.low)).slice();
    const key = `${cpu.pc} ${cpu.registers.join()} ${bytes.join()}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#places.push({ cpu, stack: bytes }) - 1;
      this.#ids.set(key, id);
    }
    return id;
  }

  #restore({ cpu, stack }: Place): void {
    this.#cpu.restore(cpu);
    this.#scene.memory.write(this.#scene.stack.low, stack);
  }
}

/** The registers that BPF programs preserve and machine code has to: r6 to r10. */
function preservedBy({ bpf }: Abi): readonly string[] {
  return bpf.slice(6, 11);
}

function text(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString(16) : value;
}
