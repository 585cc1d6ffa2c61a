// Exhaustive search over everything that readers and one updater can do at the same time, with the shortest way to a violation.
import { BpfError } from "@bpfkit/core";
import type { Callee, Trace, TraceStep } from "./trace.ts";

/** What a reader's code does between two places where it matters what others have done. */
export interface Reader {
  /** The place in front of the first instruction of a run. */
  readonly entry: number;
  /** What can happen next at a place, when `count` steps have been made. */
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

/** What is searched. */
export interface Search {
  readonly trace: Trace;
  readonly readers: readonly Reader[];
  /** Runs of each reader. */
  readonly passes: number;
  /** Whether the updater's `wait-readers` covers these readers; true unless told. */
  readonly covered?: boolean;
  /** Whether a program that was replaced is freed only after all runs then in progress; true unless told. */
  readonly graceBeforeFree?: boolean;
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
  readonly violation: { readonly what: string; readonly schedule: readonly ScheduleStep[] } | undefined;
}

/** What a reader does; a state holds one number for each, see {@link Codec}. */
interface ReaderState {
  /** -1: not in a run. */
  place: number;
  passes: number;
  /** Updates that had ended when its run began: it may see the last of them, or a later one. */
  ended: number;
  /** 1: the updater waits for this run. */
  awaited: number;
  /** Programs whose freeing waits for this run: bit 0 is f, bit 1 g. */
  pins: number;
}

const OUTSIDE = -1;
const BIT: Readonly<Record<Callee, number>> = { none: 0, f: 1, g: 2 };
/** Most places of a reader. */
const PLACES = 1 << 9;

/**
 * Breadth first over all states, so that the first violation has the shortest schedule. Readers move only where it can matter what
 * others did: at places that are rewritten and in front of callees. A state is one number that everything in it can be read from, so states are
 * compared exactly.
 *
 * Cost: states × moves.
 *
 * @throws {BpfError} `limit` where states do not fit into 53 bits
 */
export function search(options: Search): Found {
  const { trace, readers, passes, covered = true, graceBeforeFree = true } = options;
  const { steps, history } = trace;
  const codec = new Codec(options);
  const seen = new Set<number>();
  const states: number[] = [];
  /** Per state: the one before it, and how it was reached. */
  const from: number[] = [];
  const how: ScheduleStep[] = [];
  const begun = countsOf(trace, "begin");
  const ended = countsOf(trace, "end");
  const values: readonly Callee[] = ["none", ...history];

  /** The state in work, taken apart, and the one that is made of it. */
  const old = codec.empty();
  const next = codec.empty();

  function reach(before: number, step: ScheduleStep): void {
    const state = codec.pack(next);
    if (seen.has(state)) return;
    seen.add(state);
    states.push(state);
    from.push(before);
    how.push(step);
  }

  function violate(index: number, what: string, step: ScheduleStep): Found {
    const schedule = [step];
    for (let at = index; from[at]! >= 0; at = from[at]!) schedule.push(how[at]!);
    return { states: states.length, violation: { what, schedule: schedule.reverse() } };
  }

  reach(-1, { who: -1, choice: 0, what: "" });
  for (let index = 0; index < states.length; index++) {
    codec.unpack(states[index]!, old);
    const { count } = old;
    const made = steps[count];
    if (made !== undefined && !isBlocked(made)) {
      const step = { who: -1, choice: 0, what: stepText(trace, count) };
      if (made.kind === "refused") return violate(index, made.reason, step);
      update(made);
      reach(index, step);
    }
    for (const [who, reader] of old.readers.entries()) {
      const code = readers[who]!;
      if (reader.place === OUTSIDE) {
        if (reader.passes === passes) continue;
        codec.copy(old, next);
        next.readers[who]!.place = code.entry;
        next.readers[who]!.ended = ended[count]!;
        reach(index, { who, choice: 0, what: "is called" });
        continue;
      }
      const callee = code.inside(reader.place);
      for (const [choice, { what, to }] of code.next(reader.place, count).entries()) {
        const step = { who, choice, what };
        if (callee !== undefined && (old.freed & BIT[callee]) !== 0)
          return violate(index, `runs ${callee}, which is freed`, step);
        codec.copy(old, next);
        if (typeof to === "number") next.readers[who]!.place = to;
        else {
          if (to.kind === "broken") return violate(index, to.what, step);
          const allowed = values.slice(reader.ended, begun[count]! + 1);
          if (!allowed.includes(to.callee)) {
            const wanted = [...new Set(allowed)].join(" or ");
            return violate(index, `ran ${to.callee} where ${wanted} was to be called`, step);
          }
          leave(who);
        }
        reach(index, step);
      }
    }
  }
  return { states: states.length, violation: undefined };

  function isBlocked(step: TraceStep): boolean {
    if (step.kind === "wait-readers") return old.readers.some(({ awaited }) => awaited === 1);
    if (step.kind !== "wait-clear") return false;
    return old.readers.some(({ place }, who) => {
      const pc = place === OUTSIDE ? -1n : readers[who]!.pc(place);
      return pc >= step.from && pc < step.to;
    });
  }

  /** The updater makes a step. */
  function update(step: TraceStep): void {
    codec.copy(old, next);
    next.count++;
    if (step.kind === "begin") next.freed &= ~BIT[history[step.update]!];
    if (step.kind === "end") release(values[step.update]!, history[step.update]!);
    // A wait covers the runs that are in progress when it is reached.
    if (!covered || steps[next.count]?.kind !== "wait-readers") return;
    for (const reader of next.readers) reader.awaited = reader.place === OUTSIDE ? 0 : 1;
  }

  /** The program that the slot held is freed when nobody can be in it any more. */
  function release(before: Callee, now: Callee): void {
    if (before === "none" || before === now) return;
    let pinned = 0;
    for (const reader of next.readers) {
      if (graceBeforeFree && reader.place !== OUTSIDE) reader.pins |= BIT[before];
      pinned |= reader.pins;
    }
    if ((pinned & BIT[before]) === 0) next.freed |= BIT[before];
  }

  /** A run ends: who waited for it need not any longer. */
  function leave(who: number): void {
    const reader = next.readers[who]!;
    const { pins } = reader;
    Object.assign(reader, { place: OUTSIDE, passes: reader.passes + 1, ended: 0, awaited: 0, pins: 0 });
    let held = BIT[values[ended[next.count]!]!] | BIT[values[begun[next.count]!]!];
    for (const other of next.readers) held |= other.pins;
    next.freed |= pins & ~held;
  }
}

interface State {
  /** Steps made. */
  count: number;
  /** Programs that are freed: bit 0 is f, bit 1 g. */
  freed: number;
  readonly readers: readonly ReaderState[];
}

/** States as numbers: digits of mixed radices. */
class Codec {
  readonly #readers: number;
  readonly #counts: number;
  readonly #passes: number;
  readonly #ended: number;

  constructor({ trace, readers, passes }: Search) {
    this.#readers = readers.length;
    this.#counts = trace.steps.length + 1;
    this.#passes = passes + 1;
    this.#ended = trace.history.length + 1;
    const size = this.#counts * 4 * ((PLACES + 1) * this.#passes * this.#ended * 8) ** this.#readers;
    if (size > Number.MAX_SAFE_INTEGER)
      throw new BpfError("limit", `${readers.length} readers of ${passes} runs each`, { expected: "fewer" });
  }

  empty(): State {
    const reader = (): ReaderState => ({ place: OUTSIDE, passes: 0, ended: 0, awaited: 0, pins: 0 });
    return { count: 0, freed: 0, readers: Array.from({ length: this.#readers }, reader) };
  }

  copy(from: State, to: State): void {
    to.count = from.count;
    to.freed = from.freed;
    for (const [i, reader] of from.readers.entries()) Object.assign(to.readers[i]!, reader);
  }

  pack({ count, freed, readers }: State): number {
    let state = 0;
    for (const { place, passes, ended, awaited, pins } of readers) {
      if (place >= PLACES) throw new BpfError("limit", `${place} places of a reader`, { expected: `below ${PLACES}` });
      const rest = (pins * 2 + awaited) * this.#ended + ended;
      state = ((state * 8 * this.#ended + rest) * this.#passes + passes) * (PLACES + 1) + place + 1;
    }
    return (state * 4 + freed) * this.#counts + count;
  }

  unpack(packed: number, into: State): void {
    let rest = packed;
    const digit = (radix: number): number => {
      const value = rest % radix;
      rest = Math.floor(rest / radix);
      return value;
    };
    into.count = digit(this.#counts);
    into.freed = digit(4);
    for (let i = this.#readers - 1; i >= 0; i--) {
      const reader = into.readers[i]!;
      reader.place = digit(PLACES + 1) - 1;
      reader.passes = digit(this.#passes);
      reader.ended = digit(this.#ended);
      reader.awaited = digit(2);
      reader.pins = digit(4);
    }
  }
}

/** How many updates have begun, or ended, when so many steps have been made. */
function countsOf({ steps }: Trace, kind: "begin" | "end"): number[] {
  const counts = [0];
  for (const step of steps) counts.push(counts.at(-1)! + (step.kind === kind ? 1 : 0));
  return counts;
}

/** A step of the updater in words. */
export function stepText({ steps, history }: Trace, count: number): string {
  const step = steps[count]!;
  switch (step.kind) {
    case "write":
      return `${step.what}: ${hex(step.before)} becomes ${hex(step.bytes)}`;
    case "sync-cores":
      return "all CPUs forget what they fetched";
    case "wait-clear":
      return `no CPU stands from 0x${step.from.toString(16)} to 0x${step.to.toString(16)}`;
    case "wait-readers":
      return "all runs that had begun have ended";
    case "begin":
      return `begins to put ${history[step.update]} into the slot`;
    case "end":
      return "is done";
    case "refused":
      return `is refused: ${step.reason}`;
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
