import { POKE_PROTOCOLS, type PokeProtocol } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { type Checked, checkHistories, formatSchedule } from "../src/poke/check.ts";
import { type Search, search } from "../src/poke/explore.ts";
import { modelReader, modelTrace } from "../src/poke/model.ts";
import { POKE_MUTANTS, POKE_RULES } from "../src/poke/mutants.ts";
import { scheduleWord } from "../src/poke/replay.ts";

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
