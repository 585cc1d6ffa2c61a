// From matched lines to words: fields of an instruction from its operands, labels, and names that are looked up at the end.
import type { BpfError, ErrorCode, ErrorDetails } from "../errors.ts";
import { OPS } from "../isa/decode.ts";
import { helperByName } from "../isa/helpers.ts";
import { Insns, packWord } from "../isa/insns.ts";
import { INSNS, type InsnRow } from "../isa/opcodes.ts";
import type { Program } from "../program.ts";
import { type AssembleOptions, finishProgram } from "./finish.ts";
import type { Form } from "./grammar.ts";
import { errorAt } from "./lexer.ts";
import type { Operands } from "./operands.ts";

const [GOTOL, LDDW, CALL, MOV64_IMM] = [0x06, 0x18, 0x85, 0xb7];
const [PSEUDO_CALL, PSEUDO_KFUNC, PSEUDO_MAP_IDX] = [1, 2, 5];

const ROWS: readonly InsnRow[] = OPS.map((op) => INSNS[op]);
const LDDW_ROW: InsnRow = INSNS.lddw;

/** Whether an immediate is used as 32 bits, so that 0xffffffff and -1 are the same. */
const NARROW: readonly boolean[] = ROWS.map(
  ({ kind, text }) => kind === "packetLoad" || kind === "callHelper" || /^(w|if w|\*\(u(8|16|32))/.test(text),
);

/** Collects instructions, labels and uses of names; `finish` makes the program. */
export class Encoder {
  readonly #source: string;
  readonly #options: AssembleOptions;
  readonly #maps = new Map<string, number>();
  readonly #kfuncs = new Map<string, number>();
  #words = new Int32Array(256);
  #length = 0;
  readonly #labels = new Map<string, number>();
  readonly #declared = new Map<number, string>();
  // Uses of names in columns, so that a long program costs no object per jump.
  readonly #useSlots: number[] = [];
  readonly #useStarts: number[] = [];
  readonly #useEnds: number[] = [];
  /** Whether a jump names a label at slot 0; one that nothing jumps to names the program. */
  #entryJumped = false;

  constructor(source: string, options: AssembleOptions) {
    this.#source = source;
    this.#options = options;
    for (const [index, { name }] of (options.maps ?? []).entries())
      if (!this.#maps.has(name)) this.#maps.set(name, index);
    for (const [index, name] of (options.kfuncs ?? []).entries())
      if (!this.#kfuncs.has(name)) this.#kfuncs.set(name, index);
  }

  /** A label for the next instruction. @throws {BpfError} `syntax` when it is defined already */
  label(name: string, start: number, end: number): void {
    if (this.#labels.has(name))
      throw this.#error(start, end, `label ${name} is defined twice`, { expected: "another name" });
    this.#labels.set(name, this.#length);
  }

  /** The next instruction begins a subprogram. @throws {BpfError} `syntax` when one begins there already */
  subprog(name: string, start: number, end: number): void {
    const other = this.#declared.get(this.#length);
    if (other !== undefined)
      throw this.#error(start, end, `subprogram ${other} begins here as well`, { expected: "one `.subprog`" });
    this.label(name, start, end);
    this.#declared.set(this.#length, name);
  }

  /** A slot as it is. */
  slot(word: number, imm: number): void {
    if (2 * this.#length === this.#words.length) {
      const grown = new Int32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[2 * this.#length] = word;
    this.#words[2 * this.#length + 1] = imm;
    this.#length++;
  }

  /**
   * An instruction. `opcode` is what a listing says its opcode is, -1 without: it tells `r1 = 0x5` of the kernel's listings, a two-slot
   * load, from the move that it reads like otherwise.
   *
   * @throws {BpfError} `syntax`, `out-of-range` or `unknown-symbol`
   */
  insn(forms: readonly Form[], operands: Operands, opcode: number, opcodeStart: number): void {
    const form = pick(forms, operands);
    let row = ROWS[form.op]!;
    if (opcode >= 0) {
      if (row.code === MOV64_IMM && opcode === LDDW) row = LDDW_ROW;
      if (row.code !== opcode) {
        const message = `opcode ${hex(opcode)} is not that of the instruction`;
        throw this.#error(opcodeStart, opcodeStart + 4, message, { expected: `(${hex(row.code)})` });
      }
    }
    let { src = 0, off = 0, imm = 0 } = row;
    let dst = -1;
    let high = 0;
    let sourceSet = false;
    for (let at = 0; at < form.fields.length; at++) {
      const field = form.fields[at]!;
      const value = operands.values[at]!;
      switch (field) {
        case "rD":
        case "wD":
          if (dst >= 0 && dst !== value) throw operands.misplaced(at, `${field[0]}${dst} again`);
          dst = Number(value);
          break;
        case "rS":
        case "wS":
          if (sourceSet && src !== value) throw operands.misplaced(at, `${field[0]}${src} again`);
          src = Number(value);
          sourceSet = true;
          break;
        case "O":
          off = operands.number(at, -0x8000, 0x7fff, "a 16-bit offset");
          break;
        case "K":
          if (row === LDDW_ROW) [imm, high] = operands.wide(at);
          else imm = immediate(operands, at, row, NARROW[form.op]! || opcode >= 0 || form.pinned);
          break;
        case "Q":
          [imm, high] = operands.wide(at);
          break;
        case "H":
          high = operands.number(at, -0x8000_0000, 0xffff_ffff, "a 32-bit offset") | 0;
          break;
        case "A":
          imm = operands.number(at, 0, 0xffff, "a 16-bit number") << 16;
          break;
        case "B":
          imm |= operands.number(at, 0, 0xffff, "a 16-bit number");
          break;
        case "L":
          if (operands.named[at]) this.#use(operands, at);
          else off = operands.number(at, -0x8000, 0x7fff, "a 16-bit distance");
          break;
        case "LL":
          if (operands.named[at]) this.#use(operands, at);
          else imm = operands.number(at, -0x8000_0000, 0x7fff_ffff, "a 32-bit distance");
          break;
        case "N":
          if (row.src === PSEUDO_MAP_IDX || row.src === PSEUDO_MAP_IDX + 1) imm = this.#map(operands, at);
          else if (form.fields[1] !== "K") this.#use(operands, at);
          break;
      }
    }
    if (form.fields[0] === "N" && form.fields[1] === "K") [src, imm] = this.#numberedCall(operands, imm);
    this.slot(packWord(row.code, Math.max(dst, 0), src, off), imm);
    if (row.code === LDDW) this.slot(0, high);
  }

  /** Looks up all names and makes the program. @throws {BpfError} `syntax`, `out-of-range` or `unknown-symbol` */
  finish(): Program {
    for (const [use, slot] of this.#useSlots.entries()) this.#resolve(slot, this.#useStarts[use]!, this.#useEnds[use]!);
    const labels = new Map<number, string>();
    for (const [label, slot] of this.#labels)
      if (!labels.has(slot) && (slot > 0 || !this.#entryJumped)) labels.set(slot, label);
    return finishProgram(new Insns(this.#words.slice(0, 2 * this.#length)), this.#declared, labels, this.#options);
  }

  #use(operands: Operands, at: number): void {
    this.#useSlots.push(this.#length);
    this.#useStarts.push(operands.starts[at]!);
    this.#useEnds.push(operands.ends[at]!);
  }

  #map(operands: Operands, at: number): number {
    const name = operands.text(at);
    const index = this.#maps.get(name);
    if (index !== undefined) return index;
    const names = [...this.#maps.keys()];
    const details =
      names.length === 0
        ? { hint: "the program has no maps" }
        : { expected: names.slice(0, 8).join(", ") + (names.length > 8 ? ", …" : "") };
    throw operands.error(at, `map ${name} is unknown`, details, "unknown-symbol");
  }

  /** `call name#number`, as the kernel prints helpers and kfuncs: the name decides where it is known. */
  #numberedCall(operands: Operands, number: number): [src: number, imm: number] {
    const name = operands.text(0);
    const kfunc = this.#kfuncs.get(name);
    if (kfunc !== undefined) return [PSEUDO_KFUNC, kfunc];
    const helper = helperByName(name);
    if (helper === undefined || helper.id === number) return [0, number];
    throw operands.error(1, `${name} is not number ${number}`, { expected: String(helper.id) });
  }

  /** Fills in what a name stands for, now that all labels are known. */
  #resolve(slot: number, start: number, end: number): void {
    const words = this.#words;
    const name = this.#source.slice(start, end);
    const code = words[2 * slot]! & 0xff;
    const target = this.#labels.get(name);
    if (target !== undefined) {
      const distance = target - slot - 1;
      if (code === CALL || code === LDDW) {
        if (code === CALL) words[2 * slot]! |= PSEUDO_CALL << 12;
        words[2 * slot + 1] = distance;
        if (!this.#declared.has(target)) this.#declared.set(target, name);
        return;
      }
      if (target === 0) this.#entryJumped = true;
      if (code === GOTOL) {
        words[2 * slot + 1] = distance;
      } else if (distance >= -0x8000 && distance <= 0x7fff) {
        words[2 * slot]! |= distance << 16;
      } else {
        const details = { expected: "a distance in -32768..32767", hint: "`gotol` reaches farther" };
        throw this.#error(start, end, `label ${name} is ${distance} slots away`, details, "out-of-range");
      }
    } else if (code === CALL) {
      const kfunc = this.#kfuncs.get(name);
      const imm = kfunc ?? helperByName(name)?.id;
      if (imm === undefined) {
        throw this.#error(
          start,
          end,
          `${name} is unknown`,
          { expected: "a label, a kfunc of the program or a helper" },
          "unknown-symbol",
        );
      }
      if (kfunc !== undefined) words[2 * slot]! |= PSEUDO_KFUNC << 12;
      words[2 * slot + 1] = imm;
    } else if (code === LDDW) {
      const map = this.#maps.get(name);
      if (map === undefined) {
        throw this.#error(
          start,
          end,
          `${name} is unknown`,
          { expected: "a label or a map of the program" },
          "unknown-symbol",
        );
      }
      words[2 * slot] = (words[2 * slot]! & ~0xf000) | (PSEUDO_MAP_IDX << 12);
      words[2 * slot + 1] = map;
    } else {
      throw this.#error(start, end, `label ${name} is not defined`, {
        expected: "a label of this text, or a distance (+3)",
      });
    }
  }

  #error(start: number, end: number, message: string, details: ErrorDetails, code?: ErrorCode): BpfError {
    return errorAt(this.#source, start, end, message, details, code);
  }
}

/** Of the instructions with this text the one whose fixed operands agree. */
function pick(forms: readonly Form[], operands: Operands): Form {
  if (!forms[0]!.pinned) return forms[0]!;
  let wrong = 0;
  let expected = "";
  for (const form of forms) {
    wrong = form.fields.findIndex((field, at) => {
      if (field !== "r0" && field !== "w0" && field !== "P") return false;
      expected = field === "P" ? "a pseudo source in 1..6" : `\`${field}\``;
      return operands.values[at] !== (field === "P" ? ROWS[form.op]!.src : 0);
    });
    if (wrong < 0) return form;
  }
  throw operands.misplaced(wrong, expected);
}

function immediate(operands: Operands, at: number, row: InsnRow, unsigned: boolean): number {
  const wider = row.code === MOV64_IMM ? (text: string) => `\`${text} ll\` loads 64 bits` : undefined;
  return operands.number(at, -0x8000_0000, unsigned ? 0xffff_ffff : 0x7fff_ffff, "a 32-bit immediate", wider) | 0;
}

function hex(opcode: number): string {
  return opcode.toString(16).padStart(2, "0");
}
