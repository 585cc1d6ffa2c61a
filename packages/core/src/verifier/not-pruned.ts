// Why paths went on where others had been before: what differed between the states that were compared.
import { Differing, differingPlace, stateCovers } from "./equal.ts";
import { slotText } from "./log.ts";
import { baseOf, REG_WORDS, Type } from "./register.ts";
import type { Replay } from "./replay.ts";
import { KINDS, regAt, spillAt } from "./state.ts";
import { placeName } from "./step-words.ts";
import { eachStored, type StoredState } from "./store.ts";
import { registerText } from "./text.ts";
import { frameOf, indexOf, isSlot } from "./trace.ts";
import type { Verification } from "./verification.ts";

/** What one comparison after another found to differ first. */
export interface PruneMiss {
  /** `R6`, `fp-8`, `R6 of frame 1`, `references`, `calls`. */
  readonly place: string;
  readonly count: number;
  /** The first pair that was compared, as the log prints it. */
  readonly stored: string;
  readonly current: string;
  /** Where the stored value counts because a decision depended on it: the instruction that decided. */
  readonly preciseSince?: number;
  /** In words. */
  readonly what: string;
}

/** The comparisons in vain at one instruction. */
export interface NotPruned {
  readonly insn: number;
  /** Comparisons that failed, and those that ended a path. */
  readonly misses: number;
  readonly hits: number;
  /** The most frequent first. */
  readonly causes: readonly PruneMiss[];
}

/** The comparisons in vain of a verification. */
export interface PruneMisses {
  /** Of each instruction that had any, the one with the most first. */
  readonly all: readonly NotPruned[];
  at(insn: number): NotPruned;
}

export function notPrunedOf(replay: Replay): PruneMisses {
  const seen = new Map<number, Comparisons>();
  const marks: Marks = new WeakMap();
  const at = (insn: number): Comparisons => {
    let comparisons = seen.get(insn);
    if (comparisons === undefined) {
      comparisons = new Comparisons();
      seen.set(insn, comparisons);
    }
    return comparisons;
  };
  replay({
    missed: (v, stored) => at(v.state.insn).miss(v, stored, marks),
    pruned: (v) => {
      at(v.state.insn).hits++;
    },
    marked: (v, stored, added, of) => noteMarks(marks, v, stored, added, of),
  });
  const all = [...seen].map(([insn, comparisons]) => comparisons.told(insn));
  return {
    all: all.filter(({ misses }) => misses > 0).sort((a, b) => b.misses - a.misses || a.insn - b.insn),
    at: (insn) => seen.get(insn)?.told(insn) ?? { insn, misses: 0, hits: 0, causes: [] },
  };
}

/** By stored state and place: the instruction that decided by the value there. */
type Marks = WeakMap<StoredState, Map<number, number>>;

function noteMarks(
  marks: Marks,
  v: Verification,
  stored: StoredState,
  added: Int32Array,
  of: StoredState | undefined,
): void {
  const before = marks.get(stored) ?? new Map<number, number>();
  marks.set(stored, before);
  // Where a path ends at another state, what that one's values count for is what theirs do.
  const others = of === undefined ? undefined : marks.get(of);
  const [any] = others?.values() ?? [];
  for (let frame = 0; frame < stored.frames; frame++) {
    for (let bit = 0; bit < 96; bit++) {
      if (((added[3 * frame + (bit >> 5)]! >> (bit & 31)) & 1) === 0) continue;
      const place = (frame << 8) | (bit < 32 ? bit : 0x80 | (bit - 32));
      before.set(place, others?.get(place) ?? any ?? v.state.insn);
    }
  }
}

/** The comparisons at one instruction. */
class Comparisons {
  misses = 0;
  hits = 0;
  readonly #causes = new Map<string, { count: number; readonly cause: Omit<PruneMiss, "count"> }>();

  miss(v: Verification, stored: StoredState, marks: Marks): void {
    this.misses++;
    const isOpen = stored.branches > 0;
    const place = firstDifference(v, stored, isOpen);
    const key = `${place} ${isOpen}`;
    const known = this.#causes.get(key);
    if (known === undefined) this.#causes.set(key, { count: 1, cause: causeOf(v, stored, place, isOpen, marks) });
    else known.count++;
  }

  told(insn: number): NotPruned {
    const causes = [...this.#causes.values()].map(({ count, cause }) => ({ ...cause, count }));
    return { insn, misses: this.misses, hits: this.hits, causes: causes.sort((a, b) => b.count - a.count) };
  }
}

/** As `differingPlace`; undefined where no place differs, but the rules want more than equal states. */
function firstDifference(v: Verification, stored: StoredState, isOpen: boolean): number | undefined {
  for (const how of isOpen ? (["exact"] as const) : (["enough", "ranges"] as const)) {
    if (!stateCovers(v, stored, v.state, how)) return differingPlace();
  }
  return undefined;
}

function causeOf(
  v: Verification,
  stored: StoredState,
  place: number | undefined,
  isOpen: boolean,
  marks: Marks,
): Omit<PruneMiss, "count"> {
  const nothing = { stored: "", current: "" };
  if (place === undefined)
    return { ...nothing, place: "progress", what: "nothing differs but how often the loop has been gone round" };
  if (place === Differing.CALLS)
    return { ...nothing, place: "calls", what: "the path came here by other calls, or in another round of a callback" };
  if (place === Differing.HELD)
    return { ...nothing, place: "references", what: "other references, locks or sections are held" };
  const frames = v.state.frames.map(({ origin }) => ({ subprog: v.structure.subprogs[origin.subprog]!.name }));
  const where = placeName(place, frames);
  // That a value counts is said in words.
  const was = storedAt(v, stored, place).replace(/^P/, "");
  const is = currentAt(v, place);
  const since = marks.get(stored)?.get(place);
  const precise = since === undefined ? "" : `, which counts: instruction ${since} decided by it`;
  return {
    place: where,
    stored: was,
    current: is,
    ...(since === undefined ? {} : { preciseSince: since }),
    what: isOpen
      ? `${where} was ${was} when the path was here before, and is ${is} now: the loop goes on`
      : `${where} is ${is}, not inside of ${was}${precise}`,
  };
}

const scratch = new Int32Array(REG_WORDS);
const NOTHING = "nothing";

function storedAt(v: Verification, stored: StoredState, place: number): string {
  let text = NOTHING;
  eachStored(stored, scratch, (frame, reg, slot, kinds) => {
    if (frame !== frameOf(place)) return;
    if (isSlot(place) && slot === indexOf(place)) text = slotValue(slotText(v, kinds, scratch, 0, slot, frame));
    if (!isSlot(place) && slot < 0 && reg === indexOf(place) && baseOf(scratch[0]!) !== Type.UNINIT)
      text = registerText(v, scratch, 0, frame);
  });
  return text;
}

function currentAt(v: Verification, place: number): string {
  const frame = frameOf(place);
  const { words, depth } = v.state.frames[frame]!;
  const index = indexOf(place);
  if (!isSlot(place))
    return words[regAt(index)] === Type.UNINIT ? NOTHING : registerText(v, words, regAt(index), frame);
  if (index >= depth) return NOTHING;
  return slotValue(slotText(v, words[KINDS + index]!, words, spillAt(index), index, frame));
}

const slotValue = (text: string): string => text.replace(/^ fp-\d+=/, "") || NOTHING;
