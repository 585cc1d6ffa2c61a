// The domain against brute force: every result of numbers that the operands stand for lies in the abstract result.
import { describe, expect, test } from "vitest";
import { ALU, type AluOperation, type Transfer } from "../../src/verifier/alu.ts";
import { BRANCH32, BRANCH64, type Comparison, refine } from "../../src/verifier/branch.ts";
import { signExtend, swapBytes } from "../../src/verifier/casts.ts";
import { sync, truncate } from "../../src/verifier/deduce.ts";
import {
  copyScalar,
  holds,
  isEmpty,
  MASK,
  SCALAR_WORDS,
  SMAX,
  SMIN,
  setUnknown,
  UMAX,
  UMIN,
} from "../../src/verifier/scalar.ts";
import { bigOf } from "../../src/verifier/words.ts";

/** All pairs of small operands; a part of them unless asked. */
const STRIDE = process.env.BPFKIT_VERIFY === undefined ? 397 : 1;
const RANDOM = process.env.BPFKIT_VERIFY === undefined ? 300 : 200_000;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

interface Sample {
  readonly scalar: Int32Array;
  readonly numbers: readonly bigint[];
}

function scalarOf(fill: (r: Int32Array) => void): Int32Array {
  const r = new Int32Array(SCALAR_WORDS);
  setUnknown(r, 0);
  fill(r);
  sync(r, 0);
  return r;
}

function put(r: Int32Array, at: number, value: bigint): void {
  r[at] = low(value);
  r[at + 1] = high(value);
}

/** All ranges and all sets of known bits of `bits` bits, moved to where 32- and 64-bit numbers change their sign or wrap. */
function samples(bits: number): readonly Sample[] {
  const count = 1n << BigInt(bits);
  const found: Sample[] = [];
  for (const base of [
    0n,
    -(count / 2n),
    (1n << 31n) - count / 2n,
    (1n << 32n) - count / 2n,
    (1n << 63n) - count / 2n,
  ]) {
    for (let a = 0n; a < count; a++) {
      for (let b = a; b < count; b++) {
        const [from, to] = [u64(base + a), u64(base + b)];
        const scalar = scalarOf((r) => {
          if (from <= to) {
            put(r, UMIN, from);
            put(r, UMAX, to);
          }
          if (s64(from) <= s64(to)) {
            put(r, SMIN, from);
            put(r, SMAX, to);
          }
        });
        const numbers: bigint[] = [];
        for (let x = a; x <= b; x++) numbers.push(u64(base + x));
        found.push({ scalar, numbers });
      }
    }
  }
  for (const place of [0n, 30n, 60n]) {
    for (let mask = 0n; mask < count; mask++) {
      for (let value = 0n; value < count; value++) {
        if ((mask & value) !== 0n) continue;
        const scalar = scalarOf((r) => {
          put(r, 0, u64(value << place));
          put(r, MASK, u64(mask << place));
        });
        const numbers: bigint[] = [];
        for (let x = 0n; x < count; x++) if ((x & ~mask) === value) numbers.push(u64(x << place));
        found.push({ scalar, numbers });
      }
    }
  }
  return found;
}

const divide = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a / b);
const modulo = (a: bigint, b: bigint): bigint => (b === 0n ? a : a % b);

/** What the instructions do, on numbers of `width` bits. */
const EXACT: Record<AluOperation, (a: bigint, b: bigint, width: number) => bigint> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  lsh: (a, b, width) => a << (b & BigInt(width - 1)),
  rsh: (a, b, width) => a >> (b & BigInt(width - 1)),
  arsh: (a, b, width) => BigInt.asIntN(width, a) >> (b & BigInt(width - 1)),
  neg: (a) => -a,
  div: divide,
  mod: modulo,
  sdiv: (a, b, width) => divide(BigInt.asIntN(width, a), BigInt.asIntN(width, b)),
  smod: (a, b, width) => modulo(BigInt.asIntN(width, a), BigInt.asIntN(width, b)),
};

const exact = (operation: AluOperation, a: bigint, b: bigint, width: number): bigint =>
  BigInt.asUintN(width, EXACT[operation](BigInt.asUintN(width, a), BigInt.asUintN(width, b), width));

const COMPARE: Record<Comparison, (a: bigint, b: bigint, width: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  set: (a, b) => (a & b) !== 0n,
  nset: (a, b) => (a & b) === 0n,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  sgt: (a, b, width) => BigInt.asIntN(width, a) > BigInt.asIntN(width, b),
  sge: (a, b, width) => BigInt.asIntN(width, a) >= BigInt.asIntN(width, b),
  slt: (a, b, width) => BigInt.asIntN(width, a) < BigInt.asIntN(width, b),
  sle: (a, b, width) => BigInt.asIntN(width, a) <= BigInt.asIntN(width, b),
};

const show = (r: Int32Array, x = 0): string =>
  `${bigOf(r[x]!, r[x + 1]!).toString(16)}/${bigOf(r[x + 2]!, r[x + 3]!).toString(16)} ${[...r.subarray(x + 4, x + 16)].join(" ")}`;

const work = new Int32Array(2 * SCALAR_WORDS);
/** Abstract results; those wider than the least range around the numbers; those that know fewer bits than the numbers share. */
let [results, wide, vague] = [0, 0, 0];

function checkAlu(operation: AluOperation, width: 32 | 64, a: Sample, b: Sample, transfer?: Transfer): void {
  copyScalar(work, 0, a.scalar, 0);
  copyScalar(work, SCALAR_WORDS, b.scalar, 0);
  (transfer ?? ALU[operation][width === 64 ? "wide" : "narrow"])(work, 0, SCALAR_WORDS);
  let [least, most] = [u64(-1n), 0n];
  let [all, any] = [u64(-1n), 0n];
  for (const x of a.numbers) {
    for (const y of b.numbers) {
      const z = exact(operation, x, y, width);
      if (z < least) least = z;
      if (z > most) most = z;
      all &= z;
      any |= z;
      if (!holds(work, 0, low(z), high(z)))
        throw new Error(
          `${operation}${width} ${x} ${y} = ${z} is not in ${show(work)}; ${show(a.scalar)} ${show(b.scalar)}`,
        );
    }
  }
  results++;
  if (bigOf(work[MASK]!, work[MASK + 1]!) !== (any & ~all)) vague++;
  if (bigOf(work[UMIN]!, work[UMIN + 1]!) < least || bigOf(work[UMAX]!, work[UMAX + 1]!) > most) wide++;
}

function checkBranch(comparison: Comparison, width: 32 | 64, a: Sample, b: Sample): void {
  const row = (width === 64 ? BRANCH64 : BRANCH32)[comparison];
  copyScalar(work, 0, a.scalar, 0);
  copyScalar(work, SCALAR_WORDS, b.scalar, 0);
  const decided = row.decide(work, 0, SCALAR_WORDS);
  refine(row, work, 0, SCALAR_WORDS);
  const empty = isEmpty(work, 0) || isEmpty(work, SCALAR_WORDS);
  for (const x of a.numbers) {
    for (const y of b.numbers) {
      const is = COMPARE[comparison](BigInt.asUintN(width, x), BigInt.asUintN(width, y), width);
      if (decided !== -1 && is !== (decided === 1))
        throw new Error(`${comparison}${width} ${x} ${y} was decided ${decided}; ${show(a.scalar)} ${show(b.scalar)}`);
      if (!is) continue;
      if (empty || !holds(work, 0, low(x), high(x)) || !holds(work, SCALAR_WORDS, low(y), high(y)))
        throw new Error(
          `${comparison}${width} leaves out ${x} ${y}: ${show(work)} | ${show(work, SCALAR_WORDS)}; from ${show(a.scalar)} ${show(b.scalar)}`,
        );
    }
  }
}

/** Numbers that lie near where something changes. */
function randomNumber(random: () => number): bigint {
  const near = [0n, 1n << 31n, 1n << 32n, 1n << 63n, 1n << BigInt(Math.floor(random() * 64))][
    Math.floor(random() * 5)
  ]!;
  const by = BigInt(Math.floor(random() * 2 ** 31)) >> BigInt(Math.floor(random() * 32));
  return u64(random() < 0.5 ? near + by : near - by);
}

/** A scalar around some numbers: each column as wide as chance has it. */
function randomSample(random: () => number): Sample {
  const numbers = Array.from({ length: 1 + Math.floor(random() * 4) }, () => randomNumber(random));
  const scalar = scalarOf((r) => {
    const all = numbers.reduce((x, y) => x & y);
    const any = numbers.reduce((x, y) => x | y);
    const forget = random() < 0.5 ? u64(-1n) : u64(randomNumber(random) & randomNumber(random));
    const mask = u64((any & ~all) | forget);
    put(r, 0, all & ~mask);
    put(r, MASK, mask);
    const sorted = [...numbers].sort((x, y) => (x < y ? -1 : 1));
    const signed = numbers.map(s64).sort((x, y) => (x < y ? -1 : 1));
    if (random() < 0.6) {
      put(r, UMIN, sorted[0]!);
      put(r, UMAX, sorted.at(-1)!);
    }
    if (random() < 0.6) {
      put(r, SMIN, signed[0]!);
      put(r, SMAX, signed.at(-1)!);
    }
  });
  return { scalar, numbers };
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

const small = samples(4);
const OPERATIONS = Object.keys(ALU) as AluOperation[];
const COMPARISONS = Object.keys(BRANCH64) as Comparison[];

describe("nothing that can be is left out", () => {
  test.each(OPERATIONS)("%s, on all numbers of 4 bits and at random", (operation) => {
    let turn = 0;
    const shifts = operation === "lsh" || operation === "rsh" || operation === "arsh";
    for (const a of small) {
      for (let j = turn++ % STRIDE; j < small.length; j += STRIDE) {
        const b = small[j]!;
        if (shifts && b.numbers.length > 1) continue;
        checkAlu(operation, 64, a, b);
        checkAlu(operation, 32, a, b);
      }
    }
    const random = randomFrom(turn);
    for (let i = 0; i < RANDOM; i++) {
      const [a, b] = [randomSample(random), randomSample(random)];
      const count = BigInt(i % 64);
      const c = shifts || i % 3 === 0 ? { scalar: scalarOf((r) => put(r, UMIN, count)), numbers: [count] } : b;
      if (shifts) {
        setUnknown(c.scalar, 0);
        put(c.scalar, 0, count);
        put(c.scalar, MASK, 0n);
        sync(c.scalar, 0);
      }
      checkAlu(operation, 64, a, c);
      checkAlu(operation, 32, a, c);
    }
  });

  test.each(COMPARISONS)("a branch on %s, on all numbers of 4 bits and at random", (comparison) => {
    let turn = 0;
    for (const a of small) {
      for (let j = turn++ % STRIDE; j < small.length; j += STRIDE) {
        checkBranch(comparison, 64, a, small[j]!);
        checkBranch(comparison, 32, a, small[j]!);
      }
    }
    const random = randomFrom(7);
    for (let i = 0; i < RANDOM; i++) {
      const [a, b] = [randomSample(random), randomSample(random)];
      checkBranch(comparison, 64, a, b);
      checkBranch(comparison, 32, a, b);
    }
  });

  test("casts and byte swaps, on all numbers of 6 bits and at random", () => {
    const random = randomFrom(3);
    const inputs = [
      ...samples(6).filter((_, i) => i % (STRIDE === 1 ? 1 : 7) === 0),
      ...Array.from({ length: RANDOM }, () => randomSample(random)),
    ];
    const check = (
      what: string,
      run: (r: Int32Array) => void,
      one: (x: bigint) => bigint,
      { scalar, numbers }: Sample,
    ) => {
      copyScalar(work, 0, scalar, 0);
      run(work);
      for (const x of numbers) {
        const y = u64(one(x));
        if (!holds(work, 0, low(y), high(y)))
          throw new Error(`${what} of ${x} is ${y}, not in ${show(work)}; ${show(scalar)}`);
      }
    };
    const swap = (x: bigint, bits: number): bigint => {
      let y = 0n;
      for (let i = 0; i < bits; i += 8) y = (y << 8n) | ((x >> BigInt(i)) & 0xffn);
      return y;
    };
    for (const input of inputs) {
      for (const bytes of [1, 2, 4]) {
        const bits = 8 * bytes;
        check(
          `(s${bits})`,
          (r) => signExtend(r, 0, bytes, true),
          (x) => BigInt.asIntN(bits, x),
          input,
        );
        if (bytes < 4)
          check(
            `(s${bits}) w`,
            (r) => signExtend(r, 0, bytes, false),
            (x) => BigInt.asUintN(32, BigInt.asIntN(bits, x)),
            input,
          );
        check(
          `(u${bits})`,
          (r) => truncate(r, 0, bytes),
          (x) => BigInt.asUintN(bits, x),
          input,
        );
      }
      for (const bits of [16, 32, 64]) {
        check(
          `be${bits}`,
          (r) => swapBytes(r, 0, bits, true),
          (x) => swap(x, bits),
          input,
        );
        check(
          `le${bits}`,
          (r) => swapBytes(r, 0, bits, false),
          (x) => BigInt.asUintN(bits, x),
          input,
        );
      }
    }
  });

  test("a mistake in one row is found", () => {
    const broken: Transfer = (r, d, s) => {
      ALU.add.wide(r, d, s);
      if (r[d + UMAX + 1] === 0) r[d + UMIN] = r[d + UMAX]!;
    };
    expect(() => {
      for (const a of small) for (const b of small.slice(0, 40)) checkAlu("add", 64, a, b, broken);
    }).toThrow(/^add64 \d+ \d+ = \d+ is not in/);
  });

  test("what is lost is counted", () => {
    const lost = `${wide} of them wider than the least unsigned range, ${vague} with fewer known bits than their numbers share`;
    console.log(`domain: ${results} abstract results, ${lost}`);
    expect(results).toBeGreaterThan(10_000);
    expect(wide / results).toBeLessThan(0.6);
  });
});
