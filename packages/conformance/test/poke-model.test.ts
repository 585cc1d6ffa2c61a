import { POKE_PROTOCOLS, type PokeProtocol } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { type Checked, checkHistories, formatSchedule, scheduleWord } from "../src/poke/check.ts";
import type { Search } from "../src/poke/explore.ts";
import { modelReader, modelTrace } from "../src/poke/model.ts";

const { landed, "cover-letter": coverLetter, "ignore-old": ignoreOld } = POKE_PROTOCOLS;

/** Checks a protocol on the model. */
function check(protocol: PokeProtocol, length: number, readers = 2, more: Partial<Search> = {}): Checked {
  return checkHistories({ length, readers }, (history, count) => {
    const trace = modelTrace(protocol, history);
    return { trace, readers: Array.from({ length: count }, () => modelReader(trace)), ...more };
  });
}

/** The landed protocol with other moves where a slot is filled, or emptied. */
function changed(change: { fill?: PokeProtocol["moves"]; empty?: PokeProtocol["moves"] }): PokeProtocol {
  return {
    ...landed,
    moves: (from, to) =>
      (to && !from && change.fill?.(from, to)) || (from && !to && change.empty?.(from, to)) || landed.moves(from, to),
  };
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

  test.each<[string, PokeProtocol, Partial<Search>, string, RegExp]>([
    ["C-2 no wait", changed({ empty: (...a) => landed.moves(...a).filter((move) => move !== "wait") }), {}, "f none", /finds nothing/],
    ["C-3 bypass first", changed({ fill: (...a) => landed.moves(...a).toReversed() }), {}, "f", /finds nothing/],
    ["C-4 target first on remove", changed({ empty: (...a) => landed.moves(...a).toReversed() }), {}, "f none", /finds nothing/],
    ["C-5 wrong grace period", landed, { covered: false }, "f none", /finds nothing/],
    ["C-6 early free", landed, { graceBeforeFree: false }, "f g", /runs f, which is freed/],
    ["C-7 stale compare", coverLetter, {}, "f none f", /EBUSY/],
  ])("%s is found with its shortest history", (_, protocol, more, history, what) => {
    const { violation } = check(protocol, 4, 2, more);
    expect(violation!.history.join(" ")).toBe(history);
    expect(violation!.what).toMatch(what);
  }); // biome-ignore format: a table

  test("a violation is shown as a schedule, and as a word", () => {
    const bypassFirst = changed({ fill: (...a) => landed.moves(...a).toReversed() });
    const { violation } = check(bypassFirst, 1, 1);
    expect(scheduleWord(violation!.schedule)).toBe("u u 0 0 0");
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
