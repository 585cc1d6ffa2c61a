// Where paths are compared with earlier ones: ends those that are covered, finds loops that go nowhere, stores what is worth it.
import { Point } from "./control-flow.ts";
import { type Exactness, stateCovers } from "./equal.ts";
import { endPath } from "./explore.ts";
import { inheritPrecision } from "./precision.ts";
import { Errno, Refusal } from "./refusal.ts";
import { FIXED, FRAME, SCALAR, setUninit } from "./register.ts";
import { ROWS } from "./rows.ts";
import { hasIterated, Iteration } from "./special-slots.ts";
import { regAt, type State, spillAt } from "./state.ts";
import { eachStored, Marks, type StoredState, storedState, usedRegisters } from "./store.ts";
import type { Verification } from "./verification.ts";

/** A state is not worth storing before so many jumps and instructions; within a loop, before so many. */
const [FEW_JUMPS, FEW_INSNS, LOOP_JUMPS, LOOP_INSNS, LONG_HISTORY] = [2, 8, 20, 100, 40];
/** A state is dropped after so many comparisons in vain for each that hit. */
const [PATIENCE, FORCED_PATIENCE] = [3, 64];

/** The end of a path at a state that is not complete itself: what is learnt of that state later holds for the path, too. */
export interface BackEdge {
  readonly state: State<StoredState>;
  readonly target: StoredState;
}

/** The current path arrives at a place where states are compared; true when it ends here. */
export function visit(v: Verification): boolean {
  const { state, counters } = v;
  const i = state.insn;
  // Linux 6.12 does not know beforehand what is read later: as long as a loop is open, all registers count.
  if (v.modern) forgetDead(v);
  const forced = (v.points[i]! & Point.FORCE) !== 0 || state.marks > LONG_HISTORY;
  const worthIt = counters.jumps - v.jumpsAtStore >= FEW_JUMPS && counters.insns - v.insnsAtStore >= FEW_INSNS;
  let stores = forced || worthIt;
  const list = v.stored.get(i);
  if (list !== undefined) {
    for (let k = 0; k < list.length; k++) {
      const stored = list[k]!;
      if (stored.branches > 0) {
        const hit = compareOpen(v, stored);
        if (hit) return prunedAt(v, stored);
        if (
          !forced &&
          !v.isLoopPoint(i) &&
          counters.jumps - v.jumpsAtStore < LOOP_JUMPS &&
          counters.insns - v.insnsAtStore < LOOP_INSNS
        )
          stores = false;
      } else {
        const how: Exactness = v.complete || isOpen(stored) ? "ranges" : "enough";
        if (stateCovers(v, stored, state, how)) {
          v.leftOut ||= how === "enough" && !stateCovers(v, stored, state, "ranges");
          return prunedAt(v, stored);
        }
      }
      v.log.missed(v, stored);
      if (stores) stored.misses++;
      const patience = forced && stored.branches > 0 ? FORCED_PATIENCE : PATIENCE;
      if (stored.misses > stored.hits * patience + patience) {
        list.splice(k--, 1);
        counters.liveStates--;
      }
    }
    counters.maxStatesPerInsn = Math.max(counters.maxStatesPerInsn, list.length);
  }
  if (stores) storeState(v);
  return false;
}

/** Whether a state that some path has not come back from covers the current one; rejects a loop in which nothing changes. */
function compareOpen(v: Verification, stored: StoredState): boolean {
  const { state } = v;
  const row = ROWS[v.ops[state.insn]!]!;
  if (row.kind === "mayGoto") {
    if (stored.mayGotoDepth !== state.mayGotoDepth && stateCovers(v, stored, state, v.tables.pruning.open)) return true;
  } else if ((v.points[state.insn]! & Point.CALLBACK) !== 0) {
    return stateCovers(v, stored, state, v.tables.pruning.open);
  } else if (row.kind === "callKfunc" && (v.points[state.insn]! & Point.FORCE) !== 0) {
    return stateCovers(v, stored, state, v.tables.pruning.open) && isIterating(v);
  }
  if (
    stored.mayGotoDepth === state.mayGotoDepth &&
    stored.callbackUnroll === state.callbackUnroll &&
    stateCovers(v, stored, state, "exact") &&
    !hasIterated(stored, state.frames, eachStored)
  ) {
    v.refuse(Errno.EINVAL, ...v.log.loopLines(v, stored));
  }
  return false;
}

/** Whether the iterator that is to move on has numbers left. */
function isIterating({ frame, state }: Verification): boolean {
  const r1 = regAt(1);
  const slot = (-frame.words[r1 + SCALAR]! - frame.words[r1 + FIXED]! - 1) >> 3;
  const { words, depth } = state.frames[frame.words[r1 + FRAME]!]!;
  return slot >= 0 && slot < depth && words[spillAt(slot) + FRAME] === Iteration.ACTIVE;
}

/** Whether what a state led to depends on a loop that has not been walked to its end. */
function isOpen(stored: StoredState): boolean {
  for (let at: StoredState | undefined = stored; at !== undefined; at = at.loop) {
    if (at.branches > 0 && at !== stored) return true;
    if (at.loop === at) return false;
  }
  return false;
}

/** The current path ends at a state that covers it. */
function prunedAt(v: Verification, stored: StoredState): true {
  const { state } = v;
  stored.hits++;
  inheritReads(state, stored);
  inheritPrecision(v, stored);
  const head = openHead(stored);
  if (head !== undefined) {
    for (let at = state.parent; at !== undefined && at !== head; at = at.parent) at.loop = outer(at.loop, head);
    head.edges ??= [];
    head.edges.push({ state, target: stored });
    v.keepsState();
  }
  v.log.pruned(v, stored);
  endPath(v);
  return true;
}

/** The outermost unfinished state that a state depends on: itself, or the head of a loop. */
function openHead(stored: StoredState): StoredState | undefined {
  let head: StoredState | undefined = stored.branches > 0 ? stored : undefined;
  for (let at = stored.loop; at !== undefined; at = at.loop) if (at.branches > 0) head = at;
  return head;
}

function outer(a: StoredState | undefined, b: StoredState): StoredState {
  if (a === undefined || a.branches === 0) return b;
  return a.depth < b.depth ? a : b;
}

/** What is read below the state that covers a path is read below the states of the path. */
function inheritReads(state: State<StoredState>, stored: StoredState): boolean {
  let changed = false;
  for (let f = 0; f < stored.frames; f++) {
    const below = stored.marks(f, Marks.READ);
    let low = stored.words[below]!;
    let high = stored.words[below + 1]!;
    low &= ~state.frames[f]!.written0;
    high &= ~state.frames[f]!.written1;
    for (let at = state.parent; at !== undefined && (low | high) !== 0 && f < at.frames; at = at.parent) {
      const { words } = at;
      const read = at.marks(f, Marks.READ);
      const more = (low & ~words[read]!) | (high & ~words[read + 1]!);
      words[read]! |= low;
      words[read + 1]! |= high;
      changed ||= more !== 0;
      const written = at.marks(f, Marks.WRITTEN);
      low &= ~words[written]!;
      high &= ~words[written + 1]!;
    }
  }
  return changed;
}

/** A loop has been walked to its end: what is known of its states is carried along the edges that lead back, until nothing changes. */
export function closeLoop(v: Verification, head: StoredState): void {
  const current = v.state;
  const edges = head.edges ?? [];
  for (let changed = true; changed; ) {
    changed = false;
    for (const { state, target } of edges) {
      const before = preciseCount(state.parent);
      v.state = state;
      changed = inheritReads(state, target) || changed;
      inheritPrecision(v, target);
      changed = preciseCount(state.parent) !== before || changed;
    }
  }
  v.state = current;
  const above = head.loop;
  if (above !== undefined && above.branches > 0) above.edges = [...(above.edges ?? []), ...edges];
  head.edges = undefined;
}

function preciseCount(from: StoredState | undefined): number {
  let count = 0;
  for (let at = from; at !== undefined; at = at.parent) {
    for (let f = 0; f < at.frames; f++) {
      const precise = at.marks(f, Marks.PRECISE);
      for (let i = 0; i < 3; i++) for (let rest = at.words[precise + i]!; rest !== 0; rest &= rest - 1) count++;
    }
  }
  return count;
}

/** Registers that nobody reads any more hold nothing. */
function forgetDead(v: Verification): void {
  const { state } = v;
  for (let f = 0; f < state.frames.length; f++) {
    const used = usedRegisters(v, state, f);
    const { words } = state.frames[f]!;
    for (let reg = 0; reg < 10; reg++) {
      if (((used >> reg) & 1) === 0 && words[regAt(reg)] !== 0) setUninit(words, regAt(reg));
    }
  }
}

function storeState(v: Verification): void {
  const { state, counters, budget } = v;
  const stored = storedState(v, state);
  let list = v.stored.get(state.insn);
  if (list === undefined) {
    list = [];
    v.stored.set(state.insn, list);
  }
  list.push(stored);
  counters.totalStates++;
  counters.storedWords += stored.bytes / 4;
  counters.peakStates = Math.max(counters.peakStates, ++counters.liveStates);
  if (counters.liveStates > budget.states)
    throw new Refusal(Errno.E2BIG, [`the budget of ${budget.states} stored states is used up`], "states");
  v.jumpsAtStore = counters.jumps;
  v.insnsAtStore = counters.insns;
  state.parent = stored;
  state.first = state.insn;
  state.historyLength = 0;
  state.marks = 0;
  for (const frame of state.frames) {
    frame.written0 = 0;
    frame.written1 = 0;
  }
}
