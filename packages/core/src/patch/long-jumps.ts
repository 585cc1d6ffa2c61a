// Jumps that do not fit 16 bits any more, in longer forms: `gotol`, alone or behind an inverted condition.
import { GOTOL, JA, Reach, reachOf } from "./branches.ts";
import type { Columns } from "./memory.ts";

/** A program in which some jumps have grown. */
export interface Lengthened {
  readonly words: Int32Array;
  /** Per old slot, and one more: slots added before it. */
  readonly shift: Int32Array;
  /** Rounds over the jumps. */
  readonly rounds: number;
}

const MAX_ROUNDS = 8;
const JSET = 0x40;
const MAY_GOTO = 0xe5;

/** Operation of a conditional jump → the opposite one; JSET has none. */
const OPPOSITE: ReadonlyMap<number, number> = new Map(
  [
    [0x10, 0x50],
    [0x20, 0xb0],
    [0x30, 0xa0],
    [0x60, 0xd0],
    [0x70, 0xc0],
  ].flatMap(([a, b]) => [
    [a!, b!],
    [b!, a!],
  ]),
);

/** Slots that a jump's long form adds. */
function growthOf(code: number): number {
  if (code === JA) return 0;
  return code === MAY_GOTO || (code & 0xf0) === JSET ? 2 : 1;
}

export function fitsOffset(distance: number): boolean {
  return distance >= -0x8000 && distance <= 0x7fff;
}

/**
 * Gives each jump that does not reach its target a longer form. `targets` holds, per slot, where a jump with a 16-bit offset goes and
 * where others (gotol, calls, addresses) go; it is not read elsewhere. Jumps that get farther because others grew are taken along. The
 * words are made in `kept`, all else in `scratch`.
 */
export function lengthen(words: Int32Array, targets: Int32Array, kept: Columns, scratch: Columns): Lengthened {
  const length = words.length >> 1;
  const long = scratch.uint8(length, true);
  const shift = scratch.int32(length + 1);
  let rounds = 0;
  do {
    if (++rounds > MAX_ROUNDS) {
      // What fits even if every jump grew fits for good.
      sum(words, shift, () => true);
      mark(words, targets, shift, long);
      sum(words, shift, (slot) => long[slot] === 1);
      break;
    }
    sum(words, shift, (slot) => long[slot] === 1);
  } while (mark(words, targets, shift, long));
  const longer = kept.int32(2 * (length + shift[length]!));
  write(words, targets, shift, long, longer);
  return { words: longer, shift, rounds };
}

function sum(words: Int32Array, shift: Int32Array, grows: (slot: number) => boolean): void {
  let added = 0;
  for (let slot = 0; slot < shift.length - 1; slot++) {
    shift[slot] = added;
    const word = words[2 * slot]!;
    if (reachOf(word) === Reach.OFFSET && grows(slot)) added += growthOf(word & 0xff);
  }
  shift[shift.length - 1] = added;
}

/** Marks jumps that do not reach; tells whether there was one. */
function mark(words: Int32Array, targets: Int32Array, shift: Int32Array, long: Uint8Array): boolean {
  let found = false;
  for (let slot = 0; slot < long.length; slot++) {
    if (long[slot] === 1 || reachOf(words[2 * slot]!) !== Reach.OFFSET) continue;
    const target = targets[slot]!;
    if (fitsOffset(target + shift[target]! - slot - shift[slot]! - 1)) continue;
    long[slot] = 1;
    found = true;
  }
  return found;
}

function write(words: Int32Array, targets: Int32Array, shift: Int32Array, long: Uint8Array, out: Int32Array): void {
  for (let slot = 0; slot < long.length; slot++) {
    let to = slot + shift[slot]!;
    const word = words[2 * slot]!;
    const reach = reachOf(word);
    out[2 * to] = word;
    out[2 * to + 1] = words[2 * slot + 1]!;
    if (reach === Reach.NONE) continue;
    const target = targets[slot]! + shift[targets[slot]!]!;
    if (long[slot] === 0) {
      if (reach === Reach.OFFSET) out[2 * to] = (word & 0xffff) | ((target - to - 1) << 16);
      else out[2 * to + 1] = target - to - 1;
      continue;
    }
    const code = word & 0xff;
    if (code !== JA) {
      const opposite = code === MAY_GOTO ? undefined : OPPOSITE.get(code & 0xf0);
      out[2 * to] = (1 << 16) | (word & 0xff00) | (opposite === undefined ? code : opposite | (code & 0x0f));
      to++;
      if (opposite === undefined) {
        out[2 * to] = (1 << 16) | JA;
        out[2 * to + 1] = 0;
        to++;
      }
    }
    out[2 * to] = GOTOL;
    out[2 * to + 1] = target - to - 1;
  }
}
