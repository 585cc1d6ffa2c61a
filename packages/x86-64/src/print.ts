// Instructions as text in Intel syntax (Intel SDM volume 2, section 3.1.1.3), and code as listing lines.
import type { Line } from "@bpfkit/core";
import { decode, type Insn } from "./decode.ts";
import { regName } from "./regs.ts";
import type { Operand } from "./row.ts";

const RIP = 16;
const SIZE_NAMES: Readonly<Record<number, string>> = {
  1: "byte ptr ",
  2: "word ptr ",
  4: "dword ptr ",
  8: "qword ptr ",
};

/**
 * Writes an instruction: numbers above 9 in hexadecimal, immediates up to 32 bits and displacements with their sign, an access's
 * size where no register tells it, branch targets as addresses.
 *
 * @param address - where the instruction is
 */
export function printInsn(insn: Insn, address = 0n): string {
  const { mnemonic, operands } = insn.row;
  if (operands.length === 0) return mnemonic;
  return `${mnemonic} ${operands.map((operand) => printOperand(insn, operand, address)).join(", ")}`;
}

function printOperand(insn: Insn, { name, place, size }: Operand, address: bigint): string {
  switch (place) {
    case "fixed":
      return name;
    case "imm":
      return number(insn.imm);
    case "rel":
      return hex(BigInt.asUintN(64, address + BigInt(insn.length) + insn.imm));
    case "reg":
    case "opcode":
      return regName(insn.reg, size as 1);
    case "vvvv":
      return regName(insn.vvvv, size as 1);
    case "rm":
    case "m":
      return insn.rm >= 0
        ? regName(insn.rm, size as 1)
        : `${needsSize(insn) ? (SIZE_NAMES[size] ?? "") : ""}[${printAddress(insn)}]`;
  }
}

/** Whether no other operand is a register of the access's size. */
function needsSize({ row }: Insn): boolean {
  const access = row.operands.find(({ place }) => place === "rm" || place === "m")!;
  return !row.operands.some(({ place, size }) => (place === "reg" || place === "vvvv") && size === access.size);
}

function printAddress({ base, index, scale, disp }: Insn): string {
  const parts = [
    ...(base === RIP ? ["rip"] : base >= 0 ? [regName(base, 8)] : []),
    ...(index >= 0 ? [`${regName(index, 8)}${scale === 1 && base >= 0 ? "" : `*${scale}`}`] : []),
  ];
  if (parts.length === 0) return hex(BigInt.asUintN(64, BigInt(disp)));
  const registers = parts.join("+");
  return disp === 0
    ? registers
    : disp < 0
      ? `${registers}-${number(BigInt(-disp))}`
      : `${registers}+${number(BigInt(disp))}`;
}

function number(value: bigint): string {
  return value < 0n ? `-${number(-value)}` : value < 10n ? String(value) : hex(value);
}

function hex(value: bigint): string {
  return value < 10n ? String(value) : `0x${value.toString(16)}`;
}

/**
 * Decodes code into listing lines, one after the other; a byte that starts no instruction is a line of its own. Never throws.
 *
 * @param address - where the code is, for the targets of branches
 */
export function* disassemble(code: Uint8Array, address = 0n): Generator<Line> {
  for (let offset = 0; offset < code.length; ) {
    const insn = decode(code, offset);
    const length = insn?.length ?? 1;
    const text =
      insn === undefined
        ? `.byte 0x${code[offset]!.toString(16).padStart(2, "0")}`
        : printInsn(insn, address + BigInt(offset));
    yield { offset, bytes: code.subarray(offset, offset + length), text };
    offset += length;
  }
}
