// Instructions as text with the aliases that llvm-objdump prints (Arm ARM section C6.2, "Alias Conditions"), and code as listing lines.
import type { Line } from "@bpfkit/core";
import { decode, type Insn } from "./decode.ts";
import type { Op } from "./insns.ts";
import { CONDITIONS, regName } from "./regs.ts";
import { bitmaskOf, type Row, sizeOf, type Values } from "./row.ts";

const SHIFTS = ["lsl", "lsr", "asr", "ror"] as const;
const EXTENDS = ["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"] as const;
const TARGETS = ["", "c", "j", "jc"] as const;
/** Operands of barriers; section C6.2, DMB. */
// biome-ignore format: four a line
const DOMAINS: readonly (string | undefined)[] = [
  undefined, "oshld", "oshst", "osh", undefined, "nshld", "nshst", "nsh",
  undefined, "ishld", "ishst", "ish", undefined, "ld", "st", "sy",
];

/**
 * Writes an instruction: numbers in hexadecimal except counts of bits, branch targets as addresses, the preferred alias where there is one.
 *
 * @param address - where the instruction is
 */
export function printInsn(insn: Insn, address = 0n): string {
  const alias = ALIASES[insn.row.op]?.(insn.values, new Writer(insn));
  return alias ?? printRow(insn, address);
}

/** Writes operands of one instruction. */
class Writer {
  readonly #row: Row;
  readonly #values: Values;

  constructor({ row, values }: Insn) {
    this.#row = row;
    this.#values = values;
  }

  /** A register field; `size` where the alias differs from the row. */
  reg(field: string, size?: 4 | 8): string {
    const { w, x, sp } = this.#row;
    const own = x.has(field) ? 8 : w.has(field) ? 4 : sizeOf(this.#values);
    return regName(this.#values[field]!, size ?? own, sp.has(field));
  }

  regs(...fields: readonly string[]): string {
    return fields.map((field) => this.reg(field)).join(", ");
  }

  /** `, lsl #3`, or nothing. */
  shift(): string {
    const { shift = 0, imm6 = 0 } = this.#values;
    return shift === 0 && imm6 === 0 ? "" : `, ${SHIFTS[shift]} #${imm6}`;
  }

  /** `#0x10, lsl #12` */
  imm12(): string {
    const { imm12, sh } = this.#values;
    return `#${hex(BigInt(imm12!))}${sh === 1 ? ", lsl #12" : ""}`;
  }

  /** The second register of the extended form, and its extension where it is more than a plain register. */
  extended(): string {
    const { option = 0, imm3 = 0, rd, rn, sf } = this.#values;
    const wide = sf === 1 && (option & 3) === 3;
    const register = regName(this.#values.rm!, wide ? 8 : 4);
    const { sp } = this.#row;
    const usesSp = (sp.has("rd") && rd === 31) || rn === 31;
    if (usesSp && option === (sf === 1 ? 3 : 2)) return imm3 === 0 ? register : `${register}, lsl #${imm3}`;
    return `${register}, ${EXTENDS[option]}${imm3 === 0 ? "" : ` #${imm3}`}`;
  }

  bitmask(): string {
    const { n, immr, imms, sf } = this.#values;
    const value = bitmaskOf(n!, immr!, imms!)!;
    return `#${hex(sf === 0 ? BigInt.asUintN(32, value) : value)}`;
  }

  /** Condition, inverted. */
  inverse(): string {
    return CONDITIONS[this.#values.cond! ^ 1]!;
  }
}

type Alias = (values: Values, write: Writer) => string | undefined;

/** An arithmetic row whose result is thrown away, or whose first operand is zero. */
const compare =
  (mnemonic: string, operand: (write: Writer) => string): Alias =>
  ({ rd }, write) =>
    rd === 31 ? `${mnemonic} ${write.reg("rn")}, ${operand(write)}` : undefined;

const shifted = (write: Writer): string => `${write.reg("rm")}${write.shift()}`;

const moveToOrFromSp: Alias = ({ rd, rn, imm12, sh }, write) =>
  imm12 === 0 && sh === 0 && (rd === 31 || rn === 31) ? `mov ${write.regs("rd", "rn")}` : undefined;

const negate =
  (mnemonic: string): Alias =>
  ({ rn }, write) =>
    rn === 31 ? `${mnemonic} ${write.reg("rd")}, ${shifted(write)}` : undefined;

const extendedOp =
  (mnemonic: string, test?: string): Alias =>
  ({ rd }, write) => {
    const compares = test !== undefined && rd === 31;
    return `${compares ? test : mnemonic} ${compares ? write.reg("rn") : write.regs("rd", "rn")}, ${write.extended()}`;
  };

/** `mov` where one instruction makes this number and nothing shorter is meant. */
const moveWide =
  (inverted: boolean): Alias =>
  ({ sf, hw, imm16 }, write) => {
    if (imm16 === 0 && hw !== 0) return undefined;
    if (inverted && sf === 0 && imm16 === 0xffff) return undefined;
    const shifted = BigInt(imm16!) << BigInt(16 * hw!);
    const value = inverted ? ~shifted : shifted;
    return `mov ${write.reg("rd")}, #${hex(BigInt.asIntN(sf === 1 ? 64 : 32, value))}`;
  };

/** Whether movz or movn make the number, too: then orr is not printed as mov. */
function isMoveWide(value: bigint, size: 4 | 8): boolean {
  const chunks = Array.from({ length: size / 2 }, (_, i) => (value >> BigInt(16 * i)) & 0xffffn);
  const others = (chunk: bigint): number => chunks.filter((other) => other !== chunk).length;
  return others(0n) <= 1 || others(0xffffn) <= 1;
}

const orrImm: Alias = ({ rn, n, immr, imms, sf }, write) => {
  if (rn !== 31) return undefined;
  const value = bitmaskOf(n!, immr!, imms!)!;
  const cut = sf === 0 ? BigInt.asUintN(32, value) : value;
  if (isMoveWide(cut, sf === 0 ? 4 : 8)) return undefined;
  return `mov ${write.reg("rd")}, #${hex(BigInt.asIntN(sf === 0 ? 32 : 64, cut))}`;
};

const sbfm: Alias = ({ sf, immr, imms }, write) => {
  const top = sf === 1 ? 63 : 31;
  const [rd, rn] = [write.reg("rd"), write.reg("rn")];
  if (imms === top) return `asr ${rd}, ${rn}, #${immr}`;
  if (immr === 0 && imms === 7) return `sxtb ${rd}, ${write.reg("rn", 4)}`;
  if (immr === 0 && imms === 15) return `sxth ${rd}, ${write.reg("rn", 4)}`;
  if (immr === 0 && imms === 31) return `sxtw ${rd}, ${write.reg("rn", 4)}`;
  return imms! < immr!
    ? `sbfiz ${rd}, ${rn}, #${top + 1 - immr!}, #${imms! + 1}`
    : `sbfx ${rd}, ${rn}, #${immr}, #${imms! - immr! + 1}`;
};

const ubfm: Alias = ({ sf, immr, imms }, write) => {
  const top = sf === 1 ? 63 : 31;
  const [rd, rn] = [write.reg("rd"), write.reg("rn")];
  if (imms === top) return `lsr ${rd}, ${rn}, #${immr}`;
  if (imms! + 1 === immr) return `lsl ${rd}, ${rn}, #${top - imms!}`;
  if (sf === 0 && immr === 0 && imms === 7) return `uxtb ${rd}, ${rn}`;
  if (sf === 0 && immr === 0 && imms === 15) return `uxth ${rd}, ${rn}`;
  return imms! < immr!
    ? `ubfiz ${rd}, ${rn}, #${top + 1 - immr!}, #${imms! + 1}`
    : `ubfx ${rd}, ${rn}, #${immr}, #${imms! - immr! + 1}`;
};

const bfm: Alias = ({ sf, immr, imms, rn }, write) => {
  const top = sf === 1 ? 63 : 31;
  if (imms! >= immr! && !(rn === 31 && immr === 0))
    return `bfxil ${write.regs("rd", "rn")}, #${immr}, #${imms! - immr! + 1}`;
  const place = `#${(top + 1 - immr!) & top}, #${imms! + 1}`;
  return rn === 31 ? `bfc ${write.reg("rd")}, ${place}` : `bfi ${write.regs("rd", "rn")}, ${place}`;
};

/** A conditional select of one register and what is made of it; `zero` where that register is zero. */
const selectOp =
  (same: string, zero?: string): Alias =>
  ({ rn, rm, cond }, write) => {
    if (cond! >= 14 || rn !== rm) return undefined;
    if (zero !== undefined && rn === 31) return `${zero} ${write.reg("rd")}, ${write.inverse()}`;
    return `${same} ${write.regs("rd", "rn")}, ${write.inverse()}`;
  };

const withoutAddend =
  (mnemonic: string): Alias =>
  ({ ra }, write) =>
    ra === 31 ? `${mnemonic} ${write.regs("rd", "rn", "rm")}` : undefined;

const atomicStore =
  (mnemonic: string): Alias =>
  ({ rt, a, l }, write) =>
    rt === 31 && a === 0 ? `${mnemonic}${l === 1 ? "l" : ""} ${write.reg("rs")}, [${write.reg("rn")}]` : undefined;

const domainOf = ({ domain }: Values): string => DOMAINS[domain!] ?? `#${domain}`;

const ALIASES: { readonly [K in Op]?: Alias } = {
  add_imm: moveToOrFromSp,
  adds_imm: compare("cmn", (write) => write.imm12()),
  subs_imm: compare("cmp", (write) => write.imm12()),
  adds_shift: compare("cmn", shifted),
  sub_shift: negate("neg"),
  subs_shift: (values, write) => compare("cmp", shifted)(values, write) ?? negate("negs")(values, write),
  add_ext: extendedOp("add"),
  adds_ext: extendedOp("adds", "cmn"),
  sub_ext: extendedOp("sub"),
  subs_ext: extendedOp("subs", "cmp"),
  ands_imm: compare("tst", (write) => write.bitmask()),
  ands_shift: compare("tst", shifted),
  orr_imm: orrImm,
  orr_shift: ({ rn, shift, imm6 }, write) =>
    rn === 31 && shift === 0 && imm6 === 0 ? `mov ${write.regs("rd", "rm")}` : undefined,
  orn_shift: negate("mvn"),
  movz: moveWide(false),
  movn: moveWide(true),
  sbfm,
  ubfm,
  bfm,
  extr: ({ rn, rm, imms }, write) => (rn === rm ? `ror ${write.regs("rd", "rn")}, #${hex(BigInt(imms!))}` : undefined),
  madd: withoutAddend("mul"),
  msub: withoutAddend("mneg"),
  smaddl: withoutAddend("smull"),
  umaddl: withoutAddend("umull"),
  csinc: selectOp("cinc", "cset"),
  csinv: selectOp("cinv", "csetm"),
  csneg: selectOp("cneg"),
  ldadd: atomicStore("stadd"),
  ldclr: atomicStore("stclr"),
  ldeor: atomicStore("steor"),
  ldset: atomicStore("stset"),
  ret: ({ rn }) => (rn === 30 ? "ret" : undefined),
  brk: ({ imm16 }) => (imm16 === 0 ? "brk #0" : undefined),
  bti: ({ target }) => (target === 0 ? "bti" : undefined),
  isb: ({ crm }) => (crm === 15 ? "isb" : `isb #${crm}`),
  dsb: (values) => (values.domain === 0 ? "ssbb" : values.domain === 4 ? "pssbb" : `dsb ${domainOf(values)}`),
};

/** A part of a row's text: a literal, a number, a register, or a word with a meaning. */
const PART =
  /\{(, [^}]*)\}|rm, extend s|#(?:(\d+|size)\*)?([a-z]+\d*)|\b[rwx](d|n|m|a|t2|t|s)\b(?:\|sp)?|\{(a|l)\}|\b(cond|shift|target|domain|crm)\b/g;

function printRow(insn: Insn, address: bigint): string {
  return printText(insn, insn.row.asm, address);
}

function printText(insn: Insn, text: string, address: bigint): string {
  const { row, values } = insn;
  const write = new Writer(insn);
  return text.replace(PART, (part, optional, scale, number, register, letter, word) => {
    if (optional !== undefined) {
      const names = row.pattern.fields.filter(({ name }) => new RegExp(`\\b${name}\\b`).test(optional));
      return names.every(({ name }) => values[name] === 0) ? "" : printText(insn, optional, address);
    }
    if (number !== undefined) return printNumber(insn, number, scale, address, text);
    if (part === "rm, extend s") return indexText(row, values);
    if (register !== undefined) return write.reg(`r${register}`);
    if (letter !== undefined) return values[letter] === 1 ? letter : "";
    switch (word) {
      case "cond":
        return CONDITIONS[values.cond!]!;
      case "shift":
        return SHIFTS[values.shift!]!;
      case "target":
        return TARGETS[values.target!]!;
      default:
        return domainOf(values);
    }
  });
}

const RELATIVE = /^simm(14|19|21|26)$/;
/** Counts of bits and bit numbers of the bitfield rows are decimal. */
const DECIMAL = /^(imm3|imm6)$/;

function printNumber(
  { values, row }: Insn,
  name: string,
  scale: string | undefined,
  address: bigint,
  text: string,
): string {
  if (name === "bitmask") return `#${hex(bitmaskText(values))}`;
  const factor = scale === undefined ? 1 : scale === "size" ? sizeOf(values) : Number(scale);
  const value = BigInt(values[name] ?? 0) * BigInt(factor);
  if (RELATIVE.test(name)) {
    const from = row.op === "adrp" ? address & ~0xfffn : address;
    return `0x${BigInt.asUintN(64, from + value).toString(16)}`;
  }
  if (text.includes("lsl #") && scale !== undefined) return `#${value}`;
  return DECIMAL.test(name) ? `#${value}` : `#${hex(value)}`;
}

function bitmaskText({ n, immr, imms, sf }: Values): bigint {
  const value = bitmaskOf(n!, immr!, imms!)!;
  return sf === 0 ? BigInt.asUintN(32, value) : value;
}

/** `x1`, `x1, lsl #3`, `w1, sxtw #2` in an address. */
function indexText({ op }: Row, { rm, extend, s, sf }: Values): string {
  const register = regName(rm!, (extend! & 1) === 0 ? 4 : 8);
  const byte = /^(str|ldrs?)b/.test(op);
  const amount = byte ? 0 : /^(str|ldrs?)h/.test(op) ? 1 : op === "ldrsw_reg" || sf === 0 ? 2 : 3;
  if (extend === 3) return s === 0 ? register : `${register}, lsl #${amount}`;
  return `${register}, ${EXTENDS[extend!]}${s === 0 ? "" : ` #${amount}`}`;
}

function hex(value: bigint): string {
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/**
 * Decodes code into listing lines, one after the other; four bytes that are no instruction are a `.word`, fewer at the end `.byte`s.
 * Never throws.
 *
 * @param address - where the code is, for the targets of branches
 */
export function* disassemble(code: Uint8Array, address = 0n): Generator<Line> {
  let offset = 0;
  for (; offset + 4 <= code.length; offset += 4) {
    const bytes = code.subarray(offset, offset + 4);
    const insn = decode(bytes);
    const text = insn === undefined ? `.word ${wordText(bytes)}` : printInsn(insn, address + BigInt(offset));
    yield { offset, bytes, text };
  }
  for (; offset < code.length; offset++) {
    const bytes = code.subarray(offset, offset + 1);
    yield { offset, bytes, text: `.byte 0x${bytes[0]!.toString(16).padStart(2, "0")}` };
  }
}

function wordText(bytes: Uint8Array): string {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .reverse()
    .join("")}`;
}
