import { assemble, BpfError, type Executable, interpreter, trust } from "@bpfkit/core";
import {
  everyChoice,
  Kernel,
  type LoadedProgram,
  type Operation,
  type Scheduled,
  type ScheduleOptions,
} from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { Mutex } from "../src/operation.ts";
import { Rcu, type Reader, type ReaderKind } from "../src/rcu.ts";
import { tailCall, type World, world } from "./support/tail-calls.ts";
import { LANDING, siteState, textEngine } from "./support/text-engine.ts";

const CALLEE = "r0 = 2\nexit";
const CALLER = `${tailCall(0)}\nr0 = 1\nexit`;

function refusal(body: () => void): string {
  try {
    body();
  } catch (error) {
    if (error instanceof BpfError) return error.message;
    throw error;
  }
  return "";
}

/** What each direct tail call of a program shows in the bytes of its sites: the entry it leads to, nothing, or a contradiction. */
function shown({ kernel }: World, { image, imageAddress = 0n }: Pick<Executable, "image" | "imageAddress">): string[] {
  return image!.pokes.map(({ bypass, target }) => {
    const stateAt = (offset: number): ReturnType<typeof siteState> =>
      siteState(kernel.memory.view(imageAddress + BigInt(offset), 8));
    const [from, to] = [stateAt(bypass.offset), stateAt(target.offset)];
    if (from.kind === "jump" && to.kind === "nop") return "nothing";
    return from.kind === "nop" && to.kind === "jump" ? `0x${to.target.toString(16)}` : `${from.kind} and ${to.kind}`;
  });
}

function entryOf(program: LoadedProgram | undefined): string {
  if (program === undefined) return "nothing";
  return `0x${(program.executable.imageAddress! + BigInt(LANDING)).toString(16)}`;
}

/** All ways to interleave some operations. Gives how many there are. */
function everySchedule(
  make: () => { made: World; operations: NonNullable<ScheduleOptions["operations"]> },
  check: (made: World, scheduled: Scheduled, moves: readonly string[]) => void,
  rest: Omit<ScheduleOptions, "operations" | "choose" | "watch"> = {},
): number {
  return everyChoice((choose) => {
    const { made, operations } = make();
    const moves: string[] = [];
    const watch: ScheduleOptions["watch"] = ({ who, what }) => moves.push(`${who} ${what}`);
    check(made, made.kernel.schedule({ ...rest, operations, choose, watch }), moves);
  });
}

describe("choices", () => {
  const options = (made: World, more: Partial<ScheduleOptions>): ScheduleOptions => ({
    runs: [{ program: made.load("one", CALLER), times: 2 }],
    operations: { set: made.table.changing(0, made.load("f", CALLEE)) },
    ...more,
  });

  test("come from a seed, and what was recorded gives the same again", () => {
    const schedules = [1, 2, 1].map((seed) => {
      const made = world(textEngine());
      const found = made.kernel.schedule(options(made, { choose: { seed } }));
      expect(found.stuck).toBeUndefined();
      return found;
    });
    expect(schedules[0]).not.toEqual(schedules[1]);
    expect(schedules[2]!.schedule).toBe(schedules[0]!.schedule);
    const made = world(textEngine());
    const again = made.kernel.schedule(options(made, { choose: { replay: schedules[1]!.schedule } }));
    expect(again.schedule).toBe(schedules[1]!.schedule);
    expect(again.runs.map(({ result, from, to }) => [result.returnValue, from, to])).toEqual(
      schedules[1]!.runs.map(({ result, from, to }) => [result.returnValue, from, to]),
    );
  });

  test("that were recorded for something else are refused, and leave nothing half done", () => {
    for (const [replay, message] of [
      ["0", "ends early"],
      ["9", "takes move 9 of 2"],
      ["000000000000000000000000000000000000000000000000000", "goes on behind the end"],
      ["0z", "ends within a choice"],
      ["0!", "'!' in a schedule"],
    ] as const) {
      const made = world(textEngine());
      const given = options(made, { choose: { replay } });
      expect(refusal(() => made.kernel.schedule(given))).toContain(message);
      expect(made.table.size).toBeLessThanOrEqual(1);
      made.table.delete(0); // nothing is held any more
      expect(made.kernel.schedule({ runs: given.runs! }).runs.map(({ result }) => result.returnValue)).toEqual([1, 1]);
    }
  });

  test("of a function are asked for only where there are several, and have to be there", () => {
    const made = world(textEngine());
    const counts: number[] = [];
    made.kernel.schedule(
      options(made, {
        choose: (moves) => {
          counts.push(moves.length);
          return moves.length - 1;
        },
      }),
    );
    expect(new Set(counts)).toEqual(new Set([2]));
    const other = world(textEngine());
    expect(() => other.kernel.schedule(options(other, { choose: () => 2 }))).toThrow("choice 2");
  });

  test("are all tried, once each", () => {
    const seen: string[] = [];
    const move = { who: "", what: "" };
    const ways = everyChoice((choose) => {
      const first = choose([move, move]);
      const second = first === 0 ? choose([move, move, move]) : 0;
      seen.push(`${first}${second}`);
    });
    expect([ways, seen]).toEqual([4, ["00", "01", "02", "10"]]);
    expect(() => everyChoice((choose) => choose([move, move, move]), 2)).toThrow("more than 2 schedules");
  });
});

describe("what cannot go on", () => {
  /** Takes two mutexes, one after the other. */
  function* both(first: Mutex, second: Mutex): Operation<void> {
    for (const mutex of [first, second]) {
      yield { kind: "lock", mutex };
      mutex.take();
    }
    for (const mutex of [second, first]) {
      yield { kind: "unlock", mutex };
      mutex.give();
    }
  }

  test("is told: who waits for what, and who holds it", () => {
    const found = new Map<string, number>();
    const ways = everyChoice((choose) => {
      const { kernel } = world(interpreter);
      const [a, b] = [new Mutex("mutex a"), new Mutex("mutex b")];
      const { stuck = "" } = kernel.schedule({ operations: { one: both(a, b), two: both(b, a) }, choose });
      found.set(stuck, (found.get(stuck) ?? 0) + 1);
    });
    expect([...found.keys()].sort()).toEqual([
      "",
      "nothing can move\n  one waits for mutex b, held by two\n  two waits for mutex a, held by one",
    ]);
    expect(ways).toBe([...found.values()].reduce((sum, count) => sum + count));
  });

  test("is taken back: a removal that waits for a run that nobody drives", () => {
    const made = world(textEngine());
    const { kernel, load, table } = made;
    const [one, f] = [load("one", CALLER), load("f", CALLEE)];
    table.set(0, f);
    using run = one.start({ cpu: 0 });
    const before = kernel.memory.hash();
    const { stuck, operations } = kernel.schedule({ operations: { remove: table.changing(0) } });
    expect(stuck).toBe("nothing can move\n  remove waits for readers (rcu): a run of 'one' on cpu 0");
    expect(operations.remove).toMatchObject({ kind: "failed" });
    expect([table.get(0), kernel.memory.hash()]).toEqual([f, before]);
    expect(run.run(100)).toEqual({ kind: "returned", value: 2n });
    expect(table.delete(0)).toBe(true);
  });

  test("is told: a CPU that somebody else's run has taken", () => {
    const { kernel, load } = world(interpreter);
    const program = load("two", CALLEE);
    using _ = program.start();
    expect(kernel.schedule({ runs: [{ program }] }).stuck).toBe("nothing can move\n  cpu 0 is taken by another run");
  });

  test("does not go on forever: a limit of moves, and a budget of each run", () => {
    const { kernel, load } = world(interpreter);
    const loop = load("loop", "goto +0\nl: goto l\nexit");
    const { stuck } = kernel.schedule({ runs: [{ program: loop }], limit: 50 });
    expect(stuck).toBe("50 moves were not enough\n  cpu 0 is in a run");
    const { runs } = kernel.schedule({ runs: [{ program: loop, budget: 20 }] });
    expect(runs.map(({ result }) => result.stop.kind)).toEqual(["budget"]);
    expect(load("two", CALLEE).run().returnValue).toBe(2); // the CPU is free
  });

  test("is refused: CPUs that are not there", () => {
    const { kernel, load } = world(interpreter);
    const program = load("two", CALLEE);
    expect(() => kernel.schedule({ runs: [{ program, cpu: 1 }] })).toThrow("cpu 1");
    expect(() => kernel.schedule({ runs: [{ program }], granularity: 0 })).toThrow("granularity 0");
  });
});

describe("readers", () => {
  const reader = (kind: Reader["kind"], cpu: number): Reader => ({ kind, cpu, name: "p", pc: BigInt(0x10 * cpu) });

  test.each<[readonly ReaderKind[], string]>([
    [["rcu"], "a"],
    [["sleepable"], "b"],
    [["rcu", "sleepable"], "a b"],
    [["tasks"], "a b"],
  ])("a wait for %s ends when those have ended that had begun, and no others", (kinds, waited) => {
    const rcu = new Rcu();
    const [a, b, late] = [reader("rcu", 1), reader("sleepable", 2), reader(waited === "b" ? "sleepable" : "rcu", 3)];
    rcu.enter(a);
    rcu.enter(b);
    const moment = rcu.moment();
    let given = false;
    rcu.defer(() => {
      given = true;
    }, kinds);
    rcu.enter(late);
    const left: string[] = [];
    for (const [name, one] of [
      ["a", a],
      ["b", b],
    ] as const) {
      expect(given).toBe(rcu.holders(kinds, moment).length === 0);
      if (rcu.holders(kinds, moment).includes(one)) left.push(name);
      rcu.leave(one);
    }
    expect(left.join(" ")).toBe(waited);
    expect([given, rcu.holders(kinds, moment), rcu.readers]).toEqual([true, [], 1]);
    rcu.defer(() => {
      given = false;
    });
    expect(given).toBe(true); // the late one may hold it
    rcu.leave(late);
    expect(given).toBe(false);
  });

  test("a wait for a range to be clear is for those whose next instruction lies in it", () => {
    const rcu = new Rcu();
    for (const cpu of [1, 2, 3]) rcu.enter(reader("rcu", cpu));
    expect(rcu.within(0x10n, 0x30n).map(({ cpu }) => cpu)).toEqual([1, 2]);
    expect(rcu.blocks({ kind: "wait-clear", from: 0x20n, to: 0x21n })?.message).toContain("a run of 'p' on cpu 2");
    expect(rcu.blocks({ kind: "wait-clear", from: 0x21n, to: 0x30n })).toBeUndefined();
  });

  test("the code of a program goes when the last run of its kind has ended that could be in it", () => {
    for (const sleepable of [false, true]) {
      const kernel = new Kernel({ engine: textEngine(), cpus: 2 });
      const load = (name: string, maySleep: boolean): LoadedProgram =>
        kernel.load(trust({ ...assemble(CALLEE, { name, type: "xdp" }), sleepable: maySleep }));
      const [one, other] = [load("one", sleepable), load("other", !sleepable)];
      const isThere = (): boolean => kernel.memory.allocationAt(one.executable.imageAddress!)?.live === true;
      const [run, otherRun] = [one.start({ cpu: 0 }), other.start({ cpu: 1 })];
      one.release();
      expect(isThere()).toBe(true);
      run.run(100);
      expect(isThere()).toBe(sleepable); // those that may sleep go after an ordinary grace period, too
      otherRun.run(100);
      expect(isThere()).toBe(false);
    }
  });
});

describe("updates of slots, interleaved with everything", () => {
  test("C-8 ∅→∅: zero pokes", () => {
    const made = world(textEngine());
    made.load("one", CALLER);
    const before = [made.kernel.ledger, made.kernel.memory.hash()];
    const { operations } = made.kernel.schedule({ operations: { remove: made.table.changing(0) } });
    expect(operations.remove).toMatchObject({ kind: "done", value: false });
    expect([made.kernel.ledger, made.kernel.memory.hash()]).toEqual(before);
  });

  test("C-9 f→f: zero change, and no wait while runs are in progress", () => {
    const made = world(textEngine());
    const [one, f] = [made.load("one", CALLER), made.load("f", CALLEE)];
    made.table.set(0, f);
    const before = [made.kernel.ledger, made.kernel.memory.hash()];
    using _ = one.start();
    const { operations, stuck } = made.kernel.schedule({ operations: { set: made.table.changing(0, f) } });
    expect(stuck).toBeUndefined();
    expect(operations.set).toMatchObject({ kind: "done", value: true });
    expect(made.kernel.ledger).toEqual(before[0]);
  });

  /** A load, and updates of a slot that it has a direct tail call through. */
  const loadRace = (): { made: World; operations: NonNullable<ScheduleOptions["operations"]> } => {
    const made = world(textEngine());
    const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
    made.table.set(0, f);
    const updates = function* (): Operation<void> {
      yield* made.table.changing(0, g);
      yield* made.table.changing(0);
    };
    return { made, operations: { load: made.kernel.loading(made.program("late", CALLER)), update: updates() } };
  };

  test("C-10 load race: an update before the final fix-up passes the new program over; fix-up installs what the map holds then", () => {
    const shows = new Set<string>();
    let before = 0;
    const ways = everySchedule(loadRace, (made, { stuck, operations }, moves) => {
      expect(stuck).toBeUndefined();
      const { load, update } = operations;
      expect([load!.kind, update!.kind]).toEqual(["done", "done"]);
      const late = load!.kind === "done" ? (load!.value as LoadedProgram) : undefined;
      expect(shown(made, late!.executable)).toEqual([entryOf(made.table.get(0))]);
      const fixUp = moves.indexOf("load locks mutex of prog array 'table'");
      const earlier = moves.slice(0, fixUp).filter((move) => move.startsWith("update "));
      expect(earlier.filter((move) => move.includes("site of 'late'"))).toEqual([]);
      if (earlier.some((move) => move.includes("writes slot 0"))) before++;
      // What the fix-up wrote: nothing where the slot was empty by then.
      shows.add(moves.filter((move) => move.startsWith("load writes")).join());
    });
    expect([ways, before]).toEqual([29, 13]);
    expect(shows.size).toBe(2);
  });

  test("C-11 update between the fix-up's read and the stable flag: there is no such interleaving", () => {
    everySchedule(loadRace, (_, __, moves) => {
      const [from, to] = ["load locks", "load unlocks"].map((step) => moves.findIndex((move) => move.startsWith(step)));
      const between = moves.slice(from, to! + 1).filter((move) => move.startsWith("update "));
      // An update that has only begun, or asks for its mutex, has not looked at anything yet.
      expect(between.filter((move) => move !== "update begins")).toEqual([]);
    });
  });

  test("C-12 unload race: a program that goes during an update is rewritten whole on live memory, or passed over", () => {
    const counts = new Set<number>();
    const ways = everySchedule(
      () => {
        const made = world(textEngine());
        const [one, two] = [made.load("one", `${CALLER}`), made.load("two", `${tailCall(0)}\n${CALLER}`)];
        const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
        made.table.set(0, f);
        // biome-ignore lint/correctness/useYield: it has no steps that others could see
        const unload = function* (): Operation<readonly LoadedProgram[]> {
          two.release();
          return [one, two];
        };
        const updates = function* (): Operation<void> {
          yield* made.table.changing(0, g);
          yield* made.table.changing(0);
          yield* made.table.changing(0, f);
        };
        return { made, operations: { unload: unload(), update: updates() } };
      },
      (made, { operations, stuck }, moves) => {
        expect(stuck).toBeUndefined();
        expect(operations.update!.kind).toBe("done");
        const [one, two] = operations.unload!.kind === "done" ? (operations.unload!.value as LoadedProgram[]) : [];
        expect(shown(made, one!.executable)).toEqual([entryOf(made.table.get(0))]);
        // Its sites are gone, and both its tail calls were left in the same state.
        expect(made.kernel.memory.allocationAt(two!.executable.imageAddress!)?.live).toBe(false);
        expect(made.kernel.textSites.filter(({ owner }) => owner === "two")).toEqual([]);
        const left = shown(made, two!.executable);
        expect(left[0]).not.toContain("and");
        expect(left[1]).toBe(left[0]);
        counts.add(moves.filter((move) => move.includes("site of 'two'")).length);
      },
    );
    expect(ways).toBeGreaterThan(30);
    expect(counts.size).toBe(4); // none, one, two or three updates have rewritten it
  });

  test("C-13 injected failure: a load whose steps fail while updates go on leaves slots and code that agree", () => {
    const outcomes = new Set<string>();
    for (let failing = 0; failing < 9; failing++) {
      everySchedule(
        loadRace,
        (made, { operations, stuck }) => {
          expect(stuck).toBeUndefined();
          const { load } = operations;
          outcomes.add(load!.kind);
          if (load!.kind === "done")
            expect(shown(made, (load!.value as LoadedProgram).executable)).toEqual([entryOf(made.table.get(0))]);
          else expect(made.kernel.textSites).toEqual([]);
          made.table.set(0, made.load("h", CALLEE));
          expect(made.load("again", CALLER).run().returnValue).toBe(2);
        },
        { failing: { load: failing } },
      );
    }
    expect([...outcomes].sort()).toEqual(["done", "failed"]);
  });
});
