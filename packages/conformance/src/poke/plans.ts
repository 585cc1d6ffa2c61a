// The law of poke plans: while one is carried out, a CPU that comes to the site does what the old instruction does, or what the new one does.
import {
  Access,
  assemble,
  type Backend,
  BpfError,
  type Cpu,
  type CpuState,
  MAP_TYPES,
  Memory,
  type PokePlan,
  type SiteState,
  trust,
} from "@bpfkit/core";
import { type Found, search } from "./explore.ts";
import type { Move, Outcome, Reader } from "./rules.ts";
import { Timeline, type Trace, type TraceStep } from "./trace.ts";

/** A plan that lets something else happen. */
export interface PlanFailure {
  readonly from: SiteState["kind"];
  readonly to: SiteState["kind"];
  readonly size: number;
  /** Phase that was left out; undefined where the whole plan fails. */
  readonly without: number | undefined;
  readonly what: string;
}

/** What {@link checkPlans} found. */
export interface PlanReport {
  /** Changes of state that the backend has a plan for. */
  readonly plans: number;
  readonly states: number;
  /** Plans that are wrong as they are. */
  readonly failures: readonly PlanFailure[];
  /** Syncs and waits that can be left out without anything going wrong: the plan does not need them, or the law does not see why. */
  readonly idle: readonly PlanFailure[];
  /** Syncs and waits without which something goes wrong. */
  readonly needed: number;
}

const PAGE = 64 << 10;
const SITES = 64;
const STACK = 256;
const MARK = 0x1234_5678_0000_0000n;

/** A site as it is in a fresh image. */
interface Sample {
  readonly bytes: Uint8Array;
  /** What it does there, when it lies at an address. */
  readonly state: (address: bigint) => SiteState;
}

/** One site of each size that images of a backend have. */
function samplesOf(backend: Backend): Sample[] {
  const table = { name: "t", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
  const program = trust(assemble("r2 = map[t]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", { maps: [table] }));
  const { code, patchSites, pokes } = backend.compile(program, { layout: { directTailCalls: true } });
  const samples = new Map<number, Sample>();
  for (const site of patchSites) {
    const poke = pokes.find(({ bypass }) => bypass.offset === site.offset);
    const skip = poke && BigInt(poke.target.offset + poke.target.size - site.offset);
    if (samples.has(site.size)) continue;
    samples.set(site.size, {
      bytes: code.slice(site.offset, site.offset + site.size),
      state: (address) => (skip === undefined ? { kind: "nop" } : { kind: "jump", target: address + skip }),
    });
  }
  return [...samples.values()];
}

/**
 * Goes through every change of state of every size of site that the backend's images have, with two targets for calls and jumps: one CPU
 * comes to the site twice, at any time, and fetches whatever it may. Then the same without each sync and each wait.
 */
export function checkPlans(backend: Backend): PlanReport {
  const reports = samplesOf(backend).map((sample) => checkSite(backend, sample));
  const sum = (of: (report: PlanReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
  return {
    plans: sum(({ plans }) => plans),
    states: sum(({ states }) => states),
    failures: reports.flatMap(({ failures }) => failures),
    idle: reports.flatMap(({ idle }) => idle),
    needed: sum(({ needed }) => needed),
  };
}

function checkSite(backend: Backend, sample: Sample): PlanReport {
  const world = new World(backend, sample);
  const size = sample.bytes.length;
  const failures: PlanFailure[] = [];
  const idle: PlanFailure[] = [];
  let [plans, states, needed] = [0, 0, 0];
  for (const from of world.states) {
    for (const to of world.states) {
      const plan = world.plan(from, to);
      if (plan === undefined || plan.phases.length === 0) continue;
      plans++;
      const failure = (without: number | undefined, what: string): PlanFailure => ({
        from: from.kind,
        to: to.kind,
        size,
        without,
        what,
      });
      const whole = world.search(from, to, plan);
      states += whole.states;
      if (whole.violation !== undefined) failures.push(failure(undefined, whole.violation.what));
      for (const [without, { kind }] of plan.phases.entries()) {
        if (kind === "write") continue;
        const { violation } = world.search(from, to, { ...plan, phases: plan.phases.toSpliced(without, 1) });
        if (violation === undefined) idle.push(failure(without, `${kind} is not needed`));
        else needed++;
      }
    }
  }
  return { plans, states, failures, idle, needed };
}

/** A site and a CPU that comes to it. */
class World {
  readonly states: readonly SiteState[];
  readonly #backend: Backend;
  readonly #memory: Memory;
  readonly #size: number;
  readonly #address: bigint;
  /** What stands at the site when it does nothing. */
  readonly #nop: Uint8Array;
  readonly #cpu: Cpu;
  readonly #stack: { readonly low: bigint; readonly high: bigint };
  readonly #start: CpuState;
  /** Registers that code at a site may change: those that a jump goes through. */
  readonly #scratch: ReadonlySet<number>;

  constructor(backend: Backend, { state, bytes }: Sample) {
    this.#backend = backend;
    this.#size = bytes.length;
    this.#memory = new Memory({ sizes: { host: PAGE, text: 4 * PAGE, stack: PAGE, data: PAGE } });
    const text = this.#memory.allocate("text", 2 * PAGE, "code", Access.READ | Access.EXECUTE);
    this.#address = text.address + BigInt(PAGE + SITES);
    this.#nop = after(bytes, this.#address, this.plan(state(this.#address), { kind: "nop" }));
    // The targets are 4 KiB and more away, on both sides, so that every part of a displacement changes between them, and no part is nothing.
    const [a, b, c, d] = [0x1234n, 0x1_6a48n, 0x4b9cn, 0x1_b370n].map((offset) => text.address + offset);
    this.states = [
      { kind: "nop" },
      { kind: "call", target: a! },
      { kind: "call", target: b! },
      { kind: "jump", target: c! },
      { kind: "jump", target: d! },
    ];
    this.#cpu = backend.createCpu(this.#memory);
    const stack = this.#memory.allocate("stack", STACK, "stack");
    this.#stack = { low: stack.address, high: stack.address + BigInt(STACK / 2) };
    const { abi } = backend;
    for (const [i, register] of [...new Set([...abi.bpf, ...abi.callerSaved])].entries())
      this.#cpu.set(register, MARK + BigInt(i));
    this.#cpu.set(abi.stackPointer, this.#stack.high);
    this.#cpu.pc = this.#address;
    this.#start = this.#cpu.save();
    const jump = this.#run(this.#bytesOf(this.states.find(({ kind }) => kind === "jump")!));
    this.#scratch = new Set(this.#start.registers.flatMap((value, i) => (jump.cpu.registers[i] === value ? [] : [i])));
  }

  /** The plan; undefined where the site is too small for it. */
  plan(from: SiteState, to: SiteState): PokePlan | undefined {
    try {
      return this.#backend.poke({ address: this.#address, size: this.#size }, from, to);
    } catch (error) {
      if (error instanceof BpfError && error.code === "argument") return undefined;
      throw error;
    }
  }

  search(from: SiteState, to: SiteState, { phases, trap }: PokePlan): Found {
    const bytes = this.#bytesOf(from);
    const steps: readonly TraceStep[] = [
      { kind: "begin", update: 0 },
      ...phases.map((phase): TraceStep => {
        return phase.kind === "write" ? { ...phase, what: "site", before: phase.expect } : phase;
      }),
      { kind: "end", update: 0 },
    ];
    const armed = (count: number): boolean => count >= 2 && count <= phases.length;
    const traps = Array.from({ length: steps.length + 1 }, (_, count) =>
      trap !== undefined && armed(count) ? [trap] : [],
    );
    const trace: Trace = { history: ["f"], steps, traps };
    const site = { name: "site", address: this.#address, bytes };
    const timeline = new Timeline([site], this.#backend.capabilities.fetchUnit, steps);
    const old = this.#effectOf(this.#run(bytes));
    const fresh = this.#effectOf(this.#run(this.#bytesOf(to)));
    return search({ trace, readers: [this.#reader(trace, timeline, old, fresh)], passes: 2 });
  }

  /** What stands at the site in a state. */
  #bytesOf(state: SiteState): Uint8Array {
    return after(this.#nop, this.#address, this.plan({ kind: "nop" }, state));
  }

  #reader(trace: Trace, timeline: Timeline, old: string, fresh: string): Reader {
    const places: { readonly cpu: CpuState; readonly stack: Uint8Array }[] = [];
    const ids = new Map<string, number>();
    const intern = (): number => {
      const place = this.#save();
      const key = `${place.cpu.pc} ${place.cpu.registers.join()} ${place.stack.join()}`;
      let id = ids.get(key);
      if (id === undefined) {
        id = places.push(place) - 1;
        ids.set(key, id);
      }
      return id;
    };
    this.#restore({ cpu: this.#start, stack: new Uint8Array(STACK) });
    const entry = intern();
    const end = this.#address + BigInt(this.#size);
    const next = (place: number, count: number): readonly Move[] => {
      const { pc } = places[place]!.cpu;
      const moves = new Map<string, Move>();
      for (const variant of timeline.variants(count, 0)) {
        const [line] = this.#backend.disassemble(variant.subarray(Number(pc - this.#address)), pc);
        const what = line!.text;
        this.#restore(places[place]!);
        const stop = this.#cpu.execute(padded(variant, Number(pc - this.#address)));
        let to: number | Outcome;
        const trap = trace.traps[count]!.find(({ address }) => address === pc);
        if (stop.kind === "trap" && stop.cause === "breakpoint" && trap !== undefined) {
          to =
            this.#effectOf(this.#runState(trap.resume)) === fresh
              ? { kind: "returned", callee: "f" }
              : broken(`${what}: goes on elsewhere`);
        } else if (stop.kind !== "budget") to = broken(`${what}: ${stop.kind === "trap" ? stop.cause : stop.kind}`);
        else if (this.#cpu.pc >= this.#address && this.#cpu.pc < end) to = intern();
        else {
          const effect = this.#effectOf(this.#save());
          to =
            effect === fresh
              ? { kind: "returned", callee: "f" }
              : effect === old
                ? { kind: "returned", callee: "none" }
                : broken(`${what}: neither the old instruction nor the new one`);
        }
        moves.set(`${what} ${typeof to === "number" ? to : `${to.kind} ${"callee" in to ? to.callee : to.what}`}`, {
          what,
          to,
        });
      }
      return [...moves.values()];
    };
    return { entry, next, pc: (place) => places[place]!.cpu.pc, inside: () => undefined };
  }

  /** Executes what stands at the site until it is left. */
  #run(bytes: Uint8Array): { readonly cpu: CpuState; readonly stack: Uint8Array } {
    this.#restore({ cpu: this.#start, stack: new Uint8Array(STACK) });
    const end = this.#address + BigInt(this.#size);
    for (let i = 0; i < this.#size && this.#cpu.pc >= this.#address && this.#cpu.pc < end; i++)
      this.#cpu.execute(padded(bytes, Number(this.#cpu.pc - this.#address)));
    return this.#save();
  }

  #runState(state: SiteState): { readonly cpu: CpuState; readonly stack: Uint8Array } {
    return this.#run(this.#bytesOf(state));
  }

  #effectOf({ cpu, stack }: { readonly cpu: CpuState; readonly stack: Uint8Array }): string {
    const registers = cpu.registers.filter((_, i) => !this.#scratch.has(i));
    return `${cpu.pc} ${registers.join()} ${stack.join()}`;
  }

  #save(): { readonly cpu: CpuState; readonly stack: Uint8Array } {
    return { cpu: this.#cpu.save(), stack: this.#memory.view(this.#stack.low, STACK).slice() };
  }

  #restore({ cpu, stack }: { readonly cpu: CpuState; readonly stack: Uint8Array }): void {
    this.#cpu.restore(cpu);
    this.#memory.write(this.#stack.low, stack);
  }
}

/** Bytes of a site when a plan has been carried out. */
function after(bytes: Uint8Array, address: bigint, plan: PokePlan | undefined): Uint8Array {
  const result = bytes.slice();
  for (const phase of plan?.phases ?? [])
    if (phase.kind === "write") result.set(phase.bytes, Number(phase.address - address));
  return result;
}

function broken(what: string): Outcome {
  return { kind: "broken", what };
}

/** Code from `offset` on, with bytes behind it that begin no instruction that would be right. */
function padded(bytes: Uint8Array, offset: number): Uint8Array {
  const code = new Uint8Array(bytes.length - offset + 16);
  code.set(bytes.subarray(offset));
  return code;
}
