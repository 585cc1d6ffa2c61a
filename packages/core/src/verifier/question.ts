// What a rejection is about: the registers, slots and references whose history explains it.

import { helperArgs } from "../spec/helper-words.ts";
import { type Cause, type Question, slotsOf } from "./causes.ts";
import { usesOf } from "./control-flow.ts";
import { helperSpec } from "./prototypes.ts";
import { baseOf, FRAME, isPacket } from "./register.ts";
import { ROWS, type Row } from "./rows.ts";
import { regAt } from "./state.ts";
import { HELD, registerPlace, slotPlace, type Trace } from "./trace.ts";
import type { Verification } from "./verification.ts";

/** A question, and the register that the message is about. */
export interface AboutRegister extends Question {
  readonly register: number | undefined;
}

/** Messages about what is held. */
const ABOUT_HELD =
  /reference leak$|^bpf_spin_unlock|holding a lock$|rcu_read|-ed region$|non-preemptible|unmatched|mixed with/;
/** Messages about who may do something at all: no value has a part in them. */
const ABOUT_NO_VALUE =
  /^(program of this type|calling kernel function|cannot call|invalid func|sleepable helper|BPF_LD_\[ABS|callback|recursive|LD_ABS)|not verified here yet$|without BTF$/;
const ABOUT_LOOPS = /^(infinite loop|BPF program is too large|The sequence of|the budget of)/;

/** The register that a reason names: the last line that names one tells. */
export function registerOf(lines: readonly string[]): number | undefined {
  for (let line = lines.length - 1; line >= 0; line--) {
    const match = /\bR(\d+)\b/.exec(lines[line]!);
    if (match !== null) return Number(match[1]);
  }
  return undefined;
}

/** @param lines - the reason, its last line last */
export function questionOf(
  v: Verification,
  trace: Trace,
  path: readonly number[],
  lines: readonly string[],
): AboutRegister {
  const reason = lines[lines.length - 1] ?? "";
  const top = v.state.frames.length - 1;
  const insn = v.state.insn;
  const row = ROWS[v.ops[insn]!]!;
  const nothing = { places: [], packet: false, unwritten: false, loop: [] };
  if (ABOUT_LOOPS.test(reason)) {
    const { places, loop } = loopOf(v, trace, path);
    return { ...nothing, register: undefined, places, loop };
  }
  if (ABOUT_HELD.test(reason)) {
    const named = /different lock/.test(reason) ? [registerPlace(top, 1)] : [];
    return { ...nothing, register: undefined, places: [HELD, ...named] };
  }
  if (ABOUT_NO_VALUE.test(reason)) return { ...nothing, register: undefined };
  const named = registerOf(lines);
  const registers = named === undefined ? registersOf(v, row, insn, reason) : withPartner(v, row, insn, named, reason);
  const register = named ?? registers[0];
  const places = registers.filter((reg) => reg !== 10).map((reg) => registerPlace(top, reg));
  const isStackRead = /^invalid (indirect )?(read|access).* stack/.test(reason);
  if (isStackRead) places.push(...readSlots(v, lines, register));
  if (/register fill$/.test(reason)) places.push(...slotsOf(trace.touchAt(path[path.length - 1]!)));
  const type = register === undefined ? 0 : baseOf(v.frame.words[regAt(register)]!);
  return {
    register,
    places,
    packet: isPacket(type),
    unwritten: isStackRead || /!read_ok$/.test(reason),
    loop: [],
  };
}

/** The other operand of pointer arithmetic; the size of a pointer's memory, or the map that tells it, and the pointer of a size. */
function withPartner(v: Verification, row: Row, insn: number, named: number, reason: string): number[] {
  const isArithmetic = row.kind === "alu" || row.kind === "div" || row.kind === "shift";
  if (isArithmetic && !/!read_ok$/.test(reason)) {
    const others = [v.insns.dst(insn), ...(row.immediate ? [] : [v.insns.src(insn)])];
    return [named, ...others.filter((reg) => reg !== named)];
  }
  const spec = row.kind === "callHelper" ? helperSpec(v.insns.imm(insn)) : undefined;
  if (spec === undefined || !/memory|value is|stack|zero-sized/.test(reason)) return [named];
  const args = helperArgs(spec, v.type.name);
  const isSize = (arg: string | undefined): boolean => arg !== undefined && /^(alloc-)?size0?$/.test(arg);
  const kind = args[named - 1] ?? "";
  const map = /^(key|value)/.test(kind) ? args.indexOf("map") + 1 : 0;
  return [
    named,
    ...(isSize(args[named]) ? [named + 1] : []),
    ...(isSize(kind) && named > 1 ? [named - 1] : []),
    ...(map > 0 ? [map] : []),
  ];
}

/** The registers that an instruction's message is about, where it names none. */
function registersOf(v: Verification, row: Row, insn: number, reason: string): number[] {
  const { insns } = v;
  const [dst, src] = [insns.dst(insn), insns.src(insn)];
  switch (row.kind) {
    case "load":
    case "loadSx":
    case "loadAcquire":
      return [src];
    case "store":
    case "storeRelease":
      return /spill/.test(reason) ? [src, dst] : [dst];
    case "storeImm":
    case "atomic":
      return [dst];
    case "exit":
      return [0];
    case "callHelper":
    case "tailCall": {
      const spec = helperSpec(insns.imm(insn));
      if (spec === undefined) return [];
      const wanted = /map_type|map /.test(reason) ? /^map/ : /zero-sized/.test(reason) ? /^size/ : /./;
      const args = helperArgs(spec, v.type.name);
      return args.flatMap((arg, index) => (wanted.test(arg) ? [index + 1] : []));
    }
    default: {
      const read = usesOf(insns, v.ops, insn) & 0x3ff;
      return Array.from({ length: 10 }, (_, reg) => reg).filter((reg) => ((read >> reg) & 1) === 1);
    }
  }
}

/** Slots that a reason says are read. */
function readSlots(v: Verification, lines: readonly string[], register: number | undefined): number[] {
  const match = /off=(-?\d+) size=(\d+)/.exec(lines.join("\n"));
  if (match === null || register === undefined) return [];
  const frame = v.frame.words[regAt(register) + FRAME]!;
  const first = Number(match[1]);
  const last = first + Number(match[2]) - 1;
  const places = new Set<number>();
  for (let offset = Math.max(-512, first); offset <= Math.min(-1, last); offset++)
    places.add(slotPlace(frame, (-offset - 1) >> 3));
  return [...places];
}

/** The branches of the loop that the path ended in, once round, and what they compare. */
function loopOf(
  v: Verification,
  trace: Trace,
  path: readonly number[],
): { readonly places: number[]; readonly loop: Cause[] } {
  const end = path.length - 1;
  const insn = trace.insns[path[end]!]!;
  const frames = trace.framesAt(path[end]!);
  let start = end - 1;
  while (start >= 0 && (trace.insns[path[start]!] !== insn || trace.framesAt(path[start]!) !== frames)) start--;
  const places = new Set<number>();
  const loop = new Map<number, Cause>();
  for (let at = Math.max(0, start); start >= 0 && at < end; at++) {
    const step = path[at]!;
    const i = trace.insns[step]!;
    const row = ROWS[v.ops[i]!]!;
    if (row.kind !== "jumpIf") continue;
    const frame = trace.framesAt(step) - 1;
    const from = [v.insns.dst(i), ...(row.immediate ? [] : [v.insns.src(i)])].map((reg) => registerPlace(frame, reg));
    for (const place of from) places.add(place);
    loop.set(i, {
      step,
      next: path[at + 1]!,
      insn: i,
      frame,
      role: "control",
      place: from[0]!,
      from: from.slice(1),
      loops: true,
      repeats: 0,
    });
  }
  return { places: [...places], loop: [...loop.values()] };
}
