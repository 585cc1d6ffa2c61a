// Bytes to a row and its fields: Intel SDM volume 2, sections 2.1 (legacy), 2.2 (REX, ModRM in 64-bit mode) and 2.3 (VEX).
import type { Mem } from "./encode.ts";
import { REGS } from "./regs.ts";
import { ROWS, type Row } from "./row.ts";

/** A decoded instruction. Registers are hardware numbers; a field that the instruction does not have is −1. */
export interface Insn {
  readonly row: Row;
  /** Bytes. */
  readonly length: number;
  /** The register in ModRM.reg, or in the opcode byte. */
  readonly reg: number;
  /** The register in ModRM.rm; −1 for a memory operand. */
  readonly rm: number;
  readonly vvvv: number;
  /** Base of the memory operand, 16 being rip; −1 for none. */
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: number;
  readonly dispSize: 0 | 1 | 4;
  /** Signed; a count and an immediate of 64 bits are not. */
  readonly imm: bigint;
}

const RIP = 16;
const MAX_LENGTH = 15;

/** Rows by `map * 256 + opcode`. */
const BY_OPCODE: readonly (readonly Row[])[] = byOpcode();

function byOpcode(): Row[][] {
  const lists = Array.from({ length: 4 * 256 }, (): Row[] => []);
  for (const row of ROWS) {
    const many = row.operands.some(({ place }) => place === "opcode") ? 8 : 1;
    for (let i = 0; i < many; i++) lists[row.map * 256 + row.opcode + i]!.push(row);
  }
  return lists;
}

/** What comes before the opcode, and where the opcode is. */
interface Head {
  /** The only legacy prefix, or 0. */
  readonly prefix: number;
  /** REX bits, or those of VEX in the same order (W R X B); 0 without. */
  readonly rex: number;
  /** Whether a REX prefix is there at all: it renames byte registers 4 to 7. */
  readonly hasRex: boolean;
  readonly vex: boolean;
  readonly vvvv: number;
  readonly map: number;
  /** Offset of the opcode byte. */
  readonly at: number;
}

const VEX_PREFIX: readonly number[] = [0, 0x66, 0xf3, 0xf2];

function decodeHead(bytes: Uint8Array, start: number): Head | undefined {
  let at = start;
  let prefix = 0;
  for (let byte = bytes[at]; byte === 0x66 || byte === 0xf0 || byte === 0xf2 || byte === 0xf3; byte = bytes[++at]) {
    if (prefix !== 0) return undefined;
    prefix = byte;
  }
  if (bytes[at] === 0xc4) {
    const second = bytes[at + 1];
    const third = bytes[at + 2];
    if (prefix !== 0 || second === undefined || third === undefined || (third & 4) !== 0) return undefined;
    const map = second & 0x1f;
    if (map !== 2 && map !== 3) return undefined;
    const rex = ((third >> 7) << 3) | ((~second >> 5) & 7);
    return { prefix: VEX_PREFIX[third & 3]!, rex, hasRex: false, vex: true, vvvv: (~third >> 3) & 15, map, at: at + 3 };
  }
  const rexByte = bytes[at];
  const hasRex = rexByte !== undefined && (rexByte & 0xf0) === 0x40;
  if (hasRex) at++;
  const map = bytes[at] === 0x0f ? 1 : 0;
  return { prefix, rex: hasRex ? rexByte & 15 : 0, hasRex, vex: false, vvvv: -1, map, at: at + map };
}

function fits(row: Row, head: Head, modrm: number | undefined): boolean {
  if (row.prefix !== head.prefix || row.vex !== head.vex || (row.w !== head.rex >> 3 && !row.ignoresW)) return false;
  let bare = true;
  for (const { place, size } of row.operands) {
    if (place === "rm" || place === "m") {
      bare = false;
      if (modrm === undefined || (place === "m" && modrm >= 0xc0)) return false;
      if (size === 1 && !head.hasRex && modrm >= 0xc0 && (modrm & 7) >= 4 && (head.rex & 1) === 0) return false;
    } else if (place === "reg" && size === 1) {
      if (modrm === undefined || (!head.hasRex && ((modrm >> 3) & 7) >= 4)) return false;
    } else if (place === "opcode") bare = false;
  }
  if (bare && (head.rex !== row.w << 3 || head.hasRex !== (row.w === 1))) return false;
  if (row.digit >= 0 && (modrm === undefined || ((modrm >> 3) & 7) !== row.digit)) return false;
  if (row.vex && head.vvvv !== 0 && !row.operands.some(({ place }) => place === "vvvv")) return false;
  return row.modrm < 0 || row.modrm === modrm;
}

/**
 * Decodes the instruction that starts at `offset`. Never throws: undefined means that the bytes end too early or are none of
 * the table's instructions. Not in the table, and so undecodable, are: ah, ch, dh and bh; prefixes that a row does not ask for
 * (segments, address size, `rep`, `lock` on a row without it), and REX on rows that have no register or memory operand.
 */
export function decode(bytes: Uint8Array, offset = 0): Insn | undefined {
  const head = decodeHead(bytes, offset);
  const opcode = head && bytes[head.at];
  if (head === undefined || opcode === undefined) return undefined;
  const modrm = bytes[head.at + 1];
  for (const row of BY_OPCODE[head.map * 256 + opcode]!) {
    if (fits(row, head, modrm)) return decodeFields(bytes, offset, row, head);
  }
  return undefined;
}

function decodeFields(bytes: Uint8Array, start: number, row: Row, head: Head): Insn | undefined {
  const { rex } = head;
  let at = head.at + 1;
  let reg = -1;
  let rm = -1;
  let base = -1;
  let index = -1;
  let scale: Insn["scale"] = 1;
  let dispSize: Insn["dispSize"] = 0;
  let hasModrm = row.modrm >= 0;
  for (const { place } of row.operands) {
    if (place === "opcode") reg = (bytes[head.at]! & 7) | ((rex & 1) << 3);
    else if (place === "rm" || place === "m") hasModrm = true;
  }
  if (hasModrm) {
    const modrm = bytes[at++]!;
    const mod = modrm >> 6;
    if (row.modrm < 0) {
      reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      if (mod === 3) rm = (modrm & 7) | ((rex & 1) << 3);
      else {
        dispSize = mod === 1 ? 1 : mod === 2 ? 4 : 0;
        base = (modrm & 7) | ((rex & 1) << 3);
        if ((modrm & 7) === 4) {
          const sib = bytes[at++];
          if (sib === undefined) return undefined;
          base = (sib & 7) | ((rex & 1) << 3);
          index = ((sib >> 3) & 7) | ((rex & 2) << 2);
          if (index === 4) index = -1;
          else scale = (1 << (sib >> 6)) as Insn["scale"];
          if (mod === 0 && (sib & 7) === 5) {
            base = -1;
            dispSize = 4;
          }
        } else if (mod === 0 && (modrm & 7) === 5) {
          base = RIP;
          dispSize = 4;
        }
      }
    }
  }
  const { immSize } = row;
  const length = at + dispSize + immSize - start;
  if (start + length > bytes.length || length > MAX_LENGTH) return undefined;
  const disp = dispSize === 0 ? 0 : signed(bytes, at, dispSize);
  const imm = immediate(bytes, at + dispSize, row);
  return {
    row,
    length,
    reg: row.digit >= 0 ? -1 : reg,
    rm,
    vvvv: row.vex ? head.vvvv : -1,
    base,
    index,
    scale,
    disp,
    dispSize,
    imm,
  };
}

function immediate(bytes: Uint8Array, at: number, { immSize, immIsCount }: Row): bigint {
  if (immSize === 0) return 0n;
  if (immSize === 8) return (BigInt(signed(bytes, at + 4, 4) >>> 0) << 32n) | BigInt(signed(bytes, at, 4) >>> 0);
  return BigInt(immIsCount ? bytes[at]! : signed(bytes, at, immSize));
}

function signed(bytes: Uint8Array, at: number, size: 1 | 2 | 4): number {
  const low = bytes[at]!;
  if (size === 1) return (low << 24) >> 24;
  const word = low | (bytes[at + 1]! << 8);
  if (size === 2) return (word << 16) >> 16;
  return word | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The operands of a decoded instruction in the form that `encode` takes: the same operands give the same bytes. */
export function operandsOf(insn: Insn): Record<string, string | number | bigint | Mem> {
  const values: Record<string, string | number | bigint | Mem> = {};
  for (const { name, place, size } of insn.row.operands) {
    if (place === "reg" || place === "opcode") values[name] = REGS[insn.reg]!;
    else if (place === "vvvv") values[name] = REGS[insn.vvvv]!;
    else if (place === "imm" || place === "rel") values[name] = size === 8 ? insn.imm : Number(insn.imm);
    else if (place !== "fixed") values[name] = insn.rm >= 0 ? REGS[insn.rm]! : memOf(insn);
  }
  return values;
}

function memOf({ base, index, scale, disp, dispSize }: Insn): Mem {
  return {
    ...(base < 0 ? {} : { base: base === RIP ? "rip" : REGS[base]! }),
    ...(index < 0 ? {} : { index: REGS[index] as Exclude<(typeof REGS)[number], "rsp">, scale }),
    disp,
    dispSize,
  };
}
