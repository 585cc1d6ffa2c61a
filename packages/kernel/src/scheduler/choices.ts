// Who decides what moves next: a seed, a schedule that was recorded, or whoever asks.
import { BpfError } from "@bpfkit/core";
import { Random } from "../random.ts";

/** Something that can happen next. */
export interface Move {
  /** `cpu 0`, or the name of an operation. */
  readonly who: string;
  /** In words; looked up when it is asked for. */
  readonly what: string;
}

/** Gives the index of the move to make. It is asked only where there are several. */
export type Choose = (moves: readonly Move[]) => number;

/** Where choices come from. */
export type ChoiceSource = { readonly seed: number } | { readonly replay: string } | Choose;

/** Letters of a schedule: one stands for a choice below 35, `z` adds 35 to the one behind it. */
const LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz";
const MORE = LETTERS.length - 1;

/** Makes choices and writes them down. */
export class Choices {
  #recorded = "";
  readonly #choose: Choose;
  readonly #end: () => void;

  /** @throws {BpfError} `argument` for a schedule with other letters than schedules have */
  constructor(source: ChoiceSource) {
    this.#end = () => undefined;
    if (typeof source === "function") this.#choose = source;
    else if ("seed" in source) this.#choose = seeded(source.seed);
    else {
      const choices = read(source.replay);
      let at = 0;
      this.#choose = ({ length }) => {
        const choice = choices[at++];
        if (choice !== undefined && choice < length) return choice;
        throw doesNotFit(choice === undefined ? "ends early" : `takes move ${choice} of ${length}`);
      };
      this.#end = () => {
        if (at < choices.length) throw doesNotFit(`goes on behind the end, with ${choices.length - at} choices`);
      };
    }
  }

  /** All choices so far. */
  get recorded(): string {
    return this.#recorded;
  }

  /** @throws {BpfError} `argument` where a recorded schedule does not fit, or an index is none */
  take(moves: readonly Move[]): number {
    if (moves.length === 1) return 0;
    const choice = this.#choose(moves);
    if (!Number.isInteger(choice) || choice < 0 || choice >= moves.length) {
      throw new BpfError("argument", `choice ${choice}`, { expected: `0 to ${moves.length - 1}` });
    }
    this.#recorded += LETTERS[MORE]!.repeat(Math.floor(choice / MORE)) + LETTERS[choice % MORE];
    return choice;
  }

  /** Nothing is left to choose. @throws {BpfError} `argument` where a recorded schedule is not at its end */
  end(): void {
    this.#end();
  }
}

/** How much likelier it is that a move of one who is not held up is made. */
const AHEAD = 32;
/** Choices, on average, until somebody is held up, or goes on. */
const CALM = 12;

/**
 * Random choices, under which now and then somebody is held up for long: what goes wrong where one CPU stands still while others do a lot would
 * hardly ever come up if all went on equally fast.
 */
function seeded(seed: number): Choose {
  const random = new Random(seed);
  const weights = new Map<string, number>();
  const weightOf = ({ who }: Move): number => weights.get(who) ?? AHEAD;
  return (moves) => {
    if (random.next() % CALM === 0)
      weights.set(moves[random.next() % moves.length]!.who, random.next() % 2 ? 1 : AHEAD);
    let point = random.next() % moves.reduce((sum, move) => sum + weightOf(move), 0);
    return moves.findIndex((move) => {
      point -= weightOf(move);
      return point < 0;
    });
  };
}

function read(schedule: string): number[] {
  const choices: number[] = [];
  let more = 0;
  for (const letter of schedule) {
    const value = LETTERS.indexOf(letter);
    if (value < 0)
      throw new BpfError("argument", `'${letter}' in a schedule`, { expected: "digits and small letters" });
    if (value === MORE) more += MORE;
    else {
      choices.push(more + value);
      more = 0;
    }
  }
  if (more > 0) throw doesNotFit("ends within a choice");
  return choices;
}

function doesNotFit(how: string): BpfError {
  return new BpfError("argument", `a recorded schedule that ${how}`, {
    expected: "the schedule of the same programs and operations, from the same state",
  });
}

/**
 * Calls `body` once for every way in which it can choose, depth first; it has to begin from the same state each time. Gives how often.
 *
 * @throws {BpfError} `limit` where there are more ways than `most`
 */
export function everyChoice(body: (choose: Choose) => void, most = 100_000): number {
  /** Of the way that is tried next: what is chosen, and from how many. */
  let chosen: { index: number; readonly of: number }[] = [];
  for (let ways = 1; ; ways++) {
    if (ways > most) throw new BpfError("limit", `more than ${most} schedules`, { expected: "fewer steps" });
    let depth = 0;
    body(({ length }) => {
      if (depth === chosen.length) chosen.push({ index: 0, of: length });
      const choice = chosen[depth++]!;
      if (choice.of !== length) throw doesNotFit("is of another state");
      return choice.index;
    });
    chosen = chosen.slice(0, depth);
    while (chosen.length > 0 && chosen.at(-1)!.index + 1 === chosen.at(-1)!.of) chosen.pop();
    if (chosen.length === 0) return ways;
    chosen.at(-1)!.index++;
  }
}
