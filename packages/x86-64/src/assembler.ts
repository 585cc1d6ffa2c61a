// What lowerings write into: the code buffer with x86-64's branches. Instructions without labels come from `emit` and `emitMem`.
import { type BranchForm, CodeBuffer, type Label } from "@bpfkit/core";

/** Condition codes, as the low four bits of the opcodes of Jcc; Intel SDM volume 1, appendix B. */
export const CC = { b: 2, ae: 3, e: 4, ne: 5, be: 6, a: 7, s: 8, l: 12, ge: 13, le: 14, g: 15 } as const;

const JMP = 0;
const JCC = 1;
const CALL = 2;
const JMP_NEAR = 3;
const JCC_NEAR = 4;

const rel8 = (size: number) => ({ size, min: -128, max: 127 });
const rel32 = (size: number) => ({ size, min: -0x8000_0000, max: 0x7fff_ffff });

/** `jmp` to what follows is left out; `jmp` and `jcc` have a short form; `call`, a `jmp` that stays rewritable and a `jcc` of a fixed size have not. */
export const BRANCHES: readonly BranchForm[] = [
  { name: "jmp", from: "end", encodings: [{ size: 0, min: 0, max: 0 }, rel8(2), rel32(5)] },
  { name: "jcc", from: "end", encodings: [rel8(2), rel32(6)] },
  { name: "call", from: "end", encodings: [rel32(5)] },
  { name: "jmp near", from: "end", encodings: [rel32(5)] },
  { name: "jcc near", from: "end", encodings: [rel32(6)] },
];

/** Rows jmp_rel8, jmp_rel32, jcc_rel8, jcc_rel32 and call_rel32 of the instruction table. */
export function writeBranch(
  bytes: Uint8Array,
  at: number,
  form: number,
  cc: number,
  encoding: number,
  displacement: number,
): void {
  if (form === JCC || form === JCC_NEAR) {
    if (form === JCC && encoding === 0) {
      bytes[at] = 0x70 | cc;
      bytes[at + 1] = displacement;
      return;
    }
    bytes[at++] = 0x0f;
    bytes[at++] = 0x80 | cc;
  } else if (form === JMP) {
    if (encoding === 1) {
      bytes[at] = 0xeb;
      bytes[at + 1] = displacement;
      return;
    }
    bytes[at++] = 0xe9;
  } else bytes[at++] = form === CALL ? 0xe8 : 0xe9;
  writeInt(bytes, at, displacement);
}

/** Four bytes, low first. */
export function writeInt(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >> 8;
  bytes[at + 2] = value >> 16;
  bytes[at + 3] = value >> 24;
}

/** A code buffer with the branches of x86-64. */
export class Assembler extends CodeBuffer {
  /** What indirect jumps go through, where the image has such a thing; else -1. */
  thunk: Label = -1;

  override reset(labels: number): void {
    super.reset(labels);
    this.thunk = -1;
  }

  jmp(target: Label): void {
    this.branch(JMP, 0, target);
  }

  /** In five bytes wherever the target is, so that others can write over it. */
  jmpNear(target: Label): void {
    this.branch(JMP_NEAR, 0, target);
  }

  /** `cc` is one of {@link CC}. */
  jcc(cc: number, target: Label): void {
    this.branch(JCC, cc, target);
  }

  /** In six bytes wherever the target is, so that what lies before it can be measured. */
  jccNear(cc: number, target: Label): void {
    this.branch(JCC_NEAR, cc, target);
  }

  call(target: Label): void {
    this.branch(CALL, 0, target);
  }
}
