// Protocols with one thing wrong, each with what it is found by: what a check has to see, as data.
import { POKE_PROTOCOLS, type PokeProtocol } from "@bpfkit/kernel";
import type { Callee } from "./trace.ts";

/** A protocol, and what the kernel around it does. */
export interface PokeRules {
  readonly name: string;
  readonly protocol: PokeProtocol;
  /** As in `Scenario`: true unless told. */
  readonly covered?: boolean;
  readonly graceBeforeFree?: boolean;
}

/** Rules with one thing wrong. */
export interface PokeMutant extends PokeRules {
  /** Id of the scenario. */
  readonly scenario: `C-${number}`;
  readonly summary: string;
  /** The shortest history that shows it. */
  readonly history: readonly Callee[];
}

const { landed, "cover-letter": coverLetter } = POKE_PROTOCOLS;

/** The landed protocol with other moves where a slot is filled, or emptied. */
function changed(
  change: "fill" | "empty",
  moves: (moves: ReturnType<PokeProtocol["moves"]>) => ReturnType<PokeProtocol["moves"]>,
): PokeProtocol {
  const isChanged = (from: boolean, to: boolean): boolean => (change === "fill" ? !from && to : from && !to);
  return {
    ...landed,
    moves: (from, to) => (isChanged(from, to) ? moves(landed.moves(from, to)) : landed.moves(from, to)),
  };
}

/** All of them, in the order of their scenarios. */
export const POKE_MUTANTS: readonly PokeMutant[] = [
  {
    scenario: "C-2",
    name: "no-wait",
    summary: "the target is emptied without a wait",
    protocol: changed("empty", (moves) => moves.filter((move) => move !== "wait")),
    history: ["f", "none"],
  },
  {
    scenario: "C-3",
    name: "bypass-first",
    summary: "the bypass opens before there is a target",
    protocol: changed("fill", (moves) => moves.toReversed()),
    history: ["f"],
  },
  {
    scenario: "C-4",
    name: "target-first",
    summary: "the target is emptied before the bypass closes",
    protocol: changed("empty", (moves) => moves.toReversed()),
    history: ["f", "none"],
  },
  {
    scenario: "C-5",
    name: "wrong-grace-period",
    summary: "the wait is for other readers than these, as one for RCU is where runs may sleep",
    protocol: landed,
    covered: false,
    history: ["f", "none"],
  },
  {
    scenario: "C-6",
    name: "early-free",
    summary: "a program is freed as soon as it is replaced",
    protocol: landed,
    graceBeforeFree: false,
    history: ["f", "g"],
  },
  {
    scenario: "C-7",
    name: "stale-compare",
    summary: "the target is never emptied, and yet expected to be what the slot implies",
    protocol: coverLetter,
    history: ["f", "none", "f"],
  },
];

/** Protocols and mutants by name. */
export const POKE_RULES: ReadonlyMap<string, PokeRules> = new Map(
  [...Object.entries(POKE_PROTOCOLS).map(([name, protocol]) => ({ name, protocol })), ...POKE_MUTANTS].map((rules) => [
    rules.name,
    rules,
  ]),
);
