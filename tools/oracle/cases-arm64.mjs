// Random cases for the rows of the arm64 table: operands, registers, flags and memory, most of them such that accesses succeed.
import { encode, ROWS } from "@bpfkit/arm64";
import { anyWord } from "./random.mjs";

/** Bytes that instructions access: the end of a page with nothing behind it. */
export const BLOCK = 256;
export const FLAG_BITS = { N: 31, Z: 30, C: 29, V: 28 };
export const SP = 31;
const LINK = 30;
const BRANCH = /^(b|bl|b_cond|[ct]bn?z)$/;
const BRANCH_REG = /^(br|blr|ret)$/;
const LITERAL = /_lit$/;
const EXCLUSIVE = /^stl?xr$/;
const ALIGNED = /^(stl?x?r[bh]?|lda?x?r[bh]?|cas|ld(add|clr|eor|set)|swp)$/;
const WRITES_BACK = /_(pre|post)$/;
/** What comes before authentication is the signature that it takes away again. */
const SIGNED = { autiasp: "paciasp", autiaz: "paciaz" };
/** Hints below this number have names, and some of them change registers. */
const FREE_HINT = 0x30;
/** Addresses of user space: what is neither signed nor tagged. */
const USER = (1n << 47n) - 1n;

/**
 * One run of `row`: the words before it, its own, registers, flags and the block's bytes. The instruction is at `insn`, the block at `data`;
 * branches go to one of `landings`, literals are at `literals`.
 */
export function makeCase(row, random, place) {
  const regs = Array.from({ length: 32 }, () => anyWord(random));
  const block = Uint8Array.from({ length: BLOCK }, () => random.below(256));
  let values;
  do values = Object.fromEntries(row.pattern.fields.map((field) => [field.name, anyField(field, random, row, place)]));
  while (isUnpredictable(row, values) || !isAllocated(row, values));
  const before = [];
  if (BRANCH_REG.test(row.op)) regs[values.rn] = BigInt(random.pick(place.landings));
  if (row.asm.includes("[")) aim(row, values, regs, targetOf(row, values, random, place.data));
  if (row.op === "cas") expect(values, regs, block, random, place.data);
  if (EXCLUSIVE.test(row.op)) {
    if (random.chance(80)) before.push(encode("ldxr", { sf: values.sf, rn: values.rn, rt: 31 }));
    else regs[values.rn] = BigInt(place.data); // without a reservation nobody has to look whether there is memory
  }
  if (SIGNED[row.op]) before.push(encode(SIGNED[row.op], {}));
  if (SIGNED[row.op] || row.op === "xpaclri") regs[LINK] &= USER;
  const flags = Object.values(FLAG_BITS).reduce((word, bit) => word | (BigInt(random.below(2)) << BigInt(bit)), 0n);
  return { row, values, before, word: encode(row.op, values), regs, flags, block };
}

function anyField({ name, min, max, not }, random, row, { insn, landings, literals }) {
  if (/^r/.test(name)) return random.chance(10) ? 31 : random.below(31);
  if (BRANCH.test(row.op) && name.startsWith("simm")) return (random.pick(landings) - insn) / 4;
  if (LITERAL.test(row.op) && name === "simm19") return (literals + 4 * random.below(8) - insn) / 4;
  if (row.op === "hint") return FREE_HINT + random.below(max + 1 - FREE_HINT);
  const any = () => (random.chance(30) ? random.pick([0, min, max, 1]) : min + (random.next() % (max - min + 1)));
  let value = any();
  while (not.includes(value)) value = any();
  return value;
}

/** Combinations for which the manual leaves open what happens. */
function isUnpredictable({ op }, { rn, rt, rt2, rs, rm }) {
  if (EXCLUSIVE.test(op)) return rs === rt || rs === rn;
  if (BRANCH_REG.test(op)) return rn === 31;
  if (WRITES_BACK.test(op) && rn !== 31 && (rn === rt || rn === rt2)) return true;
  if (op.startsWith("ldp")) return rt === rt2;
  return /_reg/.test(op) && op !== "ccmp_reg" && rn === rm; // such an address has no register to be aimed with
}

function isAllocated({ op }, values) {
  try {
    encode(op, values);
    return true;
  } catch {
    return false;
  }
}

/** Bytes from the lowest to the highest of an access, and what its address is a multiple of. */
function sizeOf({ op }, { sf }) {
  if (/^(ld|st)p/.test(op)) return sf === 1 ? 16 : 8;
  if (/sw/.test(op) && !/^swp/.test(op)) return 4;
  const letter = /^(?:ldrs?|strs?|ldurs?|sturs?|ldar|stlr)([bh])/.exec(op)?.[1];
  return letter === "b" ? 1 : letter === "h" ? 2 : sf === 0 ? 4 : 8;
}

/** Mostly inside the block, sometimes across its end or where nothing is. */
function targetOf(row, values, random, data) {
  const size = sizeOf(row, values);
  const align = ALIGNED.test(row.op) && random.chance(97) ? size : 1;
  const crosses = align === 1 && size <= 8;
  if (random.chance(4)) return random.pick([0x3000_0000n, BigInt(data + BLOCK - (crosses ? 1 : size))]);
  const at = random.below(random.chance(10) && crosses ? BLOCK : BLOCK - 16);
  return BigInt(data + at - (at % align));
}

const EXTEND = { 2: (v) => BigInt.asUintN(32, v), 3: (v) => v, 6: (v) => BigInt.asIntN(32, v), 7: (v) => v };

/** Gives the base register the value with which the access is at `target`. */
function aim(row, values, regs, target) {
  const { rn, rm, extend, s } = values;
  const size = sizeOf(row, values);
  let offset = 0n;
  if (rm !== undefined) offset = EXTEND[extend](rm === 31 ? 0n : regs[rm]) << BigInt(s * Math.log2(size));
  else if (!row.op.endsWith("_post")) {
    const scale = /#(\d+|size)\*/.exec(row.asm)?.[1];
    const factor = scale === undefined ? 1 : scale === "size" ? (values.sf === 1 ? 8 : 4) : Number(scale);
    offset = BigInt((values.imm12 ?? values.simm7 ?? values.simm9 ?? 0) * factor);
  }
  regs[rn] = BigInt.asUintN(64, target - offset);
}

/** Makes a comparison succeed, half of the time. */
function expect({ rs, rn, sf }, regs, block, random, data) {
  const at = Number(regs[rn]) - data;
  if (random.chance(50) || rs === rn || rs === 31 || at < 0 || at + 8 > BLOCK) return;
  const word = new DataView(block.buffer).getBigUint64(at, true);
  regs[rs] = sf === 0 && random.chance(50) ? word ^ (1n << 40n) : word;
}

/** Registers of a row that a real CPU changes and ours does not: a signature is in the pointer. */
export const ignoredRegisters = ({ op }) => (op === "paciasp" || op === "paciaz" ? [LINK] : []);

export const rowsNamed = (only) => ROWS.filter(({ op }) => op.includes(only));
