// Loads and stores in the frames of a path: spilled registers, zeros, anything else.
import { markPrecise } from "./precision.ts";
import { Errno } from "./refusal.ts";
import {
  baseOf,
  copyRegister,
  FIXED,
  FRAME,
  ID,
  isPointer,
  SCALAR,
  setNumber,
  setScalar,
  Type,
  unlink,
} from "./register.ts";
import { isConstant, SMAX, SMIN } from "./scalar.ts";
import { overwriteSpecial } from "./special-slots.ts";
import { Byte, eight, type Frame, isSpecial, isSpill, KINDS, kindAt, spillAt } from "./state.ts";
import { Marks } from "./store.ts";
import { bitsText } from "./text.ts";
import type { Verification } from "./verification.ts";
import { signed, unsigned } from "./words.ts";

const STACK_BYTES = 512;
/** The bit that kinds of bytes of objects have, in all eight places of a word of kinds. */
const SPECIAL_BITS = 0x4444_4444;
const MAX_OFFSET = 2 ** 29;

/** Bytes of stack below r10, both included: where an access begins at least and at most. */
export interface StackRange {
  readonly frame: Frame;
  readonly index: number;
  readonly min: number;
  readonly max: number;
  readonly fixed: boolean;
}

/** Where an access through the stack pointer at `at` goes. Rejects what may leave the frame. */
export function stackRange(
  v: Verification,
  at: number,
  reg: number,
  off: number,
  size: number,
  write: boolean,
  indirect: boolean = false,
): StackRange {
  const r = v.frame.words;
  const x = at + SCALAR;
  const way = indirect && !v.modern ? "indirect access to" : write ? "write to" : "read from";
  const fixed = isConstant(r, x);
  const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
  const max = signed(r[x + SMAX]!, r[x + SMAX + 1]!);
  if (!fixed && (max >= MAX_OFFSET || min <= -MAX_OFFSET))
    v.deny(`invalid unbounded variable-offset ${way} stack R${reg}`);
  const begins = min + off >= -STACK_BYTES && min + off < 0;
  if (!begins || max + off + size > 0) {
    const where = fixed ? `off=${min + off}` : `var_off=${bitsText(r, x)} off=${off}`;
    const errno = begins ? Errno.EINVAL : Errno.EACCES;
    v.refuse(errno, `invalid ${fixed ? "" : "variable-offset "}${way} stack R${reg} ${where} size=${size}`);
  }
  const index = r[at + FRAME]!;
  v.usesStack(v.state.frames[index]!.origin.subprog, -(min + off));
  return { frame: v.state.frames[index]!, index, min: min + off, max: max + off, fixed };
}

/** Slot and byte of an offset below r10. */
function slotOf(offset: number): number {
  return (-offset - 1) >> 3;
}

function byteOf(offset: number): number {
  return (offset + STACK_BYTES) & 7;
}

function setKind(frame: Frame, offset: number, kind: number): void {
  const at = KINDS + slotOf(offset);
  const shift = 4 * byteOf(offset);
  frame.words[at] = (frame.words[at]! & ~(15 << shift)) | (kind << shift);
}

function kindOf(frame: Frame, offset: number): number {
  const slot = slotOf(offset);
  return slot < frame.depth ? kindAt(frame.words[KINDS + slot]!, byteOf(offset)) : Byte.INVALID;
}

/** What was part of a spilled register is only some bytes from now on. */
function scrub(v: Verification, frame: Frame, slot: number): void {
  frame.words[KINDS + slot] = v.tables.guards.withoutSpill(frame.words[KINDS + slot]!);
}

/** Somebody reads a slot: the states that this path came through, up to the one behind which it was written, count with it. */
export function markRead(v: Verification, index: number, slot: number): void {
  if (v.state.frames[index]!.hasWritten(slot)) return;
  const word = slot >> 5;
  const bit = 1 << (slot & 31);
  for (let stored = v.state.parent; stored !== undefined; stored = stored.parent) {
    const read = stored.marks(index, Marks.READ) + word;
    if (index >= stored.frames || (stored.words[read]! & bit) !== 0) return;
    stored.words[read]! |= bit;
    if ((stored.words[stored.marks(index, Marks.WRITTEN) + word]! & bit) !== 0) return;
  }
}

/** A store of the register at `value` (a word offset of the current frame), or of a number when it is a place to work in. */
export function storeToStack(v: Verification, range: StackRange, size: number, value: number, reg: number): void {
  if (!range.fixed) {
    storeSomewhere(v, range, size, value, reg);
    return;
  }
  const { frame, min } = range;
  const slot = slotOf(min);
  frame.reach(slot);
  v.log.markSlot(range.index, slot);
  if (isSpecial(frame.words[KINDS + slot]!)) overwriteSpecial(v, frame, slot);
  const r = v.frame.words;
  const type = r[value]!;
  v.state.touch(slot, range.index);
  if (type === Type.SCALAR && min % 8 === 0) {
    spillNumber(v, frame, slot, size, value);
    if (size === 8) frame.wrote(slot);
    return;
  }
  if (isPointer(type)) {
    if (size !== 8) v.deny("invalid size of register spill");
    if (baseOf(type) === Type.STACK && range.index !== v.state.frames.length - 1)
      v.refuse(Errno.EINVAL, "cannot spill pointers to stack into stack frame of the caller");
    copyRegister(frame.words, spillAt(slot), r, value);
    frame.words[KINDS + slot] = eight(Byte.SPILL);
    frame.wrote(slot);
    return;
  }
  const zero = isZero(r, value);
  scrub(v, frame, slot);
  for (let i = 0; i < size; i++) setKind(frame, min + i, zero ? Byte.ZERO : Byte.MISC);
  if (zero && reg >= 0) markPrecise(v, reg);
  if (size === 8) frame.wrote(slot);
}

function spillNumber(v: Verification, frame: Frame, slot: number, size: number, value: number): void {
  const r = v.frame.words;
  const s = value + SCALAR;
  const fits = v.tables.guards.fits(r, s, size);
  if (r[value + ID] === 0 && fits && !isConstant(r, s)) r[value + ID] = v.nextId();
  const at = spillAt(slot);
  copyRegister(frame.words, at, r, value);
  if (!fits) frame.words[at + ID] = 0;
  let kinds = frame.words[KINDS + slot]!;
  if (size < 8 && isSpill(kinds)) {
    scrub(v, frame, slot);
    kinds = frame.words[KINDS + slot]!;
  }
  for (let byte = 0; byte < size; byte++) kinds = (kinds & ~(15 << (4 * byte))) | (Byte.SPILL << (4 * byte));
  frame.words[KINDS + slot] = kinds;
}

function isZero(r: Int32Array, value: number): boolean {
  const s = value + SCALAR;
  return r[value] === Type.SCALAR && isConstant(r, s) && (r[s]! | r[s + 1]!) === 0;
}

/** A store whose place is not known: every slot that it may hit holds either what it held or the new bytes. */
function storeSomewhere(v: Verification, range: StackRange, size: number, value: number, reg: number): void {
  const { frame, min, max } = range;
  const zero = isZero(v.frame.words, value);
  let zeroUsed = false;
  frame.reach(slotOf(min));
  for (let offset = min; offset < max + size; offset++) {
    const slot = slotOf(offset);
    v.log.markSlot(range.index, slot);
    if (isSpecial(frame.words[KINDS + slot]!)) overwriteSpecial(v, frame, slot);
    const kind = kindOf(frame, offset);
    if (kind === Byte.SPILL && zero && isZero(frame.words, spillAt(slot))) {
      zeroUsed = true;
      continue;
    }
    scrub(v, frame, slot);
    const kept = zero && kind === Byte.ZERO;
    zeroUsed ||= kept;
    setKind(frame, offset, kept ? Byte.ZERO : Byte.MISC);
  }
  if (zeroUsed && reg >= 0) markPrecise(v, reg);
}

/** A load into register `dst`, by its word offset; `size` bytes, not extended yet where they are fewer than 8. */
export function loadFromStack(v: Verification, range: StackRange, size: number, dst: number): void {
  const { frame, index, min } = range;
  const r = v.frame.words;
  if (!range.fixed) {
    for (let offset = min; offset < range.max + size; offset++) markRead(v, index, slotOf(offset));
    refuseSpecial(v, frame, min, range.max + size - min, "stack");
    for (let offset = min; offset < range.max + size; offset++) {
      const slot = slotOf(offset);
      if (slot < frame.depth && isSpill(frame.words[KINDS + slot]!) && isPointer(frame.words[spillAt(slot)]!)) {
        setScalar(r, dst);
        return;
      }
    }
    loadBytes(frame, min, range.max + size - min, r, dst, false);
    return;
  }
  const slot = slotOf(min);
  markRead(v, index, slot);
  if (slotOf(min + size - 1) !== slot) markRead(v, index, slotOf(min + size - 1));
  v.log.markSlot(index, slot);
  v.state.touch(slot, index);
  const kinds = slot < frame.depth ? frame.words[KINDS + slot]! : 0;
  if (!isSpill(kinds)) {
    if ((kinds & SPECIAL_BITS) !== 0) refuseSpecial(v, frame, min, size, "stack");
    loadBytes(frame, min, size, r, dst);
    return;
  }
  const at = spillAt(slot);
  let spilled = 1;
  while (spilled < 8 && kindAt(kinds, spilled) === Byte.SPILL) spilled++;
  if (size === 8 && spilled === 8) {
    copyRegister(r, dst, frame.words, at);
    return;
  }
  if (frame.words[at] !== Type.SCALAR) v.deny("invalid size of register fill");
  if (size <= spilled && byteOf(min) === 0) {
    const fits = v.tables.guards.fits(frame.words, at + SCALAR, size);
    // A copy of all of it keeps its links; part of it is another number.
    if (fits && frame.words[at + ID] === 0 && !isConstant(frame.words, at + SCALAR)) frame.words[at + ID] = v.nextId();
    copyRegister(r, dst, frame.words, at);
    if (!fits) {
      unlink(r, dst);
    }
    return;
  }
  loadBytes(frame, min, size, r, dst);
}

/** Bytes that are all zero give 0, others any number. */
function loadBytes(frame: Frame, min: number, size: number, r: Int32Array, dst: number, spilled: boolean = true): void {
  let zeros = 0;
  for (let i = 0; i < size; i++) {
    const kind = kindOf(frame, min + i);
    if (kind === Byte.ZERO || (spilled && kind === Byte.SPILL && isZero(frame.words, spillAt(slotOf(min + i)))))
      zeros++;
  }
  if (zeros === size) setNumber(r, dst, 0, 0);
  else setScalar(r, dst);
}

/** Objects of the kernel are not read byte by byte. */
function refuseSpecial(v: Verification, frame: Frame, min: number, size: number, where: string): void {
  for (let i = 0; i < size; i++) {
    if (kindOf(frame, min + i) < Byte.ITERATOR) continue;
    const how = v.modern || where === "stack" ? "invalid" : "invalid indirect";
    v.deny(`${how} read from ${where} off ${min}+${i} size ${size}`);
  }
}

/** Nor may a helper fill dynptrs with something. */
export function refuseFill(v: Verification, { frame, min, max }: StackRange, size: number): void {
  for (let offset = min; offset < max + size; offset++)
    if (kindOf(frame, offset) === Byte.DYNPTR) v.deny(`potential write to dynptr at off=${offset} disallowed`);
}

/** A helper reads, and maybe writes, `size` bytes: spilled numbers may be anything when it has written. */
export function passStack(v: Verification, range: StackRange, size: number, clobbers: boolean, reg: number = 0): void {
  const { frame, index, min, max } = range;
  refuseSpecial(v, frame, min, max + size - min, `stack R${reg}`);
  if (size > 0) frame.reach(slotOf(min));
  for (let offset = min; offset < max + size; offset++) {
    const slot = slotOf(offset);
    markRead(v, index, slot);
    if (!clobbers) continue;
    v.log.markSlot(index, slot);
    if (isSpill(frame.words[KINDS + slot]!)) scrub(v, frame, slot);
    setKind(frame, offset, Byte.MISC);
  }
}

/** A helper fills `size` bytes with something. */
export function fillStack(v: Verification, range: StackRange, size: number): void {
  const { frame, index, min, max } = range;
  if (size > 0) frame.reach(slotOf(min));
  for (let offset = min; offset < max + size; offset++) {
    const slot = slotOf(offset);
    v.log.markSlot(index, slot);
    if (isSpill(frame.words[KINDS + slot]!)) scrub(v, frame, slot);
    setKind(frame, offset, Byte.MISC);
  }
  if (!range.fixed) return;
  for (let slot = slotOf(max + size - 1); slot <= slotOf(min); slot++) {
    if (-8 * (slot + 1) >= min && -8 * slot <= max + size) frame.wrote(slot);
  }
}

/** The same without a rejection. */
function stackRangeWithin(v: Verification, at: number, size: number): StackRange | undefined {
  const r = v.frame.words;
  const min = signed(r[at + SCALAR + SMIN]!, r[at + SCALAR + SMIN + 1]!) + r[at + FIXED]!;
  if (min < -STACK_BYTES || min + size > 0) return undefined;
  return stackRange(v, at, 0, r[at + FIXED]!, size, false);
}

/** `size` bytes (1, 2 or 4) at a stack pointer with a known place, as a number; undefined where they are not exactly known. */
export function constantBytes(v: Verification, at: number, size: number): number | undefined {
  const range = stackRangeWithin(v, at, size);
  if (range === undefined) return undefined;
  const { frame, min } = range;
  const slot = slotOf(min);
  if (slot >= frame.depth) return undefined;
  const kinds = frame.words[KINDS + slot]!;
  const spill = spillAt(slot);
  if (isSpill(kinds) && byteOf(min) === 0 && kindAt(kinds, size - 1) === Byte.SPILL) {
    const isNumber = frame.words[spill] === Type.SCALAR && isConstant(frame.words, spill + SCALAR);
    return isNumber ? frame.words[spill + SCALAR]! >>> 0 : undefined;
  }
  for (let i = 0; i < size; i++) if (kindOf(frame, min + i) !== Byte.ZERO) return undefined;
  return 0;
}

/**
 * A key of `size` bytes as lookups see it: known where its bytes are zeros, or the last ones that a spilled number takes of its slot. It is
 * then the whole number that was spilled, which is the key itself or has it in its upper half: 0, where the number is that of an element.
 */
export function constantKey(v: Verification, at: number, size: number): number | undefined {
  const range = stackRangeWithin(v, at, size);
  if (range === undefined) return undefined;
  const { frame, min } = range;
  const slot = slotOf(min);
  if (slot >= frame.depth) return undefined;
  const kinds = frame.words[KINDS + slot]!;
  const first = byteOf(min);
  const run = (kind: number): number => {
    let byte = first;
    while (byte < 8 && kindAt(kinds, byte) === kind) byte++;
    return byte - first;
  };
  if (run(Byte.ZERO) >= size) return 0;
  const spill = spillAt(slot);
  if (!isSpill(kinds) || run(Byte.SPILL) !== size) return undefined;
  if (frame.words[spill] !== Type.SCALAR || !isConstant(frame.words, spill + SCALAR)) return undefined;
  return unsigned(frame.words[spill + SCALAR]!, frame.words[spill + SCALAR + 1]!);
}
