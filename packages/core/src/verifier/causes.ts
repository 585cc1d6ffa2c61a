// The part of a path that its end depends on: from the values that matter there back to where they came from.
import { targetOf } from "../isa/targets.ts";
import { usesOf } from "./control-flow.ts";
import type { StepRole } from "./explanation.ts";
import { helperSpec } from "./prototypes.ts";
import { ROWS, type Row } from "./rows.ts";
import { frameOf, HELD, indexOf, isSlot, registerPlace, slotPlace, type Touch, type Trace } from "./trace.ts";
import type { Verification } from "./verification.ts";

/** One step of a path, and what it did to one place. */
export interface Cause {
  readonly step: number;
  /** The step after it on the path. */
  readonly next: number;
  readonly insn: number;
  readonly frame: number;
  readonly role: StepRole;
  readonly place: number;
  /** What the value was made from, or compared with. */
  readonly from: readonly number[];
  /** It came in with a call, or went out with a return. */
  readonly across?: "call" | "callback" | "return";
  /** A branch of a loop that goes on. */
  readonly loops?: true;
  /** How often the same instruction did the same between this step and the next one in the list. */
  readonly repeats: number;
}

const NOTHING: ReadonlySet<number> = new Set();

/** What is looked for. */
export interface Question {
  /** Places whose values at the end of the path matter. */
  readonly places: readonly number[];
  /** Comparisons of packet pointers matter even where they told nothing. */
  readonly packet: boolean;
  /** Branches matter that led past an instruction which writes one of the places. */
  readonly unwritten: boolean;
  /** Branches that matter anyway. */
  readonly loop: readonly Cause[];
}

/** Arguments that helpers pass on to their callbacks: the callback's register, and the caller's. */
const PASSED_ON: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  loop: { 2: 3 },
  for_each_map_elem: { 4: 3 },
  find_vma: { 1: 1, 3: 4 },
};

/**
 * Walks a path backwards, with the places that are wanted: a step that writes one of them is a cause, and what it read is wanted instead; a
 * branch that told something of one is a cause, too. O(steps of the path, and changes on it).
 */
export function causesOf(v: Verification, trace: Trace, path: readonly number[], question: Question): Cause[] {
  const walk = new Walk(v, trace, path, question);
  for (let at = path.length - 2; at >= 0 && walk.isOpen; at--) walk.back(at);
  walk.start();
  const causes = walk.causes();
  const branches = question.loop.filter(({ step }) => !causes.some((cause) => cause.step === step));
  return [...causes, ...branches].sort(inOrder);
}

class Walk {
  readonly #v: Verification;
  readonly #trace: Trace;
  readonly #path: readonly number[];
  readonly #question: Question;
  readonly #wanted: Set<number>;
  /** By instruction, place and role: the cause that was found first, which is the last one on the path, and the one found last. */
  readonly #found = new Map<string, { readonly late: Cause; early: Cause | undefined; count: number }>();
  /** Instructions that come later on the path. */
  readonly #later = new Set<number>();
  /** Branches whose other side has been looked at. */
  readonly #asked = new Set<number>();

  constructor(v: Verification, trace: Trace, path: readonly number[], question: Question) {
    this.#v = v;
    this.#trace = trace;
    this.#path = path;
    this.#question = question;
    this.#wanted = new Set(question.places);
    this.#later.add(trace.insns[path[path.length - 1]!]!);
  }

  /** Something is still wanted. */
  get isOpen(): boolean {
    return this.#wanted.size > 0;
  }

  causes(): Cause[] {
    const causes: Cause[] = [];
    for (const { late, early, count } of this.#found.values()) {
      if (early !== undefined) causes.push({ ...early, repeats: count - 2 });
      causes.push(late);
    }
    return causes;
  }

  #add(at: number, place: number, role: StepRole, from: readonly number[] = [], across?: Cause["across"]): void {
    const step = this.#path[at]!;
    const insn = this.#trace.insns[step]!;
    const cause: Cause = {
      step,
      next: this.#path[at + 1] ?? step,
      insn,
      frame: this.#trace.framesAt(step) - 1,
      role,
      place,
      from,
      ...(across === undefined ? {} : { across }),
      repeats: 0,
    };
    const key = `${insn} ${place} ${role}`;
    const found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, { late: cause, early: undefined, count: 1 });
    else {
      found.early = cause;
      found.count++;
    }
  }

  /** A place gets its value here. */
  #define(at: number, place: number, role: StepRole, from: readonly number[] = [], across?: Cause["across"]): void {
    this.#add(at, place, role, from, across);
    this.#wanted.delete(place);
    for (const other of from) this.#want(other);
  }

  #want(place: number): void {
    // r10 is what it always was.
    if (isSlot(place) || indexOf(place) !== 10) this.#wanted.add(place);
  }

  /** The step at index `at` of the path, whose result is the state of the next one. */
  back(at: number): void {
    const step = this.#path[at]!;
    const next = this.#path[at + 1]!;
    const insn = this.#trace.insns[step]!;
    const before = this.#trace.framesAt(step) - 1;
    const after = this.#trace.framesAt(next) - 1;
    const row = ROWS[this.#v.ops[insn]!]!;
    if (after > before) this.#enter(at, row, insn, before);
    else if (after < before) this.#leave(at, before, after);
    else this.#within(at, row, insn, before);
    this.#later.add(insn);
  }

  /** What is wanted at the start was there when the program began. */
  start(): void {
    if (this.#path.length === 0) return;
    for (const place of [...this.#wanted]) if (place !== HELD) this.#add(0, place, "entry");
  }

  #enter(at: number, row: Row, insn: number, caller: number): void {
    const callee = caller + 1;
    const isCallback = row.kind !== "callSubprog";
    const passed = isCallback ? (PASSED_ON[helperSpec(this.#v.insns.imm(insn))?.name ?? ""] ?? {}) : undefined;
    for (const place of [...this.#wanted]) {
      if (frameOf(place) === callee && place !== HELD) {
        const reg = isSlot(place) ? -1 : indexOf(place);
        const given = passed === undefined ? reg : (passed[reg] ?? -1);
        if (given >= 1 && given <= 5)
          this.#define(at, place, "copy", [registerPlace(caller, given)], isCallback ? "callback" : "call");
        else this.#define(at, place, "entry", [], isCallback ? "callback" : "call");
      } else if (frameOf(place) === caller && !isCallback && !isSlot(place) && indexOf(place) <= 5) {
        this.#define(at, place, "lost");
      }
    }
  }

  /** What a callback returns goes to its helper, not to its caller. */
  #leave(at: number, callee: number, caller: number): void {
    const r0 = registerPlace(caller, 0);
    if (!this.#wanted.has(r0)) return;
    let entered = at;
    while (entered > 0 && this.#trace.framesAt(this.#path[entered]!) > caller + 1) entered--;
    const site = this.#trace.insns[this.#path[entered]!]!;
    if (ROWS[this.#v.ops[site]!]!.kind === "callSubprog")
      this.#define(at, r0, "copy", [registerPlace(callee, 0)], "return");
  }

  #within(at: number, row: Row, insn: number, frame: number): void {
    const next = this.#path[at + 1]!;
    const changed = this.#trace.changesInto(next);
    const changes = changed.length === 0 ? NOTHING : new Set(changed);
    const touch = this.#trace.touchAt(this.#path[at]!);
    const written = usesOf(this.#v.insns, this.#v.ops, insn) >>> 16;
    const wanted = [...this.#wanted];
    let isCause = false;
    for (const place of wanted) {
      if (frameOf(place) === frame && !isSlot(place) && place !== HELD && ((written >> indexOf(place)) & 1) === 1) {
        this.#defineRegister(at, row, insn, frame, place, touch);
        isCause = true;
      } else if (isSlot(place) && touch !== undefined && this.#stores(at, row, insn, frame, place, touch, changes)) {
        isCause = true;
      } else if (changes.has(place)) {
        this.#change(at, row, insn, frame, place);
        isCause = true;
      }
    }
    if (!isCause && row.kind === "jumpIf") this.#control(at, insn, frame);
  }

  #defineRegister(at: number, row: Row, insn: number, frame: number, place: number, touch: Touch | undefined): void {
    const dst = registerPlace(frame, this.#v.insns.dst(insn));
    const src = registerPlace(frame, this.#v.insns.src(insn));
    switch (row.kind) {
      case "mov":
      case "movsx":
        if (row.immediate) this.#define(at, place, "origin");
        else this.#define(at, place, row.kind === "mov" && row.wide ? "copy" : "compute", [src]);
        return;
      case "alu":
      case "div":
      case "shift":
        this.#define(at, place, "compute", row.immediate || src === dst ? [dst] : [dst, src]);
        return;
      case "neg":
      case "end":
        this.#define(at, place, "compute", [dst]);
        return;
      case "load":
      case "loadSx":
      case "loadAcquire":
        if (touch === undefined) this.#define(at, place, "origin");
        else this.#define(at, place, "copy", slotsOf(touch));
        return;
      case "callHelper":
      case "tailCall":
      case "callKfunc":
      case "callSubprog":
      case "packetLoad":
        if (indexOf(place) !== 0) this.#define(at, place, "lost");
        else this.#define(at, place, "origin", row.kind === "callHelper" ? this.#sizeOf(insn, frame) : []);
        return;
      default:
        this.#define(at, place, "origin");
    }
  }

  /** The argument that says how long the memory is that a helper gives. */
  #sizeOf(insn: number, frame: number): number[] {
    const index = helperSpec(this.#v.insns.imm(insn))?.args.indexOf("alloc-size") ?? -1;
    return index < 0 ? [] : [registerPlace(frame, index + 1)];
  }

  /** A store that reaches a wanted slot; false for one that does not. */
  #stores(
    at: number,
    row: Row,
    insn: number,
    frame: number,
    place: number,
    touch: Touch,
    changes: ReadonlySet<number>,
  ): boolean {
    const isStore =
      row.kind === "store" || row.kind === "storeImm" || row.kind === "storeRelease" || row.kind === "atomic";
    const slot = indexOf(place);
    if (!isStore || touch.frame !== frameOf(place) || slot < touch.first || slot > touch.last) return false;
    const from = row.kind === "storeImm" ? [] : [registerPlace(frame, this.#v.insns.src(insn))];
    const isWhole = touch.first === touch.last && row.bytes === 8 && row.kind !== "atomic";
    if (isWhole) this.#define(at, place, from.length === 0 ? "origin" : "copy", from);
    else if (changes.has(place) || touch.first === touch.last) {
      this.#add(at, place, changes.has(place) ? "lost" : "compute", from);
      for (const other of from) this.#want(other);
    }
    return true;
  }

  /** A wanted place is something else behind an instruction that does not write it. */
  #change(at: number, row: Row, insn: number, frame: number, place: number): void {
    const isCall = row.kind === "callHelper" || row.kind === "callKfunc" || row.kind === "callSubprog";
    if (place === HELD) this.#add(at, place, "compute");
    else if (isCall && isSlot(place) && !this.#forgets(row, insn)) this.#define(at, place, "origin");
    else if (row.kind === "jumpIf") {
      const dst = registerPlace(frame, this.#v.insns.dst(insn));
      const src = registerPlace(frame, this.#v.insns.src(insn));
      const others = row.immediate ? [dst] : [dst, src];
      const from = others.filter((other) => other !== place);
      this.#add(at, place, "refined", from);
      for (const other of from) this.#want(other);
    } else this.#add(at, place, isCall ? "lost" : "refined");
  }

  /** A call that makes pointers worthless, wherever they are: into the packet, or of a reference that it gives back. */
  #forgets(row: Row, insn: number): boolean {
    const spec = row.kind === "callHelper" ? helperSpec(this.#v.insns.imm(insn)) : undefined;
    return row.kind === "callSubprog" || spec?.changesPacket === true || spec?.releases !== undefined;
  }

  /** A branch that told nothing of what is wanted, but without which the path would be another one. */
  #control(at: number, insn: number, frame: number): void {
    const { packet, unwritten } = this.#question;
    if (packet && this.#trace.comparesPackets(this.#path[at]!)) {
      const dst = registerPlace(frame, this.#v.insns.dst(insn));
      const src = registerPlace(frame, this.#v.insns.src(insn));
      this.#add(at, dst, "control", [src]);
      this.#want(dst);
      this.#want(src);
      return;
    }
    if (!unwritten || this.#asked.has(insn)) return;
    this.#asked.add(insn);
    const target = targetOf(this.#v.insns, insn, this.#v.ops[insn]!)!;
    const went = this.#trace.insns[this.#path[at + 1]!]!;
    const other = went === target ? insn + 1 : target;
    for (const place of this.#wanted) {
      if (place === HELD || frameOf(place) !== frame || other === went) continue;
      if (this.#writesAhead(other, place)) {
        this.#add(at, place, "control", [registerPlace(frame, this.#v.insns.dst(insn))]);
        return;
      }
    }
  }

  /** Whether a way from `from` writes a place before it comes to what was walked later. */
  #writesAhead(from: number, place: number): boolean {
    const { insns, ops, structure } = this.#v;
    const { start, end } = structure.subprogs[structure.subprogAt(from)]!;
    const seen = new Set<number>();
    const waiting = [from];
    for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
      if (i < start || i >= end || seen.has(i) || this.#later.has(i)) continue;
      seen.add(i);
      const row = ROWS[ops[i]!]!;
      if (writes(this.#v, row, i, place)) return true;
      if (row.kind === "exit") continue;
      const target = row.kind === "callSubprog" || row.kind === "loadImm64" ? undefined : targetOf(insns, i, ops[i]!);
      if (target !== undefined) waiting.push(target);
      if (row.kind !== "jump") waiting.push(i + insns.width(i));
    }
    return false;
  }
}

/** Whether an instruction writes a register, or a slot by way of r10. */
function writes(v: Verification, row: Row, i: number, place: number): boolean {
  if (!isSlot(place)) {
    const isCall = row.kind === "callHelper" || row.kind === "callKfunc" || row.kind === "callSubprog";
    return ((usesOf(v.insns, v.ops, i) >>> (16 + indexOf(place))) & 1) === 1 && !(isCall && indexOf(place) !== 0);
  }
  if (row.kind !== "store" && row.kind !== "storeImm") return false;
  return v.insns.dst(i) === 10 && (-v.insns.off(i) - 1) >> 3 === indexOf(place);
}

/** The places that an instruction accesses on the stack. */
export function slotsOf(touch: Touch | undefined): number[] {
  const places: number[] = [];
  if (touch === undefined) return places;
  const { frame, first, last } = touch;
  for (let slot = first; slot <= last; slot++) places.push(slotPlace(frame, slot));
  return places;
}

/** As they were walked; what was there before an instruction comes before what it did. */
function inOrder(a: Cause, b: Cause): number {
  return a.step - b.step || Number(b.role === "entry") - Number(a.role === "entry");
}
