// Mistakes of the kind that verifiers have had, one entry of the rules replaced by each; something must catch every one of them.
import { ALU, type Transfer } from "../../src/verifier/alu.ts";
import { BRANCH32, BRANCH64, type BranchTransfer, type Comparison } from "../../src/verifier/branch.ts";
import { sync } from "../../src/verifier/deduce.ts";
import { PRUNING, type Pruning } from "../../src/verifier/equal.ts";
import { GUARDS, type Guards } from "../../src/verifier/guards.ts";
import { REGIONS } from "../../src/verifier/regions.ts";
import { DELTA, SCALAR } from "../../src/verifier/register.ts";
import { MASK, SMAX, SMAX32, SMIN, SMIN32, UMAX, UMAX32, UMIN, UMIN32 } from "../../src/verifier/scalar.ts";
import { TABLES, type Tables } from "../../src/verifier/tables.ts";
import { signed, unsigned } from "../../src/verifier/words.ts";

/** A mistake, and a seed of a random program that shows it. */
export interface Planted {
  readonly name: string;
  readonly tables: Tables;
  readonly seed: number;
}

type Operation = keyof typeof ALU;

const alu = (operation: Operation, wide: Transfer | undefined, narrow?: Transfer): Tables => ({
  ...TABLES,
  alu: { ...ALU, [operation]: { wide: wide ?? ALU[operation].wide, narrow: narrow ?? ALU[operation].narrow } },
});
const branch = (which: "branch64" | "branch32", comparison: Comparison, row: Partial<BranchTransfer>): Tables => {
  const table = which === "branch64" ? BRANCH64 : BRANCH32;
  return { ...TABLES, [which]: { ...table, [comparison]: { ...table[comparison], ...row } } };
};
/** What an operation leaves, but for some columns, which stay as they were. */
const keeping =
  (transfer: Transfer, ...columns: readonly number[]): Transfer =>
  (r, d, s) => {
    const before = columns.map((column) => r[d + column]!);
    transfer(r, d, s);
    columns.forEach((column, i) => {
      r[d + column] = before[i]!;
    });
  };

const guards = (rules: Partial<Guards>): Tables => ({ ...TABLES, guards: { ...GUARDS, ...rules } });
const pruning = (rules: Partial<Pruning>): Tables => ({ ...TABLES, pruning: { ...PRUNING, ...rules } });

/** [name, rules, seed] */
const ROWS: readonly (readonly [name: string, tables: Tables, seed: number])[] = [
  ["64-bit sums keep the unsigned ends", alu("add", keeping(ALU.add.wide, UMIN, UMIN + 1, UMAX, UMAX + 1)), 0],
  ["32-bit sums keep the unsigned ends", alu("add", undefined, keeping(ALU.add.narrow, UMIN32, UMAX32)), 68],
  [
    "32-bit sums leave the upper half",
    alu("add", undefined, keeping(ALU.add.narrow, 1, UMIN + 1, UMAX + 1, SMIN + 1, SMAX + 1)),
    218,
  ],
  ["differences are sums", alu("sub", ALU.add.wide), 21],
  ["32-bit differences keep the signed ends", alu("sub", undefined, keeping(ALU.sub.narrow, SMIN32, SMAX32)), 35],
  ["products keep their known bits", alu("mul", keeping(ALU.mul.wide, 0, 1, MASK, MASK + 1)), 4],
  ["products of 32 bits keep the greatest", alu("mul", undefined, keeping(ALU.mul.narrow, UMAX32, UMAX)), 138],
  ["`and` takes the mask of its first operand", alu("and", keeping(ALU.and.wide, MASK, MASK + 1)), 76],
  [
    "32-bit `and` bounds by the second operand's least",
    alu("and", undefined, (r, d, s) => {
      const min = r[s + UMIN32]!;
      ALU.and.narrow(r, d, s);
      r[d + UMAX32] = min;
      r[d + UMAX] = min;
      r[d + UMAX + 1] = 0;
    }),
    22,
  ],
  ["`or` keeps the greatest", alu("or", keeping(ALU.or.wide, UMAX, UMAX + 1, SMAX, SMAX + 1)), 201],
  ["`xor` keeps known bits", alu("xor", keeping(ALU.xor.wide, 0, 1, MASK, MASK + 1)), 91],
  ["left shifts keep the greatest", alu("lsh", keeping(ALU.lsh.wide, UMAX, UMAX + 1)), 8],
  ["right shifts keep the sign", alu("rsh", ALU.arsh.wide), 5],
  ["signed right shifts are unsigned ones", alu("arsh", ALU.rsh.wide), 52],
  ["32-bit signed right shifts are unsigned ones", alu("arsh", undefined, ALU.rsh.narrow), 125],
  ["negation keeps the number", alu("neg", (r, d) => sync(r, d)), 5],
  ["division keeps the least", alu("div", keeping(ALU.div.wide, UMIN, UMIN + 1)), 10],
  [
    "remainders reach one less than they can",
    alu("mod", (r, d, s) => {
      ALU.mod.wide(r, d, s);
      if (r[d + UMAX + 1] === 0 && r[d + UMAX]! > 1) {
        r[d + UMAX] = r[d + UMAX]! - 1;
        sync(r, d);
      }
    }),
    506,
  ],
  [
    "sign extension is zero extension (CVE-2017-16995)",
    {
      ...TABLES,
      casts: { ...TABLES.casts, signExtend: (r, x, bytes) => TABLES.casts.truncate(r, x, bytes) },
    },
    0,
  ],
  [
    "loads and copies of 32 bits keep the upper half",
    {
      ...TABLES,
      casts: {
        ...TABLES.casts,
        truncate: (r, x, bytes) => (bytes === 4 ? undefined : TABLES.casts.truncate(r, x, bytes)),
      },
    },
    16,
  ],
  [
    "narrow loads keep the ranges",
    {
      ...TABLES,
      casts: {
        ...TABLES.casts,
        truncate: (r, x, bytes) => {
          const ends = [UMIN, UMIN + 1, SMIN, SMIN + 1, UMIN32, SMIN32].map((c) => r[x + c]!);
          TABLES.casts.truncate(r, x, bytes);
          [UMIN, UMIN + 1, SMIN, SMIN + 1, UMIN32, SMIN32].forEach((c, i) => {
            r[x + c] = ends[i]!;
          });
        },
      },
    },
    5,
  ],
  [
    "byte swaps keep the bytes",
    { ...TABLES, casts: { ...TABLES.casts, swapBytes: (r, x, bits) => TABLES.casts.truncate(r, x, bits / 8) } },
    25,
  ],
  ["`>` is `>=` on the side that falls through", branch("branch64", "le", { refine: BRANCH64.lt.refine }), 175],
  ["signed `<` narrows as unsigned", branch("branch64", "slt", { refine: BRANCH64.lt.refine }), 80],
  ["32-bit comparisons narrow 64 bits (CVE-2021-31440)", branch("branch32", "gt", { refine: BRANCH64.gt.refine }), 129],
  [
    "`&` decides by the known ones of one side",
    branch("branch64", "set", { decide: (r, d) => ((r[d]! | r[d + 1]!) !== 0 ? 1 : -1) }),
    6,
  ],
  ["`s>` decides as `>`", branch("branch64", "sgt", { decide: BRANCH64.gt.decide }), 22],
  [
    "accesses are judged by the least offset",
    {
      ...TABLES,
      regions: {
        ...REGIONS,
        within: (r, x, off, size, limit, zero) => {
          const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!) + off;
          return min < 0 ? REGIONS.within(r, x, off, size, limit, zero) : min + size <= limit ? undefined : "above";
        },
      },
    },
    250,
  ],
  [
    "accesses are judged by the greatest offset",
    {
      ...TABLES,
      regions: {
        ...REGIONS,
        within: (r, x, off, size, limit) =>
          unsigned(r[x + UMAX]!, r[x + UMAX + 1]!) + off + size <= limit ? undefined : "above",
      },
    },
    33,
  ],
  [
    "every number covers every other (CVE-2023-2163)",
    { ...TABLES, pruning: { ...PRUNING, scalarCovers: () => true } },
    0,
  ],
  [
    "known bits need not agree",
    {
      ...TABLES,
      pruning: {
        ...PRUNING,
        scalarCovers: (a, x, b, y, precise, how) => {
          if (!precise && how === "enough") return true;
          return (
            a[x + DELTA] === b[y + DELTA] &&
            unsigned(a[x + SCALAR + UMAX]!, a[x + SCALAR + UMAX + 1]!) >=
              unsigned(b[y + SCALAR + UMAX]!, b[y + SCALAR + UMAX + 1]!)
          );
        },
      },
    },
    2,
  ],
  [
    "every pointer covers every other of its type",
    { ...TABLES, pruning: { ...PRUNING, pointerCovers: () => true } },
    1093,
  ],
  ["packets are one byte longer than what was looked at", guards({ packetBytes: (max) => max + 1 }), 22],
  [
    "`<` shows as much as `<=` of one byte more",
    guards({ packetBytes: (max, isBelow) => max + (isBelow ? 2 : 0) }),
    406,
  ],
  [
    "sizes of helpers are judged by their least",
    guards({ helperBytes: (r, x) => unsigned(r[x + UMIN]!, r[x + UMIN + 1]!) }),
    2338,
  ],
  ["a null check of one lookup tells about every other", guards({ tellsAbout: () => true }), 187],
  ["pointers into the packet outlive its change", guards({ endsWithPacket: () => false }), 1142],
  ["pointers to a record outlive its release", guards({ endsWith: () => false }), 49],
  ["a spill that is overwritten in part is still whole", guards({ withoutSpill: (kinds) => kinds }), 25],
  ["narrow spills are the whole number", guards({ fits: () => true }), 10],
  ["slots never count", pruning({ slotsThatCount: () => 0 }), 423],
  ["loops and callbacks end where only what has been read so far agrees", pruning({ open: "enough" }), 84],
  ["decisions are not traced into slots", pruning({ tracesSlots: false }), 111],
  ["anything covers an initialised byte", pruning({ byteCovers: () => true }), 4],
];

export const PLANTED: readonly Planted[] = ROWS.map(([name, tables, seed]) => ({ name, tables, seed }));
