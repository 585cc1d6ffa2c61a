// Exhaustive search over everything that readers and one updater can do at the same time, with the shortest way to a violation.
import { Rules, type Scenario, UPDATER } from "./rules.ts";
import { stepText } from "./trace.ts";

/** What is searched. */
export interface Search extends Scenario {
  /** Goes on behind violations until nothing new is left; false unless told. A violation ends the schedule that led to it all the same. */
  readonly beyondViolations?: boolean;
}

/** One move of a schedule. */
export interface ScheduleStep {
  /** Index of the reader, or -1 for the updater. */
  readonly who: number;
  /** Which of its moves, where there are several. */
  readonly choice: number;
  readonly what: string;
}

/** What a search found. */
export interface Found {
  readonly states: number;
  /** Bytes of the tables in which they are kept. */
  readonly bytes: number;
  /** The first violation, by the number of moves. */
  readonly violation: { readonly what: string; readonly schedule: readonly ScheduleStep[] } | undefined;
  /** All pairs of steps made and how a run came back then, or what went wrong. Complete where nothing went wrong or the search went beyond it. */
  readonly ends: ReadonlySet<string>;
}

/**
 * Breadth first over all states, so that the first violation has the shortest schedule. Readers move only where it can matter what
 * others did, as their places have it. States are compared exactly. A state from which nobody can go on before all updates are made is a
 * violation, too.
 *
 * Cost: states × moves; 16 bytes a state and 4 to 16 in the hash table.
 *
 * @throws {BpfError} `limit` where states do not fit into 53 bits
 */
export function search(options: Search): Found {
  const rules = new Rules(options);
  const { steps } = options.trace;
  const reached = new Reached();
  const ends = Array.from({ length: steps.length + 1 }, () => new Set<string>());
  let violation: Found["violation"];

  reached.add(rules.initial, -1, 0);
  for (let index = 0; index < reached.length; index++) {
    const state = reached.state(index);
    const count = rules.count(state);
    const found = rules.successors(state);
    if (found === 0 && count < steps.length) {
      violation ??= { what: STUCK, schedule: scheduleTo(options, rules, reached, index) };
      ends[count]!.add(STUCK);
    }
    for (let i = 0; i < found; i++) {
      const next = rules.states[i]!;
      const move = rules.moves[i]!;
      const end = rules.ends[i];
      if (end !== undefined) ends[count]!.add(end);
      if (next >= 0) reached.add(next, index, move);
      else if (violation === undefined)
        violation = { what: end!, schedule: scheduleTo(options, rules, reached, index, move) };
    }
    if (violation !== undefined && options.beyondViolations !== true) break;
  }
  const pairs = ends.flatMap((atCount, count) => [...atCount].map((end) => `${count} ${end}`));
  return { states: reached.length, bytes: reached.bytes, violation, ends: new Set(pairs) };
}

const STUCK = "nobody can go on";

/** The moves that lead to a state, and one more. */
function scheduleTo(scenario: Scenario, rules: Rules, reached: Reached, index: number, last?: number): ScheduleStep[] {
  const schedule = last === undefined ? [] : [stepOf(scenario, rules, reached.state(index), last)];
  for (let at = index; reached.from(at) >= 0; at = reached.from(at))
    schedule.push(stepOf(scenario, rules, reached.state(reached.from(at)), reached.move(at)));
  return schedule.reverse();
}

/** A move in words. */
export function stepOf({ trace, readers }: Scenario, rules: Rules, state: number, move: number): ScheduleStep {
  const who = rules.who(move);
  const choice = rules.choice(move);
  const count = rules.count(state);
  if (who === UPDATER) return { who, choice, what: stepText(trace, count) };
  const place = rules.place(state, who);
  return { who, choice, what: place === undefined ? "is called" : readers[who]!.next(place, count)[choice]!.what };
}

/** States in the order in which they were reached, each with the one before it and the move from there. */
class Reached {
  length = 0;
  #states = new Float64Array(1 << 12);
  #from = new Int32Array(1 << 12);
  #moves = new Int32Array(1 << 12);
  /** Open addressing: index of a state plus 1, or 0. */
  #slots = new Int32Array(1 << 13);

  get bytes(): number {
    return this.#states.byteLength + this.#from.byteLength + this.#moves.byteLength + this.#slots.byteLength;
  }

  state(index: number): number {
    return this.#states[index]!;
  }

  from(index: number): number {
    return this.#from[index]!;
  }

  move(index: number): number {
    return this.#moves[index]!;
  }

  /** Takes in a state, where it is new. */
  add(state: number, from: number, move: number): void {
    let slot = this.#slotOf(state);
    if (this.#slots[slot] !== 0) return;
    if (this.length === this.#states.length) {
      this.#grow();
      slot = this.#slotOf(state);
    }
    this.#states[this.length] = state;
    this.#from[this.length] = from;
    this.#moves[this.length] = move;
    this.#slots[slot] = ++this.length;
  }

  #slotOf(state: number): number {
    const mask = this.#slots.length - 1;
    const mixed = Math.imul((state | 0) ^ Math.imul((state / 2 ** 32) | 0, 0x85eb_ca6b), 0x9e37_79b1);
    let slot = (mixed ^ (mixed >>> 15)) & mask;
    for (let index = this.#slots[slot]!; index !== 0; index = this.#slots[slot]!) {
      if (this.#states[index - 1] === state) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const states = new Float64Array(2 * this.length);
    states.set(this.#states);
    this.#states = states;
    this.#from = grown(this.#from);
    this.#moves = grown(this.#moves);
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let i = 0; i < this.length; i++) this.#slots[this.#slotOf(states[i]!)] = i + 1;
  }
}

function grown(column: Int32Array): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(2 * column.length);
  longer.set(column);
  return longer;
}
