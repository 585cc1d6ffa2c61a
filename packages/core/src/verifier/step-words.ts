// Steps of a path in words: what an instruction did to a value.
import { printInsn } from "../asm/print.ts";
import { targetOf } from "../isa/targets.ts";
import type { Cause } from "./causes.ts";
import { helperSpec } from "./prototypes.ts";
import type { Row } from "./rows.ts";
import type { VerifierFrame, VerifierState, VerifierValue } from "./states.ts";
import { frameOf, HELD, indexOf, isSlot } from "./trace.ts";
import { boundsText, valueWords } from "./value-words.ts";
import type { Verification } from "./verification.ts";

/** What the words are about. */
export interface Told {
  readonly v: Verification;
  readonly row: Row;
  readonly before: VerifierState;
  readonly after: VerifierState;
}

/** A place as people call it: `R2`, `fp-8`, and `R2 of f` inside of a call. */
export function placeName(place: number, frames: readonly Pick<VerifierFrame, "subprog">[]): string {
  if (place === HELD) return "references";
  const name = isSlot(place) ? `fp-${8 * (indexOf(place) + 1)}` : `R${indexOf(place)}`;
  const frame = frameOf(place);
  return frame === 0 ? name : `${name} of ${frames[frame]?.subprog ?? `frame ${frame}`}`;
}

/** The value of a place; undefined for one that holds nothing, or no single value. */
export function valueAt(state: VerifierState, place: number): VerifierValue | undefined {
  const frame = state.frames[frameOf(place)];
  if (place === HELD || frame === undefined) return undefined;
  if (!isSlot(place)) return frame.registers[indexOf(place)];
  return frame.stack.find(({ offset }) => offset === -8 * (indexOf(place) + 1))?.value;
}

/** A place as the log prints what it holds; undefined for nothing. */
export function placeText(state: VerifierState, place: number): string | undefined {
  if (place === HELD) return heldText(state);
  if (!isSlot(place)) return valueAt(state, place)?.text;
  const slot = state.frames[frameOf(place)]?.stack.find(({ offset }) => offset === -8 * (indexOf(place) + 1));
  return slot?.text.replace(/^fp-\d+=/, "");
}

/** What a path holds and has to give back; empty for nothing. */
export function heldText({ references, lock, rcuSections, preemptSections }: VerifierState): string {
  const parts = references.map(({ id, insn }) => `id=${id} (insn ${insn})`);
  if (lock !== undefined) parts.push(`lock of ${lock}`);
  if (rcuSections > 0) parts.push(`${rcuSections} RCU read section${rcuSections > 1 ? "s" : ""}`);
  if (preemptSections > 0) parts.push(`${preemptSections} section${preemptSections > 1 ? "s" : ""} without preemption`);
  return parts.join(", ");
}

/** What happened at a cause, in words. */
export function stepWords(told: Told, cause: Cause): string {
  const { before, after } = told;
  const frames = after.frames.length > before.frames.length ? after.frames : before.frames;
  const name = placeName(cause.place, frames);
  const from = cause.from.map((place) => placeName(place, frames));
  const value = valueAt(after, cause.place);
  switch (cause.role) {
    case "entry":
      return entryWords(told, cause, name, value);
    case "lost":
      return lostWords(told, cause, name);
    case "refined":
    case "control":
      return branchWords(told, cause, name);
    case "copy":
      if (cause.across === "return") return `${name} is what ${subprogOf(before)} returns: ${valueWords(value)}`;
      if (cause.across === "call") return `${name} is ${from[0]}, passed as an argument: ${valueWords(value)}`;
      if (cause.across === "callback")
        return `${name} is ${from[0]}, passed on by ${nameOfCall(told.v, told.row, cause.insn)}: ${valueWords(value)}`;
      if (told.row.kind === "store" || told.row.kind === "storeRelease")
        return `${name} takes ${from[0]}: ${valueWords(value)}`;
      if (told.row.kind === "mov") return `${name} becomes a copy of ${from[0]}: ${valueWords(value)}`;
      return `${name} is loaded from ${from.join(", ")}: ${valueWords(value)}`;
    case "compute":
      return computeWords(told, cause, name, from, value);
    case "origin":
      return originWords(told, cause, name, value);
  }
}

function subprogOf({ frames }: VerifierState): string {
  return frames[frames.length - 1]!.subprog;
}

function entryWords({ before, after }: Told, cause: Cause, name: string, value: VerifierValue | undefined): string {
  if (cause.across === undefined) {
    const begin = `${before.frames[0]!.subprog} begins`;
    const first = valueAt(before, cause.place);
    return first === undefined
      ? `${name} holds nothing when ${begin}`
      : `${name} is ${valueWords(first)} when ${begin}`;
  }
  const callee = after.frames[after.frames.length - 1]!;
  const begin = `when ${callee.subprog} begins`;
  if (value === undefined) return `${name} holds nothing ${begin}`;
  return callee.callback === undefined
    ? `${name} is ${valueWords(value)} ${begin}`
    : `${name} is ${valueWords(value)}, given by bpf_${callee.callback} ${begin}`;
}

/** The name of what is called. */
export function nameOfCall({ program, insns, ops, structure }: Verification, row: Row, insn: number): string {
  if (row.kind === "callKfunc") return program.kfuncs[insns.imm(insn)] ?? "the kernel function";
  if (row.kind !== "callSubprog") return `bpf_${helperSpec(insns.imm(insn))?.name ?? "unknown"}`;
  return structure.subprogs[structure.subprogAt(targetOf(insns, insn, ops[insn]!)!)]!.name;
}

function lostWords(told: Told, cause: Cause, name: string): string {
  const { kind } = told.row;
  const isCall = kind === "callHelper" || kind === "callKfunc" || kind === "callSubprog" || kind === "tailCall";
  if (kind === "packetLoad") return `${name} is overwritten: loads from the packet leave nothing in R1 to R5`;
  if (isCall && !isSlot(cause.place) && indexOf(cause.place) <= 5 && valueAt(told.after, cause.place) === undefined)
    return `${name} is overwritten by the call, which leaves nothing in R1 to R5`;
  const value = valueAt(told.after, cause.place);
  const was = valueAt(told.before, cause.place);
  if (isCall && was !== undefined && /^pkt/.test(was.type) && value?.type === "scalar")
    return `${name} points into the packet no more: ${nameOfCall(told.v, told.row, cause.insn)} may move it`;
  if (isCall && was !== undefined && was.reference !== 0 && value?.type === "scalar")
    return `${name} may be used no more: ${nameOfCall(told.v, told.row, cause.insn)} gives its reference back`;
  if (value === undefined && isSlot(cause.place)) return `${name} is overwritten in part`;
  return `${name} becomes ${valueWords(value)}`;
}

/** The condition of a branch, and whether it held on the way from one state to the next. */
function conditionOf({ v, after }: Told, insn: number): { readonly text: string; readonly holds: boolean } {
  const text = /^if (.*) goto/.exec(printInsn(v.insns, insn))?.[1] ?? "the condition";
  const target = targetOf(v.insns, insn, v.ops[insn]!);
  return { text: text.replaceAll(/\br(\d+)\b/g, "R$1"), holds: after.insn === target && target !== insn + 1 };
}

function branchWords(told: Told, cause: Cause, name: string): string {
  if (told.row.kind !== "jumpIf") return `${name} becomes ${placeText(told.after, cause.place) ?? "nothing"}`;
  const { text, holds } = conditionOf(told, cause.insn);
  const branch = holds ? `branch taken, ${text}` : `branch not taken, ${text} is false`;
  const [was, value] = [valueAt(told.before, cause.place), valueAt(told.after, cause.place)];
  if (cause.role === "control") {
    if (value !== undefined && /^pkt/.test(value.type))
      return `${branch}: nothing of the packet is checked on this side`;
    return cause.loops === true ? `${branch}: round again` : `${branch}: what writes ${name} is passed over`;
  }
  if (cause.place === HELD) return `${branch}: the pointer is null, and nothing has to be given back`;
  if (value?.checked !== undefined && was?.checked !== value.checked)
    return `${branch}: ${value.checked} bytes of the packet are checked`;
  if (was?.type.includes("or_null") && value !== undefined)
    return value.type === "scalar" ? `${branch}: ${name} is null, the number 0` : `${branch}: ${name} is not null`;
  return `${branch}: ${name} is ${valueWords(value)}`;
}

function computeWords(
  told: Told,
  cause: Cause,
  name: string,
  from: readonly string[],
  value: VerifierValue | undefined,
): string {
  const { row, before } = told;
  const { insns } = told.v;
  if (cause.place === HELD) return heldWords(told, cause);
  if (row.kind === "atomic") return `${name} is changed in memory: ${valueWords(value)}`;
  if (row.kind === "store" || row.kind === "storeImm" || row.kind === "storeRelease")
    return `${name} is overwritten in part, with ${from[0] ?? "a constant"}: ${placeText(told.after, cause.place) ?? "nothing"}`;
  if (row.kind === "mov" || row.kind === "movsx")
    return `${name} takes the lower bits of ${from[0]}: ${valueWords(value)}`;
  const isPointer = value !== undefined && value.type !== "scalar";
  if (isPointer && row.kind === "alu") {
    const number = cause.from.map((place) => valueAt(before, place)).find((other) => other?.type === "scalar");
    const by = row.immediate ? `${insns.imm(cause.insn)}` : boundsText(number ?? value);
    const way = row.operation === "sub" ? "back" : "on";
    return `${name} is moved ${way} by ${row.immediate ? by : number === undefined || by === undefined ? "any number" : `a number ${by}`}`;
  }
  const others = from.filter((other) => other !== name);
  return others.length === 0
    ? `${name} becomes ${valueWords(value)}`
    : `${name} is computed with ${others.join(" and ")}: ${valueWords(value)}`;
}

function heldWords(told: Told, cause: Cause): string {
  const { before, after } = told;
  const added = after.references.filter(({ id }) => !before.references.some((held) => held.id === id));
  const gone = before.references.filter(({ id }) => !after.references.some((held) => held.id === id));
  const call = nameOfCall(told.v, told.row, cause.insn);
  if (added.length > 0) return `${call} acquires a reference, id=${added.map(({ id }) => id).join(", ")}`;
  if (gone.length > 0)
    return told.row.kind === "jumpIf"
      ? branchWords(told, { ...cause, role: "refined" }, "")
      : `${call} gives the reference id=${gone.map(({ id }) => id).join(", ")} back`;
  if (before.lock !== after.lock)
    return after.lock === undefined ? `${call} gives the lock back` : `${call} takes the lock`;
  return `${call}: ${heldText(after) || "nothing is held any more"}`;
}

function originWords(told: Told, cause: Cause, name: string, value: VerifierValue | undefined): string {
  const { row, before } = told;
  const { insns } = told.v;
  switch (row.kind) {
    case "callHelper":
    case "callKfunc":
    case "callSubprog":
    case "tailCall": {
      const call = nameOfCall(told.v, told.row, cause.insn);
      if (isSlot(cause.place)) return `${name} is filled by ${call}`;
      return value === undefined
        ? `${call} returns nothing: ${name} may not be read`
        : `${name} is what ${call} returns: ${valueWords(value)}`;
    }
    case "load":
    case "loadSx":
    case "loadAcquire": {
      const base = before.frames[before.frames.length - 1]!.registers[insns.src(cause.insn)];
      const memory = base === undefined ? "memory" : memoryName(base);
      return value !== undefined && value.type !== "scalar"
        ? `${name} becomes ${valueWords(value)}`
        : `${name} is loaded from ${memory}: ${valueWords(value)}`;
    }
    case "packetLoad":
      return `${name} is loaded from the packet: ${valueWords(value)}`;
    case "atomic":
      return `${name} takes what was in memory: ${valueWords(value)}`;
    case "storeImm":
      return `${name} becomes ${valueWords(value)}`;
    default:
      return `${name} becomes ${valueWords(value)}`;
  }
}

/** Memory that a pointer leads to. */
export function memoryName({ type, map }: VerifierValue): string {
  if (type.startsWith("map_value")) return `a value of map "${map}"`;
  if (type.startsWith("map_key")) return `a key of map "${map}"`;
  if (type === "ctx") return "the context";
  if (type === "fp") return "the stack";
  if (type.startsWith("pkt")) return "the packet";
  if (type.includes("ptr_")) return "a kernel object";
  return "memory";
}
