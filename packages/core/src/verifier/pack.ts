// Registers in a few words, for states that wait: a head, ids and links where there are any, and what is known of the number.
import { AUX, DELTA, FRAME, ID, LINK, REF, SCALAR, TYPE } from "./register.ts";
import {
  isConstant,
  isUnknown,
  MASK,
  SCALAR_WORDS,
  SMAX,
  SMAX32,
  SMIN,
  SMIN32,
  setConstant,
  setUnknown,
  UMAX,
  UMAX32,
  UMIN,
  UMIN32,
} from "./scalar.ts";

/** How a scalar is packed: nothing known, one number in 0, 1 or 2 words, a range of non-negative 31-bit numbers, everything. */
const [UNKNOWN, ZERO, SHORT, LONG, RANGE, FULL] = [0, 1, 2, 3, 4, 5];
/** Words that each of them takes. */
const LENGTHS = Uint8Array.of(0, 0, 1, 2, 4, SCALAR_WORDS);
const [HAS_ID, HAS_LINKS] = [1 << 16, 1 << 17];

const NOTHING = new Int32Array(0);

/** Words that grow. */
export class Packing {
  words: Int32Array = NOTHING;
  length = 0;

  push(word: number): void {
    if (this.length === this.words.length) this.#grow(1);
    this.words[this.length++] = word;
  }

  #grow(by: number): void {
    const grown = new Int32Array(Math.max(512, 2 * (this.length + by)));
    grown.set(this.words);
    this.words = grown;
  }

  /** Adds the register at `x` of `r`. */
  register(r: Int32Array, x: number): void {
    if (this.length + 7 + SCALAR_WORDS > this.words.length) this.#grow(7 + SCALAR_WORDS);
    const { words } = this;
    let p = this.length;
    const hasId = (r[x + ID]! | r[x + AUX]!) !== 0;
    const hasLinks = (r[x + REF]! | r[x + FRAME]! | r[x + DELTA]! | r[x + LINK]!) !== 0;
    const s = x + SCALAR;
    const shape = shapeOf(r, s);
    words[p++] = r[x + TYPE]! | (shape << 20) | (hasId ? HAS_ID : 0) | (hasLinks ? HAS_LINKS : 0);
    if (hasId) {
      words[p++] = r[x + ID]!;
      words[p++] = r[x + AUX]!;
    }
    if (hasLinks) {
      words[p++] = r[x + REF]!;
      words[p++] = r[x + FRAME]!;
      words[p++] = r[x + DELTA]!;
      words[p++] = r[x + LINK]!;
    }
    switch (shape) {
      case SHORT:
        words[p++] = r[s]!;
        break;
      case LONG:
        words[p++] = r[s]!;
        words[p++] = r[s + 1]!;
        break;
      case RANGE:
        words[p++] = r[s]!;
        words[p++] = r[s + MASK]!;
        words[p++] = r[s + UMIN]!;
        words[p++] = r[s + UMAX]!;
        break;
      case FULL:
        for (let i = 0; i < SCALAR_WORDS; i++) words[p++] = r[s + i]!;
        break;
      default:
    }
    this.length = p;
  }
}

function shapeOf(r: Int32Array, s: number): number {
  if (isConstant(r, s)) return (r[s]! | r[s + 1]!) === 0 ? ZERO : r[s + 1] === r[s]! >> 31 ? SHORT : LONG;
  if (isUnknown(r, s)) return UNKNOWN;
  const upper =
    r[s + 1]! | r[s + MASK + 1]! | r[s + UMIN + 1]! | r[s + UMAX + 1]! | r[s + SMIN + 1]! | r[s + SMAX + 1]!;
  const same =
    upper === 0 &&
    r[s + UMAX]! >= 0 &&
    r[s + UMIN] === r[s + SMIN] &&
    r[s + UMAX] === r[s + SMAX] &&
    r[s + 12] === r[s + UMIN] &&
    r[s + 14] === r[s + UMIN] &&
    r[s + 13] === r[s + UMAX] &&
    r[s + 15] === r[s + UMAX];
  return same ? RANGE : FULL;
}

/** Words of the packed register that begins with a head. */
export function packedLength(head: number): number {
  return 1 + ((head & HAS_ID) === 0 ? 0 : 2) + ((head & HAS_LINKS) === 0 ? 0 : 4) + LENGTHS[head >> 20]!;
}

/** The type of the packed register that begins with a head. */
export function packedType(head: number): number {
  return head & 0xffff;
}

/** Unpacks the register at word `p` to `x` of `r`; gives the word behind it. */
export function unpackRegister(words: Int32Array, p: number, r: Int32Array, x: number): number {
  const head = words[p++]!;
  const s = x + SCALAR;
  for (let i = 0; i < SCALAR; i++) r[x + i] = 0;
  r[x + TYPE] = head & 0xffff;
  if ((head & HAS_ID) !== 0) {
    r[x + ID] = words[p++]!;
    r[x + AUX] = words[p++]!;
  }
  if ((head & HAS_LINKS) !== 0) {
    r[x + REF] = words[p++]!;
    r[x + FRAME] = words[p++]!;
    r[x + DELTA] = words[p++]!;
    r[x + LINK] = words[p++]!;
  }
  switch (head >> 20) {
    case UNKNOWN:
      setUnknown(r, s);
      return p;
    case ZERO:
      setConstant(r, s, 0, 0);
      return p;
    case SHORT:
      setConstant(r, s, words[p]!, words[p]! >> 31);
      return p + 1;
    case LONG:
      setConstant(r, s, words[p]!, words[p + 1]!);
      return p + 2;
    case RANGE: {
      setConstant(r, s, words[p]!, 0);
      r[s + MASK] = words[p + 1]!;
      const min = words[p + 2]!;
      const max = words[p + 3]!;
      r[s + UMIN] = min;
      r[s + SMIN] = min;
      r[s + UMIN32] = min;
      r[s + SMIN32] = min;
      r[s + UMAX] = max;
      r[s + SMAX] = max;
      r[s + UMAX32] = max;
      r[s + SMAX32] = max;
      return p + 4;
    }
    default:
      for (let i = 0; i < SCALAR_WORDS; i++) r[s + i] = words[p + i]!;
      return p + SCALAR_WORDS;
  }
}
