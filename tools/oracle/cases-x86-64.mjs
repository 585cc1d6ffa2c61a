// Random cases for the rows of the x86-64 table: operands, registers, flags and memory, most of them such that accesses succeed.
import { encode, REGS } from "@bpfkit/x86-64";
import { anyWord } from "./random.mjs";

/** Bytes that instructions access: the end of a page with nothing behind it. */
export const BLOCK = 256;
export const FLAG_BITS = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, OF: 11 };
export const RSP = 4;
const RBP = 5;

/**
 * One run of `row`: operands, registers, flags and the block's bytes. The instruction is at `insn`, the block at `data`; branches go to
 * one of `landings`.
 */
export function makeCase(row, random, { insn, data, landings }) {
  const regs = REGS.map(() => anyWord(random));
  const landing = random.pick(landings);
  const target = targetOf(random, data);
  const usesStack = /^(push|pop|call|ret)/.test(row.op);
  const branches = /^(call|jmp)_rm64$/.test(row.op);
  const inStack = () => BigInt(data + 64 + 8 * random.below(22));
  if (usesStack) regs[RSP] = inStack();
  if (row.op === "leave") regs[RBP] = inStack();

  const values = {};
  let mem;
  for (const operand of row.operands) {
    const { name, place } = operand;
    if (place === "fixed") continue;
    if (place === "m" || (place === "rm" && random.chance(50))) {
      mem = usesStack && random.chance(20) ? memOfRsp(row, regs, target) : makeMem(random, regs, target, usesStack);
      values[name] = mem;
    } else if (place === "imm") values[name] = makeImm(random, operand, row);
    else if (place === "rel") values[name] = 0;
    else values[name] = random.pick(branches && usesStack ? REGS.filter((reg) => reg !== "rsp") : REGS);
  }
  const next = insn + encode(row.op, values).length;
  for (const { name, place } of row.operands) if (place === "rel") values[name] = landing - next;
  if (mem?.base === "rip") mem.disp = Number(target) - next;

  const block = Uint8Array.from({ length: BLOCK }, (_, i) =>
    i & 7 ? random.below(256) : random.pick([0, 1, 255, 128, random.below(256)]),
  );
  const view = new DataView(block.buffer);
  const at = Number(target) - data;
  const isWord = mem !== undefined && at >= 0 && at + 8 <= BLOCK;
  if (/^i?div/.test(row.op) && random.chance(70)) tameDividend(random, regs, values);
  if (row.op === "ret") view.setBigUint64(Number(regs[RSP]) - data, BigInt(landing), true);
  if (branches && mem === undefined) regs[REGS.indexOf(values.rm64)] = BigInt(landing);
  if (branches && isWord) view.setBigUint64(at, BigInt(landing), true);
  if (row.op.startsWith("lock_cmpxchg") && isWord && random.chance(50)) {
    regs[0] = view.getBigUint64(at, true);
    if (row.op.includes("m32") && random.chance(50)) regs[0] ^= 0xff_0000_0000n;
  }
  const flags = Object.values(FLAG_BITS).reduce((word, bit) => word | (BigInt(random.below(2)) << BigInt(bit)), 2n);
  return { row, values, bytes: encode(row.op, values), regs, flags, block };
}

/** Mostly inside the block, sometimes across its end or where nothing is. */
function targetOf(random, data) {
  if (random.chance(4)) return random.pick([0x3000_0000n, BigInt(data + BLOCK - 1)]);
  return BigInt(data + random.below(random.chance(10) ? BLOCK : BLOCK - 16));
}

function makeImm(random, { size }, { immIsCount }) {
  if (size === 8) return BigInt.asIntN(64, anyWord(random));
  if (immIsCount) return random.pick([0, 1, random.below(32), random.below(256)]);
  const top = 2 ** (8 * size - 1);
  return random.chance(30) ? random.pick([0, 1, -1, top - 1, -top]) : random.below(2 * top) - top;
}

/** A divisor that is not 0 and a high half that keeps the quotient small enough, as far as other operands allow it. */
function tameDividend(random, regs, values) {
  const operand = Object.values(values)[0];
  if (typeof operand !== "string" || operand === "rax" || operand === "rdx") return;
  const divisor = regs[REGS.indexOf(operand)] || 1n;
  regs[REGS.indexOf(operand)] = divisor;
  regs[2] = random.chance(50)
    ? anyWord(random) % divisor
    : random.pick([0n, BigInt.asUintN(64, BigInt.asIntN(64, regs[0]) >> 63n)]);
}

/** A memory operand that means `target`, and the registers it needs for that; rsp is left alone where the stack is in use. */
function makeMem(random, regs, target, keepsRsp) {
  const usable = REGS.filter((reg) => !(keepsRsp && reg === "rsp"));
  const base = random.pick(usable);
  const index = random.pick(usable.filter((reg) => reg !== "rsp"));
  const scale = random.pick([1, 2, 4, 8]);
  const number = (reg) => REGS.indexOf(reg);
  const disp8 = random.below(256) - 128;
  switch (random.below(6)) {
    case 0:
      regs[number(base)] = target - BigInt(disp8);
      return { base, disp: disp8 };
    case 1: {
      const disp = random.next() | 0;
      regs[number(base)] = BigInt.asUintN(64, target - BigInt(disp));
      return { base, disp, dispSize: 4 };
    }
    case 2:
      if (base === index) {
        regs[number(base)] = BigInt(random.below(0x10000));
        return { base, index, scale, disp: Number(target - regs[number(base)] * BigInt(1 + scale)) };
      }
      regs[number(base)] = BigInt.asUintN(64, target - BigInt(disp8) - regs[number(index)] * BigInt(scale));
      return { base, index, scale, disp: disp8 };
    case 3:
      regs[number(index)] = BigInt(random.below(0x100000));
      return { index, scale, disp: Number(target - regs[number(index)] * BigInt(scale)) };
    case 4:
      return { disp: Number(target) };
    default:
      return { base: "rip", disp: 0 };
  }
}

/** The same by rsp; a pop counts from where rsp is behind it. */
function memOfRsp({ mnemonic }, regs, target) {
  return { base: "rsp", disp: Number(target - regs[RSP]) - (mnemonic === "pop" ? 8 : 0), dispSize: 4 };
}
