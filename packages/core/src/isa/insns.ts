// The packed instruction store: RFC 9669 section 3 (instruction encoding), one Int32Array, no object per instruction.
import { BpfError } from "../errors.ts";

/** The register that passes compute in, `BPF_REG_AX` of the kernel; programs name r0..r10. */
export const AX: 11 = 11;

/** Opcode of the two-slot 64-bit immediate load, the only instruction of two slots. */
const LDIMM64 = 0x18;

/**
 * A sequence of BPF instructions in the 8-byte wire format, two 32-bit words a slot:
 *
 * ```
 *  word 2i     31 .. 16   15 .. 12   11 .. 8   7 .. 0
 *              offset     src        dst       opcode
 *  word 2i+1   immediate
 * ```
 *
 * Indices count slots; a two-slot load (`lddw`) takes two of them, the second slot's `imm` being its high half.
 * The words are not to be written after construction.
 */
export class Insns {
  readonly words: Int32Array;

  constructor(words: Int32Array) {
    if (words.length % 2 !== 0) {
      throw new BpfError("argument", `${words.length} words are not a whole number of instructions`, {
        expected: "two words a slot",
      });
    }
    this.words = words;
  }

  /** Reads the little-endian wire format; @throws {BpfError} `malformed` when the length is not a multiple of 8 bytes. */
  static fromBytes(bytes: Uint8Array): Insns {
    if (bytes.length % 8 !== 0) {
      throw new BpfError("malformed", `instructions of ${bytes.length} bytes`, {
        offset: bytes.length - (bytes.length % 8),
        expected: "a multiple of 8 bytes",
      });
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const words = new Int32Array(bytes.length / 4);
    for (let i = 0; i < words.length; i++) words[i] = view.getInt32(4 * i, true);
    return new Insns(words);
  }

  /** The little-endian wire format. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.words.length * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < this.words.length; i++) view.setInt32(4 * i, this.words[i]!, true);
    return bytes;
  }

  /** Slots, not instructions: a two-slot load counts twice. */
  get length(): number {
    return this.words.length >>> 1;
  }

  /** Opcode byte. */
  code(i: number): number {
    return this.words[2 * i]! & 0xff;
  }

  /** Destination register, 0..15. */
  dst(i: number): number {
    return (this.words[2 * i]! >>> 8) & 0xf;
  }

  /** Source register, 0..15. */
  src(i: number): number {
    return (this.words[2 * i]! >>> 12) & 0xf;
  }

  /** Signed 16-bit offset. */
  off(i: number): number {
    return this.words[2 * i]! >> 16;
  }

  /** Signed 32-bit immediate. */
  imm(i: number): number {
    return this.words[2 * i + 1]!;
  }

  /** The unsigned 64-bit immediate of a two-slot load that starts at `i`. */
  imm64(i: number): bigint {
    return BigInt(this.imm(i) >>> 0) | (BigInt(this.imm(i + 1) >>> 0) << 32n);
  }

  /** Slots of the instruction that starts at `i`: 1, or 2 for a two-slot load. */
  width(i: number): 1 | 2 {
    return this.code(i) === LDIMM64 ? 2 : 1;
  }
}

/** Packs the first word of a slot. */
export function packWord(code: number, dst: number, src: number, off: number): number {
  return (code & 0xff) | ((dst & 0xf) << 8) | ((src & 0xf) << 12) | (off << 16);
}
