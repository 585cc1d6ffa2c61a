// The text assembler: the kernel's and LLVM's syntax (kernel Documentation/bpf, LLVM's BPF assembler) into packed instructions.
import { BpfError } from "../errors.ts";
import type { Program } from "../program.ts";
import { Encoder } from "./encode.ts";
import type { AssembleOptions } from "./finish.ts";
import { expectedAt, GRAMMAR, type Node } from "./grammar.ts";
import { errorAt, isName, Lexer, Token } from "./lexer.ts";
import { Operands } from "./operands.ts";

/** The outcome of {@link tryAssemble}. */
export type Assembled =
  | { readonly ok: true; readonly program: Program }
  | { readonly ok: false; readonly error: BpfError };

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

class Parser {
  readonly #lexer: Lexer;
  readonly #operands: Operands;
  readonly #encoder: Encoder;
  /** The opcode in parentheses before the instruction, as in the kernel's logs; -1 without. */
  #opcode = -1;
  #opcodeStart = 0;

  constructor(text: string, options: AssembleOptions) {
    this.#lexer = new Lexer(text);
    this.#operands = new Operands(text);
    this.#encoder = new Encoder(text, options);
  }

  parse(): Program {
    do this.#line();
    while (this.#lexer.nextLine());
    return this.#encoder.finish();
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
    if (!lexer.is(":"))
      throw errorAt(lexer.source, start, end, "a number begins the line", { expected: expectedAt(GRAMMAR) });
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
    this.#encoder.label(this.#nameAt(start, end), start, end);
  }

  #nameAt(start: number, end: number): string {
    const { source } = this.#lexer;
    const name = source.slice(start, end);
    if (!isName(name)) throw errorAt(source, start, end, "what stands here names nothing", { expected: "a label" });
    if (!LIKE_REGISTER.test(name)) return name;
    throw errorAt(source, start, end, `${name} looks like a register`, { expected: "a label with another name" });
  }

  #directive(): void {
    const lexer = this.#lexer;
    if (lexer.is(".subprog")) {
      lexer.next();
      if (lexer.kind !== Token.IDENT) throw lexer.error(`${lexer.describe()} after .subprog`, { expected: "a name" });
      const { start, end } = lexer;
      lexer.next();
      this.#endOfLine();
      this.#encoder.subprog(this.#nameAt(start, end), start, end);
    } else if (lexer.is(".8byte")) {
      lexer.next();
      if (lexer.kind !== Token.NUMBER || lexer.value >= 1n << 64n) {
        throw lexer.error(`${lexer.describe()} after .8byte`, { expected: "an unsigned 64-bit number" });
      }
      const value = BigInt(lexer.value);
      lexer.next();
      this.#endOfLine();
      this.#encoder.slot(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    } else {
      throw lexer.error(`${lexer.describe()} is no directive`, { expected: "`.subprog name` or `.8byte number`" });
    }
  }

  #endOfLine(): void {
    const lexer = this.#lexer;
    if (lexer.kind !== Token.END)
      throw lexer.error(`${lexer.describe()} after the directive`, { expected: "the end of the line" });
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
    const symbol = lexer.kind === Token.PUNCT && lexer.is("<") && (forms[0]?.fields.at(-1)?.startsWith("L") ?? false);
    if ((lexer.kind !== Token.END && !symbol) || forms.length === 0) {
      const what = lexer.kind === Token.END ? "the line ends too early" : `${lexer.describe()} cannot stand here`;
      throw lexer.error(what, { expected: expectedAt(node) });
    }
    this.#encoder.insn(forms, this.#operands, this.#opcode, this.#opcodeStart);
  }

  /** Follows the tokens through the grammar as far as they fit and collects operands; the lexer ends on the first that does not fit. */
  #walk(): Node {
    const lexer = this.#lexer;
    this.#operands.count = 0;
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
    this.#operands.push(value, start, this.#lexer.end, named);
    return next;
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
