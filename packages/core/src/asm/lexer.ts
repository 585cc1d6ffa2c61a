// Tokens of the text assembler, one line at a time, with the errors that point into a text.
import { BpfError, type ErrorCode, type ErrorDetails } from "../errors.ts";

/** What kind of token a lexer stands on. */
export const Token: { readonly END: 0; readonly IDENT: 1; readonly NUMBER: 2; readonly PUNCT: 3 } = {
  END: 0,
  IDENT: 1,
  NUMBER: 2,
  PUNCT: 3,
};

/** Longest number that is looked at: no 64-bit value needs more characters. */
const MAX_DIGITS = 24;
/** Characters shown on each side of a caret. */
const WINDOW = 60;

const NEWLINE = 10;
const [TAB, CR, SPACE, HASH, STAR, SLASH, SEMICOLON, LESS, EQUALS, GREATER, ZERO] = [
  9, 13, 32, 35, 42, 47, 59, 60, 61, 62, 48,
];
const LOWER_S = 115;

// Character classes: 1 may start an identifier, 2 may continue one, 4 may stand before `=` in an operator.
const CLASS = new Uint8Array(128);
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.$") CLASS[c.charCodeAt(0)] = 3;
for (const c of "0123456789") CLASS[c.charCodeAt(0)] = 2;
for (const c of "+-*|&^/%=!<>") CLASS[c.charCodeAt(0)] = 4;

/** Whether a name can stand in a text as it is. */
export function isName(name: string): boolean {
  return /^[A-Za-z_.$][\w.$]*$/.test(name);
}

/** Walks over a text. `next` moves to the next token of the line; at its end the token is `END` until `nextLine`. */
export class Lexer {
  readonly source: string;
  kind = 0;
  /** Where the token begins and ends. */
  start = 0;
  end = 0;
  /** Value of a `NUMBER`, without a sign. */
  value: number | bigint = 0;
  #lineStart = 0;

  constructor(source: string) {
    this.source = source;
  }

  get text(): string {
    return this.source.slice(this.start, this.end);
  }

  /** Character code at the token's start, or behind it. */
  get first(): number {
    return this.source.charCodeAt(this.start);
  }

  get following(): number {
    return this.source.charCodeAt(this.end);
  }

  is(text: string): boolean {
    return this.end - this.start === text.length && this.source.startsWith(text, this.start);
  }

  /** Goes behind the current line; false at the end of the text. The first token of the new line is not read yet. */
  nextLine(): boolean {
    const newline = this.source.indexOf("\n", this.end);
    if (newline < 0) return false;
    this.#lineStart = newline + 1;
    this.end = newline + 1;
    return true;
  }

  /** Takes up again from an earlier place of the same line. */
  rewind(to: number): void {
    this.end = to;
    this.next();
  }

  next(): void {
    const { source } = this;
    let at = this.end;
    let c = source.charCodeAt(at);
    while (c === SPACE || c === TAB || c === CR) c = source.charCodeAt(++at);
    this.start = at;
    this.end = at;
    const spaced = at === this.#lineStart || source.charCodeAt(at - 1) <= SPACE;
    if (
      at >= source.length ||
      c === NEWLINE ||
      c === SEMICOLON ||
      (c === HASH && spaced) ||
      (c === SLASH && source.charCodeAt(at + 1) === SLASH)
    ) {
      this.kind = Token.END;
      return;
    }
    const kind = c < 128 ? CLASS[c]! : 0;
    if ((kind & 1) !== 0) this.#identifier(at, c);
    else if (kind === 2) this.#number(at);
    else this.#operator(at, c, kind);
  }

  #identifier(at: number, first: number): void {
    const { source } = this;
    let end = at + 1;
    for (let c = source.charCodeAt(end); c < 128 && (CLASS[c]! & 2) !== 0; c = source.charCodeAt(++end));
    const c = source.charCodeAt(end);
    if (first === LOWER_S && end === at + 1 && (c === SLASH || c === 37 || c === LESS || c === GREATER)) {
      this.#operator(end, c, 4);
      this.start = at;
      return;
    }
    this.kind = Token.IDENT;
    this.end = end;
  }

  #number(at: number): void {
    const { source } = this;
    let end = at + 1;
    for (let c = source.charCodeAt(end); c < 128 && (CLASS[c]! & 2) !== 0; c = source.charCodeAt(++end));
    this.kind = Token.NUMBER;
    this.end = end;
    if (end - at === 1) {
      this.value = source.charCodeAt(at) - ZERO;
      return;
    }
    if (end - at > MAX_DIGITS) throw this.error(`a number of ${end - at} characters`, { expected: "at most 64 bits" });
    const text = source.slice(at, end);
    const value = Number(text);
    if (!/^(?:\d+|0[xX][0-9a-fA-F]+)$/.test(text))
      throw this.error(`\`${text}\` is no number`, { expected: "digits, or 0x and hex digits" });
    this.value = Number.isSafeInteger(value) ? value : BigInt(text);
  }

  #operator(at: number, c: number, kind: number): void {
    const { source } = this;
    const second = source.charCodeAt(at + 1);
    this.kind = Token.PUNCT;
    this.end = at + 1;
    if (kind !== 4) return;
    if (second === EQUALS) this.end = at + 2;
    else if ((c === LESS || c === GREATER) && second === c && source.charCodeAt(at + 2) === EQUALS) this.end = at + 3;
    else if (c === SLASH && second === STAR)
      throw this.error("a block comment", { expected: "a line comment: `//`, `;` or `#`" });
  }

  /** What stands at the current token, for messages. */
  describe(): string {
    if (this.kind === Token.END) return "the line ends";
    const text = this.text;
    return `\`${text.length > 40 ? `${text.slice(0, 40)}…` : text.replace(/[^ -~]/gu, "?")}\``;
  }

  /** An error at the current token. */
  error(message: string, details: ErrorDetails = {}, code: ErrorCode = "syntax"): BpfError {
    return errorAt(this.source, this.start, this.end, message, details, code);
  }
}

/** An error that shows the line of `source` with a caret under `start..end`. */
export function errorAt(
  source: string,
  start: number,
  end: number,
  message: string,
  details: ErrorDetails = {},
  code: ErrorCode = "syntax",
): BpfError {
  const lineStart = source.lastIndexOf("\n", start - 1) + 1;
  const newline = source.indexOf("\n", start);
  const lineEnd = newline < 0 ? source.length : newline;
  let line = 1;
  for (let at = source.indexOf("\n"); at >= 0 && at < lineStart; at = source.indexOf("\n", at + 1)) line++;
  const from = Math.max(lineStart, start - WINDOW);
  const to = Math.min(lineEnd, start + WINDOW);
  const prefix = `  ${line}:  ${from > lineStart ? "…" : ""}`;
  const shown = source
    .slice(from, to)
    .replace(/[^ -~]/g, " ")
    .trimEnd();
  const width = Math.max(1, Math.min(end, to) - start);
  const listing = `${prefix}${shown}${to < lineEnd ? "…" : ""}\n${" ".repeat(prefix.length + start - from)}${"^".repeat(width)}`;
  return new BpfError(code, message, { offset: start, line, column: start - lineStart + 1, listing, ...details });
}
