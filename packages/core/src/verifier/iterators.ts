// Iterators on the stack: made, moved on, ended. Every `next` goes two ways: there is another element, and there is none.
import { ITERATORS } from "../spec/kfuncs.ts";
import { findPrevious, widen } from "./converge.ts";
import { Errno } from "./refusal.ts";
import { baseOf, DELTA, FIXED, Flag, FRAME, REF, REG_WORDS, setNumber, Type } from "./register.ts";
import {
  endIterator,
  Iteration,
  isFreeForIterator,
  iteratorAt,
  makeIterator,
  type Place,
  placeOf,
} from "./special-slots.ts";
import { stackRange, storeToStack } from "./stack.ts";
import { SCRATCH, spillAt } from "./state.ts";
import { inReadSection } from "./structs.ts";
import type { Verification } from "./verification.ts";

const EPROTO = 71;

/** Index of the iterator that a function is one of. */
function indexOf(name: string): number {
  return ITERATORS.findIndex((one) => /^(new|next|destroy)$/.test(name.replace(`bpf_iter_${one.name}_`, "")));
}

/** What a function does with the iterator that its first argument leads to; gives its place. */
export function passIterator(v: Verification, name: string, step: "new" | "next" | "destroy", insn: number): Place {
  const iterator = indexOf(name);
  const spec = ITERATORS[iterator]!;
  const end = v.modern ? "R1" : "arg #0";
  const text = `expected ${step === "new" ? "" : "an "}${step === "new" ? "un" : ""}initialized iter_${spec.name} as ${end}`;
  const place = placeOf(v, REG_WORDS, spec.slots, "iter", text);
  if (step === "new") {
    if (place !== undefined && !isFreeForIterator(place, spec.slots)) v.refuse(Errno.EINVAL, text);
    reserve(v, spec.slots);
    if (place === undefined) v.refuse(Errno.EINVAL, text);
    makeIterator(v, place, iterator, insn);
    if (spec.protected) {
      const mark = inReadSection(v) ? Flag.RCU : Flag.UNTRUSTED;
      for (let i = 0; i < spec.slots; i++) place.frame.words[spillAt(place.slot - i)]! |= mark;
    }
    return place;
  }
  const at = place === undefined ? undefined : iteratorAt(v, place, iterator);
  if (place === undefined || at === undefined) v.refuse(Errno.EINVAL, text);
  if ((place.frame.words[at]! & Flag.UNTRUSTED) !== 0) v.refuse(EPROTO, `expected an RCU CS when using ${name}`);
  v.log.markSlot(place.index, place.slot);
  if (step === "destroy") endIterator(v, place, spec);
  return place;
}

/** The iterator's bytes are written. */
function reserve(v: Verification, slots: number): void {
  const r = v.frame.words;
  for (let i = 0; i < slots; i++) {
    setNumber(r, SCRATCH, 0, 0);
    storeToStack(v, stackRange(v, REG_WORDS, 1, r[REG_WORDS + FIXED]! + 8 * i, 8, true), 8, SCRATCH, -1);
  }
}

/** r0 is what `next` gives: the path goes on at the end of the iteration, another one with an element. */
export function iterate(v: Verification, { frame, index, slot }: Place, insn: number): void {
  const at = spillAt(slot);
  const r = v.frame.words;
  const isMemory = baseOf(r[0]!) === Type.MEMORY;
  if (isMemory) r[REF] = frame.words[at + REF]!;
  else if ((frame.words[at]! & Flag.RCU) !== 0) r[0] = (r[0]! & ~Flag.TRUSTED) | Flag.RCU;
  if (frame.words[at + FRAME] === Iteration.ACTIVE) {
    const other = v.fork(insn + 1, insn);
    const words = other.frames[index]!.words;
    words[at + DELTA]!++;
    const before = findPrevious(v.state.parent?.parent, insn, v.state.frames.length);
    if (before !== undefined) widen(before, other);
    const s = other.frame.words;
    s[0]! &= ~Flag.MAYBE_NULL;
  }
  for (let i = 0; i < ITERATORS[frame.words[at + 3]! - 1]!.slots; i++)
    frame.words[spillAt(slot - i) + FRAME] = Iteration.DRAINED;
  setNumber(r, 0, 0, 0);
}
