// Programs written instruction by instruction, in the packed form that engines read.
import { INSNS, type InsnRow, Insns, type Op, type Program, packWord } from "@bpfkit/core";

/** A program being written. */
export class Code {
  readonly words: number[] = [];

  /** Slot of the next instruction. */
  get at(): number {
    return this.words.length / 2;
  }

  /** Appends an instruction; fields that its row pins are the row's. */
  put(op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    const row: InsnRow = INSNS[op];
    this.words.push(packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm);
  }

  /** Appends an instruction many times. */
  fill(count: number, op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    if (count === 0) return;
    this.put(op, dst, src, off, imm);
    const [word, last] = this.words.slice(-2) as [number, number];
    for (let i = 1; i < count; i++) this.words.push(word, last);
  }

  /** A 64-bit immediate. */
  putImm64(dst: number, value: bigint): void {
    this.put("lddw", dst, 0, 0, Number(BigInt.asIntN(32, value)));
    this.words.push(0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Makes the jump at `from` lead here. */
  land(from: number): void {
    const distance = this.at - from - 1;
    if ((this.words[2 * from]! & 0xff) === INSNS.gotol.code) this.words[2 * from + 1] = distance;
    else this.words[2 * from] = (this.words[2 * from]! & 0xffff) | (distance << 16);
  }

  program(name: string, type = "syscall"): Program {
    return {
      name,
      type,
      license: "GPL",
      insns: new Insns(Int32Array.from(this.words)),
      subprogs: [{ name: "main", start: 0 }],
      maps: [],
      kfuncs: [],
    };
  }
}
