// Random programs and random edits, seeded, done to a patch list and to the naive oracle alike.
import { Insns, packWord } from "../../src/isa/insns.ts";
import { Reach, reachOf } from "../../src/patch/branches.ts";
import { type Linearized, linearize } from "../../src/patch/linearize.ts";
import { PatchList } from "../../src/patch/list.ts";
import type { Metadata } from "../../src/patch/metadata.ts";
import type { Program } from "../../src/program.ts";
import { type Destination, Naive } from "./naive.ts";

export type Random = (n: number) => number;

/** A number below n; equal seeds give equal sequences. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

const [MOV, MOV32, LDDW, JNE, JSET, JA, GOTOL, CALL, EXIT, MAY_GOTO] = [
  0xb7, 0xb4, 0x18, 0x55, 0x45, 0x05, 0x06, 0x85, 0x95, 0xe5,
];

/** Words of random instructions that fill `slots`; jumps are left at 0. `mark` gives immediates that tell them apart. */
function shapes(random: Random, slots: number, mark: () => number, inner: boolean): number[] {
  const words: number[] = [];
  while (words.length < 2 * slots) {
    const left = slots - words.length / 2;
    const kind = random(inner ? 9 : 12);
    if (kind < 3) words.push(packWord(random(2) === 0 ? MOV : MOV32, random(10), 0, 0), mark());
    else if (kind < 4 && left > 1) words.push(packWord(LDDW, random(10), 0, 0), mark(), 0, mark());
    else if (kind < 6) words.push(packWord(random(2) === 0 ? JNE : JSET, 1, 0, 0), mark());
    else if (kind === 6) words.push(packWord(JA, 0, 0, 0), 0);
    else if (kind === 7) words.push(packWord(GOTOL, 0, 0, 0), 0);
    else if (kind === 8) words.push(packWord(MAY_GOTO, 0, 0, 0), 0);
    else if (kind === 9) words.push(packWord(CALL, 0, 1, 0), 0);
    else if (kind === 10 && left > 1) words.push(packWord(LDDW, 2, 4, 0), 0, 0, 0);
    else words.push(packWord(EXIT, 0, 0, 0), 0);
  }
  return words;
}

/** Slots where an instruction begins. */
export function starts(words: ArrayLike<number>): number[] {
  const slots: number[] = [];
  for (let i = 0; i < words.length / 2; i++) {
    slots.push(i);
    if ((words[2 * i]! & 0xff) === LDDW) i++;
  }
  return slots;
}

function point(words: number[], at: number, to: number): void {
  if (reachOf(words[2 * at]!) === Reach.OFFSET) words[2 * at] = (words[2 * at]! & 0xffff) | ((to - at - 1) << 16);
  else words[2 * at + 1] = to - at - 1;
}

export interface Subject {
  readonly program: Program;
  readonly metadata: Metadata;
}

/** A program with everything that can point at code, pointing at random places. */
export function randomSubject(random: Random): Subject {
  let marks = 1000;
  const words = shapes(random, 1 + random(24), () => marks++, false);
  const slots = words.length / 2;
  const begins = starts(words);
  const any = (): number => begins[random(begins.length)]!;
  const subprogs = [...new Set([0, ...Array.from({ length: random(4) }, any)])].sort((a, b) => a - b);
  for (const at of begins) {
    const reach = reachOf(words[2 * at]!);
    if (reach >= Reach.CALL) point(words, at, subprogs[random(subprogs.length)]!);
    else if (reach !== Reach.NONE) point(words, at, any());
  }
  const insn = Uint32Array.from(begins.filter(() => random(3) === 0));
  const column = (base: number): Uint32Array => insn.map((_, index) => base + index);
  const values = (base: number): Int32Array => Int32Array.from({ length: slots }, (_, index) => base + index);
  return {
    program: {
      name: "random",
      type: "xdp",
      license: "GPL",
      insns: new Insns(Int32Array.from(words)),
      subprogs: subprogs.map((start) => ({ name: `at${start}`, start })),
      ...(random(4) === 0
        ? {}
        : {
            lines: {
              insn,
              file: column(0),
              line: column(100),
              column: column(7),
              text: Array.from(insn, (at) => `line of ${at}`),
              files: ["random.c"],
            },
          }),
      maps: [],
      kfuncs: [],
    },
    metadata: {
      aux: [
        { name: "state", inserted: "zero", values: values(50) },
        { name: "seen", inserted: "origin", values: values(90) },
        { name: "zext", inserted: "upper-half", values: Int32Array.from({ length: slots }, () => random(2)) },
      ],
      funcs: [{ name: "type", values: Uint32Array.from(subprogs, (start) => 500 + start) }],
      tables: [
        { name: "poke", onDelete: "drop", insn: Int32Array.from(begins.filter(() => random(4) === 0)) },
        { name: "jumps", onDelete: "mark", insn: Int32Array.from({ length: random(5) }, any) },
      ],
    },
  };
}

/** One random history of a subject, done both ways; `listOf` gives the list for a program. */
export function randomHistory(
  seed: number,
  listOf: (program: Program) => PatchList = (program) => new PatchList(program),
): { subject: Subject; list: PatchList; naive: Naive; edits: string[] } {
  const random = seeded(seed);
  const subject = randomSubject(random);
  const list = listOf(subject.program);
  const naive = new Naive(subject.program, subject.metadata);
  const edits: string[] = [];
  let marks = 100_000;
  for (let left = random(12); left > 0; left--) {
    if (random(4) === 0) list.beginPass(`pass ${left}`);
    const nodes = [...list];
    const at = nodes[random(nodes.length)]!;
    const index = naive.indexOf(at);
    const kind = random(10);
    if (kind < 3) {
      if (naive.slots.length <= list.width(at)) continue;
      edits.push(`delete ${at}`);
      list.delete(at);
      naive.delete(index);
      continue;
    }
    const words = shapes(random, 1 + random(4), () => marks++, true);
    const begins = [...starts(words), words.length / 2];
    const isReplace = kind < 8;
    const aims: [number, number][] = [];
    for (const slot of begins.slice(0, -1)) {
      if (reachOf(words[2 * slot]!) === Reach.NONE) continue;
      if (random(3) === 0) aims.push([slot, nodes[random(nodes.length)]!]);
      else point(words, slot, begins[random(begins.length)]!);
    }
    const old = naive.slots[index]!;
    const { aux, owned } = old;
    const copies = isReplace && random(3) === 0;
    const target = list.target(at);
    let destination: Destination | undefined = copies && target !== undefined ? naive.destination(index) : undefined;
    if (copies) words.push(...list.words(at));
    const slots = words.length / 2;
    edits.push(`${isReplace ? "replace" : "prepend"} ${at} by ${slots}${copies ? " with itself" : ""}`);
    const first = isReplace ? list.replace(at, words) : list.prepend(at, words);
    const same = isReplace ? naive.replace(index, words) : naive.prepend(index, words);
    if (first !== same) throw new Error(`node ${first} here, ${same} there`);
    const standing = (node: number): number => naive.indexOf(node === at && isReplace ? first : node);
    for (const [slot, node] of aims) {
      list.aim(first + slot, node);
      naive.aim(naive.indexOf(first + slot), { to: standing(node), falls: false });
    }
    if (!copies) continue;
    const copy = first + slots - list.width(at);
    if (destination !== undefined) {
      const by = slots - list.width(at);
      if (destination.to > index) destination = { ...destination, to: destination.to + by };
      list.aim(copy, target!);
      naive.aim(naive.indexOf(copy), destination);
    }
    if (random(2) === 0) {
      list.inherit(copy, at);
      if (owned) naive.inherit(naive.indexOf(copy), aux);
    }
  }
  return { subject, list, naive, edits };
}

export function linearized({ subject, list }: { subject: Subject; list: PatchList }): Linearized {
  return linearize(list, { metadata: subject.metadata, provenance: true });
}

/** Whether two values hold the same numbers, texts, lists and columns; a typed array equals a list. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  if (left.length !== right.length) return false;
  if (typeof left.length === "number" && "forEach" in left) {
    for (let i = 0; i < left.length; i++) if (!isEqual(left[i], right[i])) return false;
    return true;
  }
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => isEqual(left[key], right[key]));
}
