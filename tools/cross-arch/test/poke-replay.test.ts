import { arm64 } from "@bpfkit/arm64";
import {
  checkHistories,
  formatReplay,
  machineSearch,
  type Played,
  POKE_MUTANTS,
  POKE_RULES,
  parseReplay,
  play,
  type Replay,
  sizeOf,
} from "@bpfkit/conformance";
import type { Backend } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];

function played({ arch, rules, granularity, history, schedule }: Replay): Played {
  const { protocol, covered = true, graceBeforeFree = true } = POKE_RULES.get(rules)!;
  const backend = BACKENDS.find((known) => known.arch === arch)!;
  const { readers, passes } = sizeOf(schedule);
  const scenario = machineSearch({ backend, protocol, granularity }, history, readers);
  return play({ ...scenario, passes, covered, graceBeforeFree }, schedule);
}

describe.each(BACKENDS)("C-15 replay, $arch", (backend) => {
  test.each(POKE_MUTANTS.map(({ name }) => name))("what '%s' does is done again, move by move", (rules) => {
    const { protocol, covered = true, graceBeforeFree = true } = POKE_RULES.get(rules)!;
    for (const granularity of ["site", "instruction"] as const) {
      const { violation } = checkHistories({ length: 3, readers: 1 }, (history, readers) => ({
        ...machineSearch({ backend, protocol, granularity }, history, readers),
        covered,
        graceBeforeFree,
      }));
      const string = formatReplay({ arch: backend.arch, rules, granularity, ...violation! });
      const again = played(parseReplay(string));
      expect(again.what).toBe(`${violation!.schedule.at(-1)!.who < 0 ? "the updater" : "cpu 0"} ${violation!.what}`);
      expect(again.moves.map(({ who, choice, what }) => ({ who, choice, what }))).toEqual(violation!.schedule);
      expect(formatReplay(parseReplay(string))).toBe(string);
    }
  });

  test("instructions that lie between two places of a site's schedule are those that stopping at each executes", () => {
    const [site, instruction] = (["site", "instruction"] as const).map((granularity) => {
      const { protocol } = POKE_RULES.get("bypass-first")!;
      const { violation } = checkHistories({ length: 1, readers: 1 }, (history, readers) =>
        machineSearch({ backend, protocol, granularity }, history, readers),
      );
      const replay: Replay = { arch: backend.arch, rules: "bypass-first", granularity, ...violation! };
      return played(replay).moves.flatMap(({ lines }) => lines);
    });
    expect(site!.length).toBeGreaterThan(20);
    expect(site).toEqual(instruction);
  });
});

test.each([
  ["x86-64/no-wait/site/f,none/u16.0.0.0.u6.0:1.0", /^cpu 0 comes back without its caller's rbx, r13$/],
  ["arm64/no-wait/site/f,none/u8.0.0.0.u2.0:1.0", /^cpu 0 traps: load, /],
  ["riscv64/stale-compare/site/f,none,f/u18", /^the updater the target site .* holds a jump \(EBUSY\)/],
])("a schedule that was kept goes wrong as ever: %s", (string, what) => {
  expect(played(parseReplay(string)).what).toMatch(what);
});
