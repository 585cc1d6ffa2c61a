// The values at which arithmetic goes wrong where it does, and registers filled with them.
import { Random } from "../random.ts";
import type { Start } from "./trials.ts";

/** Around zero, around the limits of 8, 32 and 64 bits, and with halves that differ in sign. */
export const EDGES: readonly bigint[] = [
  0n, 1n, 2n, 7n, 0x7fn, 0x80n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x0123_4567_89ab_cdefn,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x8000_0000_0000_0001n, 0xfedc_ba98_7654_3210n, 0xffff_ffff_0000_0000n,
  0xffff_ffff_7fff_ffffn, 0xffff_ffff_8000_0000n, 0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_ffffn,
]; // biome-ignore format: values

/** Those of them that pairs are made of. */
export const FEW_EDGES: readonly bigint[] = EDGES.filter((_, i) => ![3, 4, 5, 13, 16, 18].includes(i));

/** Some edge values, others for each `seed`. */
export function edgesFor(seed: number, count: number): readonly bigint[] {
  return Array.from({ length: count }, (_, i) => EDGES[(7 * i + seed) % EDGES.length]!);
}

/** Immediates on both sides of every field width that one of the architectures has: 5, 6, 8, 12, 13, 16, 20, 24, 32 bits. */
export const IMMEDIATES: readonly number[] = [
  0, 1, -1, 2, -2, 3, 7, 31, 32, -32, -33, 63, 64, 127, 128, -128, -129, 255, 256, 2047, 2048, -2048, -2049, 4095, 4096, -4096,
  0x5555, 0x7fff, 0x8000, -0x8000, 0xffff, 0x1_0000, 0xff0000, 0xfff000, 0x7f_ffff, 0x80_0000, 0x0101_0101, 0x5555_5555, -0x10000,
  0x7fff_f7ff, 0x7fff_f800, 0x7fff_ffff, -0x8000_0000, -0x7fff_ffff,
]; // biome-ignore format: values

/** Shift counts; all bits above the width's are to be ignored. */
export const COUNTS: readonly number[] = [
  0, 1, 7, 8, 15, 16, 24, 31, 32, 33, 48, 62, 63, 64, 65, 95, 127, 128, 255, 256, -1,
];

/** A quarter of a list, another one for each register. */
export function quarterFor<T>(register: number, values: readonly T[]): readonly T[] {
  return values.filter((_, i) => (i + register) % 4 === 0);
}

/** Registers full of edge values, another choice for each `seed`. */
export function someRegisters(seed: number): bigint[] {
  const random = new Random(seed);
  return Array.from({ length: 10 }, () => random.pick(EDGES));
}

/** `count` starts with drawn registers and words. */
export function drawnStarts(seed: number, count: number): readonly Start[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(seed * 1000 + i);
    return {
      registers: someRegisters(seed * 1000 + i),
      words: [random.pick(EDGES), random.pick(EDGES)] as const,
    };
  });
}

/** Starts in which certain registers take the values given, in turn; the others hold numbers of their own. */
export function startsWith(
  rows: readonly (readonly (readonly [register: number, value: bigint])[])[],
): readonly Start[] {
  return rows.map((row) => {
    const registers = Array.from({ length: 10 }, (_, i) => 0x1111_1111_1111_1111n * BigInt(i + 1));
    for (const [register, value] of row) registers[register] = value;
    return { registers };
  });
}
