// Instructions and programs as text, in the dialects of this library, the kernel's verifier log and llvm-objdump.
import { kindOf, OPS, opAt, registersOf, reservedFieldOf } from "../isa/decode.ts";
import { helperById } from "../isa/helpers.ts";
import type { Insns } from "../isa/insns.ts";
import { targetOf } from "../isa/targets.ts";
import { piecesOf } from "../isa/template.ts";
import type { Program } from "../program.ts";
import { isName } from "./lexer.ts";
import { type Dialect, spellingOf } from "./spelling.ts";

/** How {@link printInsn} prints. */
export interface PrintOptions {
  /** `bpfkit` unless told. */
  readonly dialect?: Dialect;
  /** Hexadecimal immediates, offsets and distances; `llvm` has them unless told, as llvm-objdump does without `--no-print-imm-hex`. */
  readonly hex?: boolean;
  /** Names for `map[name]` and `call kfunc`, in the bpfkit dialect. */
  readonly program?: Pick<Program, "maps" | "kfuncs">;
  /** Name of a slot that is jumped to, called or taken the address of; a distance is printed where it gives none. */
  readonly label?: (slot: number) => string | undefined;
}

// Even places hold literals, odd places field names; see isa/template.ts.
const PIECES: Readonly<Record<Dialect, readonly (readonly string[])[]>> = {
  bpfkit: OPS.map((op) => pieces(spellingOf(op, "bpfkit"))),
  kernel: OPS.map((op) => pieces(spellingOf(op, "kernel"))),
  llvm: OPS.map((op) => pieces(spellingOf(op, "llvm"))),
};

function pieces(text: string): readonly string[] {
  return text.split(/\b(P)\b/).flatMap((part, place) => (place % 2 === 1 ? [part] : piecesOf(part)));
}

type NumberText = (value: number) => string;

/** r11, the kernel's scratch register, is the last one that has a name. */
const NAMED_REGISTERS = 0xfff;
const LDDW = 0x18;

/** Index in OPS of the instruction at `i` when its text says everything about it; -1 when only `.8byte` does. */
function printableAt(insns: Insns, i: number): number {
  const op = opAt(insns, i);
  return op < 0 || reservedFieldOf(insns, i, op) !== undefined || (registersOf(insns, i, op) & ~NAMED_REGISTERS) !== 0
    ? -1
    : op;
}

/** Slots that {@link printInsn} covers at `i`: 2 for a whole two-slot load, else 1. */
export function printWidth(insns: Insns, i: number): 1 | 2 {
  return insns.code(i) === LDDW && printableAt(insns, i) >= 0 ? 2 : 1;
}

/**
 * The text of the instruction at slot `at`; `.8byte` and the slot's value for what is no instruction. The assembler reads it back to
 * the same bytes, except for subprogram and kfunc calls of the `llvm` dialect, whose text does not tell them from helper calls.
 */
export function printInsn(insns: Insns, at: number, options: PrintOptions = {}): string {
  const { dialect = "bpfkit", hex = dialect === "llvm" } = options;
  const op = printableAt(insns, at);
  if (op < 0) return `.8byte 0x${hex32(insns.imm(at))}${hex32(insns.words[2 * at]!)}`;
  const parts = PIECES[dialect][op]!;
  const kind = kindOf(op);
  const distance = hex ? signedHex : String;
  const number = dialect === "kernel" && kind === "jumpIf" ? unsignedHex : distance;
  let text = dialect === "kernel" ? `(${insns.code(at).toString(16).padStart(2, "0")}) ` : "";
  if (kind === "callKfunc" && dialect !== "llvm") {
    const name = options.program?.kfuncs[insns.imm(at)];
    if (name !== undefined && isName(name))
      return `${text}call ${name}${dialect === "kernel" ? `#${insns.imm(at)}` : ""}`;
  }
  let symbol = "";
  for (let place = 0; place < parts.length; place++) {
    const piece = parts[place]!;
    if (place % 2 === 0) {
      text += piece;
      continue;
    }
    switch (piece) {
      case "rD":
      case "wD":
        text += piece[0]! + insns.dst(at);
        break;
      case "rS":
      case "wS":
        text += piece[0]! + insns.src(at);
        break;
      case "K":
        if (kind === "packetLoad" && text.endsWith("+ ")) text = packetOffset(text, insns.imm(at), dialect, number);
        else if (dialect === "llvm") text += number(kind === "loadImm64" ? insns.imm(at) >>> 0 : insns.imm(at));
        else if (kind === "callHelper" || kind === "tailCall") text += helperText(insns.imm(at), dialect, number);
        else if (text.endsWith("idx:") && isMapName(options.program, insns.imm(at), dialect)) {
          text = text.slice(0, -"idx:".length) + options.program!.maps[insns.imm(at)]!.name;
        } else text += number(insns.imm(at));
        break;
      case "Q":
        text += wide(insns.imm64(at), dialect, hex);
        break;
      case "O":
        text = withSign(text, insns.off(at), dialect === "kernel" ? "" : " ", number);
        break;
      case "H":
        if (dialect !== "llvm") text = withSign(text, insns.imm(at + 1), "", number);
        else if (insns.imm(at + 1) === 0) text = text.slice(0, -2);
        else text += number(insns.imm(at + 1));
        break;
      case "P":
        text += number(insns.src(at));
        break;
      case "A":
        text += number(insns.imm(at) >>> 16);
        break;
      case "B":
        text += number(insns.imm(at) & 0xffff);
        break;
      case "L":
      case "LL": {
        const target = targetOf(insns, at, op)!;
        const name = options.label?.(target);
        if (name !== undefined && dialect === "llvm") symbol = ` <${name}>`;
        if (name !== undefined && dialect === "bpfkit") text += name;
        else
          text +=
            (kind === "callSubprog" || (dialect === "kernel" && kind !== "loadImm64") ? "pc" : "") +
            plus(target - at - 1, distance);
        break;
      }
    }
  }
  return text + symbol;
}

function helperText(id: number, dialect: Dialect, number: NumberText): string {
  const helper = helperById(id);
  return helper === undefined ? number(id) : `bpf_${helper.name}${dialect === "kernel" ? `#${id}` : ""}`;
}

/** Whether `map[name]` leads back to the map with this index. */
function isMapName(program: PrintOptions["program"], index: number, dialect: Dialect): boolean {
  const name = program?.maps[index]?.name;
  if (dialect !== "bpfkit" || name === undefined || !isName(name) || name === "idx" || name === "fd") return false;
  return program!.maps.findIndex((map) => map.name === name) === index;
}

function packetOffset(text: string, imm: number, dialect: Dialect, number: NumberText): string {
  if (dialect === "kernel") return text + number(imm);
  return imm === 0 ? text.slice(0, -3) : withSign(text, imm, " ", number);
}

/** `text` ends in a plus with or without a space: it becomes the sign of `value`. */
function withSign(text: string, value: number, space: string, number: NumberText): string {
  return `${text.trimEnd().slice(0, -1)}${value < 0 ? "-" : "+"}${space}${number(Math.abs(value))}`;
}

function plus(value: number, number: NumberText): string {
  return value < 0 ? number(value) : `+${number(value)}`;
}

function wide(value: bigint, dialect: Dialect, hex: boolean): string {
  if (dialect !== "llvm") return `0x${value.toString(16)}`;
  const signed = BigInt.asIntN(64, value);
  if (!hex) return String(signed);
  return signed < 0n ? `-0x${(-signed).toString(16)}` : `0x${signed.toString(16)}`;
}

function signedHex(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function unsignedHex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
