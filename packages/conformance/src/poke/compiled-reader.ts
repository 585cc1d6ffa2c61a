// What a reader can do, as numbers that are looked up once.
import { BpfError } from "@bpfkit/core";
import type { Reader } from "./rules.ts";
import type { Callee } from "./trace.ts";

/** By index. */
export const CALLEES: readonly Callee[] = ["none", "f", "g"];
/** Bits of programs, by the index of the callee: f and g can be freed. */
export const BITS: readonly [0, 1, 2] = [0, 1, 2];
/** Stands for a place where a run has broken: no callee has it, as -1 minus its index. */
export const BROKEN: number = -4;
/** Most moves of one reader at one place. */
export const MOST_MOVES: number = 1 << 12;

/** A reader whose moves are looked up once per place and step count. */
export class CompiledReader {
  readonly reader: Reader;
  readonly #counts: number;
  readonly #places: number;
  /** Per place and step count: places, or -1 minus the callee that a run has come back from, or {@link BROKEN}. */
  readonly #moves: (Int32Array | undefined)[] = [];
  /** Per place: the bit of the program in whose code it is. */
  readonly #inside: number[] = [];

  constructor(reader: Reader, counts: number, places: number) {
    this.reader = reader;
    this.#counts = counts;
    this.#places = places;
  }

  /** @throws {BpfError} `limit` for more places than a state can tell apart, or more moves than fit */
  moves(place: number, count: number): Int32Array {
    const at = place * this.#counts + count;
    const known = this.#moves[at];
    if (known !== undefined) return known;
    const moves = Int32Array.from(this.reader.next(place, count), ({ to }) => {
      if (typeof to === "number") return to;
      return to.kind === "broken" ? BROKEN : -1 - CALLEES.indexOf(to.callee);
    });
    const last = moves.reduce((most, to) => Math.max(most, to), 0);
    if (last >= this.#places || moves.length > MOST_MOVES) {
      const what = `${last + 1} places of a reader, ${moves.length} ways to go on from one`;
      throw new BpfError("limit", what, { expected: `at most ${this.#places} and ${MOST_MOVES}`, hint: "search less" });
    }
    while (this.#moves.length < at) this.#moves.push(undefined);
    this.#moves[at] = moves;
    return moves;
  }

  inside(place: number): number {
    let bit = this.#inside[place];
    if (bit === undefined) {
      while (this.#inside.length <= place) {
        const callee = this.reader.inside(this.#inside.length) ?? "none";
        this.#inside.push(BITS[CALLEES.indexOf(callee) as 0 | 1 | 2]);
      }
      bit = this.#inside[place]!;
    }
    return bit;
  }

  broken(place: number, count: number, choice: number): string {
    const { to } = this.reader.next(place, count)[choice]!;
    return typeof to === "object" && to.kind === "broken" ? to.what : "";
  }
}
