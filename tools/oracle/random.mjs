// Random choices that a seed repeats, and words that arithmetic trips over.

/** mulberry32: numbers below 2³², the same for the same seed. */
export function randomOf(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (n) => next() % n;
  return { next, below, pick: (list) => list[below(list.length)], chance: (percent) => below(100) < percent };
}

const INTERESTING = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
];
INTERESTING.push(
  0x100000000n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
  (1n << 64n) - 2n,
  (1n << 64n) - (1n << 31n),
  (1n << 64n) - 128n,
);

/** Half of the time an interesting 64-bit word, else any. */
export const anyWord = ({ next, pick, chance }) =>
  chance(50) ? pick(INTERESTING) : (BigInt(next()) << 32n) | BigInt(next());
