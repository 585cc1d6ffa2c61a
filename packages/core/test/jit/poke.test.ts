import { describe, expect, test } from "vitest";
import { type PokePhase, type PokePlan, type ZippedPhase, zipPlans } from "../../src/jit/poke.ts";

/** A plan as a word: `w` writes, `s` syncs, `c` waits until a range is clear. Each phase can be told from all others. */
function plan(word: string, base: number): PokePlan {
  const phases = [...word].map((letter, i): PokePhase => {
    const address = BigInt(base + i);
    if (letter === "w") return { kind: "write", address, expect: Uint8Array.of(0), bytes: Uint8Array.of(1) };
    return letter === "s" ? { kind: "sync-cores" } : { kind: "wait-clear", from: address, to: address + 1n };
  });
  return { phases };
}

function word(phases: readonly ZippedPhase[]): string {
  return phases
    .map((phase) => {
      if (phase.kind === "sync-cores") return `s${phase.plans.join("")}`;
      return `${phase.kind === "write" ? "w" : "c"}${phase.plan}`;
    })
    .join(" ");
}

const LETTERS = ["w", "s", "c"];

describe("plans that are zipped", () => {
  test("share their syncs", () => {
    expect(word(zipPlans(["wswsws", "wswsws"].map(plan)))).toBe("w0 w1 s01 w0 w1 s01 w0 w1 s01");
  });

  test("wait behind the sync that they share, and end whenever they end", () => {
    expect(word(zipPlans(["wscws", "wsw", "", "ws", "w"].map(plan)))).toBe("w0 w1 w3 w4 s013 c0 w0 w1 s0");
  });

  test("are each carried out whole and in order, whatever they are", () => {
    const words = Array.from({ length: 3 ** 4 }, (_, n) =>
      Array.from({ length: 4 }, (_, i) => LETTERS[Math.floor(n / 3 ** i) % 3])
        .join("")
        .slice(0, 1 + (n % 4)),
    );
    const plans = words.map((letters, i) => plan(letters, 10 * i));
    const phases = zipPlans(plans);
    for (const [i, { phases: own }] of plans.entries()) {
      const found = phases.flatMap((phase): PokePhase[] => {
        if (phase.kind === "sync-cores") return phase.plans.includes(i) ? [{ kind: "sync-cores" }] : [];
        if (phase.plan !== i) return [];
        const { plan: _, ...rest } = phase;
        return [rest];
      });
      expect(found).toEqual(own);
    }
    const syncs = phases.filter(({ kind }) => kind === "sync-cores").length;
    expect(syncs).toBe(Math.max(...words.map((letters) => letters.split("s").length - 1)));
    expect(phases.filter(({ kind }) => kind !== "sync-cores").length).toBe(
      [...words.join("")].filter((l) => l !== "s").length,
    );
  });
});
