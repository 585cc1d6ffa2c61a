// Instructions of fixed width as bit patterns, in the notation of the Arm and RISC-V manuals: packing, unpacking, emitting, decoding.
import { BpfError, invariant } from "../errors.ts";
import type { CodeSink } from "./code-buffer.ts";

/** The name in one group of a pattern string; none in fixed bits. */
export type BitName<T extends string> = T extends `${"0" | "1"}${string}`
  ? never
  : T extends `${infer N}[${string}`
    ? N
    : T;

/** Names of the operands in a pattern string. */
export type BitNames<P extends string> = P extends `${infer T} ${infer R}` ? BitName<T> | BitNames<R> : BitName<P>;

/** The operands a pattern string asks for: `"imm[11:0] rs1 000 rd 0010011"` gives `{ imm: number; rs1: number; rd: number }`. */
export type BitOperands<P extends string> = { readonly [K in BitNames<P>]: number };

/** A number for every operand of a pattern string: `N` those for the names already `Seen`. */
export type BitNumbers<P extends string, Seen = never, N extends number[] = []> = P extends `${infer T} ${infer R}`
  ? BitName<T> extends Seen
    ? BitNumbers<R, Seen, N>
    : BitNumbers<R, Seen | BitName<T>, [...N, number]>
  : BitName<P> extends Seen
    ? N
    : [...N, number];

/** What a name means in all patterns of a table. */
export interface FieldSpec {
  /** Bits of a field that is written without slices. */
  readonly width?: number;
  /** Whether its top bit is a sign. */
  readonly signed?: boolean;
  /** Added to the bits: a field of 3 bits that names registers 8 to 15 has 8. */
  readonly bias?: number;
  /** Values that the row does not have; they belong to another row, or to none. */
  readonly not?: readonly number[];
}

/** Names of a table; a sliced name that is not in it is unsigned and takes every value. */
export type FieldSpecs = Readonly<Record<string, FieldSpec>>;

/** A run of bits: `width` bits of the value from `from` on are those of the instruction from `to` on. */
export interface BitChunk {
  readonly from: number;
  readonly to: number;
  readonly width: number;
}

/** A named operand of a pattern. */
export interface BitField {
  readonly name: string;
  /** Least and greatest value, and what values are multiples of. */
  readonly min: number;
  readonly max: number;
  readonly align: number;
  readonly signed: boolean;
  readonly bias: number;
  readonly not: readonly number[];
  readonly chunks: readonly BitChunk[];
}

/** A pattern string taken apart. */
export interface BitPattern {
  readonly op: string;
  /** Bytes: 2 or 4. */
  readonly size: 2 | 4;
  /** Which bits are fixed, and what they are. */
  readonly mask: number;
  readonly match: number;
  /** In the order in which they are first named in the pattern. */
  readonly fields: readonly BitField[];
}

/**
 * Reads a pattern: blanks between groups, the first group the highest bits. A group is fixed bits (`0110`), a named field of the
 * width its spec gives (`rd`), or bits of a named field, highest first (`imm[20|10:1|11|19:12]`); the bits of a field that no group
 * holds are zero, or copies of nothing above its sign.
 */
export function bitPattern(op: string, bits: string, specs: FieldSpecs): BitPattern {
  const groups = bits.split(" ").map((token) => groupOf(op, token, specs));
  const total = groups.reduce((sum, { width }) => sum + width, 0);
  invariant(total === 16 || total === 32, `${op} with 16 or 32 bits (it has ${total})`);
  const chunks = new Map<string, BitChunk[]>();
  let mask = 0;
  let match = 0;
  let left = total;
  for (const { name, fixed, width, slices } of groups) {
    if (name === undefined) {
      left -= width;
      mask |= ones(width) << left;
      match |= fixed << left;
      continue;
    }
    const list = chunks.get(name) ?? [];
    chunks.set(name, list);
    for (const [high, low] of slices) {
      left -= high - low + 1;
      list.push({ from: low, to: left, width: high - low + 1 });
    }
  }
  const fields = [...chunks].map(([name, list]) => fieldOf(name, list, specs[name] ?? {}));
  return { op, size: (total / 8) as 2 | 4, mask: mask >>> 0, match: match >>> 0, fields };
}

interface Group {
  readonly name: string | undefined;
  readonly fixed: number;
  readonly width: number;
  readonly slices: readonly (readonly [high: number, low: number])[];
}

function groupOf(op: string, token: string, specs: FieldSpecs): Group {
  if (/^[01]+$/.test(token)) {
    return { name: undefined, fixed: Number.parseInt(token, 2), width: token.length, slices: [] };
  }
  const match = /^([a-z]\w*'?)(?:\[([\d:|]+)\])?$/i.exec(token);
  invariant(match !== null, `group ${token} of ${op} in the notation of patterns`);
  const [, name, list] = match;
  const slices = (list ?? `${(specs[name!]?.width ?? 0) - 1}:0`).split("|").map((part) => {
    const [high, low = high] = part.split(":").map(Number);
    return [high!, low!] as const;
  });
  const width = slices.reduce((sum, [high, low]) => sum + high - low + 1, 0);
  invariant(width > 0, `a width of ${name} in ${op}`);
  return { name, fixed: 0, width, slices };
}

function fieldOf(
  name: string,
  chunks: readonly BitChunk[],
  { signed = false, bias = 0, not = [] }: FieldSpec,
): BitField {
  const low = Math.min(...chunks.map(({ from }) => from));
  const high = Math.max(...chunks.map(({ from, width }) => from + width));
  const align = 2 ** low;
  const min = signed ? -(2 ** (high - 1)) : 0;
  const max = 2 ** (signed ? high - 1 : high) - align;
  return { name, min: min + bias, max: max + bias, align, signed, bias, not, chunks };
}

function ones(width: number): number {
  return width === 32 ? -1 : (1 << width) - 1;
}

/**
 * The checked door: the word with these operands in it.
 *
 * @throws {BpfError} `argument` for an operand that is missing, unknown or no whole number, `out-of-range` for one that does not fit
 */
export function packBits(pattern: BitPattern, operands: Readonly<Record<string, number>>): number {
  const { op, fields } = pattern;
  let word = pattern.match;
  for (const field of fields) {
    const value = operands[field.name];
    checkField(op, field, value);
    word |= scatter(field.chunks, value - field.bias);
  }
  for (const name in operands) {
    if (fields.some((field) => field.name === name)) continue;
    const expected = fields.map((field) => field.name).join(", ") || "none";
    throw new BpfError("argument", `operand ${name} of ${op}`, { expected });
  }
  return word >>> 0;
}

function checkField(
  op: string,
  { name, min, max, align, bias, not }: BitField,
  value: unknown,
): asserts value is number {
  if (value === undefined) throw new BpfError("argument", `${op} without a value for ${name}`);
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new BpfError("argument", `${name} of ${op}`, { expected: "a whole number" });
  }
  if (value < min || value > max) {
    throw new BpfError("out-of-range", `${name} ${value} of ${op}`, { expected: `${min}..${max}` });
  }
  if ((value - bias) % align !== 0) {
    throw new BpfError("out-of-range", `${name} ${value} of ${op}`, { expected: `a multiple of ${align}` });
  }
  if (not.includes(value)) throw new BpfError("argument", `${name} ${value} of ${op}`, { expected: "another value" });
}

function scatter(chunks: readonly BitChunk[], value: number): number {
  let word = 0;
  for (const { from, to, width } of chunks) word |= ((value >>> from) & ones(width)) << to;
  return word;
}

/** The value of one field in a word. */
export function fieldValue({ chunks, min, max, align, signed, bias }: BitField, word: number): number {
  let value = 0;
  for (const { from, to, width } of chunks) value |= ((word >>> to) & ones(width)) << from;
  value >>>= 0;
  if (signed && value > max - bias) value -= max - min + align;
  return value + bias;
}

/** The operands in a word of this pattern. */
export function unpackBits({ fields }: BitPattern, word: number): Record<string, number> {
  const operands: Record<string, number> = {};
  for (const field of fields) operands[field.name] = fieldValue(field, word);
  return operands;
}

/** A code sink that takes whole words; `view` is over `bytes`. */
export interface WordSink extends CodeSink {
  view: DataView;
}

/** Appends one instruction; operands are taken as they are, cut to their fields. */
export type EmitWord<N extends readonly number[] = number[]> = (sink: WordSink, ...operands: N) => void;

/** The fields of a pattern in the order in which the fast door takes them: those that `asm` does not name, then as `asm` names them. */
export function operandOrder({ fields }: BitPattern, asm: string): readonly string[] {
  const words: readonly string[] = asm.match(/[a-z_]\w*'?/gi) ?? [];
  const place = (name: string): number => words.indexOf(name);
  return fields.map(({ name }) => name).sort((a, b) => place(a) - place(b));
}

type Put = (sink: WordSink, a: number, b: number, c: number, d: number, e: number, f: number, g: number) => void;

/** The fast door: a closure that takes a number for every name in `order` and writes one word. */
export function wordEmitter(pattern: BitPattern, order: readonly string[]): EmitWord {
  const { op, fields, match, size } = pattern;
  invariant(order.length === fields.length && order.length <= 7, `an emitter for ${op}`);
  const ordered = order.map((name) => fields.find((field) => field.name === name)!);
  const simple = ordered.every(({ chunks, bias }) => chunks.length === 1 && bias === 0);
  if (size === 4 && simple && ordered.length <= 6) return simpleEmitter(match, ordered) as EmitWord;
  const spread = ordered.map(spreader);
  const [s0 = none, s1 = none, s2 = none, s3 = none, s4 = none, s5 = none, s6 = none] = spread;
  if (size === 2) {
    const put: Put = (sink, a, b, c, d) => {
      sink.ensure(2);
      sink.view.setUint16(sink.length, match | s0(a) | s1(b) | s2(c) | s3(d), true);
      sink.length += 2;
    };
    invariant(ordered.length <= 4, `an emitter for ${op}`);
    return put as EmitWord;
  }
  const put: Put = (sink, a, b, c, d, e, f, g) => {
    sink.ensure(4);
    sink.view.setInt32(sink.length, match | s0(a) | s1(b) | s2(c) | s3(d) | s4(e) | s5(f) | s6(g), true);
    sink.length += 4;
  };
  return put as EmitWord;
}

const none = (): number => 0;

/** BitField to its bits in the instruction. */
function spreader({ chunks, bias }: BitField): (value: number) => number {
  const [first, second] = chunks;
  if (chunks.length > 2 || bias !== 0) return (value) => scatter(chunks, value - bias);
  const { from: from0, to: to0, width } = first!;
  const mask0 = ones(width);
  if (second === undefined) return (value) => ((value >>> from0) & mask0) << to0;
  const { from: from1, to: to1 } = second;
  const mask1 = ones(second.width);
  return (value) => (((value >>> from0) & mask0) << to0) | (((value >>> from1) & mask1) << to1);
}

/** Fields of one run of bits each. */
function simpleEmitter(match: number, fields: readonly BitField[]): Put {
  const at = (i: number): BitChunk => fields[i]?.chunks[0] ?? { from: 0, to: 0, width: 0 };
  const [m0, m1, m2, m3, m4, m5] = [0, 1, 2, 3, 4, 5].map((i) => ones(at(i).width));
  const [t0, t1, t2, t3, t4, t5] = [0, 1, 2, 3, 4, 5].map((i) => at(i).to);
  const [f0, f1, f2, f3, f4, f5] = [0, 1, 2, 3, 4, 5].map((i) => at(i).from);
  switch (fields.length) {
    case 0:
      return (sink) => put(sink, match);
    case 1:
      return (sink, a) => put(sink, match | (((a >> f0!) & m0!) << t0!));
    case 2:
      return (sink, a, b) => put(sink, match | (((a >> f0!) & m0!) << t0!) | (((b >> f1!) & m1!) << t1!));
    case 3:
      return (sink, a, b, c) =>
        put(sink, match | (((a >> f0!) & m0!) << t0!) | (((b >> f1!) & m1!) << t1!) | (((c >> f2!) & m2!) << t2!));
    case 4:
      return (sink, a, b, c, d) =>
        put(
          sink,
          match |
            (((a >> f0!) & m0!) << t0!) |
            (((b >> f1!) & m1!) << t1!) |
            (((c >> f2!) & m2!) << t2!) |
            (((d >> f3!) & m3!) << t3!),
        );
    default:
      return (sink, a, b, c, d, e, f) =>
        put(
          sink,
          match |
            (((a >> f0!) & m0!) << t0!) |
            (((b >> f1!) & m1!) << t1!) |
            (((c >> f2!) & m2!) << t2!) |
            (((d >> f3!) & m3!) << t3!) |
            (((e >> f4!) & m4!) << t4!) |
            (((f >> f5!) & m5!) << t5!),
        );
  }
}

function put(sink: WordSink, word: number): void {
  sink.ensure(4);
  sink.view.setInt32(sink.length, word, true);
  sink.length += 4;
}

/** Gives the index of the pattern that a word matches, or −1. Where several match it is the one with the most fixed bits. */
export type WordDecoder = (word: number) => number;

/** A node of the decision tree: some bits choose the next node; a leaf tries patterns one by one. */
type Node =
  | { readonly shift: number; readonly mask: number; readonly next: readonly (Node | undefined)[] }
  | { readonly tries: readonly number[] };

/** Nodes look at up to so many bits. */
const NODE_BITS = 8;

/** A decoder for patterns of one size. */
export function wordDecoder(patterns: readonly BitPattern[]): WordDecoder {
  const order = patterns.map((_, i) => i).sort((a, b) => countBits(patterns[b]!.mask) - countBits(patterns[a]!.mask));
  const root = nodeOf(patterns, order, 0);
  const excluding = patterns.map(({ fields }) => fields.filter(({ not }) => not.length > 0));
  return (word) => {
    let node: Node | undefined = root;
    while (node !== undefined && "next" in node) node = node.next[(word >>> node.shift) & node.mask];
    if (node === undefined) return -1;
    for (const i of node.tries) {
      const { mask, match } = patterns[i]!;
      if (((word ^ match) & mask) !== 0) continue;
      if (excluding[i]!.every((field) => !field.not.includes(fieldValue(field, word)))) return i;
    }
    return -1;
  };
}

function nodeOf(patterns: readonly BitPattern[], list: readonly number[], seen: number): Node | undefined {
  if (list.length === 0) return undefined;
  const common = list.reduce((mask, i) => mask & patterns[i]!.mask, -1) & ~seen;
  if (list.length === 1 || common === 0) return { tries: list };
  const shift = 31 - Math.clz32(common & -common);
  let width = 1;
  while (width < NODE_BITS && shift + width < 32 && ((common >>> (shift + width)) & 1) === 1) width++;
  const mask = ones(width);
  const lists = Array.from({ length: mask + 1 }, (): number[] => []);
  for (const i of list) lists[(patterns[i]!.match >>> shift) & mask]!.push(i);
  return { shift, mask, next: lists.map((part) => nodeOf(patterns, part, seen | (mask << shift))) };
}

function countBits(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/**
 * Pairs of patterns that one word can match, `[special, general]` where every fixed bit of the second is one of the first, too, and
 * the first is therefore found first; `clash` where neither is more special.
 */
export function overlaps(
  patterns: readonly BitPattern[],
): readonly { readonly ops: readonly [special: string, general: string]; readonly clash: boolean }[] {
  const pairs: { ops: [string, string]; clash: boolean }[] = [];
  patterns.forEach((a, i) => {
    for (const b of patterns.slice(i + 1)) {
      if (a.size !== b.size || ((a.match ^ b.match) & a.mask & b.mask) !== 0 || excludes(a, b) || excludes(b, a))
        continue;
      const inA = (b.mask & ~a.mask) === 0;
      const inB = (a.mask & ~b.mask) === 0;
      pairs.push({ ops: inA ? [a.op, b.op] : [b.op, a.op], clash: inA === inB });
    }
  });
  return pairs;
}

/** Whether `a` leaves out the only value that a field of it has in `b`. */
function excludes(a: BitPattern, b: BitPattern): boolean {
  return a.fields.some((field) => {
    const bits = field.chunks.reduce((mask, { to, width }) => mask | (ones(width) << to), 0);
    return (b.mask & bits) === bits && field.not.includes(fieldValue(field, b.match));
  });
}
