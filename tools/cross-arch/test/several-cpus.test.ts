// Several CPUs over one memory, while slots of prog arrays, and with them live code, change.
import { arm64 } from "@bpfkit/arm64";
import { checkHistories, formatSchedule, machineSearch } from "@bpfkit/conformance";
import {
  assemble,
  type Backend,
  jit,
  MAP_TYPES,
  type MapSpec,
  type PokePhase,
  type SiteState,
  trust,
} from "@bpfkit/core";
import {
  Kernel,
  type LoadedProgram,
  type Operation,
  POKE_PROTOCOLS,
  type PokeProtocol,
  type ProgArray,
  type ProgramRun,
  type Scheduled,
  type ScheduleOptions,
  type Step,
} from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { Ledger } from "../../../packages/kernel/src/text/ledger.ts";
import { type LiveSite, TextSites } from "../../../packages/kernel/src/text/sites.ts";

/** Random schedules of each kind on each architecture; BPFKIT_SCHEDULES=5000 for more. */
const SCHEDULES = Number(process.env.BPFKIT_SCHEDULES ?? 20);
const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
/** An instruction that traps. */
const BREAKPOINTS: Readonly<Record<string, Uint8Array>> = {
  "x86-64": Uint8Array.of(0xcc),
  arm64: Uint8Array.of(0x00, 0x00, 0x20, 0xd4),
  riscv64: Uint8Array.of(0x02, 0x90),
};
const SIZES = { text: 1 << 17, stack: 1 << 17, data: 1 << 17 };
const CPUS = 3;

/** r0 when nothing was called, and when f or g was. */
const RESULTS = { none: 9, f: 1, g: 2 } as const;
type Callee = keyof typeof RESULTS;

interface World {
  readonly kernel: Kernel;
  readonly table: ProgArray;
  readonly main: LoadedProgram;
  readonly programs: Readonly<Record<Callee, LoadedProgram | undefined>>;
}

/** Two direct tail calls through the same slot: one in the program, and behind it one in a subprogram. */
const MAIN = `
  r6 = r1
  r7 = 7
  r2 = map[idx:0]
  r3 = 0
  call bpf_tail_call
  r1 = r6
  call sub
  if r0 != 9 goto out
  r0 = r7
  r0 += 2
out:
  exit
sub:
  r2 = map[idx:0]
  r3 = 0
  call bpf_tail_call
  r0 = 9
  exit`;

function world(
  backend: Backend,
  { sleepable = false, pokeProtocol }: { sleepable?: boolean; pokeProtocol?: PokeProtocol } = {},
): World {
  const kernel = new Kernel({
    engine: jit(backend, { layout: { directTailCalls: true } }),
    cpus: CPUS,
    memory: { sizes: SIZES },
    ...(pokeProtocol === undefined ? {} : { pokeProtocol }),
  });
  const flat = { keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
  const table: MapSpec = { ...flat, name: "table", type: MAP_TYPES.prog_array };
  const load = (name: string, text: string): LoadedProgram =>
    kernel.load(trust({ ...assemble(text, { name, type: "syscall", maps: [table] }), sleepable }));
  const main = load("main", MAIN);
  const programs = { none: undefined, f: load("f", "r8 = 3\nr0 = 1\nexit"), g: load("g", "r0 = 2\nexit") };
  return { kernel, table: kernel.progArray(table), main, programs };
}

/** The slot is given these values, one after the other. */
function* history(
  { table, programs }: World,
  callees: readonly Callee[],
  at: (update: number) => void,
): Operation<void> {
  for (const [update, callee] of callees.entries()) {
    at(2 * update);
    yield* table.changing(0, programs[callee]);
    at(2 * update + 1);
  }
}

/** What came of a history. */
interface Played {
  readonly scheduled: Scheduled;
  /** What must not happen, in words. */
  readonly wrong: readonly string[];
}

/** How to play a history: what {@link ScheduleOptions} says, and a change of the operation. */
interface PlayOptions extends Pick<ScheduleOptions, "choose" | "failing" | "granularity"> {
  readonly spoil?: (operation: Operation<void>) => Operation<void>;
}

/** Plays a history of the slot against runs on all CPUs. */
function play(made: World, callees: readonly Callee[], { spoil, ...options }: PlayOptions = {}): Played {
  const { kernel, main } = made;
  const kept = keptBy(main.start());
  /** Per update, the move that it began with and the one that it ended with. */
  const moments: number[] = [];
  let now = 0;
  const update = history(made, callees, (moment) => {
    moments[moment] = now;
  });
  const scheduled = kernel.schedule({
    runs: Array.from({ length: CPUS }, () => ({ program: main, times: 3 })),
    operations: { update: spoil?.(update) ?? update },
    ...options,
    watch: (_, number) => {
      now = number;
    },
  });
  const wrong = scheduled.stuck === undefined ? [] : [scheduled.stuck];
  const isBefore = (moment: number | undefined, move: number): boolean => moment !== undefined && moment <= move;
  for (const { cpu, from, to, run, result } of scheduled.runs) {
    // The slot may be seen to hold a value from the begin of the update that puts it there to the end of the next one.
    const values: readonly Callee[] = ["none", ...callees];
    const allowed = values.filter(
      (_, i) => (i === 0 || isBefore(moments[2 * i - 2], to)) && !isBefore(moments[2 * i + 1], from - 1),
    );
    const callee = (Object.keys(RESULTS) as Callee[]).find((name) => result.returnValue === RESULTS[name]);
    const { stop } = result;
    if (callee === undefined)
      wrong.push(`cpu ${cpu} ${stop.kind} ${stop.kind === "trap" ? stop.cause : result.returnValue}`);
    else if (keptBy(run) !== kept) wrong.push(`cpu ${cpu} comes back with other registers`);
    else if (!allowed.includes(callee))
      wrong.push(`cpu ${cpu} ran ${callee} where ${allowed.join(" or ")} was allowed`);
  }
  return { scheduled, wrong };
}

/** The registers that a program has to give back, when it starts or has ended. */
function keptBy(run: ProgramRun): string {
  run[Symbol.dispose]();
  return [6, 7, 8, 9, 10].map((register) => run.register(register)).join();
}

const CALLEES: readonly Callee[] = ["none", "f", "g"];

/** Four values, which depend on a number. */
function historyOf(number: number): Callee[] {
  return Array.from({ length: 4 }, (_, i) => CALLEES[Math.floor(number / 3 ** i) % 3]!);
}

/** The first of some seeds at which something goes wrong. */
function firstWrong(
  seeds: number,
  playSeed: (seed: number) => Played,
): (Played & { readonly seed: number }) | undefined {
  for (let seed = 0; seed < seeds; seed++) {
    const played = playSeed(seed);
    if (played.wrong.length > 0) return { ...played, seed };
  }
  return undefined;
}

/** Changes steps before anybody sees them. */
function* withSteps(operation: Operation<void>, change: (step: Step) => Step | undefined): Operation<void> {
  for (let result = operation.next(); result.done !== true; result = operation.next()) {
    const step = change(result.value);
    if (step !== undefined) yield step;
  }
}

/** A kernel whose plans lack something. */
function without(backend: Backend, left: (phase: PokePhase) => boolean): Backend {
  return {
    ...backend,
    poke: (...args) => {
      const { phases } = backend.poke(...args);
      return { ...backend.poke(...args), phases: phases.filter((phase) => !left(phase)) };
    },
  };
}

const { landed } = POKE_PROTOCOLS;
const noWait: PokeProtocol = { ...landed, moves: (...a) => landed.moves(...a).filter((move) => move !== "wait") };
const bypassFirst: PokeProtocol = { ...landed, moves: (...a) => landed.moves(...a).toReversed() };

describe.each(BACKENDS)("several CPUs on $arch", (backend) => {
  test.each([1, 5, "site"] as const)(
    "runs return what the slot held at some time while they lasted, in random schedules of granularity %s",
    (granularity) => {
      for (let seed = 0; seed < SCHEDULES; seed++) {
        const { scheduled, wrong } = play(world(backend), historyOf(seed * 7 + 5), { choose: { seed }, granularity });
        expect(wrong, `seed ${seed}: ${scheduled.schedule}`).toEqual([]);
        expect(scheduled.runs.length).toBe(3 * CPUS);
      }
    },
  );

  test.each([
    ["no wait", { pokeProtocol: noWait }],
    ["the bypass first", { pokeProtocol: bypassFirst }],
  ])("C-15 replay: %s goes wrong in some schedule, and in the same way when that is played again", (_, options) => {
    const callees: Callee[] = ["f", "none", "g", "none"];
    const found = firstWrong(2000, (seed) =>
      play(world(backend, options), callees, { choose: { seed }, granularity: "site" }),
    );
    expect(found).toBeDefined();
    const { schedule } = found!.scheduled;
    const again = play(world(backend, options), callees, { choose: { replay: schedule }, granularity: "site" });
    expect(again.wrong).toEqual(found!.wrong);
    expect(again.scheduled.schedule).toBe(schedule);
    expect(again.scheduled.runs.map(({ result }) => result.stop)).toEqual(
      found!.scheduled.runs.map(({ result }) => result.stop),
    );
  });

  test("a removal waits for runs that may sleep; one that waits for the others alone is found", () => {
    const callees: Callee[] = ["f", "none", "g", "none"];
    const ofSeed = (seed: number, spoil?: PlayOptions["spoil"]): Played =>
      play(world(backend, { sleepable: true }), callees, {
        choose: { seed },
        granularity: "site",
        ...(spoil === undefined ? {} : { spoil }),
      });
    expect(firstWrong(SCHEDULES, (seed) => ofSeed(seed))?.wrong).toBeUndefined();
    const found = firstWrong(2000, (seed) =>
      ofSeed(seed, (operation) =>
        withSteps(operation, (step) => (step.kind === "wait-readers" ? { ...step, readers: ["rcu"] } : step)),
      ),
    );
    expect(found).toBeDefined();
  });

  test("CPUs fetch what is old until they are synchronized: plans without their syncs are found", () => {
    const found = firstWrong(3000, (seed) =>
      play(world(without(backend, ({ kind }) => kind === "sync-cores")), ["f", "g", "none", "f"], {
        choose: { seed },
        granularity: "site",
      }),
    );
    expect(found).toBeDefined();
  });

  test("C-13 injected failure: whichever step fails, while others run, all is undone or complete, and the next update succeeds", () => {
    let failed = 0;
    for (let seed = 0; seed < 3 * SCHEDULES; seed++) {
      const made = world(backend);
      const { kernel, table, programs, main } = made;
      for (const callee of ["f", "g"] as const) table.set(0, programs[callee]!);
      const [from, to] = [CALLEES[seed % 3]!, CALLEES[Math.floor(seed / 3) % 3]!];
      if (from === "none") table.delete(0);
      else table.set(0, programs[from]!);
      const results = new Set<number | undefined>();
      const scheduled = kernel.schedule({
        runs: Array.from({ length: CPUS }, () => ({ program: main, times: 2 })),
        operations: { update: table.changing(0, programs[to]) },
        failing: { update: Math.floor(seed / 9) % 30 },
        choose: { seed },
        granularity: "site",
      });
      for (const { result } of scheduled.runs) results.add(result.returnValue);
      expect(
        [...results].filter((value) => value !== RESULTS[from] && value !== RESULTS[to]),
        `seed ${seed}`,
      ).toEqual([]);
      const outcome = scheduled.operations.update!;
      if (outcome.kind === "failed") failed++;
      expect(table.get(0)).toBe(programs[outcome.kind === "failed" ? from : to]);
      expect(main.run().returnValue).toBe(RESULTS[outcome.kind === "failed" ? from : to]);
      table.set(0, programs.g!);
      expect(main.run().returnValue).toBe(RESULTS.g);
      table.delete(0);
      expect(main.run().returnValue).toBe(RESULTS.none);
    }
    expect(failed).toBeGreaterThan(SCHEDULES / 4);
  });

  test("C-13 injected failure: a step that fails leaves the state of which the hash is the same", () => {
    const made = world(backend);
    const { kernel, table, programs } = made;
    for (const callee of ["f", "g"] as const) table.set(0, programs[callee]!);
    let failed = 0;
    for (const from of CALLEES) {
      for (const to of CALLEES) {
        if (from === "none") table.delete(0);
        else table.set(0, programs[from]!);
        const before = kernel.memory.hash();
        const sites = kernel.textSites;
        for (let failing = 0; ; failing++) {
          const { update } = kernel.schedule({
            operations: { update: table.changing(0, programs[to]) },
            failing: { update: failing },
          }).operations;
          if (update!.kind === "done") break;
          expect(kernel.memory.hash(), `${from} ${to} ${failing}`).toBe(before);
          expect(kernel.textSites).toEqual(sites);
          failed++;
        }
      }
    }
    expect(failed).toBeGreaterThan(30);
  });

  test("C-14 many descriptors: the syncs of one plan, and one wait", () => {
    const costs = [1, 100].map((sites) => {
      const { kernel, table, programs } = world(backend);
      const calls = "r2 = map[idx:0]\nr3 = 0\ncall bpf_tail_call\nr1 = r6\n".repeat(sites - 2 > 0 ? sites - 2 : 1);
      kernel.load(
        trust(assemble(`r6 = r1\n${calls}r0 = 9\nexit`, { name: "many", type: "syscall", maps: [table.spec] })),
      );
      table.set(0, programs.f!);
      const before = kernel.ledger;
      table.delete(0);
      const after = kernel.ledger;
      return {
        pokes: after.pokes - before.pokes,
        syncs: after.syncs - before.syncs,
        waits: after.waits - before.waits,
      };
    });
    expect(costs[1]!.pokes).toBe(200);
    expect({ ...costs[1], pokes: 0 }).toEqual({ ...costs[0], pokes: 0 });
    expect(costs[1]!.waits).toBe(1);
  });

  test("C-14 many descriptors: no CPU in any place at any time sees anything but old and new", () => {
    const { violation, histories } = checkHistories({ length: 2, readers: 1 }, (callees, readers) =>
      machineSearch({ backend, tailCalls: 2 }, callees, readers),
    );
    expect(violation && formatSchedule(violation, 1)).toBeUndefined();
    expect(histories).toBe(12);
  });

  /** The entry site of a program that returns 9, and what it can be made to do: nothing, or to go to f or g. */
  const entryScene = () => {
    const kernel = new Kernel({ engine: jit(backend), cpus: CPUS, memory: { sizes: SIZES } });
    const load = (name: string, value: number): LoadedProgram =>
      kernel.load(trust(assemble(`r0 = ${value}\nexit`, { name, type: "syscall" })));
    const [main, f, g] = [load("main", RESULTS.none), load("f", RESULTS.f), load("g", RESULTS.g)];
    const { image, imageAddress } = main.executable;
    const sites = new TextSites(kernel.memory, backend, new Ledger());
    sites.add("main", image!, imageAddress!);
    const site = sites.all.find(({ kind }) => kind === "entry")!;
    const to = (kind: "call" | "jump", { executable }: LoadedProgram): SiteState => ({
      kind,
      target: executable.subprogAddress(0),
    });
    const states = { none: { kind: "nop" } as SiteState, f: to("jump", f), g: to("jump", g) };
    const nop = kernel.memory.view(site.address, site.size).slice();
    return { kernel, main, sites, site, nop, states, calls: [to("call", f), to("call", g)] };
  };

  test("C-16 kinds: a site gets from every kind to every other, and what it is compared with is the kind that it has", () => {
    const { kernel, sites, site, nop, states, calls } = entryScene();
    const all = [...Object.values(states), ...calls];
    const encoded = (state: SiteState): Uint8Array => {
      const bytes = nop.slice();
      for (const phase of backend.poke(site, states.none, state).phases)
        if (phase.kind === "write") bytes.set(phase.bytes, Number(phase.address - site.address));
      return bytes;
    };
    const now = (): LiveSite => sites.at(site.address)!;
    const poke = (state: SiteState): void => {
      for (const _ of sites.poke(site, state));
    };
    let refused = 0;
    for (const from of all) {
      for (const to of all) {
        poke(from);
        poke(to);
        expect(now().state).toEqual(to);
        expect(kernel.memory.view(site.address, site.size)).toEqual(encoded(to));
        // Somebody has written an instruction of another kind, or with another target, there.
        poke(from);
        for (const other of all) {
          if (other === from || to === from) continue;
          kernel.memory.write(site.address, encoded(other));
          const before = kernel.memory.hash();
          expect(() => poke(to)).toThrow(/the entry site of 'main' at 0x[0-9a-f]+ holds .* \(EBUSY\)/);
          expect([kernel.memory.hash(), now().state]).toEqual([before, from]);
          kernel.memory.write(site.address, encoded(from));
          refused++;
        }
      }
    }
    expect(refused).toBe(80);
  });

  test("C-16 kinds: runs that enter while the kind changes do what it was or is", () => {
    for (let seed = 0; seed < SCHEDULES; seed++) {
      const { kernel, main, sites, site, states } = entryScene();
      const callees = historyOf(seed * 7 + 5);
      const update = function* (): Operation<void> {
        for (const callee of callees) yield* sites.poke(site, states[callee]);
      };
      const { runs, operations, stuck, schedule } = kernel.schedule({
        runs: Array.from({ length: CPUS }, () => ({ program: main, times: 3 })),
        operations: { update: update() },
        choose: { seed },
        granularity: seed % 2 === 0 ? 1 : "site",
      });
      expect([stuck, operations.update!.kind]).toEqual([undefined, "done"]);
      const seen = new Set(runs.map(({ result }) => result.returnValue));
      for (const callee of ["none", ...callees] as const) seen.delete(RESULTS[callee]);
      expect([...seen], `seed ${seed}: ${schedule}`).toEqual([]);
    }
  });

  test("a CPU at a breakpoint of a plan goes on as the new instruction does, and at anybody else's traps", () => {
    const { kernel, main, site, nop, states, calls } = entryScene();
    for (const resume of [states.none, states.f, calls[0]!]) {
      const code = nop.slice();
      for (const phase of backend.poke(site, states.none, resume).phases)
        if (phase.kind === "write") code.set(phase.bytes, Number(phase.address - site.address));
      const ends = [false, true].map((isTrapped) => {
        using run = main.start();
        const { machine } = run;
        while (machine!.pc !== site.address) machine!.advance(1);
        if (isTrapped) expect(machine!.execute(BREAKPOINTS[backend.arch]!, { resume, code })).toBeUndefined();
        else {
          do machine!.execute(code.subarray(Number(machine!.pc - site.address)));
          while (machine!.pc > site.address && machine!.pc < site.address + BigInt(code.length));
        }
        const { high } = kernel.stackOf(0);
        const stack = kernel.memory.view(high - 64n, 64).slice();
        return { pc: machine!.pc, registers: Array.from({ length: 11 }, (_, i) => run.register(i)), stack };
      });
      expect(ends[1]).toEqual(ends[0]);
    }
    using run = main.start();
    expect(run.machine!.execute(BREAKPOINTS[backend.arch]!)).toMatchObject({ kind: "trap", cause: "breakpoint" });
  });
});
