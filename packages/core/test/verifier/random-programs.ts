// Random programs near the border of acceptance: numbers and branches, loops, and scenes with memory that are right or almost right.
import { type Piece, SCENES } from "./random-scenes.ts";
import type { WorldType } from "./world.ts";

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

/** A program as text. */
export interface RandomProgram {
  readonly type: WorldType;
  readonly lines: readonly string[];
}

/** Numbers of the context, by program type. */
const FIELDS: Readonly<Record<WorldType, readonly string[]>> = {
  syscall: [0, 8, 16, 24, 32, 40, 48, 56].flatMap((at) => [`u64 *)(r6 + ${at})`, `u32 *)(r6 + ${at})`, `s8 *)(r6 + ${at})`]),
  xdp: ["u32 *)(r6 + 12)", "u32 *)(r6 + 16)"],
  sched_cls: ["u32 *)(r6 + 0)", "u32 *)(r6 + 8)", "u8 *)(r6 + 8)", "u16 *)(r6 + 16)", "u32 *)(r6 + 32)", "u32 *)(r6 + 48)", "u64 *)(r6 + 152)"],
}; // biome-ignore format: a line each
const TYPES: readonly WorldType[] = ["syscall", "xdp", "sched_cls"];
const CONDITIONS = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const INTERESTING = [
  0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 255, 0x7fff, 0xffff, 0x7fff_ffff, -1, -2, -8, -128, -0x8000_0000,
];
/** Slots that hold numbers from the start, below r10. */
const SLOTS = [8, 16, 24, 32];

/** Makes programs. r6 is the context, r8 and r9 hold numbers everywhere; the others may hold numbers between scenes. */
export class Writer {
  readonly type: WorldType;
  readonly #random: Random;
  readonly #lines: string[] = [];
  readonly #subprogs: string[] = [];
  /** Registers that hold numbers here, whatever way was taken. */
  #numbers: readonly string[] = [];
  #labels = 0;

  constructor(random: Random) {
    this.#random = random;
    this.type = this.pick(TYPES);
  }

  /** `steps` is how many pieces it has. */
  make(steps: number): RandomProgram {
    this.#lines.push("r6 = r1", ...this.number("r8"), ...this.number("r9"));
    this.#numbers = ["r8", "r9"];
    for (const slot of SLOTS)
      if (this.chance(0.85))
        this.#lines.push(`*(u64 *)(r10 - ${slot}) = ${this.chance(0.6) ? this.reg() : this.imm()}`);
    let loops = 0;
    for (let step = 0; step < steps; step++) {
      const what = this.#random();
      if (what < 0.36) this.#lines.push(...this.#plain(1 + this.below(3)));
      else if (what < 0.5) this.#jump();
      else if (what < 0.88 || loops > 1) this.#lines.push(...this.#scene());
      else {
        loops++;
        this.#loop();
      }
    }
    this.#lines.push("r0 = 0", "exit", ...this.#subprogs);
    return { type: this.type, lines: this.chance(0.35) ? this.#mutated() : this.#lines };
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }

  below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  imm(): number {
    return this.chance(0.7) ? this.pick(INTERESTING) : this.below(200) - 100;
  }

  /** A register that holds a number. */
  reg(): string {
    return this.pick(this.#numbers);
  }

  label(): string {
    return `l${this.#labels++}`;
  }

  /** A subprogram that is called; gives its name. */
  subprog(lines: (name: string) => readonly string[]): string {
    const name = `f${this.#labels++}`;
    this.#subprogs.push(`${name}:`, ...lines(name));
    return name;
  }

  /** Some number into a register, of which little is known. */
  number(into: string): readonly string[] {
    if (this.chance(0.6)) return [`${into} = *(${this.pick(FIELDS[this.type])}`];
    if (this.chance(0.4)) return [`${into} = ${this.imm()}`];
    return [
      `${into} = map[idx:0][0]+${8 * this.below(7)}`,
      `${into} = *(${this.pick(["u64", "u32", "s32", "u16", "s8"])} *)(${into} + 0)`,
    ];
  }

  /** A copy of a number from a place that survives calls. */
  kept(into: string): readonly string[] {
    if (this.chance(0.75)) return [`${into} = ${this.pick(["r8", "r9"])}`];
    return [`${into} = *(${this.pick(["u64", "u64", "u32", "u8", "s16"])} *)(r10 - ${this.pick(SLOTS)})`];
  }

  /** Instructions that compute with numbers only. */
  #plain(count: number, writes: readonly string[] = ["r0", "r1", "r2", "r3", "r4", "r5", "r8", "r9"]): string[] {
    const lines: string[] = [];
    for (let i = 0; i < count; i++) {
      const [dst, line] = this.#plainLine(writes);
      lines.push(...line);
      if (dst !== undefined && !this.#numbers.includes(dst)) this.#numbers = [...this.#numbers, dst];
    }
    return lines;
  }

  #plainLine(writes: readonly string[]): readonly [dst: string | undefined, lines: readonly string[]] {
    const half = (r: string): string => (this.chance(0.4) ? r.replace("r", "w") : r);
    const known = this.pick(this.#numbers.filter((r) => writes.includes(r)));
    const fresh = this.pick(writes);
    const slot = this.pick(SLOTS);
    switch (this.below(13)) {
      case 0:
        return [fresh, this.number(fresh)];
      case 1:
        return [
          fresh,
          this.chance(0.6)
            ? [`${fresh} = ${this.reg()}`]
            : [`${fresh.replace("r", "w")} = ${this.reg().replace("r", "w")}`],
        ];
      case 2:
        return [fresh, [`${half(fresh)} = ${this.imm()}`]];
      case 3:
        return this.chance(0.5)
          ? [fresh, [`${fresh} = (s${this.pick([8, 16, 32])})${this.reg()}`]]
          : [
              known,
              [
                `${known} = ${this.pick(["be16", "be32", "be64", "bswap16", "bswap32", "bswap64", "le16", "le32"])} ${known}`,
              ],
            ];
      case 4: {
        const r = half(known);
        return [known, [`${r} = -${r}`]];
      }
      case 5: {
        const [bits, at] = this.#part();
        return [undefined, [`*(u${bits} *)(r10 - ${slot - at}) = ${this.chance(0.6) ? this.reg() : this.imm()}`]];
      }
      case 6: {
        const [bits, at] = this.#part();
        return [fresh, [`${fresh} = *(${bits < 64 && this.chance(0.25) ? "s" : "u"}${bits} *)(r10 - ${slot - at})`]];
      }
      default:
        return [known, [this.#alu(known)]];
    }
  }

  /** Part of a slot: its bits, and the bytes below it. */
  #part(): readonly [bits: number, at: number] {
    return this.pick([[64, 0], [64, 0], [32, 0], [32, 4], [16, 0], [16, 2], [8, 0], [8, 5], [8, 7]] as const); // biome-ignore format: pairs
  }

  #alu(dst: string): string {
    const wide = this.chance(0.6);
    const as = (r: string): string => (wide ? r : r.replace("r", "w"));
    const op = this.pick(["+", "-", "*", "&", "|", "^", "<<", ">>", "s>>", "/", "%", "s/", "s%"]);
    if (op.endsWith("<<") || op.endsWith(">>")) return `${as(dst)} ${op}= ${this.below(wide ? 64 : 32)}`;
    if (this.chance(0.5)) {
      const value = this.imm();
      return `${as(dst)} ${op}= ${(op.endsWith("/") || op.endsWith("%")) && value === 0 ? 3 : value}`;
    }
    return `${as(dst)} ${op}= ${as(this.reg())}`;
  }

  #jump(): void {
    const end = this.label();
    const narrow = this.chance(0.4);
    const as = (r: string): string => (narrow ? r.replace("r", "w") : r);
    const left = this.reg();
    const right = this.chance(0.6) ? String(this.imm()) : as(this.reg());
    const before = this.#numbers;
    const skipped = this.chance(0.25) ? this.#scene() : this.#plain(this.below(4));
    const after = this.#numbers;
    this.#numbers = before.filter((r) => after.includes(r));
    this.#lines.push(`if ${as(left)} ${this.pick(CONDITIONS)} ${right} goto ${end}`, ...skipped, `${end}:`);
  }

  /** A scene; what it touches holds no number any more. */
  #scene(): readonly string[] {
    const lines = this.pick(SCENES[this.type])(this);
    const touched = touchedBy(lines);
    this.#numbers = this.#numbers.filter((r) => !touched.has(r));
    return lines;
  }

  #loop(): void {
    const [again, end] = [this.label(), this.label()];
    const before = ["r8", "r9"];
    this.#numbers = before;
    const body = this.chance(0.4) ? this.#scene() : this.#plain(1 + this.below(3), before);
    const more = this.chance(0.3) ? this.#plain(1, before) : [];
    this.#numbers = before;
    const count = 1 + this.below(6);
    const step = 1 + this.below(3);
    switch (this.below(4)) {
      case 0:
        this.#lines.push("*(u64 *)(r10 - 104) = 0", `${again}:`, ...body, ...more);
        this.#lines.push(
          "r3 = *(u64 *)(r10 - 104)",
          `r3 += ${step}`,
          "*(u64 *)(r10 - 104) = r3",
          `if r3 < ${count * step} goto ${again}`,
        );
        break;
      case 1:
        this.#lines.push(
          `${again}:`,
          `may_goto ${end}`,
          ...body,
          ...more,
          `if ${this.reg()} == ${this.imm()} goto ${end}`,
          `goto ${again}`,
          `${end}:`,
        );
        break;
      case 2: {
        // The count is the index, too.
        const size = this.pick([1, 2, 4, 8]);
        const limit = 64 - size + (this.chance(0.1) ? 1 : 0);
        this.#lines.push(
          `r9 = ${this.below(3) * size}`,
          `${again}:`,
          ...this.#plain(1, ["r8"]),
          "r3 = map[idx:0][0]+0",
          "r3 += r9",
        );
        this.#lines.push(this.chance(0.5) ? `*(u${8 * size} *)(r3 + 0) = r8` : `r8 = *(u${8 * size} *)(r3 + 0)`);
        this.#lines.push(`r9 += ${size * this.pick([1, 2, 4])}`, `if r9 <= ${limit} goto ${again}`);
        break;
      }
      default:
        // Down from a number that is bounded.
        this.#lines.push(
          "r9 &= 7",
          `${again}:`,
          `if r9 == 0 goto ${end}`,
          ...this.#plain(1 + this.below(2), ["r8"]),
          "r9 += -1",
        );
        this.#lines.push(`goto ${again}`, `${end}:`);
    }
  }

  /** The program with a mistake in it. */
  #mutated(): readonly string[] {
    const lines = [...this.#lines];
    const at = this.below(lines.length);
    const line = lines[at]!;
    if (line.endsWith(":")) return lines;
    switch (this.below(6)) {
      case 0:
        if (!/^(goto|exit|call)/.test(line)) lines.splice(at, 1);
        break;
      case 1:
        lines[at] = line.replace(/(?<![lfrwus\d:])\d+(?!\])/, (n) =>
          String(Math.max(0, Number(n) + this.pick([-8, -4, -1, 1, 1, 2, 4, 8]))),
        );
        break;
      case 2:
        lines[at] = line.replace(/ (s?[<>]=?|[=!]=) /, () => ` ${this.pick(CONDITIONS)} `);
        break;
      case 3:
        lines[at] = line.replace(/\*\([us](8|16|32|64) /, () => `*(u${this.pick([8, 16, 32, 64])} `);
        break;
      case 4:
        lines[at] = line.replace(
          /\b([rw])[0-5789]\b/,
          (_, width: string) => `${width}${this.pick([0, 1, 2, 3, 4, 5, 8, 9])}`,
        );
        break;
      default:
        if (!/^(goto|exit)/.test(line)) lines.splice(at, 0, line);
    }
    return lines;
  }
}

/** Registers that lines write. */
export function touchedBy(lines: Piece): ReadonlySet<string> {
  const touched = new Set<string>();
  for (const line of lines) {
    const dst = /^[rw](\d+) /.exec(line);
    if (dst !== null) touched.add(`r${dst[1]}`);
    if (line.startsWith("call ")) for (let reg = 0; reg <= 5; reg++) touched.add(`r${reg}`);
  }
  touched.delete("r8");
  touched.delete("r9");
  return touched;
}

/** The program of a seed; a chance of its own goes on behind it. */
export function randomProgram(random: Random): RandomProgram {
  return new Writer(random).make(3 + Math.floor(random() * 10));
}
