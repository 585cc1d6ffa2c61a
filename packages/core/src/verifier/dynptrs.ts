// Dynptrs on the stack: arguments that are one, or the place of one that is made.

import { acquire } from "./references.ts";
import { Errno } from "./refusal.ts";
import { AUX, baseOf, DELTA, FIXED, FRAME, ID, REF, REG_WORDS, setNumber, Type } from "./register.ts";
import { DYNPTR_NAMES, Dynptr, dynptrAt, makeDynptr, type Place, placeOf, releaseDynptr } from "./special-slots.ts";
import { stackRange } from "./stack.ts";
import { Byte, eight, KINDS, SCRATCH, spillAt } from "./state.ts";
import type { Verification } from "./verification.ts";

const SLOTS = 2;

/** What is known of a dynptr, in the words of its frame. */
export interface KnownDynptr {
  readonly words: Int32Array;
  readonly at: number;
  /** Where on the stack; undefined for one that is the kernel's. */
  readonly place: Place | undefined;
}

/** The dynptr that register `n` leads to. */
export function dynptrFor(v: Verification, n: number): KnownDynptr {
  const at = n * REG_WORDS;
  const label = v.modern ? `R${n}` : `arg #${n - 1}`;
  if (v.frame.words[at] === Type.DYNPTR) return { words: v.frame.words, at, place: undefined };
  if (baseOf(v.frame.words[at]!) !== Type.STACK)
    v.refuse(
      Errno.EINVAL,
      `${v.modern ? `R${n}` : `arg#${n - 1}`} expected pointer to stack or const struct bpf_dynptr`,
    );
  const text = `Expected an initialized dynptr as ${label}`;
  const place = placeOf(v, at, SLOTS, "dynptr", text);
  const found = dynptrAt(v, place);
  if (place === undefined || found === undefined) v.refuse(Errno.EINVAL, text);
  v.log.markSlot(place.index, place.slot);
  return { words: place.frame.words, at: found, place };
}

/** What functions make. */
const MADE: Readonly<Record<string, number>> = {
  bpf_dynptr_from_mem: Dynptr.LOCAL,
  bpf_ringbuf_reserve_dynptr: Dynptr.RINGBUF,
  bpf_dynptr_from_skb: Dynptr.SKB,
  bpf_dynptr_from_xdp: Dynptr.XDP,
};

/** A dynptr is made where register `n` leads to; `of`: the one that it is a clone of. */
export function newDynptr(
  v: Verification,
  name: string,
  n: number,
  insn: number,
  of: { readonly words: Int32Array; readonly at: number } | undefined,
): void {
  const at = n * REG_WORDS;
  if (baseOf(v.frame.words[at]!) !== Type.STACK)
    v.refuse(
      Errno.EINVAL,
      `${v.modern ? `R${n}` : `arg#${n - 1}`} expected pointer to stack or const struct bpf_dynptr`,
    );
  const place = placeOf(v, at, SLOTS, "dynptr", "Dynptr has to be an uninitialized dynptr");
  setNumber(v.frame.words, SCRATCH, 0, 0);
  // What is there is written over, and has to be the frame's.
  stackRange(v, at, n, v.frame.words[at + FIXED]!, 16, true);
  if (place === undefined) v.refuse(Errno.EINVAL, "Dynptr has to be an uninitialized dynptr");
  const kind = of === undefined ? MADE[name]! : of.words[of.at + AUX]!;
  const readOnly =
    of === undefined ? kind > Dynptr.RINGBUF && v.type.packet !== "write" : of.words[of.at + DELTA] === 1;
  const inherited = of === undefined ? 0 : of.words[of.at + REF]!;
  makeDynptr(
    v,
    place,
    kind,
    () => (kind === Dynptr.RINGBUF && of === undefined ? acquire(v, insn) : inherited),
    readOnly,
  );
}

/** A dynptr of a ring buffer's record that is given back. */
export function checkReleased(v: Verification, n: number): KnownDynptr {
  if (!v.modern && !holdsReference(v, n)) v.refuse(Errno.EINVAL, `arg ${n} is an unacquired reference`);
  const dynptr = dynptrFor(v, n);
  if (dynptr.words[dynptr.at + AUX] !== Dynptr.RINGBUF)
    v.refuse(
      Errno.EINVAL,
      `Expected a dynptr of type ${DYNPTR_NAMES[Dynptr.RINGBUF]} as ${v.modern ? `R${n}` : `arg #${n - 1}`}`,
    );
  return dynptr;
}

/** Whether the slot that register `n` leads to is part of a dynptr that is a reference. */
function holdsReference(v: Verification, n: number): boolean {
  const place = placeOf(v, n * REG_WORDS, SLOTS, "dynptr", `arg ${n} is an unacquired reference`);
  if (place === undefined || place.slot >= place.frame.depth) return false;
  const { words } = place.frame;
  return words[KINDS + place.slot] === eight(Byte.DYNPTR) && words[spillAt(place.slot) + REF] !== 0;
}

/** It is given back: it, and all that was cloned from it or taken out of it, is no more. */
export function giveBack(v: Verification, { words, at }: KnownDynptr): void {
  releaseDynptr(v, words[at + REF]!);
}

/** Whether a packet is behind it. */
export function isOfPacket({ words, at }: KnownDynptr): boolean {
  return words[at + AUX]! > Dynptr.RINGBUF;
}

/** The memory in r0 was taken out of a dynptr. */
export function takenFrom(r: Int32Array, { words, at }: { readonly words: Int32Array; readonly at: number }): void {
  r[FRAME] = words[at + ID]!;
  r[DELTA] = words[at + AUX]! > Dynptr.RINGBUF ? 1 : 0;
}
