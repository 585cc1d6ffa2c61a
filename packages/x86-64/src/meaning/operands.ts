// What meanings are made of: the fields of an instruction and ways to read and write its operands.
import type { Ops, Size } from "@bpfkit/core";
import { regNumber } from "../regs.ts";

/** What a meaning knows about its instruction: everything that decoding tells, with constants of 64 bits. */
export interface Fields {
  /** Register numbers; −1 where the instruction has none, and for `rm` also where it has a memory operand. */
  readonly reg: number;
  readonly rm: number;
  readonly vvvv: number;
  /** The memory operand; a rip-relative one has no base and its address as `disp`. */
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: bigint;
  /** Cut to the operation's width; a branch's target. */
  readonly imm: bigint;
  /** Address of the instruction behind this one. */
  readonly next: bigint;
}

/** What an instruction does, in any reading. */
export type Meaning = <V>(m: Ops<V>, f: Fields) => void;

/** Bytes of what most instructions work on. */
export type Width = 4 | 8;
/** Gives an operand, zero-extended from `size`. */
export type Source = <V>(m: Ops<V>, f: Fields, size: Size) => V;

export const RAX: number = regNumber("rax");
export const RCX: number = regNumber("rcx");
export const RDX: number = regNumber("rdx");
export const RSP: number = regNumber("rsp");
export const RBP: number = regNumber("rbp");

export function addressOf<V>(m: Ops<V>, { base, index, scale, disp }: Fields): V {
  let address = base < 0 ? m.constant(disp) : m.get(base);
  if (index >= 0) {
    const scaled = scale === 1 ? m.get(index) : m.shl(m.get(index), m.constant(BigInt(31 - Math.clz32(scale))));
    address = m.add(address, scaled);
  }
  return base < 0 || disp === 0n ? address : m.add(address, m.constant(disp));
}

export const reg: Source = (m, f, size) => m.zext(size, m.get(f.reg));
export const rm: Source = (m, f, size) => (f.rm >= 0 ? m.zext(size, m.get(f.rm)) : m.load(size, addressOf(m, f)));
export const imm: Source = (m, f) => m.constant(f.imm);
export const rax: Source = (m, _f, size) => m.zext(size, m.get(RAX));
export const vvvv: Source = (m, f, size) => m.zext(size, m.get(f.vvvv));

/** A 32-bit write clears the upper half; narrower ones leave the rest. */
export function setPart<V>(m: Ops<V>, number: number, size: Size, value: V): void {
  if (size === 8) m.set(number, value);
  else if (size === 4) m.set(number, m.zext(4, value));
  else {
    const rest = m.and(m.get(number), m.constant(size === 1 ? 0xffff_ffff_ffff_ff00n : 0xffff_ffff_ffff_0000n));
    m.set(number, m.or(rest, m.zext(size, value)));
  }
}

/** `rm = change(rm)`, the address computed once; then `after` sets the flags. */
export function updateRm<V>(
  m: Ops<V>,
  f: Fields,
  size: Size,
  change: (old: V) => V,
  after?: (old: V, value: V) => void,
): void {
  if (f.rm >= 0) {
    const old = m.zext(size, m.get(f.rm));
    const value = change(old);
    after?.(old, value);
    setPart(m, f.rm, size, value);
  } else {
    const address = addressOf(m, f);
    const old = m.load(size, address);
    const value = change(old);
    m.store(size, address, value);
    after?.(old, value);
  }
}
