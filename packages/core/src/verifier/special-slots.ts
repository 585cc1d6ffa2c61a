// Objects of the kernel that live in stack slots: iterators and dynptrs. Programs make, use and end them through functions only; a store
// over one ends it, too, and a load from one is refused.
//
// A slot that belongs to one has all its bytes of one kind, and in place of a spilled register what is known of the object:
//
//   TYPE   `Type.ITERATOR` or `Type.DYNPTR`, with RCU or UNTRUSTED of an iterator that needs a read section
//   AUX    which iterator, index + 1; which kind of dynptr
//   FRAME  of an iterator its state; of a dynptr whether this is its first slot
//   DELTA  of an iterator how often it has moved on; of a dynptr whether it can only be read
//   REF    the reference that goes with it, in the first slot of an iterator, in both of a dynptr
//   ID     of a dynptr: shared by its slots, and by the memory that was taken out of it (there in FRAME)
import { ITERATORS, type IteratorSpec } from "../spec/kfuncs.ts";
import { acquire, release } from "./references.ts";
import { Errno } from "./refusal.ts";
import {
  AUX,
  baseOf,
  DELTA,
  FIXED,
  Flag,
  FRAME,
  ID,
  REF,
  SCALAR,
  setPointer,
  setScalar,
  TYPE,
  Type,
} from "./register.ts";
import { isConstant } from "./scalar.ts";
import { markRead } from "./stack.ts";
import { Byte, eight, type Frame, KINDS, spillAt } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";
import { signed } from "./words.ts";

/** States of an iterator. */
export const Iteration = { ACTIVE: 1, DRAINED: 2 } as const;

/** Kinds of dynptrs, by what is behind them. */
export const Dynptr = { LOCAL: 1, RINGBUF: 2, SKB: 3, XDP: 4 } as const;
export const DYNPTR_NAMES: readonly string[] = ["", "local", "ringbuf", "skb", "xdp"];
const DYNPTR_SLOTS = 2;
const STACK_SLOTS = 64;

/** Where an object is: its first slot is the one with the lowest address, the highest number. */
export interface Place {
  readonly frame: Frame;
  readonly index: number;
  readonly slot: number;
}

/** The slot that a stack pointer leads to, for an object of `slots` slots; undefined outside of the stack. Refuses other places with `text`. */
export function placeOf(v: Verification, at: number, slots: number, what: string, text: string): Place | undefined {
  const r = v.frame.words;
  if (!isConstant(r, at + SCALAR)) v.refuse(Errno.EINVAL, `${what} has to be at a constant offset`, text);
  const offset = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  const slot = Math.trunc((-offset - 1) / 8);
  const tooHigh = v.modern ? offset >= 0 || slot + 1 < slots : slot + 1 < slots;
  if (offset % 8 !== 0 || tooHigh) v.refuse(Errno.EINVAL, `cannot pass in ${what} at an offset=${offset}`, text);
  if (slot >= STACK_SLOTS || offset >= 0) return undefined;
  const index = r[at + FRAME]!;
  return { frame: v.state.frames[index]!, index, slot };
}

function isOf(frame: Frame, slot: number, kind: number): boolean {
  return slot < frame.depth && frame.words[KINDS + slot] === eight(kind);
}

/** A new iterator in slots that a store has just gone through. */
export function makeIterator(v: Verification, { frame, slot }: Place, iterator: number, insn: number): void {
  const { slots } = ITERATORS[iterator]!;
  const id = acquire(v, insn);
  for (let i = 0; i < slots; i++) {
    const at = spillAt(slot - i);
    setPointer(frame.words, at, Type.ITERATOR, iterator + 1);
    frame.words[at + FRAME] = Iteration.ACTIVE;
    frame.words[at + REF] = i === 0 ? id : 0;
    frame.words[KINDS + slot - i] = eight(Byte.ITERATOR);
    frame.wrote(slot - i);
  }
}

/** Whether no slot holds part of an iterator already. */
export function isFreeForIterator({ frame, slot }: Place, slots: number): boolean {
  for (let i = 0; i < slots; i++) if (isOf(frame, slot - i, Byte.ITERATOR)) return false;
  return true;
}

/** Where the first slot of an iterator is known; undefined where there is none of that sort. */
export function iteratorAt(v: Verification, { frame, index, slot }: Place, iterator: number): number | undefined {
  const { slots } = ITERATORS[iterator]!;
  for (let i = 0; i < slots; i++) {
    const at = spillAt(slot - i);
    if (!isOf(frame, slot - i, Byte.ITERATOR) || frame.words[at + AUX] !== iterator + 1) return undefined;
    if ((frame.words[at + REF] !== 0) !== (i === 0)) return undefined;
    markRead(v, index, slot - i);
  }
  return spillAt(slot);
}

/** An iterator is over: its slots hold nothing, its reference is given back. */
export function endIterator(v: Verification, { frame, slot }: Place, spec: IteratorSpec): void {
  const id = frame.words[spillAt(slot) + REF]!;
  for (let i = 0; i < spec.slots; i++) {
    frame.words[KINDS + slot - i] = 0;
    frame.wrote(slot - i);
  }
  release(v, id);
}

/** Iterators that needed the read section that has just ended. */
export function leaveSection(v: Verification): void {
  for (const { words, depth } of v.state.frames) {
    for (let slot = 0; slot < depth; slot++) {
      const at = spillAt(slot);
      if (words[KINDS + slot] !== eight(Byte.ITERATOR) || (words[at]! & Flag.RCU) === 0) continue;
      words[at] = (words[at]! & ~Flag.RCU) | Flag.UNTRUSTED;
    }
  }
}

/** A new dynptr in the place of whatever was there. */
export function makeDynptr(
  v: Verification,
  { frame, index, slot }: Place,
  kind: number,
  referenceOf: () => number,
  readOnly: boolean,
): void {
  for (let i = 0; i < DYNPTR_SLOTS; i++) {
    v.log.markSlot(index, slot - i);
    frame.reach(slot);
    overwriteSpecial(v, frame, slot - i);
  }
  // Which number comes first shows in the log.
  const early = v.modern ? referenceOf() : 0;
  const id = v.nextId();
  const reference = v.modern ? early : referenceOf();
  for (let i = 0; i < DYNPTR_SLOTS; i++) {
    const at = spillAt(slot - i);
    setPointer(frame.words, at, Type.DYNPTR, kind);
    frame.words[at + ID] = id;
    frame.words[at + REF] = reference;
    frame.words[at + FRAME] = i === 0 ? 1 : 0;
    frame.words[at + DELTA] = readOnly ? 1 : 0;
    frame.words[KINDS + slot - i] = eight(Byte.DYNPTR);
    frame.wrote(slot - i);
  }
}

/** Where a dynptr's first slot is known; undefined where there is none. */
export function dynptrAt(v: Verification, place: Place | undefined): number | undefined {
  if (place === undefined) return undefined;
  const { frame, index, slot } = place;
  const at = spillAt(slot);
  if (!isOf(frame, slot, Byte.DYNPTR) || frame.words[at + FRAME] !== 1) return undefined;
  if (!isOf(frame, slot - 1, Byte.DYNPTR) || frame.words[spillAt(slot - 1) + ID] !== frame.words[at + ID])
    return undefined;
  markRead(v, index, slot);
  markRead(v, index, slot - 1);
  return at;
}

/** A store goes over a slot: what lived in it is no more. Refused for a dynptr that is a reference. */
export function overwriteSpecial(v: Verification, frame: Frame, slot: number): void {
  // Of an iterator nothing is left but bytes: its reference can no longer be given back.
  if (isOf(frame, slot, Byte.ITERATOR)) frame.words[KINDS + slot] = eight(Byte.MISC);
  if (!isOf(frame, slot, Byte.DYNPTR)) return;
  const at = spillAt(slot);
  if (frame.words[at + REF] !== 0) v.refuse(Errno.EINVAL, "cannot overwrite referenced dynptr");
  dropDynptr(v, frame, slot);
}

/** Both slots of a dynptr hold nothing, and the memory that was taken out of it is out of reach. */
function dropDynptr(v: Verification, frame: Frame, slot: number): void {
  const at = spillAt(slot);
  const first = frame.words[at + FRAME] === 1 ? slot : slot + 1;
  const id = frame.words[at + ID]!;
  for (const part of [first, first - 1]) frame.words[KINDS + part] = 0;
  forgetSlices(v, (slice) => slice === id);
}

/** A reference goes back: every dynptr that holds it ends. */
export function releaseDynptr(v: Verification, reference: number): void {
  release(v, reference);
  for (const frame of v.state.frames) {
    for (let slot = 0; slot < frame.depth; slot++)
      if (isOf(frame, slot, Byte.DYNPTR) && frame.words[spillAt(slot) + REF] === reference) dropDynptr(v, frame, slot);
  }
}

/** Memory out of dynptrs becomes numbers. */
function forgetSlices(v: Verification, which: (dynptr: number) => boolean): void {
  v.state.each((words, x) => {
    if (baseOf(words[x]!) === Type.MEMORY && words[x + FRAME] !== 0 && which(words[x + FRAME]!)) setScalar(words, x);
  });
}

/** Whether an active iterator of the state has moved on since a stored one. */
export function hasIterated(stored: StoredState, frames: readonly Frame[], eachStored: EachStored): boolean {
  let moved = false;
  eachStored(stored, scratch, (f, _reg, slot, kinds) => {
    if (slot < 0 || kinds !== eight(Byte.ITERATOR) || scratch[FRAME] !== Iteration.ACTIVE) return;
    const frame = frames[f]!;
    if (isOf(frame, slot, Byte.ITERATOR)) moved ||= frame.words[spillAt(slot) + DELTA] !== scratch[DELTA];
  });
  return moved;
}

type EachStored = (
  stored: StoredState,
  r: Int32Array,
  visit: (frame: number, reg: number, slot: number, kinds: number) => void,
) => void;
const scratch = new Int32Array(24);

/** What a slot's object is, as states have it; empty for the slots that are not its first. */
export function objectText(v: Verification, words: Int32Array, at: number): string {
  if (baseOf(words[at + TYPE]!) === Type.ITERATOR) {
    if (words[at + REF] === 0) return "";
    const state = words[at + FRAME] === Iteration.ACTIVE ? "active" : "drained";
    const { name } = ITERATORS[words[at + AUX]! - 1]!;
    return `iter_${name}(${v.modern ? "id" : "ref_id"}=${words[at + REF]},state=${state},depth=${words[at + DELTA]})`;
  }
  if (words[at + FRAME] !== 1) return "";
  const [id, reference] = [words[at + ID]!, words[at + REF]!];
  const more = v.modern
    ? reference === 0
      ? ""
      : `,parent_id=${reference}`
    : `${reference === 0 ? "" : `,ref_id=${reference}`},dynptr_id=${id}`;
  return `dynptr_${DYNPTR_NAMES[words[at + AUX]!]}(id=${id}${more})`;
}
