// Mutants of the example's listing: the assembler ends in a program or a BpfError with a place. BPFKIT_FUZZ gives their number.
import { readFileSync } from "node:fs";
import { BpfError, tryAssemble } from "@bpfkit/core";
import { expect, test } from "vitest";

const MUTANTS = Number(process.env.BPFKIT_FUZZ ?? 10_000);
const SEED = Number(process.env.BPFKIT_FUZZ_SEED ?? 1);
const LISTING = new URL("../../../../examples/firewall/firewall.objdump.txt", import.meta.url);

test(`each of ${MUTANTS} mutants of the example's listing is a program or is refused with its place`, () => {
  const lines = readFileSync(LISTING, "utf8").split("\n");
  let state = SEED;
  const random = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % n;
  };
  const outcomes = new Map<string, number>();
  for (let i = 0; i < MUTANTS; i++) {
    const from = random(lines.length);
    let text = lines.slice(from, from + 1 + random(24)).join("\n");
    for (let edits = 1 + random(4); edits > 0; edits--) text = mutate(text, lines[random(lines.length)]!, random);
    const result = tryAssemble(text);
    if (!result.ok) {
      expect(result.error, text).toBeInstanceOf(BpfError);
      expect(result.error.details.line, text).toBeGreaterThan(0);
      expect(result.error.code, text).not.toBe("internal");
    }
    const outcome = result.ok ? "program" : result.error.code;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // Both ends are reached: the mutants are neither all harmless nor all nonsense.
  expect(outcomes.get("program")).toBeGreaterThan(MUTANTS / 100);
  expect(outcomes.get("syntax")).toBeGreaterThan(MUTANTS / 100);
});

/** Flips, removes, doubles or replaces a piece of the text. */
function mutate(text: string, other: string, random: (n: number) => number): string {
  const at = random(text.length + 1);
  const size = random(8);
  const rest = text.slice(at + size);
  switch (random(5)) {
    case 0:
      return text.slice(0, at) + rest;
    case 1:
      return text.slice(0, at) + text.slice(at, at + size).repeat(2) + rest;
    case 2:
      return text.slice(0, at) + String.fromCharCode(random(random(4) === 0 ? 0x10000 : 128)) + text.slice(at + 1);
    case 3:
      return text.slice(0, at) + other.slice(random(other.length + 1)) + rest;
    default:
      return text.replace(/-?(0x)?[0-9a-f]+/, String(random(2) ? 2 ** random(70) : -(2 ** random(70))));
  }
}
