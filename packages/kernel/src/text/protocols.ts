// In which order the two sites of a direct tail call change: the protocols that were discussed for Linux in July 2020, as data.

/**
 * One thing to do, for all direct tail calls that follow the slot: the `target` becomes a jump to the slot's new program, or nothing; the
 * `bypass` lets runs pass, or makes them skip; `wait` until all runs have ended that may have passed the bypass.
 */
export type ProtocolMove = "target" | "bypass" | "wait";

/** A way to bring direct tail calls along when a slot changes. */
export interface PokeProtocol {
  readonly name: string;
  /** What to do, in order; `from` and `to` say whether the slot held a program and will hold one. The same program twice is no change. */
  readonly moves: (from: boolean, to: boolean) => readonly ProtocolMove[];
  /** What is expected at a site before it is written: what the slot's old program implies, or what the table of sites remembers. */
  readonly compares: "slot" | "table";
}

/** All of them. docs/text-patching.md shows what each does, and what the explorer finds. */
export const POKE_PROTOCOLS: Readonly<Record<"landed" | "cover-letter" | "ignore-old", PokeProtocol>> = {
  /** What Linux does: the target is emptied too, when nobody can be in front of it any more. */
  landed: {
    name: "landed",
    moves: (from, to) => (to ? fill(from) : from ? ["bypass", "wait", "target"] : []),
    compares: "slot",
  },
  /** The target is never emptied, so nothing has to be waited for; but then it is not what the slot's old program implies. */
  "cover-letter": {
    name: "cover-letter",
    moves: (from, to) => (to ? fill(from) : from ? ["bypass"] : []),
    compares: "slot",
  },
  /** The same without the comparison. */
  "ignore-old": {
    name: "ignore-old",
    moves: (from, to) => (to ? fill(from) : from ? ["bypass"] : []),
    compares: "table",
  },
};

/** Whoever can pass the bypass has to find a jump. */
function fill(from: boolean): readonly ProtocolMove[] {
  return from ? ["target"] : ["target", "bypass"];
}
