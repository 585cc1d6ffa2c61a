// Random programs near the border of acceptance: arithmetic, branches, spills, bounded accesses, loops, calls.

/** Numbers in 0 ≤ x < 1. */
export type Random = () => number;

/** A generator of numbers that depends on the seed alone. */
export function randomFrom(seed: number): Random {
  let state = (seed + 1) * 0x9e37_79b1;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Registers that hold numbers all the time; r6 is the context, r7 a map's value, r3 and r4 are for pointers in between. */
const NUMBERS = ["r0", "r1", "r2", "r5", "r8", "r9"];
const CONDITIONS = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const INTERESTING = [
  0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 255, 0x7fff, 0xffff, 0x7fff_ffff, -1, -2, -8, -128, -0x8000_0000,
];

/** The text of a `syscall` program with one map of 64 bytes; `size` is a count of steps. */
export function randomProgram(random: Random, size: number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const below = (n: number): number => Math.floor(random() * n);
  const imm = (): number => (random() < 0.7 ? pick(INTERESTING) : below(200) - 100);
  const reg = (): string => pick(NUMBERS);
  const w = (r: string): string => (random() < 0.4 ? r.replace("r", "w") : r);
  const both = (): [string, string] => {
    const [a, b] = [reg(), reg()];
    return random() < 0.4 ? [a.replace("r", "w"), b.replace("r", "w")] : [a, b];
  };
  const lines: string[] = [];
  let labels = 0;
  const subs: string[] = [];
  let loops = 0;

  const load = (r: string): string => `${r} = *(u${pick([8, 16, 32, 64])} *)(r6 + ${8 * below(8)})`;
  const alu = (): string => {
    const op = pick(["+", "-", "*", "&", "|", "^", "<<", ">>", "s>>", "/", "%"]);
    if (op === "<<" || op === ">>" || op === "s>>") {
      const dst = w(reg());
      return `${dst} ${op}= ${below(dst[0] === "w" ? 32 : 64)}`;
    }
    if (random() < 0.5) {
      const value = imm();
      return `${w(reg())} ${op}= ${(op === "/" || op === "%") && value === 0 ? 3 : value}`;
    }
    const [a, b] = both();
    return `${a} ${op}= ${b}`;
  };
  const jump = (skipped: readonly string[]): void => {
    const label = `l${labels++}`;
    const left = w(reg());
    const right = random() < 0.6 ? String(imm()) : left[0] === "w" ? reg().replace("r", "w") : reg();
    lines.push(`if ${left} ${pick(CONDITIONS)} ${right} goto ${label}`, ...skipped, `${label}:`);
  };
  const slot = (): number => -8 * (1 + below(4));
  const simple = (): string[] => {
    switch (below(12)) {
      case 0:
        return [load(reg())];
      case 1: {
        const [a, b] = both();
        return [`${a} = ${b}`];
      }
      case 2:
        return [`${w(reg())} = ${imm()}`];
      case 3:
        return [
          random() < 0.5
            ? `${reg()} = (s${pick([8, 16, 32])})${reg()}`
            : `${reg()} = ${pick(["be16", "be32", "bswap64", "le16", "le32"])} X`,
        ];
      case 4: {
        const r = w(reg());
        return [`${r} = -${r}`];
      }
      case 5: {
        const [bits, at] = pick([
          [64, 0],
          [32, 0],
          [32, 4],
          [16, 2],
          [8, 5],
        ] as const);
        return [
          random() < 0.5
            ? `*(u${bits} *)(r10 - ${-slot() - at}) = ${reg()}`
            : `*(u${bits} *)(r10 - ${-slot() - at}) = ${imm()}`,
        ];
      }
      case 6: {
        const [bits, at] = pick([
          [64, 0],
          [32, 0],
          [32, 4],
          [16, 0],
          [8, 7],
        ] as const);
        return [`${reg()} = *(u${bits} *)(r10 - ${-slot() - at})`];
      }
      default:
        return [alu()];
    }
  };
  const simpleLines = (count: number): string[] => Array.from({ length: count }, simple).flat().map(fix);
  /** Byte swaps work in place. */
  const fix = (line: string): string => {
    const swap = /^(r\d+) = (\w+) X$/.exec(line);
    return swap === null ? line : `${swap[1]} = ${swap[2]} ${swap[1]}`;
  };
  /** An access whose place is a number that is bounded, more or less. */
  const access = (): string[] => {
    const r = reg();
    const limit = pick([7, 15, 31, 55, 56, 63]);
    const bits = pick([8, 16, 32, 64]);
    const off = random() < 0.8 ? 0 : below(12) - 2;
    const isStack = random() < 0.35;
    const base = isStack ? ["r3 = r10", `r3 += ${pick([-32, -40, -64])}`] : ["r3 = r7"];
    const bound =
      random() < 0.6
        ? [`r4 = ${r}`, `r4 &= ${isStack ? pick([7, 15, 8, 24]) : limit}`]
        : [`r4 = ${r}`, `if r4 ${pick([">", ">=", "s>"])} ${isStack ? pick([7, 16]) : limit} goto skip${labels}`];
    if (random() < 0.15) bound.push(`if r4 s< ${pick([0, 1, -1])} goto skip${labels}`);
    const end = `skip${labels++}:`;
    const what =
      random() < 0.5
        ? `${reg()} = *(u${isStack ? 8 : bits} *)(r3 + ${off})`
        : `*(u${isStack ? 8 : bits} *)(r3 + ${off}) = ${reg()}`;
    return [...base, ...bound, random() < 0.9 ? "r3 += r4" : "r3 -= r4", what, end];
  };
  const again = (): string[] => ["r1", "r2", "r5", "r0"].map((r) => (random() < 0.5 ? `${r} = ${imm()}` : load(r)));

  lines.push("r6 = r1", "r7 = map[idx:0][0]+0", ...NUMBERS.map((r) => (random() < 0.75 ? load(r) : `${r} = ${imm()}`)));
  for (let i = 1; i <= 4; i++)
    if (random() < 0.7) lines.push(`*(u64 *)(r10 - ${8 * i}) = ${random() < 0.6 ? reg() : imm()}`);
  for (let step = 0; step < size; step++) {
    const what = random();
    if (what < 0.5) lines.push(...simpleLines(1));
    else if (what < 0.72) jump(simpleLines(below(4)));
    else if (what < 0.85) lines.push(...access());
    else if (what < 0.89) {
      const name = `f${subs.length}`;
      subs.push(
        `${name}:`,
        "r0 = r1",
        ...(random() < 0.5 ? ["r0 += r2"] : [`if r2 > 5 goto g${labels}`, "r0 = 3", `g${labels++}:`]),
        "exit",
      );
      lines.push(`call ${name}`, ...again());
    } else if (what < 0.93 && loops < 2) {
      const [label, count] = [`loop${labels++}`, 1 + below(5)];
      loops++;
      lines.push("*(u64 *)(r10 - 72) = 0", `${label}:`, ...simpleLines(1 + below(3)));
      lines.push("r3 = *(u64 *)(r10 - 72)", "r3 += 1", "*(u64 *)(r10 - 72) = r3", `if r3 < ${count} goto ${label}`);
    } else if (what < 0.96 && loops < 2) {
      const label = `may${labels++}`;
      loops++;
      lines.push(
        `${label}:`,
        `may_goto e${label}`,
        ...simpleLines(1 + below(2)),
        `if ${reg()} == ${imm()} goto e${label}`,
        `goto ${label}`,
        `e${label}:`,
      );
    } else if (what < 0.98) lines.push(`lock *(u64 *)(r7 + ${8 * below(8)}) += ${reg()}`);
    else lines.push(...access(), ...access());
  }
  lines.push("r0 = 0", "exit");
  return [...lines, ...subs].join("\n");
}
