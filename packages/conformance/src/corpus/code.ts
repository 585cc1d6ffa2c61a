// Programs written instruction by instruction, in the packed form that engines read.
import { INSNS, type InsnRow, Insns, type Op, type Program, packWord } from "@bpfkit/core";

/** A program being written. */
export class Code {
  #words = new Int32Array(64);
  #length = 0;

  /** Slot of the next instruction. */
  get at(): number {
    return this.#length / 2;
  }

  /** Appends an instruction; fields that its row pins are the row's. */
  put(op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    const row: InsnRow = INSNS[op];
    this.#push(packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm);
  }

  /** Appends an instruction many times. */
  fill(count: number, op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    const row: InsnRow = INSNS[op];
    const word = packWord(row.code, dst, row.src ?? src, row.off ?? off);
    for (let i = 0; i < count; i++) this.#push(word, row.imm ?? imm);
  }

  /** A 64-bit immediate. */
  putImm64(dst: number, value: bigint): void {
    this.put("lddw", dst, 0, 0, Number(BigInt.asIntN(32, value)));
    this.#push(0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Makes the jump or call at `from` lead here. */
  land(from: number): void {
    const words = this.#words;
    const distance = this.at - from - 1;
    const code = words[2 * from]! & 0xff;
    if (code === INSNS.gotol.code || code === INSNS.call_subprog.code) words[2 * from + 1] = distance;
    else words[2 * from] = (words[2 * from]! & 0xffff) | (distance << 16);
  }

  program(name: string, type = "syscall"): Program {
    return {
      name,
      type,
      license: "GPL",
      insns: new Insns(this.#words.slice(0, this.#length)),
      subprogs: [{ name: "main", start: 0 }],
      maps: [],
      kfuncs: [],
    };
  }

  #push(word: number, imm: number): void {
    if (this.#length === this.#words.length) {
      const longer = new Int32Array(2 * this.#length);
      longer.set(this.#words);
      this.#words = longer;
    }
    this.#words[this.#length++] = word;
    this.#words[this.#length++] = imm;
  }
}
