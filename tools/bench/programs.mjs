// Programs to measure with, as text; seeded, so that every run measures the same.

const ALU = ["+=", "-=", "*=", "|=", "&=", "^=", "<<=", ">>=", "s>>="];
const CONDITIONS = ["==", "!=", ">", "<=", "s<", "&"];

/**
 * About `length` instructions of the mix that compiled C shows: arithmetic of both widths, loads and stores to the stack, short
 * branches forward. It runs to its end whatever r1 holds.
 */
export function mixed(length, seed = 1) {
  let state = seed;
  const random = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % n;
  };
  const lines = Array.from({ length: 10 }, (_, reg) => `r${reg} = ${reg + 1}`);
  for (let slot = 1; slot <= 8; slot++) lines.push(`*(u64 *)(r10 - ${8 * slot}) = r${slot}`);
  while (lines.length < length - 1) {
    const [dst, src] = [random(10), random(10)];
    const narrow = random(3) === 0 ? "w" : "r";
    const kind = random(20);
    const op = ALU[random(ALU.length)];
    const count = random(narrow === "w" ? 32 : 64);
    if (kind < 6)
      lines.push(`${narrow}${dst} ${op} ${op.includes("<<") || op.includes(">>") ? count : random(2000) - 1000}`);
    else if (kind < 11) lines.push(`${narrow}${dst} ${ALU[random(6)]} ${narrow}${src}`);
    else if (kind < 13) lines.push(`${narrow}${dst} = ${narrow}${src}`);
    else if (kind < 15) lines.push(`r${dst} = *(u${8 << random(4)} *)(r10 - ${8 * (1 + random(8))})`);
    else if (kind < 17) lines.push(`*(u${8 << random(4)} *)(r10 - ${8 * (1 + random(8))}) = r${src}`);
    else if (lines.length < length - 20)
      lines.push(`if ${narrow}${dst} ${CONDITIONS[random(6)]} ${random(64)} goto +${1 + random(12)}`);
  }
  return `${lines.join("\n")}\nexit\n`;
}

/** A loop of `turns` turns with ten instructions each: arithmetic, a load, a store and a branch. */
export function loop(turns) {
  return `r0 = 0
r2 = ${turns}
*(u64 *)(r10 - 8) = r0
again:
r0 += r2
r3 = r0
r3 <<= 3
w3 ^= w2
r4 = *(u64 *)(r10 - 8)
r4 += r3
*(u64 *)(r10 - 8) = r4
r0 += 7
r2 += -1
if r2 != 0 goto again
r0 = *(u64 *)(r10 - 8)
exit
`;
}
