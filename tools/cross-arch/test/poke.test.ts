import { arm64 } from "@bpfkit/arm64";
import {
  type Callee,
  type Checked,
  checkHistories,
  formatSchedule,
  historiesOf,
  machineSearch,
  POKE_MUTANTS,
  POKE_RULES,
  type PokeSubject,
  search,
} from "@bpfkit/conformance";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const BACKENDS = [x86_64, arm64, riscv64];

/** Checks machine code under the rules of a name. */
function check(subject: PokeSubject, rules: string, length: number, readers = 2): Checked {
  const { name: _, ...given } = POKE_RULES.get(rules)!;
  return checkHistories({ length, readers }, (history, count) => ({
    ...machineSearch({ ...given, ...subject }, history, count),
    ...given,
  }));
}

describe.each(BACKENDS)("direct tail calls of $arch, rewritten while CPUs run them", (backend) => {
  test.each(["landed", "ignore-old"])("have no violation under '%s'", (rules) => {
    const { violation, histories, states } = check({ backend }, rules, 2);
    expect(violation && formatSchedule(violation, 2)).toBeUndefined();
    expect(histories).toBe(3 + 9);
    expect(states).toBeGreaterThan(10_000);
  });

  test("have none with 3 readers, nor where a program has two of them and one wait serves both", () => {
    expect(check({ backend }, "landed", 1, 3).violation).toBeUndefined();
    const { violation } = check({ backend, tailCalls: 2 }, "landed", 2);
    expect(violation && formatSchedule(violation, 2)).toBeUndefined();
    expect(check({ backend, tailCalls: 2 }, "no-wait", 2).violation?.history).toEqual(["f", "none"]);
  });

  test("C-5 wrong grace period: the kernel waits for runs that may sleep, and has to", () => {
    expect(check({ backend, sleepable: true }, "landed", 2).violation).toBeUndefined();
    const spoil: PokeSubject["spoil"] = (steps) =>
      steps.map((step) => (step.kind === "wait-readers" ? { ...step, readers: ["rcu"] } : step));
    expect(check({ backend, spoil }, "landed", 2).violation).toBeUndefined();
    expect(check({ backend, sleepable: true, spoil }, "landed", 2).violation?.history).toEqual(["f", "none"]);
  });

  test.each(POKE_MUTANTS.map((mutant) => [`${mutant.scenario} ${mutant.name}`, mutant] as const))(
    "%s is found with its shortest history",
    (_, { name, history }) => {
      const { violation } = check({ backend }, name, 3);
      expect(violation?.history).toEqual(history);
      if (name === "early-free") expect(violation!.what).toBe("runs f, which is freed");
      if (name === "stale-compare") expect(violation!.what).toMatch(/EBUSY/);
    },
  );
});

describe("what a run may not do", () => {
  /** Puts an instruction into the bypass that no plan puts there. */
  const written =
    (code: readonly number[]): NonNullable<PokeSubject["spoil"]> =>
    (steps) => {
      const bypass = steps.find((step) => step.kind === "write" && step.what === "bypass");
      if (bypass?.kind !== "write") return steps;
      return [...steps.slice(0, 1), { ...bypass, bytes: Uint8Array.from(code) }, { kind: "sync-cores" }];
    };

  test("write anything but its stack", () => {
    // str x19, [x19], and x19 is the program's context.
    const { violation } = check({ backend: arm64, spoil: written([0x73, 0x02, 0x00, 0xf9]) }, "landed", 1, 1);
    expect(violation?.what).toMatch(/^writes to 0x[0-9a-f]+, which is not its stack$/);
  });

  test("run an instruction that reaches over the end of a site", () => {
    // The first bytes of mov rax, imm64.
    const spoil = written([0x48, 0xb8, 0, 0, 0]);
    const found = search({ ...machineSearch({ backend: x86_64, spoil }, ["f"], 1), passes: 1, beyondViolations: true });
    expect([...found.ends]).toContain("2 runs an instruction that reaches over the end of its site");
  });

  test("come back with a register that it owes its caller", () => {
    // mov x20, x19
    const { violation } = check({ backend: arm64, spoil: written([0xf4, 0x03, 0x13, 0xaa]) }, "landed", 1, 1);
    expect(violation).toBeDefined();
  });
});

/** All pairs of steps made and what a run ended with, over all histories of a length, and the first history that goes wrong. */
function endsOf(subject: PokeSubject, rules: string, length: number, readers: number) {
  const { name: _, ...given } = POKE_RULES.get(rules)!;
  const ends: Record<string, readonly string[]> = {};
  let wrong: readonly Callee[] | undefined;
  let states = 0;
  for (let n = 1; n <= length; n++) {
    for (const history of historiesOf(n)) {
      const scenario = machineSearch({ ...given, ...subject }, history, readers);
      const found = search({ ...scenario, ...given, passes: 1, beyondViolations: true });
      ends[history.join()] = [...found.ends].sort();
      if (found.violation !== undefined) wrong ??= history;
      states += found.states;
    }
  }
  return { states, outcome: { ends, wrong } };
}

describe.each(BACKENDS)("$arch: stopping only where code is rewritten, or in front of every instruction", (backend) => {
  // The cover letter's protocol is the one with the stale compare.
  const names = [...POKE_RULES.keys()].filter((name) => name !== "cover-letter");
  test.each(names)("is the same under '%s': verdict, shortest history, and all ends of runs", (rules) => {
    const length = rules === "stale-compare" ? 3 : 2;
    for (const readers of length === 2 ? [1, 2] : [1]) {
      const site = endsOf({ backend }, rules, length, readers);
      const instruction = endsOf({ backend, granularity: "instruction" }, rules, length, readers);
      expect(site.outcome).toEqual(instruction.outcome);
      expect(instruction.states).toBeGreaterThan(2 * site.states);
    }
  });
});

describe.each(BACKENDS)("$arch: an update that fails", (backend) => {
  test.each<[readonly Callee[]]>([[["f"]], [["f", "g"]], [["f", "none"]]])(
    "C-13 failure at every step of the last of %j is taken back under running CPUs",
    (history) => {
      const { protocol } = POKE_RULES.get("landed")!;
      let taken = 0;
      for (let failing = 0; ; failing++) {
        const scenario = machineSearch({ backend, protocol, failing }, history, 2);
        const { violation } = search({ ...scenario, passes: 2 });
        const shown = violation && formatSchedule({ history, ...violation }, 2);
        expect(shown, `step ${failing}`).toBeUndefined();
        if (scenario.trace.attempt === undefined) break;
        taken++;
      }
      expect(taken).toBeGreaterThan(3);
    },
  );

  test("what takes it back has to wait, too", () => {
    const spoil: PokeSubject["spoil"] = (steps) => steps.filter(({ kind }) => kind !== "wait-readers");
    const wrong: number[] = [];
    for (let failing = 0; ; failing++) {
      const scenario = machineSearch({ backend, failing, spoil }, ["f"], 1);
      if (scenario.trace.attempt === undefined) break;
      if (search({ ...scenario, passes: 1 }).violation !== undefined) wrong.push(failing);
    }
    expect(wrong.length).toBeGreaterThan(0);
  });
});
