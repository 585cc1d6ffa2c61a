// Random cases for the rows of the riscv64 table: operands, registers and memory, most of them such that accesses succeed.
import { decode, encode, expand } from "@bpfkit/riscv64";
import { anyWord } from "./random.mjs";

/** Bytes that instructions access: the end of a page with nothing behind it. */
export const BLOCK = 256;
/** Global and thread pointer: the runner needs its own. */
export const UNTOUCHED = [3, 4];
const REGISTERS = Array.from({ length: 32 }, (_, i) => i).filter((reg) => !UNTOUCHED.includes(reg));
const ACCESS = /^(l[bhwd]u?|s[bhwd])$/;
const ATOMIC = /^(lr|sc|amo\w+)_/;
/** Farthest from the block that a reservation does not reach. */
const ELSEWHERE = 128;

/** What qemu 7.2 does not have; `longForm` gives it the same in instructions that it has. */
export const isUnknown = (row) => row.op.startsWith("amocas");

/** One run of `row`: what comes before it (a load that reserves), the instruction, registers and the block's bytes. */
export function makeCase(row, random, place) {
  const regs = Array.from({ length: 32 }, (_, reg) => (reg === 0 || UNTOUCHED.includes(reg) ? 0n : anyWord(random)));
  const values = {};
  for (const field of row.pattern.fields) {
    let value = anyField(field, random, row, place);
    while (field.not.includes(value)) value = anyField(field, random, row, place);
    values[field.name] = value;
  }
  const bytes = encode(row.op, values);
  const { row: base, operands } = expand(decode(bytes));
  const block = Uint8Array.from({ length: BLOCK }, () => random.below(256));
  let before = new Uint8Array();
  if (base.op === "jalr")
    regs[operands.rs1] = BigInt(place.code + landing(random, place) + random.below(2)) - BigInt(operands.imm);
  if (ACCESS.test(base.op)) aim(regs, operands, targetOf(random, place.data, 1));
  if (ATOMIC.test(base.op)) {
    const size = base.op.endsWith("w") ? 4 : 8;
    const target = targetOf(random, place.data, random.chance(97) ? size : 1);
    aim(regs, operands, target);
    const at = Number(target) - place.data;
    if (base.op.startsWith("amocas") && random.chance(60) && at >= 0 && at + 8 <= BLOCK) {
      const word = new DataView(block.buffer).getBigUint64(at, true);
      if (operands.rd !== operands.rs1) regs[operands.rd] = size === 4 && random.chance(50) ? word ^ (1n << 40n) : word;
    }
    if (base.op.startsWith("sc")) before = reserve(random, size, operands);
  }
  regs[0] = 0n;
  return { row, values, before, bytes, regs: regs.map((value) => BigInt.asUintN(64, value)), block };
}

/** An offset in the code where a breakpoint is. */
function landing(random, { size, at }) {
  const offset = 2 * random.below(size / 2);
  return offset < at || offset > at + 2 ? offset : at + 4;
}

/** Makes rs1 + imm be `target`; x0 stays 0. */
function aim(regs, { rs1, imm = 0 }, target) {
  regs[rs1] = target - BigInt(imm);
}

/** Mostly inside the block, sometimes across its end or where nothing is. */
function targetOf(random, data, align) {
  if (random.chance(4)) return random.pick([0x3000_0000n, BigInt(data + BLOCK - align)]);
  const at = random.below(random.chance(10) ? BLOCK : BLOCK - 16);
  return BigInt(data + at - (at % align));
}

/** A load that reserves what the store is to store to, or, now and then, something else. */
function reserve(random, size, { rs1, rs2 }) {
  const rd = random.pick([5, 6, 7].filter((reg) => reg !== rs1 && reg !== rs2));
  const load = (base) => encode(size === 4 ? "lr_w" : "lr_d", { aq: 0, rl: 0, rs1: base, rd });
  if (random.chance(80)) return load(rs1);
  const other = random.pick([28, 29, 30].filter((reg) => reg !== rs1 && reg !== rs2));
  const away = encode("xori", { rd: other, rs1, imm: ELSEWHERE });
  return Uint8Array.of(...away, ...load(other));
}

function anyField({ name, min, max, align, bias }, random, row, place) {
  if (/^r[ds]/.test(name)) return random.pick(REGISTERS.filter((reg) => reg >= min && reg <= max));
  if (/^(c_)?(j|jal|b[a-z]+)$/.test(row.op) && name === "imm") {
    const imm = landing(random, place) - place.at;
    return imm < min || imm > max ? 4 : imm;
  }
  const steps = (max - min) / align;
  const pick = random.chance(30)
    ? random.pick([0, steps, Math.ceil((bias - min) / align), 1])
    : random.next() % (steps + 1);
  return min + pick * align;
}

/** Compare and swap by a loop of load-reserved and store-conditional, and the registers that it changes besides. */
export function longForm({ op }, { rd, rs1, rs2 }) {
  const [old, failed, expected] = [5, 6, 7, 28, 29, 30].filter((reg) => ![rd, rs1, rs2].includes(reg));
  const size = op.endsWith("w") ? "w" : "d";
  const aq = { aq: 1, rl: 1 };
  const code = [
    size === "w"
      ? encode("addiw", { rd: expected, rs1: rd, imm: 0 })
      : encode("addi", { rd: expected, rs1: rd, imm: 0 }),
    encode(`lr_${size}`, { ...aq, rs1, rd: old }),
    encode("bne", { rs1: old, rs2: expected, imm: 12 }),
    encode(`sc_${size}`, { ...aq, rs2, rs1, rd: failed }),
    encode("bne", { rs1: failed, rs2: 0, imm: -12 }),
    encode("addi", { rd, rs1: old, imm: 0 }),
  ];
  return { code: Uint8Array.from(code.flatMap((bytes) => [...bytes])), scratch: [old, failed, expected] };
}
