// Tail calls as memory shows them: what a prog array and a program look like there, for machine code and interpreters alike.
import type { Memory } from "./memory.ts";

/** Tail calls that succeed in one invocation from outside, over its whole call tree (Linux' `MAX_TAIL_CALL_CNT`). */
export const MAX_TAIL_CALLS: 33 = 33;

/** Offsets in the kernel's `struct bpf_array` of a prog array, in bytes: Linux 7.2 by its BTF (6.12 has 0x24 and 0x108). */
export const PROG_ARRAY = {
  /** u32: entries. */
  maxEntries: 0x4c,
  /** 8 bytes an entry: the address of a `struct bpf_prog`, 0 where there is none. */
  programs: 0x130,
} as const;

/** Offsets in the kernel's `struct bpf_prog`, in bytes: Linux 7.2 by its BTF (6.12 has 0x30). */
export const PROG = {
  /** u64: the address of its code. */
  entry: 0x48,
} as const;

/**
 * The code that slot `index` (its low 32 bits) of a prog array leads to; undefined where the slot is empty or there is none.
 *
 * @throws {Fault} where `array` is no prog array
 */
export function tailCallTarget(memory: Memory, array: bigint, index: bigint): bigint | undefined {
  const slot = BigInt.asUintN(32, index);
  if (slot >= memory.load(4, array + BigInt(PROG_ARRAY.maxEntries))) return undefined;
  const program = memory.load(8, array + BigInt(PROG_ARRAY.programs) + 8n * slot);
  return program === 0n ? undefined : memory.load(8, program + BigInt(PROG.entry));
}
