// The instructions between two stored states, packed: code without branches and accesses to the stack is a range.
import type { Packing } from "./pack.ts";

/** In place of the slot that an instruction touched: it ends a range; the word in front of it says how many instructions that has. */
const RANGE = 0x7ff << 20;
/** Fewer are stored one by one. */
const SHORTEST = 3;

/**
 * Packs `length` words of a path's history (see `State.note`). Instructions that follow one another slot by slot, touch no slot of the stack and narrow nothing
 * together are a range. O(length)
 */
export function packHistory(history: Int32Array, length: number, to: Packing): void {
  let at = 0;
  while (at < length) {
    const first = history[at]!;
    let end = at + 1;
    if (isPlain(first)) while (end < length && history[end] === first + (end - at)) end++;
    // What narrows numbers together belongs to the instruction before it.
    const isNarrowed = end < length && history[end]! < 0;
    const count = isNarrowed ? end - at - 1 : end - at;
    if (count >= SHORTEST) {
      to.push(count);
      to.push((first + count - 1) | RANGE);
      at += count;
    } else {
      to.push(first);
      at++;
    }
  }
}

/** Unpacks words from `begin` to below `end` of a stored history; gives how many there are then. O(instructions) */
export function unpackHistory(words: Int32Array, begin: number, end: number, to: HistoryBuffer): number {
  let length = 0;
  for (let at = begin; at < end; at++) {
    const next = at + 1 < end ? words[at + 1]! : 0;
    if (next >= 0 && (next & RANGE) === RANGE) {
      const last = next & ~RANGE;
      const count = words[at]!;
      to.reserve(length + count);
      for (let insn = last - count + 1; insn <= last; insn++) to.words[length++] = insn;
      at++;
    } else {
      to.reserve(length + 1);
      to.words[length++] = words[at]!;
    }
  }
  return length;
}

/** An instruction that touches nothing, noted by itself. */
function isPlain(word: number): boolean {
  return word >= 0 && word >>> 20 === 0;
}

/** Where a history is unpacked to; it grows. */
export class HistoryBuffer {
  words: Int32Array = new Int32Array(256);

  reserve(length: number): void {
    if (length <= this.words.length) return;
    const grown = new Int32Array(2 * length);
    grown.set(this.words);
    this.words = grown;
  }
}
