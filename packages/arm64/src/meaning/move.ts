// Meanings of moves, selections and what rearranges bits: Arm ARM (DDI 0487) section C6.2, MOVZ, CSEL, SBFM, EXTR, REV, CLZ.
import type { Ops } from "@bpfkit/core";
import { condition } from "./flags.ts";
import { cut, type Meaning, not, ONES, read, shiftBy, type Width, write } from "./operands.ts";

/** `rd = imm`, which decoding has made. */
export const moveImm: Meaning = (m, f) => write(m, f.rd, f.size, m.constant(f.imm));

/** Replaces 16 bits. */
export const moveKeep: Meaning = (m, f) => {
  const rest = m.and(read(m, f.rd, f.size), m.constant(ONES ^ (0xffffn << BigInt(f.amount))));
  write(m, f.rd, f.size, m.or(rest, m.constant(f.imm)));
};

/** `rd = rn` where the condition holds, else what `change` makes of rm. */
export const selectIf =
  (change: <V>(m: Ops<V>, value: V) => V): Meaning =>
  (m, f) => {
    const otherwise = change(m, read(m, f.rm, f.size));
    write(m, f.rd, f.size, m.select(condition(m, f.cond), read(m, f.rn, f.size), otherwise));
  };

export const unchanged = <V>(_m: Ops<V>, value: V): V => value;
export const plusOne = <V>(m: Ops<V>, value: V): V => m.add(value, m.constant(1n));
export const inverted = <V>(m: Ops<V>, value: V): V => not(m, value);
export const negated = <V>(m: Ops<V>, value: V): V => m.sub(m.constant(0n), value);

/** `rd = rn shifted by rm` */
export const shift =
  (kind: number): Meaning =>
  (m, f) =>
    write(m, f.rd, f.size, shiftBy(m, kind, f.size, read(m, f.rn, f.size), read(m, f.rm, f.size)));

const ones = (width: number): bigint => (1n << BigInt(width)) - 1n;

/** Bits `immr` to `imms` of rn at the bottom, or its low bits up to `imms` as high as `immr` says, extended by sign or zeros. */
export const bitfield =
  (signed: boolean): Meaning =>
  (m, f) => {
    const { immr, imms, size } = f;
    const value = read(m, f.rn, size);
    const up = m.shl(value, m.constant(BigInt(63 - imms)));
    const down = (by: number): ReturnType<typeof read<typeof up>> =>
      m[signed ? "sar" : "shr"](up, m.constant(BigInt(by)));
    if (imms >= immr) write(m, f.rd, size, down(63 - imms + immr));
    else write(m, f.rd, size, m.shl(down(63 - imms), m.constant(BigInt(8 * size - immr))));
  };

/** The same bits into rd, whose others stay. */
export const bitfieldInsert: Meaning = (m, f) => {
  const { immr, imms, size } = f;
  const value = read(m, f.rn, size);
  const place = BigInt(8 * size - immr);
  const mask = imms >= immr ? ones(imms - immr + 1) : ones(imms + 1) << place;
  const moved = imms >= immr ? m.shr(value, m.constant(BigInt(immr))) : m.shl(value, m.constant(place));
  const rest = m.and(read(m, f.rd, size), m.constant(ONES ^ mask));
  write(m, f.rd, size, m.or(rest, m.and(moved, m.constant(mask))));
};

/** The low half of `rn:rm` shifted right. */
export const extract: Meaning = (m, f) => {
  const { imms, size } = f;
  const [high, low] = [read(m, f.rn, size), read(m, f.rm, size)] as const;
  const fromLow = m.shr(low, m.constant(BigInt(imms)));
  if (imms === 0) write(m, f.rd, size, low);
  else write(m, f.rd, size, m.or(fromLow, m.shl(high, m.constant(BigInt(8 * size - imms)))));
};

/** Swaps neighbours of `bits` bits, of which `mask` has the lower ones. */
function swap<V>(m: Ops<V>, value: V, bits: bigint, mask: bigint): V {
  const by = m.constant(bits);
  const lower = m.constant(mask);
  return m.or(m.and(m.shr(value, by), lower), m.shl(m.and(value, lower), by));
}

const SWAPS: readonly (readonly [bits: bigint, mask: bigint])[] = [
  [1n, 0x5555_5555_5555_5555n],
  [2n, 0x3333_3333_3333_3333n],
  [4n, 0x0f0f_0f0f_0f0f_0f0fn],
  [8n, 0x00ff_00ff_00ff_00ffn],
  [16n, 0x0000_ffff_0000_ffffn],
  [32n, 0x0000_0000_ffff_ffffn],
];

/** Turns elements around: steps from groups of `from` bits up to groups of `to` bits, or up to half of the register. */
const reverse =
  (from: bigint, to?: bigint, width?: Width): Meaning =>
  (m, f) => {
    const size = width ?? f.size;
    const last = to ?? 4n * BigInt(size);
    let value = read(m, f.rn, size);
    for (const [bits, mask] of SWAPS) if (bits >= from && bits <= last) value = swap(m, value, bits, mask);
    write(m, f.rd, size, value);
  };

export const reverseBits: Meaning = reverse(1n);
export const reverseBytes: (width: Width) => Meaning = (width) => reverse(8n, undefined, width);
export const reverseBytes16: Meaning = reverse(8n, 8n);
export const reverseBytes32: Meaning = reverse(8n, 16n);

export const leadingZeros: Meaning = (m, f) => {
  const { size } = f;
  write(m, f.rd, size, countZeros(m, size, read(m, f.rn, size)));
};

function countZeros<V>(m: Ops<V>, size: Width, value: V): V {
  let rest = size === 4 ? m.shl(value, m.constant(32n)) : value;
  let count = m.constant(0n);
  for (let step = 4n * BigInt(size); step > 0n; step /= 2n) {
    const isSmall = m.ult(rest, m.constant(1n << (64n - step)));
    rest = m.select(isSmall, m.shl(rest, m.constant(step)), rest);
    count = m.add(count, m.select(isSmall, m.constant(step), m.constant(0n)));
  }
  return cut(m, size, m.select(m.eq(value, m.constant(0n)), m.constant(BigInt(8 * size)), count));
}
