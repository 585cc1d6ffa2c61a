// The text assembler: the kernel's and LLVM's syntax (kernel Documentation/bpf, LLVM's BPF assembler) into packed instructions.
import { BpfError, type ErrorCode, type ErrorDetails } from "../errors.ts";
import { OPS } from "../isa/decode.ts";
import { helperByName } from "../isa/helpers.ts";
import { Insns, packWord } from "../isa/insns.ts";
import { INSNS, type InsnRow } from "../isa/opcodes.ts";
import { subprogsOf } from "../isa/targets.ts";
import type { MapSpec, Program } from "../program.ts";
import { expectedAt, type Form, GRAMMAR, type Node } from "./grammar.ts";
import { errorAt, isName, Lexer, Token } from "./lexer.ts";

/** What a text does not say about a program. */
export interface AssembleOptions {
  /** The first subprogram's name, or `main`, unless told. */
  readonly name?: string;
  /** Program type in the kernel's words; `syscall` unless told. */
  readonly type?: string;
  readonly attachType?: string;
  /** `GPL` unless told. */
  readonly license?: string;
  /** What `map[name]` can name. */
  readonly maps?: readonly MapSpec[];
  /** What `call name` can name besides labels and helpers. */
  readonly kfuncs?: readonly string[];
}

/** The outcome of {@link tryAssemble}. */
export type Assembled = { readonly ok: true; readonly program: Program } | { readonly ok: false; readonly error: BpfError };

/**
 * Reads a program from text, an instruction a line. `name:` is a label; one that is called or taken the address of, or that `.subprog`
 * declares, begins a subprogram. `//`, `;` and `#` begin comments. Listings of this library, llvm-objdump and the kernel's verifier
 * log parse as they are: slot numbers, raw bytes and opcodes in parentheses are passed over. Linear in the text.
 *
 * @throws {BpfError} `syntax`, `unknown-symbol` or `out-of-range`, with line, column and a listing
 * @example
 * ```ts
 * import { assemble } from "@bpfkit/core";
 * const program = assemble(`
 *     r0 = *(u32 *)(r1 + 0)
 *     if r0 <= 255 goto out
 *     r0 = 255
 * out:
 *     exit
 * `);
 * console.log(program.insns.length); // 4
 * ```
 */
export function assemble(text: string, options: AssembleOptions = {}): Program {
  return new Parser(text, options).parse();
}

/** {@link assemble} with the refusal as a value. */
export function tryAssemble(text: string, options: AssembleOptions = {}): Assembled {
  try {
    return { ok: true, program: assemble(text, options) };
  } catch (error) {
    if (error instanceof BpfError) return { ok: false, error };
    throw error;
  }
}

const [LEFT_PAREN, PLUS, MINUS, DOT, COLON, SEMICOLON] = [40, 43, 45, 46, 58, 59];
const [LOWER_R, LOWER_W, ZERO, ONE, NINE] = [114, 119, 48, 49, 57];
/** No label can have such a name. */
const LIKE_REGISTER = /^[rw]\d+$/;
const HEADER = /(0[0-9a-fA-F]{0,15} <)([\w.$]{1,1000})>:(?=[ \t\r]*(?:\n|$))/y;
const RAW_BYTE = /[ \t]*[0-9a-fA-F]{2}(?=[ \t])/y;
const [GOTOL, LDDW, CALL, MOV64_IMM] = [0x06, 0x18, 0x85, 0xb7];
const [PSEUDO_CALL, PSEUDO_KFUNC, PSEUDO_MAP_IDX] = [1, 2, 5];
const MIN64 = -(1n << 63n);
const MAX64 = (1n << 64n) - 1n;

/** A use of a name that is looked up at the end. Columns, so that a long program costs no object per jump. */
interface Uses {
  readonly slots: number[];
  readonly starts: number[];
  readonly ends: number[];
}

class Parser {
  readonly #lexer: Lexer;
  readonly #options: AssembleOptions;
  #words = new Int32Array(256);
  #length = 0;
  readonly #labels = new Map<string, number>();
  readonly #declared = new Map<number, string>();
  readonly #uses: Uses = { slots: [], starts: [], ends: [] };
  // Operands of the line being read: values, where they stand, and 1 where the value is a name.
  readonly #values: (number | bigint)[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #named: boolean[] = [];
  #count = 0;
  /** Whether a jump names a label at slot 0; one that nothing jumps to names the program. */
  #entryJumped = false;
  /** The opcode in parentheses before the instruction, as in the kernel's logs; -1 without. */
  #opcode = -1;
  #opcodeStart = 0;

  constructor(text: string, options: AssembleOptions) {
    this.#lexer = new Lexer(text);
    this.#options = options;
  }

  parse(): Program {
    const lexer = this.#lexer;
    do this.#line();
    while (lexer.nextLine());
    this.#resolve();
    const insns = new Insns(this.#words.slice(0, 2 * this.#length));
    const { name, type, attachType, license, maps, kfuncs } = this.#options;
    const labels = new Map<number, string>();
    for (const [label, slot] of this.#labels) if (!labels.has(slot)) labels.set(slot, label);
    const declared = [...this.#declared].map(([start, subprog]) => ({ name: subprog, start }));
    const entry = (this.#entryJumped ? undefined : labels.get(0)) ?? name ?? "main";
    const subprogs = subprogsOf(insns, declared, (start) => (start === 0 ? entry : (labels.get(start) ?? `sub_${start}`)));
    return {
      name: name ?? subprogs[0]?.name ?? entry,
      type: type ?? "syscall",
      ...(attachType === undefined ? {} : { attachType }),
      license: license ?? "GPL",
      insns,
      subprogs: subprogs.length > 0 ? subprogs : [{ name: entry, start: 0 }],
      maps: maps ?? [],
      kfuncs: kfuncs ?? [],
    };
  }

  #line(): void {
    const lexer = this.#lexer;
    this.#opcode = -1;
    if (lexer.source.charCodeAt(lexer.end) === ZERO && this.#symbolHeader()) return;
    lexer.next();
    if (lexer.kind === Token.END) return;
    if (lexer.kind === Token.NUMBER) this.#listingPrefix();
    else if (lexer.kind === Token.PUNCT && lexer.first === LEFT_PAREN) this.#opcodePrefix();
    while (lexer.kind === Token.IDENT && lexer.following === COLON) this.#label();
    if (lexer.kind === Token.IDENT && lexer.first === DOT) this.#directive();
    else if (lexer.kind !== Token.END) this.#insn();
    if (lexer.first === SEMICOLON) this.#refuseHidden();
  }

  /** `0000000000000040 <name>:`, llvm-objdump's label. */
  #symbolHeader(): boolean {
    const lexer = this.#lexer;
    HEADER.lastIndex = lexer.end;
    const found = HEADER.exec(lexer.source);
    if (found === null) return false;
    const start = lexer.end + found[1]!.length;
    lexer.end = HEADER.lastIndex;
    this.#define(start, start + found[2]!.length);
    return true;
  }

  /** `12:`, then raw bytes or an opcode in parentheses, as listings have it. */
  #listingPrefix(): void {
    const lexer = this.#lexer;
    const { start, end } = lexer;
    lexer.next();
    if (!lexer.is(":")) throw errorAt(lexer.source, start, end, "a number begins the line", { expected: expectedAt(GRAMMAR) });
    RAW_BYTE.lastIndex = lexer.end;
    while (RAW_BYTE.test(lexer.source)) lexer.end = RAW_BYTE.lastIndex;
    lexer.next();
    if (lexer.kind === Token.PUNCT && lexer.first === LEFT_PAREN) this.#opcodePrefix();
  }

  #opcodePrefix(): void {
    const lexer = this.#lexer;
    const { start } = lexer;
    if (lexer.source[start + 3] !== ")" || !/^[0-9a-f]{2}$/.test(lexer.source.slice(start + 1, start + 3))) {
      throw lexer.error("`(` begins the line", { expected: "an opcode of two hex digits in parentheses" });
    }
    this.#opcode = Number.parseInt(lexer.source.slice(start + 1, start + 3), 16);
    this.#opcodeStart = start;
    lexer.end = start + 4;
    lexer.next();
  }

  #label(): void {
    const lexer = this.#lexer;
    const { start, end } = lexer;
    lexer.end = end + 1;
    lexer.next();
    this.#define(start, end);
  }

  #define(start: number, end: number): void {
    const { source } = this.#lexer;
    const name = source.slice(start, end);
    if (!isName(name)) throw errorAt(source, start, end, "what stands here names nothing", { expected: "a label" });
    if (LIKE_REGISTER.test(name)) {
      throw errorAt(source, start, end, `${name} looks like a register`, { expected: "a label with another name" });
    }
    if (this.#labels.has(name)) throw errorAt(source, start, end, `label ${name} is defined twice`, { expected: "another name" });
    this.#labels.set(name, this.#length);
  }

  #directive(): void {
    const lexer = this.#lexer;
    if (lexer.is(".subprog")) {
      lexer.next();
      if (lexer.kind !== Token.IDENT) throw lexer.error(`${lexer.describe()} after .subprog`, { expected: "a name" });
      const { start, end } = lexer;
      lexer.next();
      this.#endOfLine();
      this.#define(start, end);
      this.#declare(this.#length, lexer.source.slice(start, end), start, end);
    } else if (lexer.is(".8byte")) {
      lexer.next();
      if (lexer.kind !== Token.NUMBER || lexer.value >= 1n << 64n) {
        throw lexer.error(`${lexer.describe()} after .8byte`, { expected: "an unsigned 64-bit number" });
      }
      const value = BigInt(lexer.value);
      lexer.next();
      this.#endOfLine();
      this.#emit(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    } else {
      throw lexer.error(`${lexer.describe()} is no directive`, { expected: "`.subprog name` or `.8byte number`" });
    }
  }

  #endOfLine(): void {
    const lexer = this.#lexer;
    if (lexer.kind !== Token.END) throw lexer.error(`${lexer.describe()} after the directive`, { expected: "the end of the line" });
  }

  /** Behind an instruction, a semicolon and another one: taking it for a comment would lose it silently. */
  #refuseHidden(): void {
    const lexer = this.#lexer;
    lexer.end = lexer.start + 1;
    let node: Node;
    let start: number;
    try {
      lexer.next();
      start = lexer.start;
      node = this.#walk();
    } catch (error) {
      if (error instanceof BpfError) return; // not an instruction
      throw error;
    }
    if (lexer.kind !== Token.END || node.forms.length === 0) return;
    throw errorAt(lexer.source, start, lexer.start, "an instruction stands in a comment", {
      hint: "`;` begins a comment; every instruction has a line of its own",
    });
  }

  #insn(): void {
    const lexer = this.#lexer;
    const node = this.#walk();
    const { forms } = node;
    // llvm-objdump names the target behind a jump: `goto +0x3 <main+0x20>`.
    const symbol = forms.length > 0 && lexer.kind === Token.PUNCT && lexer.is("<");
    if ((lexer.kind !== Token.END && !symbol) || forms.length === 0) {
      const what = lexer.kind === Token.END ? "the line ends too early" : `${lexer.describe()} cannot stand here`;
      throw lexer.error(what, { expected: expectedAt(node) });
    }
    this.#encode(this.#pick(forms));
  }

  /** Follows the tokens through the grammar as far as they fit and collects operands; the lexer ends on the first that does not fit. */
  #walk(): Node {
    const lexer = this.#lexer;
    this.#count = 0;
    let node = GRAMMAR;
    for (;;) {
      const next = this.#take(node);
      if (next === undefined) return node;
      node = next;
      lexer.next();
    }
  }

  /** Takes the current token, or the two or three of a signed number, when an edge of `node` fits; leaves the lexer on the last one. */
  #take(node: Node): Node | undefined {
    const lexer = this.#lexer;
    const { start, end, source } = lexer;
    switch (lexer.kind) {
      case Token.NUMBER:
        if (node.number !== undefined) return this.#operand(lexer.value, start, node.number);
        return node.literals.get(lexer.text);
      case Token.PUNCT: {
        const sign = end - start === 1 ? lexer.first : 0;
        if (sign === PLUS || sign === MINUS) {
          const edge = (sign === MINUS ? node.number : undefined) ?? node.offset ?? node.jump;
          if (edge !== undefined && this.#signed(sign === MINUS, start)) return edge;
        }
        return node.literals.get(lexer.text);
      }
      case Token.IDENT: {
        if (node.literals.size > 0) {
          const next = node.literals.get(lexer.text);
          if (next !== undefined) return next;
        }
        if (node.r64 !== undefined || node.w32 !== undefined) {
          const [letter, edge] = lexer.first === LOWER_W ? [LOWER_W, node.w32] : [LOWER_R, node.r64];
          const register = edge === undefined ? -1 : registerAt(source, start, end, letter);
          if (register >= 0) return this.#operand(register, start, edge!);
        }
        if (node.jump !== undefined && lexer.is("pc")) {
          lexer.next();
          const negative = lexer.is("-");
          if ((negative || lexer.is("+")) && this.#signed(negative, start)) return node.jump;
          lexer.rewind(start);
        }
        const edge = node.name ?? node.jump;
        if (edge === undefined || LIKE_REGISTER.test(lexer.text)) return undefined;
        return this.#operand(-1, start, edge, true);
      }
      default:
        return undefined;
    }
  }

  /** The number behind the sign that the lexer stands on; without one the lexer stays. The kernel prints `+ -1`. */
  #signed(minus: boolean, start: number): boolean {
    const lexer = this.#lexer;
    const sign = lexer.start;
    lexer.next();
    const again = !minus && lexer.is("-");
    if (again) lexer.next();
    if (lexer.kind !== Token.NUMBER) {
      lexer.rewind(sign);
      return false;
    }
    const negative = minus || again;
    this.#operand(negative && lexer.value !== 0 ? -lexer.value : lexer.value, start, GRAMMAR);
    return true;
  }

  #operand(value: number | bigint, start: number, next: Node, named = false): Node {
    const at = this.#count++;
    this.#values[at] = value;
    this.#starts[at] = start;
    this.#ends[at] = this.#lexer.end;
    this.#named[at] = named;
    return next;
  }

  /** Of the instructions with this text the one whose fixed operands agree. */
  #pick(forms: readonly Form[]): Form {
    let wrong = 0;
    let expected = "";
    for (const form of forms) {
      const row: InsnRow = INSNS[OPS[form.op]!];
      wrong = form.fields.findIndex((field, at) => {
        const value = this.#values[at];
        if (field === "r0" || field === "w0") expected = `\`${field}\``;
        else if (field === "P") expected = "a load of pseudo source 1 to 6";
        else return false;
        return value !== (field === "P" ? row.src : 0);
      });
      if (wrong < 0) return form;
    }
    throw this.#errorAt(wrong, `${this.#text(wrong)} cannot stand here`, { expected });
  }

  #encode(form: Form): void {
    const slot = this.#length;
    let op = OPS[form.op]!;
    if (this.#opcode >= 0) {
      if (op === "mov64_imm" && this.#opcode === LDDW) op = "lddw";
      if (INSNS[op].code !== this.#opcode) {
        const { source } = this.#lexer;
        throw errorAt(source, this.#opcodeStart, this.#opcodeStart + 4, `opcode ${hex(this.#opcode)} is not that of the instruction`, {
          expected: `(${hex(INSNS[op].code)})`,
        });
      }
    }
    const row: InsnRow = INSNS[op];
    let { src = 0, off = 0, imm = 0 } = row;
    let dst = -1;
    let high = 0;
    let sourceSet = false;
    for (const [at, field] of form.fields.entries()) {
      const value = this.#values[at]!;
      switch (field) {
        case "rD":
        case "wD":
          if (dst >= 0 && dst !== value)
            throw this.#errorAt(at, `${this.#text(at)} cannot stand here`, { expected: `${field[0]}${dst} again` });
          dst = Number(value);
          break;
        case "rS":
        case "wS":
          if (sourceSet && src !== value)
            throw this.#errorAt(at, `${this.#text(at)} cannot stand here`, { expected: `${field[0]}${src} again` });
          src = Number(value);
          sourceSet = true;
          break;
        case "O":
          off = this.#number(at, -0x8000, 0x7fff, "a 16-bit offset");
          break;
        case "K":
          if (op === "lddw") [imm, high] = this.#wide(at);
          else
            imm =
              this.#number(
                at,
                -0x8000_0000,
                this.#opcode >= 0 || isNarrow(row) || form.fields.includes("P") ? 0xffff_ffff : 0x7fff_ffff,
                "a 32-bit immediate",
                row,
              ) | 0;
          break;
        case "Q":
          [imm, high] = this.#wide(at);
          break;
        case "H":
          high = this.#number(at, -0x8000_0000, 0xffff_ffff, "a 32-bit offset") | 0;
          break;
        case "A":
          imm = this.#number(at, 0, 0xffff, "a 16-bit number") << 16;
          break;
        case "B":
          imm |= this.#number(at, 0, 0xffff, "a 16-bit number");
          break;
        case "L":
          if (this.#named[at]) this.#use(slot, at);
          else off = this.#number(at, -0x8000, 0x7fff, "a 16-bit distance");
          break;
        case "LL":
          if (this.#named[at]) this.#use(slot, at);
          else imm = this.#number(at, -0x8000_0000, 0x7fff_ffff, "a 32-bit distance");
          break;
        case "N":
          if (row.kind === "loadImm64" && op !== "lddw_subprog") imm = this.#mapIndex(at);
          else if (form.fields[1] !== "K") this.#use(slot, at);
          break;
      }
    }
    if (form.fields[0] === "N" && form.fields[1] === "K") [src, imm] = this.#numberedCall(imm);
    this.#emit(packWord(row.code, Math.max(dst, 0), src, off), imm);
    if (row.code === LDDW) this.#emit(0, high);
  }

  #number(at: number, min: number, max: number, what: string, row?: InsnRow): number {
    const value = this.#values[at]!;
    if (value >= min && value <= max) return Number(value);
    const wide = row?.code === MOV64_IMM && value >= MIN64 && value <= MAX64;
    throw this.#errorAt(
      at,
      `${this.#text(at)} does not fit ${what}`,
      { expected: `${min}..${max}`, ...(wide ? { hint: `\`${this.#text(at)} ll\` loads 64 bits` } : {}) },
      "out-of-range",
    );
  }

  #wide(at: number): [low: number, high: number] {
    const value = BigInt(this.#values[at]!);
    if (value < MIN64 || value > MAX64) {
      throw this.#errorAt(
        at,
        `${this.#text(at)} does not fit 64 bits`,
        { expected: "-0x8000000000000000..0xffffffffffffffff" },
        "out-of-range",
      );
    }
    return [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))];
  }

  #mapIndex(at: number): number {
    const name = this.#text(at);
    const maps = this.#options.maps ?? [];
    const index = maps.findIndex((map) => map.name === name);
    if (index < 0)
      throw this.#errorAt(
        at,
        `map ${name} is unknown`,
        known(
          "maps",
          maps.map((map) => map.name),
        ),
        "unknown-symbol",
      );
    return index;
  }

  /** `call name#number`, as the kernel prints helpers and kfuncs: the name decides where it is known. */
  #numberedCall(number: number): [src: number, imm: number] {
    const name = this.#text(0);
    const kfunc = this.#options.kfuncs?.indexOf(name) ?? -1;
    if (kfunc >= 0) return [PSEUDO_KFUNC, kfunc];
    const helper = helperByName(name);
    if (helper !== undefined && helper.id !== number) {
      throw this.#errorAt(1, `${name} is not number ${number}`, { expected: String(helper.id) });
    }
    return [0, number];
  }

  #use(slot: number, at: number): void {
    this.#uses.slots.push(slot);
    this.#uses.starts.push(this.#starts[at]!);
    this.#uses.ends.push(this.#ends[at]!);
  }

  /** Fills in what names stand for, now that all labels are known. */
  #resolve(): void {
    const { source } = this.#lexer;
    const { slots, starts, ends } = this.#uses;
    for (const [index, slot] of slots.entries()) {
      const name = source.slice(starts[index], ends[index]);
      const error = (message: string, details: ErrorDetails, code?: ErrorCode): BpfError =>
        errorAt(source, starts[index]!, ends[index]!, message, details, code);
      const code = this.#words[2 * slot]! & 0xff;
      const target = this.#labels.get(name);
      if (target !== undefined) {
        const distance = target - slot - 1;
        if (code === CALL || code === LDDW) {
          if (code === CALL) this.#words[2 * slot]! |= PSEUDO_CALL << 12;
          this.#words[2 * slot + 1] = distance;
          if (!this.#declared.has(target)) this.#declared.set(target, name);
        } else if (code === GOTOL) {
          this.#words[2 * slot + 1] = distance;
        } else if (distance >= -0x8000 && distance <= 0x7fff) {
          this.#words[2 * slot]! |= distance << 16;
        } else {
          const hint = "`gotol` reaches farther";
          throw error(`label ${name} is ${distance} slots away`, { expected: "a distance in -32768..32767", hint }, "out-of-range");
        }
        if (target === 0 && code !== CALL && code !== LDDW) this.#entryJumped = true;
      } else if (code === CALL) {
        const kfunc = this.#options.kfuncs?.indexOf(name) ?? -1;
        const helper = helperByName(name);
        if (kfunc < 0 && helper === undefined) {
          throw error(`${name} is unknown`, { expected: "a label, a kfunc of the program or a helper" }, "unknown-symbol");
        }
        if (kfunc >= 0) this.#words[2 * slot]! |= PSEUDO_KFUNC << 12;
        this.#words[2 * slot + 1] = kfunc >= 0 ? kfunc : helper!.id;
      } else if (code === LDDW) {
        const maps = this.#options.maps ?? [];
        const map = maps.findIndex((spec) => spec.name === name);
        if (map < 0) throw error(`${name} is unknown`, { expected: "a label or a map of the program" }, "unknown-symbol");
        this.#words[2 * slot] = (this.#words[2 * slot]! & ~0xf000) | (PSEUDO_MAP_IDX << 12);
        this.#words[2 * slot + 1] = map;
      } else {
        throw error(`label ${name} is not defined`, { expected: "a label of this text, or a distance (+3)" });
      }
    }
  }

  #declare(slot: number, name: string, start: number, end: number): void {
    if (this.#declared.has(slot)) {
      throw errorAt(this.#lexer.source, start, end, `subprogram ${this.#declared.get(slot)} begins here as well`, {
        expected: "one `.subprog`",
      });
    }
    this.#declared.set(slot, name);
  }

  #emit(word: number, imm: number): void {
    if (2 * this.#length === this.#words.length) {
      const grown = new Int32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[2 * this.#length] = word;
    this.#words[2 * this.#length + 1] = imm;
    this.#length++;
  }

  #text(at: number): string {
    return this.#lexer.source.slice(this.#starts[at], this.#ends[at]);
  }

  #errorAt(at: number, message: string, details: ErrorDetails, code?: ErrorCode): BpfError {
    return errorAt(this.#lexer.source, this.#starts[at]!, this.#ends[at]!, message, details, code);
  }
}

/** The number of a register named `r0`..`r11` or `w0`..`w11`; -1 when the text is none. r11 is the kernel's scratch register `ax`. */
function registerAt(source: string, start: number, end: number, letter: number): number {
  if (source.charCodeAt(start) !== letter) return -1;
  const first = source.charCodeAt(start + 1);
  if (end - start === 2 && first >= ZERO && first <= NINE) return first - ZERO;
  const second = source.charCodeAt(start + 2);
  return end - start === 3 && first === ONE && (second === ZERO || second === ONE) ? 10 + second - ZERO : -1;
}

/** Whether an immediate is used as 32 bits, so that 0xffffffff and -1 are the same. */
function isNarrow({ kind, text }: InsnRow): boolean {
  return kind === "packetLoad" || kind === "callHelper" || text[0] === "w" || text.startsWith("if w") || /^\*\(u(8|16|32)/.test(text);
}

function hex(opcode: number): string {
  return opcode.toString(16).padStart(2, "0");
}

function known(what: string, names: readonly string[]): ErrorDetails {
  if (names.length === 0) return { hint: `the program has no ${what}` };
  return { expected: names.length > 8 ? `one of ${names.slice(0, 8).join(", ")}, …` : names.join(", ") };
}
