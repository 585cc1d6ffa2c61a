import { POKE_PROTOCOLS, type PokeProtocol } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { type Checked, checkHistories, formatSchedule } from "../src/poke/check.ts";
import { type Search, search } from "../src/poke/explore.ts";
import { modelReader, modelTrace } from "../src/poke/model.ts";
import { POKE_MUTANTS, POKE_RULES } from "../src/poke/mutants.ts";
import { scheduleWord } from "../src/poke/replay.ts";
import { type Reader, Rules, UPDATER } from "../src/poke/rules.ts";
import type { Trace, TraceStep } from "../src/poke/trace.ts";

const { landed, "ignore-old": ignoreOld } = POKE_PROTOCOLS;

/** Checks a protocol on the model. */
function check(protocol: PokeProtocol, length: number, readers = 2, more: Partial<Search> = {}): Checked {
  return checkHistories({ length, readers }, (history, count) => {
    const trace = modelTrace(protocol, history);
    const reader = modelReader(trace);
    return { trace, readers: Array.from({ length: count }, () => reader), ...more };
  });
}

describe("the model of the two sites", () => {
  test("C-1 exhaustive: no violation of the landed protocol in all histories of up to 4 updates, 2 readers", () => {
    const { histories, states, violation } = check(landed, 4);
    expect(violation).toBeUndefined();
    expect(histories).toBe(3 + 9 + 27 + 81);
    expect(states).toBeGreaterThan(50_000);
  });

  test("no violation with 3 readers in all histories of up to 2 updates", () => {
    expect(check(landed, 2, 3).violation).toBeUndefined();
  });

  test("no violation where nothing is compared and the target never emptied", () => {
    expect(check(ignoreOld, 4).violation).toBeUndefined();
  });

  const WHAT: Readonly<Record<string, RegExp>> = { "early-free": /runs f, which is freed/, "stale-compare": /EBUSY/ };
  test.each(POKE_MUTANTS.map((mutant) => [`${mutant.scenario} ${mutant.name}`, mutant] as const))(
    "%s is found with its shortest history",
    (_, { name, protocol, history, covered = true, graceBeforeFree = true }) => {
      const { violation } = check(protocol, 4, 2, { covered, graceBeforeFree });
      expect(violation!.history).toEqual(history);
      expect(violation!.what).toMatch(WHAT[name] ?? /finds nothing/);
    },
  );

  test("a schedule that comes to a point where nobody can go on is a violation", () => {
    const trace = modelTrace(landed, ["f", "none"]);
    const stuck = { ...modelReader(trace), next: () => [] };
    const { violation } = search({ trace, readers: [stuck], passes: 1 });
    expect(violation?.what).toBe("nobody can go on");
    expect(scheduleWord(violation!.schedule)).toMatch(/0/);
  });

  test("a wait for a range covers who is in it when it is reached, until he is out of it, and not until his run ends", () => {
    const steps: readonly TraceStep[] = [
      { kind: "begin", update: 0 },
      { kind: "wait-clear", from: 0x10n, to: 0x18n },
      { kind: "end", update: 0 },
    ];
    const trace: Trace = { history: ["none"], steps, traps: [[], [], [], []] };
    /** Goes round between a place inside and one outside. */
    const reader: Reader = {
      entry: 0,
      pc: (place) => (place === 0 ? 0x10n : 0x18n),
      inside: () => undefined,
      next: (place) => [{ what: "goes on", to: 1 - place }],
    };
    const rules = new Rules({ trace, readers: [reader], passes: 1 });
    const able = (state: number): number[] =>
      Array.from(rules.moves.subarray(0, rules.successors(state)), (move) => rules.who(move));
    const go = (state: number, who: number): number => rules.states[able(state).indexOf(who)]!;
    let state = go(go(rules.initial, 0), UPDATER);
    expect(able(state)).toEqual([0]);
    state = go(state, 0);
    expect(able(state)).toEqual([UPDATER, 0]);
    state = go(state, 0);
    expect(able(state)).toEqual([UPDATER, 0]);
    const late = go(go(rules.initial, UPDATER), 0);
    expect(able(late)).toEqual([UPDATER, 0]);
  });

  test("sites that are not rewritten at all are found by what runs that begin later come back with", () => {
    const { violation } = check({ ...landed, moves: () => [] }, 2);
    expect(violation!.history).toEqual(["f"]);
    expect(violation!.what).toBe("ran none where f was to be called");
  });

  test("a program that a run keeps is freed with the end of that run, under whoever came too late to keep it", () => {
    const steps = [0, 1].flatMap((update): TraceStep[] => [
      { kind: "begin", update },
      { kind: "end", update },
    ]);
    const trace: Trace = { history: ["f", "none"], steps, traps: [] };
    /** Goes into f whatever the slot holds. */
    const reader: Reader = {
      entry: 0,
      pc: () => 0n,
      inside: (place) => (place === 1 ? "f" : undefined),
      next: (place) => [{ what: "goes on", to: place === 0 ? 1 : { kind: "returned", callee: "f" } }],
    };
    const rules = new Rules({ trace, readers: [reader, reader], passes: 1 });
    let state = rules.initial;
    for (const who of [UPDATER, UPDATER, UPDATER, 0, 0, UPDATER, 1, 1]) {
      const found = rules.successors(state);
      state = rules.states[rules.moves.subarray(0, found).indexOf(rules.move(who, 0))]!;
    }
    const freed = (): boolean => rules.ends.slice(0, rules.successors(state)).includes("runs f, which is freed");
    expect(freed()).toBe(false);
    rules.successors(state);
    state = rules.states[rules.moves.indexOf(rules.move(0, 0))]!;
    expect(freed()).toBe(true);
  });

  test("a violation is shown as a schedule, and as a word", () => {
    const { violation } = check(POKE_RULES.get("bypass-first")!.protocol, 1, 1);
    expect(scheduleWord(violation!.schedule)).toBe("u2.0.0.0");
    expect(`\n${formatSchedule(violation!, 1)}\n`).toMatchInlineSnapshot(`
      "
      | updater                       | cpu 0                                  |
      |-------------------------------|----------------------------------------|
      | begins to put f into the slot |                                        |
      | bypass: 00 becomes 01         |                                        |
      |                               | is called                              |
      |                               | passes the bypass and leaves its frame |
      |                               | finds nothing at the target            |
      "
    `);
  });
});
