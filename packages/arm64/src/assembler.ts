// What lowerings write into: the code buffer with arm64's branches, and numbers and accesses in as few instructions as they take.
import { type BranchForm, CodeBuffer, type Label } from "@bpfkit/core";
import { SP, X10, XZR } from "./abi.ts";
import { emit } from "./emit.ts";
import { bitmaskFields } from "./encode.ts";

/** Rows of one shape. */
type AddImm = typeof emit.add_imm;
type LogicalImm = typeof emit.and_imm;
type ShiftedReg = typeof emit.and_shift;

/** Conditions of branches, by number; Arm ARM (DDI 0487) section C1.2.4. Changing bit 0 inverts one. */
export const CC = { eq: 0, ne: 1, hs: 2, lo: 3, mi: 4, hi: 8, ls: 9, ge: 10, lt: 11, gt: 12, le: 13 } as const;

const B = 0;
const B_COND = 1;
const CBZ = 2;
const BL = 3;

/** Distances that 26 and 19 bits of words reach. */
const NEAR_26 = { size: 4, min: -0x800_0000, max: 0x7ff_fffc };
const NEAR_19 = { size: 4, min: -0x10_0000, max: 0xf_fffc };
/** The inverted condition over a `b`, and a no-op: so every branch has 4 bytes modulo 8, and alignment to 8 is known before relaxation. */
const OVER_B = { size: 12, min: -0x7ff_fffc, max: 0x800_0000 };

/** Displacements count from the branch. None is left out, not even one to what follows. */
export const BRANCHES: readonly BranchForm[] = [
  { name: "b", from: "start", encodings: [NEAR_26] },
  { name: "b.cond", from: "start", encodings: [NEAR_19, OVER_B] },
  { name: "cbz", from: "start", encodings: [NEAR_19, OVER_B] },
  { name: "bl", from: "start", encodings: [NEAR_26] },
];

/** Instructions without their fields. */
export const B_WORD = 0x1400_0000;
export const BL_WORD: number = 0x9400_0000 | 0;
export const NOP_WORD: number = 0xd503_201f | 0;
export const BRK_WORD: number = 0xd420_0000 | 0;
const B_COND_WORD = 0x5400_0000;
const CBZ_WORD = 0xb400_0000 | 0;
/** Bit 24 of cbz inverts it, bit 0 of b.cond. */
const CBNZ_BIT = 0x0100_0000;

/** Rows b, bl, b_cond, cbz and cbnz of the instruction table. The operand is a condition, or the register of cbz, with {@link CBNZ_BIT} that of cbnz. */
export function writeBranch(
  bytes: Uint8Array,
  at: number,
  form: number,
  operand: number,
  encoding: number,
  displacement: number,
): void {
  if (form === B || form === BL) {
    writeWord(bytes, at, (form === B ? B_WORD : BL_WORD) | branch26(displacement));
    return;
  }
  const word = (form === B_COND ? B_COND_WORD : CBZ_WORD) | operand;
  if (encoding === 0) {
    writeWord(bytes, at, word | branch19(displacement));
    return;
  }
  writeWord(bytes, at, (form === B_COND ? word ^ 1 : word ^ CBNZ_BIT) | branch19(OVER_B.size));
  writeWord(bytes, at + 4, B_WORD | branch26(displacement - 4));
  writeWord(bytes, at + 8, NOP_WORD);
}

/** The distance in bytes from a `b` or `bl` at one address to another; undefined where those do not reach. */
export function reach26(from: bigint, to: bigint): number | undefined {
  const distance = BigInt.asIntN(64, to - from);
  const { min, max } = NEAR_26;
  return distance < min || distance > max || (distance & 3n) !== 0n ? undefined : Number(distance);
}

/** Fields of distances in bytes. */
export const branch26 = (displacement: number): number => (displacement >> 2) & 0x3ff_ffff;
const branch19 = (displacement: number): number => ((displacement >> 2) & 0x7_ffff) << 5;

/** Four bytes, low first. */
export function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >> 8;
  bytes[at + 2] = word >> 16;
  bytes[at + 3] = word >> 24;
}

/** Whether a number is an immediate of add and sub: 12 bits, or 12 bits above 12 zeros. */
export const fitsAdd = (imm: number): boolean => (imm & ~0xfff) === 0 || (imm & ~0xff_f000) === 0;

/** A code buffer with the branches of arm64. In what follows `w` is 1 for 64 bits and 0 for 32, as the field sf. */
export class Assembler extends CodeBuffer {
  b(target: Label): void {
    this.branch(B, 0, target);
  }

  /** `cc` is one of {@link CC}. */
  bCond(cc: number, target: Label): void {
    this.branch(B_COND, cc, target);
  }

  /** Branches where all 64 bits of a register are 0. */
  cbz(register: number, target: Label): void {
    this.branch(CBZ, register, target);
  }

  /** Branches where not all of them are. */
  cbnz(register: number, target: Label): void {
    this.branch(CBZ, CBNZ_BIT | register, target);
  }

  bl(target: Label): void {
    this.branch(BL, 0, target);
  }

  /** Bytes behind `start` so far, modulo 8: every branch counts 4. */
  misalignment(start: Label): number {
    return (this.length - this.labelOffset[start]! + 4 * (this.branchCount - this.labelBranch[start]!)) & 7;
  }

  mov(w: number, rd: number, rm: number): void {
    emit.orr_shift(this, w, rd, XZR, rm, 0, 0);
  }

  /** A move that may be from or to sp. */
  movSp(rd: number, rn: number): void {
    emit.add_imm(this, 1, rd, rn, 0, 0);
  }

  /** A 32-bit number, its sign extended to 64 bits where `w` is 1. */
  movImm(w: number, rd: number, imm: number): void {
    const high = imm >>> 16;
    const low = imm & 0xffff;
    if (imm >= 0) {
      emit.movz(this, w, rd, low, 0);
      if (high !== 0) emit.movk(this, w, rd, high, 1);
    } else if (high === 0xffff) emit.movn(this, w, rd, low ^ 0xffff, 0);
    else {
      emit.movn(this, w, rd, high ^ 0xffff, 1);
      if (low !== 0xffff) emit.movk(this, w, rd, low, 0);
    }
  }

  /** A 64-bit number in halves: from its highest part down, starting with zeros or with ones, whichever leaves fewer parts. */
  movImm64(rd: number, high: number, low: number): void {
    if (high === 0) {
      this.movImm(0, rd, low);
      return;
    }
    const parts = [low & 0xffff, low >>> 16, high & 0xffff, high >>> 16];
    const ones = parts.filter((part) => part === 0xffff).length;
    const zeros = parts.filter((part) => part === 0).length;
    const filler = ones > zeros ? 0xffff : 0;
    let at = 3;
    while (at > 0 && parts[at] === filler) at--;
    if (filler === 0) emit.movz(this, 1, rd, parts[at]!, at);
    else emit.movn(this, 1, rd, parts[at]! ^ 0xffff, at);
    while (--at >= 0) if (parts[at] !== filler) emit.movk(this, 1, rd, parts[at]!, at);
  }

  /** `rd = rn + imm`. Where the number does not fit it goes through `scratch`. */
  addImm(w: number, rd: number, rn: number, imm: number, scratch: number): void {
    if (fitsAdd(imm)) this.withImm(emit.add_imm, w, rd, rn, imm);
    else if (fitsAdd(-imm)) this.withImm(emit.sub_imm, w, rd, rn, -imm);
    else {
      this.movImm(w, scratch, imm);
      emit.add_shift(this, w, rd, rn, scratch, 0, 0);
    }
  }

  /** `rd = rn - imm`, in the same way. */
  subImm(w: number, rd: number, rn: number, imm: number, scratch: number): void {
    if (fitsAdd(imm)) this.withImm(emit.sub_imm, w, rd, rn, imm);
    else if (fitsAdd(-imm)) this.withImm(emit.add_imm, w, rd, rn, -imm);
    else {
      this.movImm(w, scratch, imm);
      emit.sub_shift(this, w, rd, rn, scratch, 0, 0);
    }
  }

  /** A row of add and sub with a number that {@link fitsAdd}. */
  withImm(row: AddImm, w: number, rd: number, rn: number, imm: number): void {
    if (imm >> 12 === 0) row(this, w, rd, rn, imm, 0);
    else row(this, w, rd, rn, imm >> 12, 1);
  }

  andImm(w: number, rd: number, imm: number): void {
    this.#logical(emit.and_imm, emit.and_shift, w, rd, imm);
  }

  orrImm(w: number, rd: number, imm: number): void {
    this.#logical(emit.orr_imm, emit.orr_shift, w, rd, imm);
  }

  eorImm(w: number, rd: number, imm: number): void {
    this.#logical(emit.eor_imm, emit.eor_shift, w, rd, imm);
  }

  /** Clobbers x10 where the number is no run of ones. */
  #logical(withImm: LogicalImm, withReg: ShiftedReg, w: number, rd: number, imm: number): void {
    const fields = bitmaskFields(w === 1 ? imm >> 31 : imm, imm);
    if (fields >= 0) withImm(this, w, fields >> 12, (fields >> 6) & 63, fields & 63, rd, rd);
    else {
      this.movImm(w, X10, imm);
      withReg(this, w, rd, rd, X10, 0, 0);
    }
  }

  /** sp + offset, for the frame's own slots. */
  loadSlot(rt: number, offset: number): void {
    if (offset <= 0x7ff8) emit.ldr_uoff(this, 1, rt, SP, offset >> 3);
    else {
      this.movImm(1, rt, offset);
      emit.ldr_reg(this, 1, rt, SP, rt, 3, 0);
    }
  }

  storeSlot(rt: number, offset: number, scratch: number): void {
    if (offset <= 0x7ff8) emit.str_uoff(this, 1, rt, SP, offset >> 3);
    else {
      this.movImm(1, scratch, offset);
      emit.str_reg(this, 1, rt, SP, scratch, 3, 0);
    }
  }
}
