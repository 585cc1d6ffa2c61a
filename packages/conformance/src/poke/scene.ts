// A program with a direct tail call, two programs to put into its slot, and readers that run all this as machine code.
import {
  assemble,
  type Backend,
  BpfError,
  type CompileOptions,
  invariant,
  jit,
  MAP_TYPES,
  type MapSpec,
  type PokeTrap,
  trust,
} from "@bpfkit/core";
import { Kernel, type LoadedProgram, type Operation, type PokeProtocol, type Step } from "@bpfkit/kernel";
import { type Extent, type Granularity, MachineReader } from "./machine-reader.ts";
import type { Scenario } from "./rules.ts";
import { type Callee, type Site, Timeline, type Trace, type TraceStep } from "./trace.ts";

/** What is searched on an architecture. */
export interface PokeSubject {
  readonly backend: Backend;
  /** As Linux does it unless told. */
  readonly protocol?: PokeProtocol;
  readonly options?: CompileOptions;
  /** See `MachineScene.granularity`; `site` unless told. */
  readonly granularity?: Granularity;
  /** Direct tail calls through the slot, one after the other in the program; 1 unless told. */
  readonly tailCalls?: number;
  /** Whether the program may sleep in its runs; false unless told. */
  readonly sleepable?: boolean;
  /** The step of the last update that fails, counted from 0 and with those that are not shown; the update is taken back. None unless told. */
  readonly failing?: number;
  /** Changes the steps of a history, for what is to be found wrong. */
  readonly spoil?: (steps: readonly TraceStep[]) => readonly TraceStep[];
}

const TABLE: MapSpec = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };

/** Keeps its context and a number in registers that it has to give back, so that a frame left twice, or not at all, shows. */
const mainOf = (tailCalls: number): string => `
  r6 = r1
  r7 = 7
  *(u64 *)(r10 - 8) = r7
${"  r1 = r6\n  r2 = map[table]\n  r3 = 0\n  call bpf_tail_call\n".repeat(tailCalls)}
  r0 = *(u64 *)(r10 - 8)
  r0 += r7
  r0 += 86
  exit`;
const RESULTS: Readonly<Record<Callee, bigint>> = { none: 100n, f: 1n, g: 2n };
const CALLEES = { f: "r8 = 3\nr0 = 1\nexit", g: "r0 = 2\nexit" };
const STACK = 256;
/** Why an update fails that is meant to. */
const INJECTED = "a step that is meant to fail";
/** Small, since each history has a kernel of its own. */
const SIZES = { text: 1 << 18, stack: 1 << 17, data: 1 << 18 };

/** Machine code under a history. All readers are one object. */
export interface MachineScenario extends Omit<Scenario, "passes"> {
  readonly readers: readonly MachineReader[];
  /** An address of code in words. */
  readonly nameOf: (address: bigint) => string;
}

/**
 * The steps of a history on the machine, and readers for them. The steps are those of the kernel's own operation on the prog array; its
 * mutex and the slot that direct tail calls do not look at are left out.
 */
export function machineSearch(subject: PokeSubject, history: readonly Callee[], readers: number): MachineScenario {
  const {
    backend,
    protocol,
    options = {},
    granularity = "site",
    tailCalls = 1,
    sleepable = false,
    failing,
    spoil = (steps) => steps,
  } = subject;
  const kernel = new Kernel({
    engine: jit(backend, { ...options, layout: { ...options.layout, directTailCalls: true } }),
    ...(protocol === undefined ? {} : { pokeProtocol: protocol }),
    memory: { sizes: SIZES },
  });
  const load = (source: string): LoadedProgram =>
    kernel.load(trust({ ...assemble(source, { type: "xdp", maps: [TABLE] }), sleepable }));
  const main = load(mainOf(tailCalls));
  const programs = { f: load(CALLEES.f), g: load(CALLEES.g) };
  const { image, imageAddress } = main.executable;
  if (imageAddress === undefined || image!.pokes.length !== tailCalls)
    throw new BpfError("unsupported", `direct tail calls on ${backend.arch}`, {
      expected: `an image with ${tailCalls}`,
    });
  const { memory } = kernel;
  const sites: Site[] = image!.pokes.flatMap((poke, i) =>
    (["bypass", "target"] as const).map((kind) => {
      const address = imageAddress + BigInt(poke[kind].offset);
      const name = tailCalls === 1 ? kind : `${kind} ${i}`;
      return { name, address, bytes: memory.view(address, poke[kind].size).slice() };
    }),
  );

  const isText = (address: bigint): boolean => memory.allocationAt(address)?.allocation.region === "text";
  const table = kernel.progArray("table");
  const steps: TraceStep[] = [];
  /** Per step the traps that it is about: a write puts its plan's in force, a sync ends those of the plans that end with it. */
  const mentions: (readonly PokeTrap[])[] = [];
  let isTakenBack = false;
  for (const [update, callee] of history.entries()) {
    steps.push({ kind: "begin", update });
    mentions.push([]);
    const failure = update + 1 === history.length ? failing : undefined;
    const refused = record(table.changing(0, callee === "none" ? undefined : programs[callee]), failure);
    isTakenBack = refused?.startsWith(INJECTED) === true;
    steps.push(refused === undefined || isTakenBack ? { kind: "end", update } : { kind: "refused", reason: refused });
    mentions.push([]);
    if (refused !== undefined) break;
  }

  /** Makes all steps of an operation, or lets one fail, and notes those that touch the sites; gives why it was refused, if it was. */
  function record(operation: Operation<boolean>, failure = -1): string | undefined {
    try {
      let result = operation.next();
      for (let made = 0; result.done !== true; made++) {
        if (made === failure) result = operation.throw(new BpfError("argument", INJECTED));
        else {
          note(result.value);
          result = operation.next();
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof BpfError) return error.message;
      throw error;
    }
  }

  function note(step: Step): void {
    if (step.kind === "write") {
      const site = sites.find(({ address, bytes }) => isIn(step.address, address, bytes.length));
      if (site === undefined) {
        // The slot itself, which direct tail calls do not look at.
        invariant(!isText(step.address), `code that is written at 0x${step.address.toString(16)} is a site`);
        return;
      }
      const before = memory.view(step.address, step.bytes.length).slice();
      steps.push({ kind: "write", what: site.name, address: step.address, before, bytes: step.bytes });
      mentions.push(step.trap === undefined ? [] : [step.trap]);
    } else if (step.kind === "sync-cores" || step.kind === "wait-clear" || step.kind === "wait-readers") {
      steps.push(step);
      mentions.push((step.kind === "sync-cores" && step.traps) || []);
    }
  }

  const spoiled = spoil(steps);
  const traps = trapsOf(spoiled, steps, mentions);
  const trace: Trace = isTakenBack
    ? { history: [...history.slice(0, -1), history.at(-2) ?? "none"], attempt: history.at(-1)!, steps: spoiled, traps }
    : { history, steps: spoiled, traps };
  const timeline = new Timeline(sites, backend.capabilities.fetchUnit, spoiled);
  const extentOf = ({ executable }: LoadedProgram): Extent => {
    const start = executable.imageAddress!;
    return { start, end: start + BigInt(executable.image!.code.length) };
  };
  const callees = { f: extentOf(programs.f), g: extentOf(programs.g) };
  const stops = [
    ...sites.map((_, site) => timeline.extent(site)),
    ...Object.values(callees).map(({ start }) => {
      const landing = start + BigInt(programs.f.executable.image!.landing);
      return { start: landing, end: landing + 1n };
    }),
  ];
  const extents: readonly (readonly [string, Extent])[] = [["main", extentOf(main)], ...Object.entries(callees)];
  const nameOf = (address: bigint): string => {
    const site = timeline.siteAt(address);
    const [name, start] =
      site >= 0
        ? [sites[site]!.name, sites[site]!.address]
        : (extents
            .filter(([, extent]) => address >= extent.start && address < extent.end)
            .map(([owner, extent]) => [owner, extent.start] as const)[0] ?? ["", 0n]);
    const offset = address - start;
    return name === "" || offset > 0n ? `${name}${name === "" ? "0x" : "+0x"}${offset.toString(16)}` : name;
  };
  const context = memory.allocate("data", 64, "context").address;
  const returnAddress = memory.allocate("host", 16, "return address of readers", 8).address;
  const { address } = memory.allocate("stack", STACK, "stack of a reader");
  const stack = { low: address, high: address + BigInt(STACK) };
  const entry = imageAddress + BigInt(image!.subprogs[0]!.start);
  const scene = { backend, memory, entry, context, stack, returnAddress, callees, results: RESULTS };
  const reader = new MachineReader({ ...scene, trace, timeline, granularity, nameOf }, stops);
  return {
    trace,
    readers: Array.from({ length: readers }, () => reader),
    kind: sleepable ? "sleepable" : "rcu",
    nameOf,
  };
}

function isIn(address: bigint, start: bigint, size: number): boolean {
  return address >= start && address < start + BigInt(size);
}

/** Per step count the traps in force: from behind the first step that is about one to before the last. */
function trapsOf(
  steps: readonly TraceStep[],
  recorded: readonly TraceStep[],
  mentions: readonly (readonly PokeTrap[])[],
): Trace["traps"] {
  const mentionsOf = new Map(recorded.map((step, i) => [step, mentions[i]!]));
  const traps: PokeTrap[][] = Array.from({ length: steps.length + 1 }, () => []);
  const spans = new Map<PokeTrap, [number, number]>();
  for (const [i, step] of steps.entries())
    for (const trap of mentionsOf.get(step) ?? []) spans.set(trap, [spans.get(trap)?.[0] ?? i, i]);
  for (const [trap, [first, last]] of spans)
    for (let count = first + 1; count <= last; count++) traps[count]!.push(trap);
  return traps;
}
