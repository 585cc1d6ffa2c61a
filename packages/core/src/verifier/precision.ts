// Which values a decision depended on: walks the instructions of a path backwards and marks the values in the states it was stored in.
import { targetOf } from "../isa/targets.ts";
import { HistoryBuffer, unpackHistory } from "./history.ts";
import { helperSpec } from "./prototypes.ts";
import { REG_WORDS, Type } from "./register.ts";
import { ROWS } from "./rows.ts";
import { Marks, type StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";

/** Registers and slots that are wanted, by frame: registers, slots 0..31, slots 32..63. */
const wanted = new Int32Array(3 * 16);
let top = 0;

function isWanted(frame: number, reg: number): boolean {
  return ((wanted[3 * frame]! >> reg) & 1) === 1;
}

function want(frame: number, reg: number): void {
  wanted[3 * frame]! |= 1 << reg;
}

function drop(frame: number, reg: number): void {
  wanted[3 * frame]! &= ~(1 << reg);
}

function isWantedSlot(frame: number, slot: number): boolean {
  return ((wanted[3 * frame + 1 + (slot >> 5)]! >> (slot & 31)) & 1) === 1;
}

function wantSlot(frame: number, slot: number): void {
  wanted[3 * frame + 1 + (slot >> 5)]! |= 1 << (slot & 31);
}

function dropSlot(frame: number, slot: number): void {
  wanted[3 * frame + 1 + (slot >> 5)]! &= ~(1 << (slot & 31));
}

/** Frames that can have something wanted. */
let depth = 0;

function nothingWanted(): boolean {
  for (let i = 0; i < 3 * depth; i++) if (wanted[i] !== 0) return false;
  return true;
}

/** Nothing is wanted, in the frames of the current path. */
function beginAt(v: Verification): void {
  wanted.fill(0);
  depth = v.state.frames.length;
  top = depth - 1;
}

/** A decision at the current instruction depended on the number in a register of the current frame. */
export function markPrecise(v: Verification, reg: number): void {
  if (v.frame.words[reg * REG_WORDS] !== Type.SCALAR) return;
  beginAt(v);
  want(top, reg);
  walkBack(v, true);
}

/** The current path ends where an equal one has been: what that one depended on, this one does too. */
export function inheritPrecision(v: Verification, stored: StoredState): void {
  beginAt(v);
  for (let f = 0; f < stored.frames; f++) {
    const precise = stored.marks(f, Marks.PRECISE);
    for (let i = 0; i < 3; i++) wanted[3 * f + i] = stored.words[precise + i]!;
  }
  if (nothingWanted()) return;
  v.log.inherits(wanted, stored);
  walkBack(v, false);
}

const unpacked = new HistoryBuffer();

function walkBack(v: Verification, skipsLast: boolean): void {
  const { state } = v;
  let history = state.history;
  let length = state.historyLength;
  let parent = state.parent;
  let first = state.first;
  let last = skipsLast ? state.insn : state.previous;
  let next = -1;
  let skip = skipsLast;
  let later = skipsLast ? -1 : state.insn;
  for (;;) {
    v.log.preciseStart(v, top, last, first, next);
    for (let h = length - 1; h >= 0; h--) {
      const links = h;
      while (history[h]! < 0) h--;
      const word = history[h]!;
      const insn = word & 0xf_ffff;
      if (skip) skip = false;
      else {
        v.log.preciseStep(v, wanted, top, insn);
        for (let at = links; at > h; at--) wantLinked(v.links[~history[at]!]!);
        if (!step(v, insn, word >>> 20, later)) {
          markAll(v);
          return;
        }
        for (let at = links; at > h; at--) wantLinked(v.links[~history[at]!]!);
        if (nothingWanted()) return;
      }
      later = insn;
    }
    if (parent === undefined) {
      // The start of a subprogram: what is still wanted came in as an argument.
      wanted.fill(0);
      return;
    }
    const done = markIn(v, parent);
    v.log.preciseState(v, wanted, parent);
    if (done) return;
    next = parent.insn;
    first = parent.first;
    // For the log only.
    last = v.log.level < 2 ? -1 : lastOf(parent.history);
    length = unpackHistory(parent.words, parent.historyAt, parent.marksAt, unpacked);
    history = unpacked.words;
    if (later < 0) later = next;
    parent = parent.parent;
  }
}

/** The last instruction of a history, which may be packed. */
function lastOf(history: Int32Array): number {
  const word = history.findLast((entry) => entry >= 0);
  return word === undefined ? -1 : word & 0xf_ffff;
}

/** Values that were narrowed together count as one: if one of them is wanted, all are. */
function wantLinked(links: Int32Array): void {
  let any = false;
  for (const link of links) any ||= isLinkWanted(link);
  if (!any) return;
  for (const link of links) {
    if ((link & 0x80) !== 0) wantSlot(link >> 8, link & 0x7f);
    else want(link >> 8, link & 0x7f);
  }
}

function isLinkWanted(link: number): boolean {
  return (link & 0x80) !== 0 ? isWantedSlot(link >> 8, link & 0x7f) : isWanted(link >> 8, link & 0x7f);
}

/** Marks what is wanted in a stored state, and wants no longer what is marked already or is no number; true when nothing is left. */
function markIn(v: Verification, stored: StoredState): boolean {
  const { words, frames } = stored;
  let any = 0;
  for (let f = 0; f < frames; f++) {
    const precise = stored.marks(f, Marks.PRECISE);
    const numbers = stored.marks(f, Marks.NUMBERS);
    for (let i = 0; i < 3; i++) {
      const added = wanted[3 * f + i]! & words[numbers + i]! & ~words[precise + i]!;
      words[precise + i]! |= added;
      wanted[3 * f + i] = added;
      any |= added;
    }
  }
  for (let i = 3 * frames; i < 3 * depth; i++) wanted[i] = 0;
  top = frames - 1;
  depth = frames;
  if (any !== 0 && v.log.records) v.log.marked(v, stored, wanted.slice(0, 3 * frames));
  return any === 0;
}

/** Where the walk cannot follow, every number of every state on the way counts. */
function markAll(v: Verification): void {
  wanted.fill(0);
  for (let stored = v.state.parent; stored !== undefined; stored = stored.parent) {
    for (let f = 0; f < stored.frames; f++) {
      const precise = stored.marks(f, Marks.PRECISE);
      const numbers = stored.marks(f, Marks.NUMBERS);
      for (let i = 0; i < 3; i++) stored.words[precise + i]! |= stored.words[numbers + i]!;
    }
  }
}

/** What is wanted before an instruction, given what is wanted behind it; false where that cannot be told. */
function step(v: Verification, i: number, touch: number, later: number): boolean {
  const { insns } = v;
  const row = ROWS[v.ops[i]!]!;
  const dst = insns.dst(i);
  const src = insns.src(i);
  const slot = (touch - 1) & 63;
  const frame = (touch - 1) >> 6;
  switch (row.kind) {
    case "alu":
    case "div":
    case "shift":
      if (isWanted(top, dst) && !row.immediate) want(top, src);
      return true;
    case "mov":
    case "movsx":
      if (!isWanted(top, dst)) return true;
      drop(top, dst);
      if (!row.immediate) want(top, src);
      return true;
    case "loadImm64":
      drop(top, dst);
      return true;
    case "load":
    case "loadSx":
    case "loadAcquire":
      if (!isWanted(top, dst)) return true;
      drop(top, dst);
      if (touch !== 0 && v.tables.pruning.tracesSlots) wantSlot(frame, slot);
      return true;
    case "store":
    case "storeImm":
    case "storeRelease":
      if (touch === 0 || !isWantedSlot(frame, slot)) return true;
      dropSlot(frame, slot);
      if (row.kind !== "storeImm") want(top, src);
      return true;
    case "atomic":
      if (row.operation === "cmpxchg") drop(top, 0);
      else if (row.fetches) drop(top, src);
      return true;
    case "jumpIf":
      if (!row.immediate && (isWanted(top, dst) || isWanted(top, src))) {
        want(top, dst);
        want(top, src);
      }
      return true;
    case "packetLoad":
      drop(top, 0);
      return true;
    case "callHelper":
    case "tailCall":
    case "callKfunc":
    case "callSubprog":
      return stepCall(v, i, later);
    case "exit":
      return stepExit(v, later);
    default:
      return true;
  }
}

function stepCall(v: Verification, i: number, later: number): boolean {
  const row = ROWS[v.ops[i]!]!;
  if (later === i + 1 || later < 0) {
    drop(top, 0);
    for (let reg = 1; reg <= 5; reg++) drop(top, reg);
    return true;
  }
  // The walk comes out of what was called: its arguments are the caller's.
  if (top === 0) return false;
  const regs = wanted[3 * top]!;
  wanted[3 * top] = 0;
  wanted[3 * top + 1] = 0;
  wanted[3 * top + 2] = 0;
  top--;
  if (row.kind === "callSubprog") {
    if (targetOf(v.insns, i, v.ops[i]!) !== later) return false;
    for (let reg = 1; reg <= 5; reg++) if (((regs >> reg) & 1) === 1) want(top, reg);
    return true;
  }
  return helperSpec(v.insns.imm(i))?.args.includes("callback") === true;
}

/** Into a callee, from its end: what the caller wants of r0 the callee must tell. */
function stepExit(v: Verification, later: number): boolean {
  if (later < 0) return false;
  const fromSubprog = later > 0 && ROWS[v.ops[later - 1]!]?.kind === "callSubprog";
  const isCallback =
    ROWS[v.ops[later]!]?.kind === "callHelper" && helperSpec(v.insns.imm(later))?.args.includes("callback");
  const r0 = isWanted(top, 0);
  drop(top, 0);
  if (top + 1 >= 16) return false;
  top++;
  depth = Math.max(depth, top + 1);
  wanted[3 * top] = 0;
  wanted[3 * top + 1] = 0;
  wanted[3 * top + 2] = 0;
  if (r0 && fromSubprog && !isCallback) want(top, 0);
  return true;
}

/** The same for what a stack slot holds: the slot `bytes` below r10 of a frame. */
export function markPreciseSlot(v: Verification, frame: number, bytes: number): void {
  beginAt(v);
  wantSlot(frame, (bytes - 1) >> 3);
  walkBack(v, true);
}
