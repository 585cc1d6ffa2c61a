// What lowerings write into: the code buffer with RISC-V's branches, and instructions in their compressed form where they have one.
import { type BranchForm, CodeBuffer, type Label, type Settings, type WordSink } from "@bpfkit/core";
import { RA, SP, T1, ZERO } from "./abi.ts";
import { emit } from "./emit.ts";

/** Conditions of a branch, as its field funct3. Changing bit 0 inverts one. */
export const CC = { eq: 0, ne: 1, lt: 4, ge: 5, ltu: 6, geu: 7 } as const;

const BRANCH_OF = [emit.beq, emit.bne, undefined, undefined, emit.blt, emit.bge, emit.bltu, emit.bgeu] as const;

/** Forms of branches: with a short encoding only where code is to use the short ones. */
const J = 0;
const J_SHORT = 1;
const B = 2;
const B_SHORT = 3;
const CALL = 4;
const CALL_NEAR = 5;
const JAL_ALWAYS = 6;

const NOTHING = { size: 0, min: 0, max: 0 };
const CJ = { size: 2, min: -0x800, max: 0x7fe };
const CB = { size: 2, min: -0x100, max: 0xfe };
const BCC = { size: 4, min: -0x1000, max: 0xffe };
const JAL = { size: 4, min: -0x10_0000, max: 0xf_fffe };
/** An inverted branch over a jump. */
const OVER_JAL = { size: 8, min: -0xf_fffc, max: 0x10_0002 };
/** `auipc` and `jalr`, which add two signed halves; the same behind an inverted branch. */
const PAIR = { size: 8, min: -0x8000_0000, max: 0x7fff_f7fe };
const OVER_PAIR = { size: 12, min: -0x7fff_fffc, max: 0x7fff_f802 };

/** A jump to what follows is left out. */
export const BRANCHES: readonly BranchForm[] = [
  { name: "j", from: "start", encodings: [NOTHING, JAL, PAIR] },
  { name: "j", from: "start", encodings: [NOTHING, CJ, JAL, PAIR] },
  { name: "branch", from: "start", encodings: [BCC, OVER_JAL, OVER_PAIR] },
  { name: "branch", from: "start", encodings: [CB, BCC, OVER_JAL, OVER_PAIR] },
  { name: "call", from: "start", encodings: [PAIR] },
  { name: "call", from: "start", encodings: [JAL, PAIR] },
  { name: "jal", from: "start", encodings: [JAL] },
];

/** Writes words into code that has its final length. */
const sink: WordSink = { bytes: new Uint8Array(0), view: new DataView(new ArrayBuffer(0)), length: 0, ensure() {} };

/** The operand is funct3 and two registers, eight bits each. Far jumps change t1. */
export function writeBranch(
  bytes: Uint8Array,
  at: number,
  form: number,
  operand: number,
  encoding: number,
  displacement: number,
): void {
  if (sink.bytes !== bytes) {
    sink.bytes = bytes;
    sink.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  sink.length = at;
  const { size } = BRANCHES[form]!.encodings[encoding]!;
  if (form === J || form === J_SHORT || form === JAL_ALWAYS) {
    if (size === 2) emit.c_j(sink, displacement);
    else writeJump(ZERO, size, displacement);
  } else if (form === B || form === B_SHORT) {
    const cc = operand & 0xff;
    const rs1 = (operand >> 8) & 0xff;
    const rs2 = operand >> 16;
    if (size === 2) (cc === CC.eq ? emit.c_beqz : emit.c_bnez)(sink, rs1, displacement);
    else if (size === 4) BRANCH_OF[cc]!(sink, rs1, rs2, displacement);
    else {
      BRANCH_OF[cc ^ 1]!(sink, rs1, rs2, size);
      writeJump(ZERO, size - 4, displacement - 4);
    }
  } else writeJump(RA, size, displacement);
}

function writeJump(rd: number, size: number, displacement: number): void {
  if (size === 4) emit.jal(sink, rd, displacement);
  else {
    const upper = upperOf(displacement);
    emit.auipc(sink, T1, upper);
    emit.jalr(sink, rd, displacement - upper, T1);
  }
}

/** What `lui` and `auipc` add for a value of 32 bits; the signed 12 bits that are missing follow in another instruction. */
export function upperOf(value: number): number {
  return (value + 0x800) & -0x1000;
}

/** Registers that compressed instructions with fields of three bits can name: x8 to x15. */
const isPrime = (reg: number): boolean => reg >> 3 === 1;
const fits6 = (imm: number): boolean => (imm << 26) >> 26 === imm;

/** Whether a number is an immediate of most instructions. */
export const fits12 = (imm: number): boolean => (imm << 20) >> 20 === imm;

/** A code buffer with the branches of RISC-V, whose instructions are compressed where the CPU has C. */
export class Assembler extends CodeBuffer {
  #c = true;
  #zba = true;
  #zbb = true;
  #shortBranches = false;
  #nearCalls = false;

  /** To be called before a subprogram is written. */
  choose(features: Settings, layout: Settings): void {
    this.#c = features.c === true;
    this.#zba = features.zba === true;
    this.#zbb = features.zbb === true;
    this.#shortBranches = this.#c && layout.shortBranches === true;
    this.#nearCalls = layout.nearCalls === true;
  }

  j(target: Label): void {
    this.branch(this.#shortBranches ? J_SHORT : J, 0, target);
  }

  /** A jump of four bytes, wherever it leads. */
  jal(target: Label): void {
    this.branch(JAL_ALWAYS, 0, target);
  }

  /** `cc` is one of {@link CC}. */
  b(cc: number, rs1: number, rs2: number, target: Label): void {
    const short = this.#shortBranches && rs2 === ZERO && cc <= CC.ne && isPrime(rs1);
    this.branch(short ? B_SHORT : B, cc | (rs1 << 8) | (rs2 << 16), target);
  }

  call(target: Label): void {
    this.branch(this.#nearCalls ? CALL_NEAR : CALL, 0, target);
  }

  /** Nothing, in four bytes. */
  nop(): void {
    emit.addi(this, ZERO, ZERO, 0);
  }

  /** `rd = imm` where `rs` is 0, by a branch over it; the immediate has 12 bits at most. */
  liIfZero(rs: number, rd: number, imm: number): void {
    const over = this.#c && fits6(imm) ? 2 : 4;
    if (this.#c && isPrime(rs)) emit.c_bnez(this, rs, 2 + over);
    else emit.bne(this, rs, ZERO, 4 + over);
    this.li(rd, imm);
  }

  ret(): void {
    this.jr(RA);
  }

  jr(rs: number): void {
    if (this.#c) emit.c_jr(this, rs);
    else emit.jalr(this, ZERO, 0, rs);
  }

  /** A 32-bit number, its sign extended. */
  li(rd: number, imm: number): void {
    const upper = upperOf(imm);
    const lower = imm - upper;
    if (upper === 0) {
      if (this.#c && fits6(imm)) emit.c_li(this, rd, imm);
      else emit.addi(this, rd, ZERO, imm);
      return;
    }
    this.lui(rd, upper);
    if ((lower << 20) >> 20 !== 0) this.addiw(rd, rd, (lower << 20) >> 20);
  }

  /** A 64-bit number. Its low 12 bits that are not 0 are added last; what is above them is a shorter number. */
  liWide(rd: number, value: bigint): void {
    if (BigInt.asIntN(32, value) === value) {
      this.li(rd, Number(value));
      return;
    }
    const lower = BigInt.asIntN(12, value);
    let upper = BigInt.asIntN(64, value - lower) >> 12n;
    let shift = 12;
    while ((upper & 1n) === 0n) {
      upper >>= 1n;
      shift++;
    }
    this.liWide(rd, upper);
    this.slli(rd, rd, shift);
    if (lower !== 0n) this.addi(rd, rd, Number(lower));
  }

  /** `imm` without its low 12 bits. */
  lui(rd: number, imm: number): void {
    if (this.#c && rd !== SP && fits6(imm >> 12)) emit.c_lui(this, rd, imm);
    else emit.lui(this, rd, imm);
  }

  mv(rd: number, rs: number): void {
    if (this.#c) emit.c_mv(this, rd, rs);
    else emit.addi(this, rd, rs, 0);
  }

  addi(rd: number, rs: number, imm: number): void {
    if (!this.#c) emit.addi(this, rd, rs, imm);
    else if (rd === SP && rs === SP && imm !== 0 && (imm & 15) === 0 && (imm << 22) >> 22 === imm)
      emit.c_addi16sp(this, imm);
    else if (isPrime(rd) && rs === SP && imm > 0 && imm < 1024 && (imm & 3) === 0) emit.c_addi4spn(this, rd, imm);
    else if (rd === rs && imm !== 0 && fits6(imm)) emit.c_addi(this, rd, imm);
    else if (imm === 0) emit.c_mv(this, rd, rs);
    else emit.addi(this, rd, rs, imm);
  }

  addw(rd: number, rs1: number, rs2: number): void {
    if (this.#c && rd === rs1 && isPrime(rd) && isPrime(rs2)) emit.c_addw(this, rd, rs2);
    else emit.addw(this, rd, rs1, rs2);
  }

  subw(rd: number, rs1: number, rs2: number): void {
    if (this.#c && rd === rs1 && isPrime(rd) && isPrime(rs2)) emit.c_subw(this, rd, rs2);
    else emit.subw(this, rd, rs1, rs2);
  }

  addiw(rd: number, rs: number, imm: number): void {
    if (this.#c && rd === rs && fits6(imm)) emit.c_addiw(this, rd, imm);
    else emit.addiw(this, rd, rs, imm);
  }

  sextW(rd: number, rs: number): void {
    this.addiw(rd, rs, 0);
  }

  zextW(rd: number, rs: number): void {
    if (this.#zba) emit.add_uw(this, rd, rs, ZERO);
    else {
      this.slli(rd, rs, 32);
      this.srli(rd, rd, 32);
    }
  }

  zextH(rd: number, rs: number): void {
    if (this.#zbb) emit.zext_h(this, rd, rs);
    else {
      this.slli(rd, rs, 48);
      this.srli(rd, rd, 48);
    }
  }

  sextB(rd: number, rs: number): void {
    if (this.#zbb) emit.sext_b(this, rd, rs);
    else {
      this.slli(rd, rs, 56);
      this.srai(rd, rd, 56);
    }
  }

  sextH(rd: number, rs: number): void {
    if (this.#zbb) emit.sext_h(this, rd, rs);
    else {
      this.slli(rd, rs, 48);
      this.srai(rd, rd, 48);
    }
  }

  slli(rd: number, rs: number, shamt: number): void {
    if (this.#c && rd === rs && shamt !== 0) emit.c_slli(this, rd, shamt);
    else emit.slli(this, rd, rs, shamt);
  }

  srli(rd: number, rs: number, shamt: number): void {
    if (this.#c && rd === rs && isPrime(rd) && shamt !== 0) emit.c_srli(this, rd, shamt);
    else emit.srli(this, rd, rs, shamt);
  }

  srai(rd: number, rs: number, shamt: number): void {
    if (this.#c && rd === rs && isPrime(rd) && shamt !== 0) emit.c_srai(this, rd, shamt);
    else emit.srai(this, rd, rs, shamt);
  }

  andi(rd: number, rs: number, imm: number): void {
    if (this.#c && rd === rs && isPrime(rd) && fits6(imm)) emit.c_andi(this, rd, imm);
    else emit.andi(this, rd, rs, imm);
  }

  add(rd: number, rs1: number, rs2: number): void {
    if (this.#c && rd === rs1) emit.c_add(this, rd, rs2);
    else emit.add(this, rd, rs1, rs2);
  }

  /** `rd = 8 * rs1 + rs2` */
  sh3add(rd: number, rs1: number, rs2: number): void {
    if (this.#zba) emit.sh3add(this, rd, rs1, rs2);
    else {
      this.slli(rd, rs1, 3);
      this.add(rd, rd, rs2);
    }
  }

  sub(rd: number, rs1: number, rs2: number): void {
    if (this.#primes(rd, rs1, rs2)) emit.c_sub(this, rd, rs2);
    else emit.sub(this, rd, rs1, rs2);
  }

  and(rd: number, rs1: number, rs2: number): void {
    if (this.#primes(rd, rs1, rs2)) emit.c_and(this, rd, rs2);
    else emit.and(this, rd, rs1, rs2);
  }

  or(rd: number, rs1: number, rs2: number): void {
    if (this.#primes(rd, rs1, rs2)) emit.c_or(this, rd, rs2);
    else emit.or(this, rd, rs1, rs2);
  }

  xor(rd: number, rs1: number, rs2: number): void {
    if (this.#primes(rd, rs1, rs2)) emit.c_xor(this, rd, rs2);
    else emit.xor(this, rd, rs1, rs2);
  }

  lw(rd: number, offset: number, base: number): void {
    const aligned = this.#c && (offset & 3) === 0 && offset >= 0;
    if (aligned && base === SP && offset < 256) emit.c_lwsp(this, rd, offset);
    else if (aligned && isPrime(rd) && isPrime(base) && offset < 128) emit.c_lw(this, rd, offset, base);
    else emit.lw(this, rd, offset, base);
  }

  ld(rd: number, offset: number, base: number): void {
    const aligned = this.#c && (offset & 7) === 0 && offset >= 0;
    if (aligned && base === SP && offset < 512) emit.c_ldsp(this, rd, offset);
    else if (aligned && isPrime(rd) && isPrime(base) && offset < 256) emit.c_ld(this, rd, offset, base);
    else emit.ld(this, rd, offset, base);
  }

  sw(rs: number, offset: number, base: number): void {
    const aligned = this.#c && (offset & 3) === 0 && offset >= 0;
    if (aligned && base === SP && offset < 256) emit.c_swsp(this, rs, offset);
    else if (aligned && isPrime(rs) && isPrime(base) && offset < 128) emit.c_sw(this, rs, offset, base);
    else emit.sw(this, rs, offset, base);
  }

  sd(rs: number, offset: number, base: number): void {
    const aligned = this.#c && (offset & 7) === 0 && offset >= 0;
    if (aligned && base === SP && offset < 512) emit.c_sdsp(this, rs, offset);
    else if (aligned && isPrime(rs) && isPrime(base) && offset < 256) emit.c_sd(this, rs, offset, base);
    else emit.sd(this, rs, offset, base);
  }

  /** rd === rs1, and both registers can be named in three bits. */
  #primes(rd: number, rs1: number, rs2: number): boolean {
    return this.#c && rd === rs1 && isPrime(rd) && isPrime(rs2);
  }
}
