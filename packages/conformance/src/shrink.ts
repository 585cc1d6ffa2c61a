// Shrinking: from a program that shows a mistake to the smallest one that still does.
import { INSNS, type InsnKind, Insns, kindOf, OPS, opAt, type Program, targetOf, tryTrust } from "@bpfkit/core";

/** What {@link shrinkProgram} may spend. */
export interface ShrinkOptions {
  /** Programs that are tried at most; 2,000 unless told. */
  readonly attempts?: number;
}

/** Slots, a place that jumps name by the instruction they lead to, and the subprograms' starts, named the same way. */
interface Draft {
  /** The words of each instruction: two, or four. */
  readonly insns: readonly (readonly number[])[];
  /** Per instruction, the index of the one it jumps to or calls; -1 where it does neither. */
  readonly targets: readonly number[];
  readonly starts: readonly number[];
}

/**
 * The smallest program that it finds for which `stillFails` holds: it takes out runs of instructions, halves first and single ones
 * last, with jumps kept right; then it makes immediates, offsets and registers plain. The same input gives the same result, and only
 * programs that `trust` accepts are tried.
 *
 * @param stillFails - whether a candidate shows the mistake; it holds for `program` itself
 */
export function shrinkProgram(
  program: Program,
  stillFails: (program: Program) => boolean,
  { attempts = 2000 }: ShrinkOptions = {},
): Program {
  let best = draftOf(program);
  let smallest = program;
  let left = attempts;
  const attempt = (draft: Draft): boolean => {
    if (left <= 0) return false;
    const candidate = programOf(program, draft);
    if (candidate === undefined || !tryTrust(candidate).ok) return false;
    left--;
    if (!stillFails(candidate)) return false;
    best = draft;
    smallest = candidate;
    return true;
  };
  for (let changed = true; changed && left > 0; ) {
    changed = false;
    for (let run = best.insns.length >> 1; run >= 1; run >>= 1) {
      for (let at = best.insns.length - run; at >= 0; at -= run) changed = attempt(without(best, at, run)) || changed;
    }
    for (let at = 0; at < best.insns.length; at++) {
      // Plainer and plainer, as long as it goes.
      while (plainer(best.insns[at]!).some((insn) => attempt(replaced(best, at, insn)))) changed = true;
    }
  }
  return smallest;
}

function draftOf({ insns, subprogs }: Program): Draft {
  const index = new Map<number, number>();
  const list: number[][] = [];
  const slots: number[] = [];
  for (let at = 0; at < insns.length; at += insns.width(at)) {
    index.set(at, list.length);
    slots.push(at);
    list.push(Array.from(insns.words.subarray(2 * at, 2 * (at + insns.width(at)))));
  }
  const targets = slots.map((at) => {
    const op = opAt(insns, at);
    const target = op < 0 ? undefined : targetOf(insns, at, op);
    return target === undefined ? -1 : (index.get(target) ?? -1);
  });
  return { insns: list, targets, starts: subprogs.map(({ start }) => index.get(start) ?? 0) };
}

/** Takes out `count` instructions; what led to them leads to what follows them. */
function without({ insns, targets, starts }: Draft, at: number, count: number): Draft {
  const move = (to: number): number => (to < at ? to : to < at + count ? at : to - count);
  const keep = (_: unknown, i: number): boolean => i < at || i >= at + count;
  return {
    insns: insns.filter(keep),
    targets: targets.filter(keep).map((to) => (to < 0 ? to : move(to))),
    starts: [...new Set(starts.map(move))],
  };
}

function replaced(draft: Draft, at: number, insn: readonly number[]): Draft {
  return { ...draft, insns: draft.insns.map((words, i) => (i === at ? insn : words)) };
}

/** Simpler forms of an instruction: each field plain by itself, the boldest first. */
function plainer(words: readonly number[]): readonly (readonly number[])[] {
  const [word, imm] = words as [number, number];
  const op = opAt(new Insns(Int32Array.from(words)), 0);
  if (op < 0) return [];
  const name = OPS[op]!;
  const kind: InsnKind = kindOf(op);
  const usesImm = INSNS[name].text.includes("K") && kind !== "callHelper" && kind !== "callKfunc";
  const out: number[][] = [];
  const registers = (dst: number, src: number): number => (word & ~0xff00) | (dst << 8) | (src << 12);
  const [dst, src] = [(word >>> 8) & 15, (word >>> 12) & 15];
  if (usesImm) for (const value of simpler(imm)) out.push([word, value, ...words.slice(2)]);
  if (/[rw]S/.test(INSNS[name].text) && src > 1 && src < 10) out.push([registers(dst, 0), ...words.slice(1)]);
  if (/[rw]D/.test(INSNS[name].text) && dst > 1 && dst < 10) out.push([registers(0, src), ...words.slice(1)]);
  return out;
}

/** 0, 1, −1 and the half of a number, as far as they are simpler than it. */
function simpler(value: number): readonly number[] {
  const rank = [0, 1, -1].indexOf(value);
  return rank >= 0 ? [0, 1, -1].slice(0, rank) : [0, 1, -1, value >> 1];
}

/** The program of a draft, with every distance worked out again; undefined where one does not fit. */
function programOf(program: Program, { insns, targets, starts }: Draft): Program | undefined {
  const slots: number[] = [];
  let slot = 0;
  for (const words of insns) {
    slots.push(slot);
    slot += words.length / 2;
  }
  const words = insns.flat();
  for (const [i, target] of targets.entries()) {
    if (target < 0) continue;
    const to = slots[target];
    if (to === undefined) return undefined;
    const at = slots[i]!;
    const distance = to - at - 1;
    const code = words[2 * at]! & 0xff;
    const isShort = code !== INSNS.gotol.code && code !== INSNS.call_subprog.code && code !== INSNS.lddw.code;
    if (!isShort) words[2 * at + 1] = distance;
    else if (distance !== (distance << 16) >> 16) return undefined;
    else words[2 * at] = (words[2 * at]! & 0xffff) | (distance << 16);
  }
  const kept = starts.filter((start) => start < insns.length);
  if (insns.length === 0 || kept[0] !== 0) return undefined;
  const names = program.subprogs.map(({ name }) => name);
  return {
    ...program,
    insns: new Insns(Int32Array.from(words)),
    subprogs: kept.map((start, i) => ({ name: names[i]!, start: slots[start]! })),
  };
}
