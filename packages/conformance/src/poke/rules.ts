// What can happen next: who may move in a state, and what comes of it. The search and the replay both go by these rules.
import { BpfError } from "@bpfkit/core";
import { BITS, BROKEN, CALLEES, CompiledReader, MOST_MOVES } from "./compiled-reader.ts";
import type { Callee, Trace, TraceStep } from "./trace.ts";

/** What a reader's code does between two places where it matters what others have done. Nobody else sees what it changes. */
export interface Reader {
  /** The place in front of the first instruction of a run. */
  readonly entry: number;
  /** What can happen next at a place, when `count` steps have been made: at least one thing. */
  next(place: number, count: number): readonly Move[];
  /** The address of the next instruction at a place. */
  pc(place: number): bigint;
  /** The callee in whose code a place is. */
  inside(place: number): Callee | undefined;
}

/** One way to go on. */
export interface Move {
  /** What was fetched and done, in words. */
  readonly what: string;
  readonly to: number | Outcome;
}

/** How a run ended. */
export type Outcome =
  | { readonly kind: "returned"; readonly callee: Callee }
  | { readonly kind: "broken"; readonly what: string };

/** What is searched, or replayed. */
export interface Scenario {
  readonly trace: Trace;
  /** The same object may stand for several readers. */
  readonly readers: readonly Reader[];
  /** Runs of each reader, one after the other. */
  readonly passes: number;
  /** Whether a wait for readers of their kind covers these readers; true unless told. */
  readonly covered?: boolean;
  /** What their runs are to those who wait; `rcu` unless told. */
  readonly kind?: "rcu" | "sleepable";
  /** Whether a program that was replaced is freed only after all runs then in progress; true unless told. */
  readonly graceBeforeFree?: boolean;
}

/** The updater, as one who moves. */
export const UPDATER = -1;

const SETS = 4;
/** Of a reader: bit 0 says that the updater waits for it, bits 1 and 2 which programs are not freed before its run has ended. */
const FLAGS = 8;
const AWAITED = 1;
/** Most places of a reader that are tried, and fewest that are worth it. */
const [MOST_PLACES, FEWEST_PLACES] = [1 << 14, 1 << 6];

/**
 * The rules. A state is one number, and everything in it can be read from that: the steps made, the programs that are freed, and for each
 * reader its place, how many runs it has made, how many updates had ended when its run began, and its flags.
 *
 * - The updater makes one update after the other, as a map's mutex has it.
 * - A wait covers those whom it concerns when it is reached; they may come back while others are waited for.
 * - A sync reaches all CPUs at once. One that it reaches earlier can only fetch less.
 * - A program is freed at the first moment at which it may be: later is harmless wherever that is.
 * - A run may come back with what any update that had ended when it began left, or a later one that has begun. So two runs of one CPU may see
 *   the new program and then the old one, while the update lasts: this is what CPUs that fetch what they like can do.
 *
 * Readers see nothing of each other, and can only keep the updater waiting. So whatever goes wrong, goes wrong with one reader, too: more of
 * them are a check of the waits, and of these rules.
 */
export class Rules {
  readonly initial: number;
  /** What {@link successors} found: states, or -1 where something went wrong. */
  readonly states: Float64Array;
  /** Who moves and which of its moves: see {@link who} and {@link choice}. */
  readonly moves: Int32Array;
  /** What a run has come back with, or what went wrong. */
  readonly ends: (string | undefined)[] = [];
  readonly #scenario: Scenario;
  readonly #counts: number;
  /** Places and being outside; with runs; with updates: radices of a reader's number. */
  readonly #places: number;
  readonly #runs: number;
  readonly #seen: number;
  readonly #word: number;
  /** What a reader's number counts for in a state. */
  readonly #weights: readonly number[];
  readonly #words: Int32Array;
  /** Per step count: updates that have begun, and that have ended. */
  readonly #begun: readonly number[];
  readonly #ended: readonly number[];
  /** Index of the callee before the first update and after each. */
  readonly #values: readonly number[];
  /** By updates ended at the begin of a run and step count at its end: the callees it may come back with, as bits. */
  readonly #allowed: readonly Uint8Array[];
  readonly #compiled: readonly CompiledReader[];

  /** @throws {BpfError} `limit` where states do not fit into 53 bits */
  constructor(scenario: Scenario) {
    const { trace, readers, passes } = scenario;
    const { steps, history } = trace;
    this.#scenario = scenario;
    this.#counts = steps.length + 1;
    const sizeOf = (places: number): number => (places + 1) * (passes + 1) * (history.length + 1) * FLAGS;
    let places = MOST_PLACES;
    while (this.#counts * SETS * sizeOf(places) ** readers.length > Number.MAX_SAFE_INTEGER) places >>= 1;
    if (places < FEWEST_PLACES)
      throw new BpfError("limit", `${readers.length} readers of ${passes} runs each`, { expected: "fewer" });
    this.#places = places + 1;
    this.#runs = this.#places * (passes + 1);
    this.#seen = this.#runs * (history.length + 1);
    this.#word = this.#seen * FLAGS;
    this.#weights = readers.map((_, i) => this.#counts * SETS * this.#word ** i);
    this.#words = new Int32Array(readers.length);
    this.#begun = countsOf(trace, "begin");
    this.#ended = countsOf(trace, "end");
    this.#values = [0, ...history.map((callee) => CALLEES.indexOf(callee))];
    const attempt = trace.attempt === undefined ? 0 : 1 << CALLEES.indexOf(trace.attempt);
    this.#allowed = this.#values.map((_, ended) =>
      Uint8Array.from(this.#begun, (begun) => {
        const isAttempted = ended < history.length && begun === history.length;
        const seen = this.#values.slice(ended, begun + 1);
        return seen.reduce((set, callee) => set | (1 << callee), isAttempted ? attempt : 0);
      }),
    );
    const compiled = new Map(readers.map((reader) => [reader, new CompiledReader(reader, this.#counts, places)]));
    this.#compiled = readers.map((reader) => compiled.get(reader)!);
    this.initial = 0;
    this.states = new Float64Array(MOST_MOVES * (readers.length + 1));
    this.moves = new Int32Array(this.states.length);
  }

  /** Steps made in a state. */
  count(state: number): number {
    return state % this.#counts;
  }

  /** The reader that moves, or {@link UPDATER}. */
  who(move: number): number {
    return (move % (this.#words.length + 1)) - 1;
  }

  /** Which of its moves. */
  choice(move: number): number {
    return Math.floor(move / (this.#words.length + 1));
  }

  /** A move as a number. */
  move(who: number, choice: number): number {
    return choice * (this.#words.length + 1) + who + 1;
  }

  /** Where a reader is in a state; undefined outside of runs. */
  place(state: number, who: number): number | undefined {
    this.#unpack(state);
    const place = (this.#words[who]! % this.#places) - 1;
    return place < 0 ? undefined : place;
  }

  /** All that can happen next, into {@link states}, {@link moves} and {@link ends}; gives how much that is. O(it). */
  successors(state: number): number {
    const freed = this.#unpack(state);
    const count = state % this.#counts;
    let found = this.#update(state, count, freed);
    for (let who = 0; who < this.#words.length; who++) found = this.#go(found, state, count, freed, who);
    return found;
  }

  #add(found: number, state: number, move: number, end?: string): number {
    this.states[found] = state;
    this.moves[found] = move;
    this.ends[found] = end;
    return found + 1;
  }

  /** The updater. */
  #update(state: number, count: number, freed: number): number {
    const { trace } = this.#scenario;
    const step = trace.steps[count];
    if (step === undefined) return 0;
    const move = this.move(UPDATER, 0);
    if (step.kind === "refused") return this.#add(0, -1, move, step.reason);
    if (isWait(step) && this.#words.some((word) => (this.#flags(word) & AWAITED) !== 0)) return 0;
    const reached = trace.steps[count + 1];
    const awaits = reached !== undefined && isWait(reached) && this.#isCovered(reached);
    if (step.kind !== "begin" && step.kind !== "end" && !awaits) return this.#add(0, state + 1, move);
    const words = this.#words.slice();
    let now = freed;
    if (step.kind === "begin") {
      now &= ~BITS[this.#values[step.update + 1] as 0 | 1 | 2];
      if (trace.attempt !== undefined && step.update + 1 === trace.history.length)
        now &= ~BITS[CALLEES.indexOf(trace.attempt) as 0 | 1 | 2];
    }
    if (step.kind === "end") now |= this.#release(words, step.update);
    if (awaits)
      for (const [who, word] of words.entries()) if (this.#concerns(reached, who, word)) words[who]! += this.#seen;
    return this.#add(0, this.#pack(count + 1, now, words), move);
  }

  /** The program that the slot held before an update, as a bit, when it is freed with the end of it. Else whoever is in a run keeps it. */
  #release(words: Int32Array, update: number): number {
    const before = this.#values[update] as 0 | 1 | 2;
    if (before === this.#values[update + 1]) return 0;
    let pins = 0;
    for (const [who, word] of words.entries()) {
      const isNew = ((this.#flags(word) >> 1) & BITS[before]) === 0;
      if (this.#scenario.graceBeforeFree !== false && word % this.#places > 0 && isNew)
        words[who]! += this.#seen * 2 * BITS[before];
      pins |= this.#flags(words[who]!) >> 1;
    }
    return BITS[before] & ~pins;
  }

  #isCovered(wait: TraceStep): boolean {
    if (wait.kind !== "wait-readers") return true;
    const { covered = true, kind = "rcu" } = this.#scenario;
    return covered && (wait.readers?.some((waited) => waited === kind || waited === "tasks") ?? true);
  }

  /** Whether a wait is for a reader. */
  #concerns(wait: TraceStep, who: number, word: number): boolean {
    const place = (word % this.#places) - 1;
    return place >= 0 && (wait.kind !== "wait-clear" || isIn(wait, this.#scenario.readers[who]!.pc(place)));
  }

  /** A reader. */
  #go(start: number, state: number, count: number, freed: number, who: number): number {
    const word = this.#words[who]!;
    const weight = this.#weights[who]!;
    const place = (word % this.#places) - 1;
    const code = this.#compiled[who]!;
    if (place < 0) {
      if (word >= this.#runs - this.#places) return start;
      const begins = code.reader.entry + 1 + this.#ended[count]! * this.#runs;
      return this.#add(start, state + begins * weight, this.move(who, 0));
    }
    const moves = code.moves(place, count);
    if ((code.inside(place) & freed) !== 0) {
      const what = `runs ${code.reader.inside(place)}, which is freed`;
      return this.#add(start, -1, this.move(who, 0), what);
    }
    let found = start;
    for (let choice = 0; choice < moves.length; choice++) {
      const to = moves[choice]!;
      const move = this.move(who, choice);
      if (to >= 0) {
        const change = to - place - (this.#isReleased(word, who, to, count) ? this.#seen : 0);
        found = this.#add(found, state + change * weight, move);
      } else if (to === BROKEN) found = this.#add(found, -1, move, code.broken(place, count, choice));
      else {
        const ended = Math.floor(word / this.#runs) % this.#values.length;
        const wrong = (this.#allowed[ended]![count]! & (1 << (-1 - to))) === 0;
        if (wrong) found = this.#add(found, -1, move, this.#notAllowed(-1 - to, ended, count));
        else found = this.#add(found, this.#leave(state, count, freed, who), move, CALLEES[-1 - to]!);
      }
    }
    return found;
  }

  /** Whether `wait-clear` has waited for a reader that now goes elsewhere. */
  #isReleased(word: number, who: number, to: number, count: number): boolean {
    if ((this.#flags(word) & AWAITED) === 0) return false;
    const wait = this.#scenario.trace.steps[count]!;
    return wait.kind === "wait-clear" && !isIn(wait, this.#scenario.readers[who]!.pc(to));
  }

  #notAllowed(callee: number, ended: number, count: number): string {
    const wanted = CALLEES.filter((_, i) => (this.#allowed[ended]![count]! & (1 << i)) !== 0);
    return `ran ${CALLEES[callee]} where ${wanted.join(" or ")} was to be called`;
  }

  /** A run has ended: who waited for it need not any longer. */
  #leave(state: number, count: number, freed: number, who: number): number {
    const word = this.#words[who]!;
    const pins = this.#flags(word) >> 1;
    const runs = (Math.floor(word / this.#places) % (this.#scenario.passes + 1)) + 1;
    const left = state + (runs * this.#places - word) * this.#weights[who]!;
    if (pins === 0) return left;
    let held =
      BITS[this.#values[this.#ended[count]!] as 0 | 1 | 2] | BITS[this.#values[this.#begun[count]!] as 0 | 1 | 2];
    for (const [other, others] of this.#words.entries()) if (other !== who) held |= this.#flags(others) >> 1;
    return left + (pins & ~held & ~freed) * this.#counts;
  }

  #flags(word: number): number {
    return Math.floor(word / this.#seen);
  }

  /** Takes the readers' numbers out of a state; gives which programs are freed. */
  #unpack(state: number): number {
    let rest = Math.floor(state / this.#counts);
    const freed = rest % SETS;
    rest = Math.floor(rest / SETS);
    for (let who = 0; who < this.#words.length; who++) {
      this.#words[who] = rest % this.#word;
      rest = Math.floor(rest / this.#word);
    }
    return freed;
  }

  #pack(count: number, freed: number, words: Int32Array): number {
    let state = freed * this.#counts + count;
    for (const [who, word] of words.entries()) state += word * this.#weights[who]!;
    return state;
  }
}

function isWait({ kind }: TraceStep): boolean {
  return kind === "wait-readers" || kind === "wait-clear";
}

function isIn(range: { readonly from: bigint; readonly to: bigint }, pc: bigint): boolean {
  return pc >= range.from && pc < range.to;
}

/** How many updates have begun, or ended, when so many steps have been made. */
function countsOf({ steps }: Trace, kind: "begin" | "end"): number[] {
  const counts = [0];
  for (const step of steps) counts.push(counts.at(-1)! + (step.kind === kind ? 1 : 0));
  return counts;
}
