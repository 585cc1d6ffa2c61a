// What passes write with and read by: instructions as words, and questions about opcodes. RFC 9669 section 3.
import { packWord } from "../isa/insns.ts";
import { INSNS, type InsnRow, type Op } from "../isa/opcodes.ts";
import type { PatchList } from "../patch/list.ts";

/** Fields of an instruction; 0 where they are left out. */
export interface Operands {
  readonly dst?: number;
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  /** High half of a two-slot load. */
  readonly high?: number;
}

/** The words of an instruction by its name in the table, which settles the fields that tell it from others. */
export function op(name: Op, { dst = 0, src = 0, off = 0, imm = 0, high = 0 }: Operands = {}): readonly number[] {
  const row: InsnRow = INSNS[name];
  const words = [packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm];
  return row.kind === "loadImm64" ? [...words, 0, high] : words;
}

// Bits 0 to 2 of the opcode.
const [LDX, ST, STX, ALU, JMP, JMP32, ALU64] = [1, 2, 3, 4, 5, 6, 7];
// Bits 4 to 7 of arithmetic.
const [DIV, LSH, RSH, NEG, MOD, MOV, ARSH, END] = [0x3, 0x6, 0x7, 0x8, 0x9, 0xb, 0xc, 0xd];
// Bits 4 to 7 of jumps.
const [JA, CALL, EXIT, MAY_GOTO] = [0x0, 0x8, 0x9, 0xe];
/** Bit 3 of arithmetic and jumps: the operand is a register. */
export const BY_REGISTER = 0x08;
/** Bits 5 to 7 of loads and stores. */
const [MEM, MEM_SX] = [3, 4];

/** Whether it works on 64 bits; otherwise 32. */
export const isWide = (code: number): boolean => (code & 7) === ALU64 || (code & 7) === JMP;

export const isArithmetic = (code: number): boolean => (code & 7) === ALU || (code & 7) === ALU64;

export const isDivision = (code: number): boolean => isArithmetic(code) && code >> 4 === DIV;

export const isModulo = (code: number): boolean => isArithmetic(code) && code >> 4 === MOD;

export const isMove = (code: number): boolean => isArithmetic(code) && code >> 4 === MOV;

/** Arithmetic that has a number for an operand, besides counts of bits. */
export function hasOperandNumber(code: number): boolean {
  const operation = code >> 4;
  const counts = operation === LSH || operation === RSH || operation === ARSH;
  return isArithmetic(code) && (code & BY_REGISTER) === 0 && !counts && operation !== NEG && operation !== END;
}

/** A jump that depends on a comparison. */
export function isConditional(code: number): boolean {
  const operation = code >> 4;
  const isJump = (code & 7) === JMP || (code & 7) === JMP32;
  return isJump && operation !== JA && operation !== CALL && operation !== EXIT && operation !== MAY_GOTO;
}

export const isGoto = (code: number): boolean => code === INSNS.ja.code || code === INSNS.gotol.code;

export const isMayGoto = (code: number): boolean => code === INSNS.may_goto.code;

/** A plain load from memory, sign-extending or not. */
export const isLoad = (code: number): boolean => (code & 7) === LDX && (code >> 5 === MEM || code >> 5 === MEM_SX);

export const isSignedLoad = (code: number): boolean => (code & 7) === LDX && code >> 5 === MEM_SX;

/** A plain store of a register. */
export const isStore = (code: number): boolean => (code & 7) === STX && code >> 5 === MEM;

/** A store of a number. */
export const isStoreNumber = (code: number): boolean => (code & 7) === ST && code >> 5 === MEM;

/** Bytes that a load or store moves. */
export const sizeOf = (code: number): 1 | 2 | 4 | 8 => ([4, 2, 1, 8] as const)[(code >> 3) & 3]!;

/** Whether a helper is called, and which. */
export function callsHelper(list: PatchList, at: number, id: number): boolean {
  return list.code(at) === INSNS.call_helper.code && list.src(at) === 0 && list.imm(at) === id;
}
