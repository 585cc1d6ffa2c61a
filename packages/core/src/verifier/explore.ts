// Walks all paths of a program, depth first: forks at branches, ends a path where an earlier one has covered it.

import { targetOf } from "../isa/targets.ts";
import { compute, loadImmediate } from "./alu-insn.ts";
import { callHelper } from "./call.ts";
import { Point } from "./control-flow.ts";
import { findPrevious, widen } from "./converge.ts";
import { deduceSharply } from "./deduce.ts";
import { callSubprog, exitFrame } from "./frames.ts";
import { jumpIf } from "./jump.ts";
import { callKfunc } from "./kfuncs.ts";
import { atomic, load, packetLoad, store } from "./load-store.ts";
import { visit } from "./prune.ts";
import { forgetPackets } from "./references.ts";
import { Errno, Refusal } from "./refusal.ts";
import { setScalar } from "./register.ts";
import { ROWS } from "./rows.ts";
import type { Verification } from "./verification.ts";

/** How many instructions go by between two looks at the clock. */
const CLOCK_STEPS = 4096;

/** Verifies all paths that begin with the current state. @throws {Refusal} */
export function explore(v: Verification, deadline: number, now: () => number): void {
  const { counters, budget, points } = v;
  const limit = v.profile.limits.processedInsns;
  deduceSharply(v.modern);
  v.log.begin(v);
  for (;;) {
    const { state } = v;
    const i = state.insn;
    if (++counters.insns > limit) {
      throw new Refusal(Errno.E2BIG, [`BPF program is too large. Processed ${counters.insns} insn`]);
    }
    if (counters.insns > budget.insns)
      throw new Refusal(Errno.E2BIG, [`the budget of ${budget.insns} instructions is used up`], "instructions");
    if (counters.insns % CLOCK_STEPS === 0 && now() > deadline)
      throw new Refusal(Errno.E2BIG, [`the budget of ${budget.milliseconds} ms is used up`], "milliseconds");
    if ((points[i]! & Point.PRUNE) !== 0 && visit(v)) {
      if (!next(v)) return;
      continue;
    }
    if ((points[i]! & Point.JUMP) !== 0) state.marks++;
    state.note(i, 0);
    v.log.before(v, i);
    v.watch?.(v);
    const late = v.late?.get(i);
    if (late !== undefined) throw late;
    const to = step(v, i);
    v.log.after(v, i);
    if (to < 0) {
      endPath(v);
      if (!next(v)) return;
      continue;
    }
    state.previous = i;
    state.insn = to;
  }
}

/** A path has ended: the states that it came through wait for one less. */
export function endPath(v: Verification): void {
  for (let stored = v.state.parent; stored !== undefined; stored = stored.parent) {
    if (--stored.branches > 0) return;
    v.completed(stored);
  }
}

/** Goes on with the path that was put off last. */
function next(v: Verification): boolean {
  v.recycle();
  const state = v.pending.pop();
  if (state === undefined) return false;
  // What was packed last is unpacked first.
  for (let f = state.frames.length - 1; f >= 0; f--) state.frames[f]!.unpack(v.packing, v.spare, f);
  v.state = state;
  v.log.resumed(v);
  return true;
}

/** One instruction; gives the slot where the path goes on, −1 where it ends. */
function step(v: Verification, i: number): number {
  const row = ROWS[v.ops[i]!]!;
  switch (row.kind) {
    case "alu":
    case "div":
    case "shift":
    case "neg":
    case "mov":
    case "movsx":
    case "end":
      compute(v, i, row);
      return i + 1;
    case "loadImm64":
      loadImmediate(v, i);
      return i + 2;
    case "load":
    case "loadSx":
    case "loadAcquire":
      load(v, i, row);
      return i + 1;
    case "store":
    case "storeImm":
    case "storeRelease":
      store(v, i, row);
      return i + 1;
    case "atomic":
      atomic(v, i, row);
      return i + 1;
    case "packetLoad":
      packetLoad(v, i);
      return v.state.frames.length > 1 ? leaveEarly(v, i) : i + 1;
    case "jumpIf":
      v.counters.jumps++;
      return jumpIf(v, i, row);
    case "jump":
      v.counters.jumps++;
      return targetOf(v.insns, i, v.ops[i]!)!;
    case "mayGoto":
      v.counters.jumps++;
      return mayGoto(v, i);
    case "callSubprog":
      v.counters.jumps++;
      return callSubprog(v, i);
    case "callHelper":
      v.counters.jumps++;
      callHelper(v, i);
      return i + 1;
    case "tailCall":
      v.counters.jumps++;
      callHelper(v, i);
      return v.modern && v.state.frames.length > 1 ? leaveEarly(v, i) : i + 1;
    case "callKfunc":
      v.counters.jumps++;
      callKfunc(v, i);
      return i + 1;
    case "exit":
      v.counters.jumps++;
      return exitFrame(v);
    default:
      return v.refuse(Errno.EOPNOTSUPP, `${row.kind} is not verified here yet`);
  }
}

/** The program may have ended inside of a call: its caller goes on as if anything had been returned. The rest of the subprogram waits. */
function leaveEarly(v: Verification, i: number): number {
  v.fork(i + 1, i);
  forgetPackets(v);
  setScalar(v.frame.words, 0);
  return exitFrame(v);
}

/** A loop that may go on: once more with numbers that nothing depends on forgotten, and out of it. */
function mayGoto(v: Verification, i: number): number {
  const again = v.fork(i + 1, i);
  again.mayGotoDepth++;
  const before = findPrevious(v.state.parent?.parent, i, v.state.frames.length);
  if (before !== undefined) widen(before, again);
  return i + 1 + v.insns.off(i);
}
