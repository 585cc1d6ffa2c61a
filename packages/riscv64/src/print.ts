// Instructions as text as llvm-objdump 19 writes them, with its aliases: RISC-V Assembly Programmer's Manual, "Pseudoinstructions".
import type { Line } from "@bpfkit/core";
import { decode, expand, type Insn, lengthOf } from "./decode.ts";
import { REGS } from "./regs.ts";

/** Shorter ways to write an instruction whose fields have certain values; the first that fits is taken. */
// biome-ignore format: one row per alias
const ALIASES: Readonly<Record<string, readonly (readonly [fields: Readonly<Record<string, number>>, text: string])[]>> = {
  addi: [[{ rd: 0, rs1: 0, imm: 0 }, "nop"], [{ rs1: 0 }, "li rd, imm"], [{ imm: 0 }, "mv rd, rs1"]],
  addiw: [[{ imm: 0 }, "sext.w rd, rs1"]],
  xori: [[{ imm: -1 }, "not rd, rs1"]],
  sub: [[{ rs1: 0 }, "neg rd, rs2"]],
  subw: [[{ rs1: 0 }, "negw rd, rs2"]],
  sltiu: [[{ imm: 1 }, "seqz rd, rs1"]],
  sltu: [[{ rs1: 0 }, "snez rd, rs2"]],
  slt: [[{ rs2: 0 }, "sltz rd, rs1"], [{ rs1: 0 }, "sgtz rd, rs2"]],
  add_uw: [[{ rs2: 0 }, "zext.w rd, rs1"]],
  beq: [[{ rs2: 0 }, "beqz rs1, imm"]],
  bne: [[{ rs2: 0 }, "bnez rs1, imm"]],
  bge: [[{ rs1: 0 }, "blez rs2, imm"], [{ rs2: 0 }, "bgez rs1, imm"]],
  blt: [[{ rs2: 0 }, "bltz rs1, imm"], [{ rs1: 0 }, "bgtz rs2, imm"]],
  jal: [[{ rd: 0 }, "j imm"], [{ rd: 1 }, "jal imm"]],
  jalr: [
    [{ rd: 0, rs1: 1, imm: 0 }, "ret"], [{ rd: 0, imm: 0 }, "jr rs1"], [{ rd: 0 }, "jr imm(rs1)"],
    [{ rd: 1, imm: 0 }, "jalr rs1"], [{ rd: 1 }, "jalr imm(rs1)"], [{ imm: 0 }, "jalr rd, rs1"],
  ],
  fence: [[{ pred: 15, succ: 15 }, "fence"], [{ pred: 1, succ: 0 }, "pause"]],
  c_slli: [[{ shamt: 0 }, "c.slli64 rd"]],
  c_srli: [[{ shamt: 0 }, "c.srli64 rd'"]],
  c_srai: [[{ shamt: 0 }, "c.srai64 rd'"]],
};

/** Rows whose immediate is a distance to a target, and rows whose immediate is written without its low 12 bits. */
const TO_TARGET: ReadonlySet<string> = new Set(["jal", "beq", "bne", "blt", "bge", "bltu", "bgeu"]);
const UPPER: ReadonlySet<string> = new Set(["lui", "auipc", "c_lui"]);

/**
 * Writes an instruction as llvm-objdump does: registers under their ABI names, numbers in hexadecimal with their sign, branch targets as
 * addresses, a compressed instruction as what it stands for, and pseudoinstructions where they fit. Compressed hints, which stand
 * for nothing, are written as they are.
 *
 * @param address - where the instruction is
 */
export function printInsn(insn: Insn, address = 0n): string {
  const { row, operands } = isHint(insn) ? insn : expand(insn);
  const alias = ALIASES[row.op]?.find(([fields]) =>
    Object.entries(fields).every(([name, value]) => operands[name] === value),
  );
  const order = (operands.aq ? ".aq" : "") + (operands.rl ? (operands.aq ? "rl" : ".rl") : "");
  const text = alias?.[1] ?? (row.asm === "" ? row.mnemonic : `${row.mnemonic}${order} ${row.asm}`);
  const blank = text.indexOf(" ");
  if (blank < 0) return text;
  const fields = text.slice(blank).replace(/[a-z]+\d?'?/g, (name) => {
    const value = operands[name];
    return value === undefined ? name : printField(row.op, name, value, address);
  });
  return text.slice(0, blank) + fields;
}

function isHint({ row: { op }, operands }: Insn): boolean {
  if (op === "c_nop_hint" || operands.shamt === 0) return op.startsWith("c_");
  if (op === "c_addi") return operands.imm === 0;
  return operands.rd === 0 && op.startsWith("c_");
}

function printField(op: string, name: string, value: number, address: bigint): string {
  switch (name) {
    case "imm":
    case "uimm":
    case "shamt":
      if (TO_TARGET.has(op)) return hex(BigInt.asUintN(64, address + BigInt(value)));
      return UPPER.has(op) ? hex(BigInt((value >>> 12) & 0xf_ffff)) : hex(BigInt(value));
    case "pred":
    case "succ":
      return [..."iorw"].filter((_, i) => (value >> (3 - i)) & 1).join("") || "0";
    default:
      return REGS[value]!;
  }
}

function hex(value: bigint): string {
  return value < 0n ? `-${hex(-value)}` : `0x${value.toString(16)}`;
}

/**
 * Decodes code into listing lines, one after the other; bytes that are no instruction of the table are a line of the length that their
 * first parcel asks for. Never throws.
 *
 * @param address - where the code is, for the targets of branches
 */
export function* disassemble(code: Uint8Array, address = 0n): Generator<Line> {
  for (let offset = 0; offset < code.length; ) {
    const insn = decode(code, offset);
    const length = insn?.length ?? Math.min(lengthOf(code[offset]!), code.length - offset);
    const bytes = code.subarray(offset, offset + length);
    const text =
      insn === undefined
        ? `.byte ${Array.from(bytes, (byte) => `0x${byte.toString(16).padStart(2, "0")}`).join(", ")}`
        : printInsn(insn, address + BigInt(offset));
    yield { offset, bytes, text };
    offset += length;
  }
}
