import { arm64 } from "@bpfkit/arm64";
import {
  type Checked,
  checkHistories,
  formatSchedule,
  machineSearch,
  type PokeSubject,
  type Search,
} from "@bpfkit/conformance";
import { POKE_PROTOCOLS, type PokeProtocol } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const { landed, "cover-letter": coverLetter, "ignore-old": ignoreOld } = POKE_PROTOCOLS;

function check(subject: PokeSubject, length: number, readers = 2, more: Partial<Search> = {}): Checked {
  return checkHistories({ length, readers }, (history, count) => ({
    ...machineSearch(subject, history, count),
    ...more,
  }));
}

/** The landed protocol with other moves where a slot is filled, or emptied. */
function changed(change: { fill?: PokeProtocol["moves"]; empty?: PokeProtocol["moves"] }): PokeProtocol {
  return {
    ...landed,
    moves: (from, to) =>
      (to && !from && change.fill?.(from, to)) || (from && !to && change.empty?.(from, to)) || landed.moves(from, to),
  };
}

describe.each([x86_64, arm64, riscv64])("direct tail calls of $arch, rewritten while CPUs run them", (backend) => {
  test("have no violation under the landed protocol, nor where the target is never emptied", () => {
    for (const protocol of [landed, ignoreOld]) {
      const { violation, histories } = check({ backend, protocol }, 2);
      expect(violation && formatSchedule(violation, 2)).toBeUndefined();
      expect(histories).toBe(12);
    }
  });

  test("have none where readers stop in front of every instruction, either", () => {
    const { violation } = check({ backend, granularity: "instruction" }, 2, 1);
    expect(violation && formatSchedule(violation, 1)).toBeUndefined();
  });

  test.each<[string, PokeProtocol, Partial<Search>, string, RegExp]>([
    ["C-2 no wait", changed({ empty: (...a) => landed.moves(...a).filter((move) => move !== "wait") }), {}, "f none", /./],
    ["C-3 bypass first", changed({ fill: (...a) => landed.moves(...a).toReversed() }), {}, "f", /./],
    ["C-4 target first on remove", changed({ empty: (...a) => landed.moves(...a).toReversed() }), {}, "f none", /./],
    ["C-5 wrong grace period", landed, { covered: false }, "f none", /./],
    ["C-6 early free", landed, { graceBeforeFree: false }, "f g", /runs f, which is freed/],
    ["C-7 stale compare", coverLetter, {}, "f none f", /EBUSY/],
  ])("%s is found with its shortest history", (_, protocol, more, history, what) => {
    const { violation } = check({ backend, protocol }, 3, 2, more);
    expect(violation?.history.join(" ")).toBe(history);
    expect(violation!.what).toMatch(what);
  }); // biome-ignore format: a table
});
