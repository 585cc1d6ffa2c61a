// The verifier's log, in the words of the kernel's own.
import { printInsn } from "../asm/print.ts";
import { BpfError } from "../errors.ts";
import { preambleLines } from "./log-preamble.ts";
import { baseOf, REG_WORDS, Type } from "./register.ts";
import { ROWS } from "./rows.ts";
import { objectText } from "./special-slots.ts";
import { isFullSpill, isSpecial, isSpill, KINDS, kindAt, regAt, SPILLS, type State, spillAt } from "./state.ts";
import { eachStored, type StoredState } from "./store.ts";
import { registerText } from "./text.ts";
import type { Verification } from "./verification.ts";

/** How much is logged: nothing but why a program is rejected; the path that led there; every path. */
export type LogLevel = 0 | 1 | 2;

/** Words of the log: those of the kernels whose rules are here, or with the report of the one after them. */
export type LogDialect = "7.2" | "7.3";

const KIND_LETTERS = "?rm0id";
/** Where the state behind an instruction begins: in column 38, or 8, 16, … behind it where the instruction is long. */
function columnBehind(length: number): number {
  return 8 * Math.ceil(Math.max(length + 5, 40) / 8) - 2;
}

/** Collects lines; costs nothing at level 0. */
export class Log {
  readonly level: LogLevel;
  readonly lines: string[] = [];
  /** Whether it is told of states that were compared, and of what counts in them. */
  readonly records: boolean = false;
  /** Characters that may be kept; older lines go first. */
  readonly limit: number;
  /** Lines that were dropped because there were too many. */
  dropped = 0;
  #size = 0;
  /** Registers and slots that the current instruction touched. */
  #regs = 0;
  readonly #slots = new Map<number, number>();
  /** Where the lines of each waiting path begin, for level 1: how many there were, and the last one as it was. */
  readonly #marks = new WeakMap<State<StoredState>, { readonly count: number; readonly text: string }>();
  #resumed: "no" | "popped" | "returned" = "no";
  /** The instruction whose state is to be shown, once the path has come to the next one; −1 for none. */
  #shown = -1;

  constructor(level: LogLevel, limit: number) {
    if (!Number.isInteger(limit) || limit < 0) throw new BpfError("argument", `a log of ${limit} characters`);
    this.level = level;
    this.limit = limit;
  }

  add(line: string): void {
    this.lines.push(line);
    this.#size += line.length + 1;
    if (this.#size > this.limit) this.#drop();
  }

  /** A quarter at a time: dropping line by line would move all others for each. */
  #drop(): void {
    let count = 0;
    while (this.#size > 0.75 * this.limit && count < this.lines.length - 1)
      this.#size -= this.lines[count++]!.length + 1;
    this.lines.splice(0, count);
    this.dropped += count;
  }

  mark(reg: number): void {
    if (this.level !== 0) this.#regs |= 1 << reg;
  }

  /** What stands at a place of a frame's words is touched along with something else. */
  markAt(frame: number, at: number): void {
    if (this.level === 0) return;
    if (at >= SPILLS) this.markSlot(frame, Math.floor((at - SPILLS) / REG_WORDS));
    else this.#regs |= 1 << Math.floor(at / REG_WORDS);
  }

  markSlot(frame: number, slot: number): void {
    if (this.level !== 0) this.#slots.set(frame * 64 + slot, 1);
  }

  begin(v: Verification): void {
    if (this.level === 0) return;
    if (v.root === 0 && this.level === 2) for (const line of preambleLines(v)) this.add(line);
    this.add(`${v.state.insn}:${this.stateText(v, v.state, true)}`);
  }

  /** An instruction is about to run. */
  before(v: Verification, i: number): void {
    if (this.level === 0) return;
    if (this.#shown >= 0) this.#show(v, this.#shown, i);
    if (this.level === 2 && this.#resumed !== "no") {
      const from = v.state.previous;
      if (from >= 0) {
        this.add("");
        this.add(`from ${from} to ${i}:${this.stateText(v, v.state, true)}`);
      }
      if (this.#resumed === "popped") this.add(`${i}:${this.stateText(v, v.state, true)}`);
    }
    this.#resumed = "no";
    this.#regs = 0;
    this.#slots.clear();
    this.add(insnText(v, i));
  }

  /** It has run: what it touched. */
  after(v: Verification, i: number): void {
    if (this.level === 0 || (this.#regs === 0 && this.#slots.size === 0)) return;
    // What a branch has told is shown at once; what others left behind, when what nobody reads any more has been forgotten.
    if (ROWS[v.ops[i]!]!.kind === "jumpIf") this.#show(v, i, i);
    else this.#shown = i;
  }

  /** Shows what instruction `i` touched: behind it or, where lines follow it already, on a line of its own. */
  #show(v: Verification, i: number, label: number): void {
    this.#shown = -1;
    const text = this.stateText(v, v.state, false);
    const last = this.lines.length - 1;
    const line = this.lines[last] ?? "";
    if (!line.startsWith(`${i}: (`)) this.add(`${label}:${text}`);
    else if (!line.endsWith(") exit") && !line.includes(" ; ")) {
      this.lines[last] = `${line.padEnd(columnBehind(line.length))};${text}`;
      this.#size += this.lines[last]!.length - line.length;
    }
  }

  /** A path waits: at level 1, what is logged until it goes on will be taken back. */
  forked(other: State<StoredState>): void {
    if (this.level === 1)
      this.#marks.set(other, { count: this.dropped + this.lines.length, text: this.lines.at(-1) ?? "" });
  }

  /** The program is accepted: level 1 has nothing to say. */
  accepted(): void {
    if (this.level === 1) this.lines.length = 0;
  }

  entered(v: Verification): void {
    if (this.level === 0) return;
    const frames = v.state.frames.length;
    this.add("caller:");
    this.add(this.stateText(v, v.state, true, frames - 2));
    this.add("callee:");
    this.add(this.stateText(v, v.state, true));
    this.add(`${v.state.insn}:${this.stateText(v, v.state, true)}`);
    this.#forget();
  }

  returning(v: Verification): void {
    if (this.level === 0) return;
    this.add("returning from callee:");
    this.add(this.stateText(v, v.state, true));
  }

  returned(v: Verification, to: number): void {
    if (this.level === 0) return;
    this.add(`to caller at ${to}:`);
    this.add(this.stateText(v, v.state, true));
    this.#forget();
    this.#resumed = "returned";
  }

  /** Nothing of what was touched is to be shown. */
  #forget(): void {
    this.#regs = 0;
    this.#slots.clear();
    this.#shown = -1;
  }

  resumed(v: Verification): void {
    if (this.level === 0) return;
    this.#resumed = "popped";
    this.#shown = -1;
    if (this.level !== 1) return;
    const { count, text } = this.#marks.get(v.state) ?? { count: this.dropped, text: "" };
    const kept = Math.max(0, Math.min(this.lines.length, count - this.dropped));
    for (let i = kept; i < this.lines.length; i++) this.#size -= this.lines[i]!.length + 1;
    this.lines.length = kept;
    const state = `${v.state.insn}:${this.stateText(v, v.state, true)}`;
    const last = this.lines.length - 1;
    if (last < 0) {
      this.add(state);
      return;
    }
    const joined = `${text} ${state}`;
    this.#size += joined.length - this.lines[last]!.length;
    this.lines[last] = joined;
  }

  /** The current state was compared with a stored one in vain. */
  missed(_v: Verification, _stored: StoredState): void {}

  /** More of a stored state counts from now on: the marks that were added, as in `StoredState.precise`. */
  marked(_v: Verification, _stored: StoredState, _added: Int32Array): void {}

  pruned(v: Verification, _stored: StoredState): void {
    if (this.level < 2) return;
    const { insn, previous } = v.state;
    if (this.#resumed === "no" || previous < 0) this.add(`${insn}: safe`);
    else for (const line of ["", `from ${previous} to ${insn}: safe`]) this.add(line);
    this.#resumed = "no";
  }

  loopLines(v: Verification, stored: StoredState): string[] {
    return [
      `infinite loop detected at insn ${v.state.insn}`,
      `cur state:${this.stateText(v, v.state, true)}`,
      `old state:${storedText(v, stored)}`,
    ];
  }

  /** What a stored state depended on, which is `wanted`, holds for the current path, too. */
  inherits(wanted: Int32Array, stored: StoredState): void {
    if (this.level < 2) return;
    for (let frame = stored.frames - 1; frame >= 0; frame--) {
      const { regs, slots } = wantedText(wanted, frame);
      const names = [...regs, ...slots.map((slot) => `fp${slot}`)];
      if (names.length > 0) this.add(`frame ${frame}: propagating ${names.join(",")}`);
    }
  }

  /** The instructions between two stored states are gone through backwards; `later`: the first one behind them, −1 for none. */
  preciseStart(_v: Verification, frame: number, last: number, first: number, later: number): void {
    if (this.level < 2) return;
    this.add(`mark_precise: frame${frame}: last_idx ${last} first_idx ${first} subseq_idx ${later} `);
  }

  preciseStep(v: Verification, wanted: Int32Array, frame: number, insn: number): void {
    if (this.level < 2) return;
    const { regs, slots } = wantedText(wanted, frame);
    this.add(
      `mark_precise: frame${frame}: regs=${regs.join(",")} stack=${slots.join(",")} before ${insnText(v, insn)}`,
    );
  }

  /** A stored state has been marked; `wanted`: what still is. */
  preciseState(v: Verification, wanted: Int32Array, stored: StoredState): void {
    if (this.level < 2) return;
    for (let frame = stored.frames - 1; frame >= 0; frame--) {
      const { regs, slots } = wantedText(wanted, frame);
      const text = storedText(v, stored, frame);
      const of = frame === 0 ? "" : ` frame${frame}:`;
      this.add(
        `mark_precise: frame${frame}: parent state regs=${regs.join(",")} stack=${slots.join(",")}: ${of}${text}`,
      );
    }
  }

  /** Registers and slots of a frame: those that were touched, or all that hold something. */
  stateText(v: Verification, state: State<StoredState>, all: boolean, index: number = state.frames.length - 1): string {
    const frame = state.frames[index]!;
    const { words } = frame;
    let text = "";
    for (let reg = 0; reg <= 10; reg++) {
      if (words[regAt(reg)] === Type.UNINIT || (!all && ((this.#regs >> reg) & 1) === 0)) continue;
      text += ` R${reg}=${registerText(v, words, regAt(reg), index)}`;
    }
    for (let slot = 0; slot < frame.depth; slot++) {
      if (!all && !this.#slots.has(index * 64 + slot)) continue;
      text += slotText(v, words[KINDS + slot]!, words, spillAt(slot), slot, index);
    }
    if ((all || v.modern) && state.references.length > 0)
      text += ` refs=${state.references.map(({ id }) => id).join(",")}`;
    return index === 0 ? text : ` frame${index}:${text}`;
  }
}

/** What is wanted of a frame: names of registers, and offsets of slots from r10. */
function wantedText(wanted: Int32Array, frame: number): { readonly regs: string[]; readonly slots: string[] } {
  const slots = [...namesOf(wanted[3 * frame + 1]!, "-", 1), ...namesOf(wanted[3 * frame + 2]!, "-", 33)];
  return { regs: namesOf(wanted[3 * frame]!, "r", 0), slots };
}

function namesOf(mask: number, prefix: string, from: number): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >> bit) & 1) === 1) names.push(prefix === "r" ? `r${bit}` : `-${8 * (bit + from)}`);
  }
  return names;
}

/** A stack slot as the state of a frame has it, with a space in front; empty for one that holds nothing. */
export function slotText(
  v: Verification,
  kinds: number,
  words: Int32Array,
  at: number,
  slot: number,
  frame: number,
): string {
  if (kinds === 0) return "";
  const name = ` fp-${8 * (slot + 1)}=`;
  if (isSpecial(kinds)) {
    const text = objectText(v, words, at);
    return text === "" ? "" : `${name}${text}`;
  }
  if (isFullSpill(kinds)) return `${name}${registerText(v, words, at, frame)}`;
  let letters = "";
  for (let byte = 7; byte >= 0; byte--) letters += KIND_LETTERS[kindAt(kinds, byte)];
  return isSpill(kinds)
    ? `${name}${letters.replace(/r+$/, "")}${registerText(v, words, at, frame)}`
    : `${name}${letters}`;
}

const scratch = new Int32Array(REG_WORDS);

function storedText(v: Verification, stored: StoredState, index: number = stored.frames - 1): string {
  let regs = "";
  let slots = "";
  eachStored(stored, scratch, (frame, reg, slot, kinds) => {
    if (frame !== index) return;
    // Later kernels than 6.12 leave out what nobody reads; an object has to be ended somewhere.
    if (slot >= 0 && v.modern && !isSpecial(kinds) && !stored.isRead(frame, slot)) return;
    if (slot >= 0) slots += slotText(v, kinds, scratch, 0, slot, index);
    else if (baseOf(scratch[0]!) !== Type.UNINIT) regs += ` R${reg}=${registerText(v, scratch, 0, index)}`;
  });
  const ids = stored.references.map(({ id }) => id);
  return `${regs} R10=fp0${slots}${ids.length > 0 ? ` refs=${ids.join(",")}` : ""}`;
}

function insnText(v: Verification, i: number): string {
  return `${i}: ${printInsn(v.insns, i, { dialect: "kernel", program: v.program })}`;
}
