// Meanings of moves, conditional and atomic ones included: Intel SDM volume 2, MOV, CMOVcc, SETcc, LEA, XCHG, XADD, CMPXCHG.
import type { Size } from "@bpfkit/core";
import type { Binary } from "./arithmetic.ts";
import { addFlags, condition, subFlags } from "./flags.ts";
import { addressOf, type Meaning, RAX, rax, reg, rm, type Source, setPart, type Width } from "./operands.ts";

export const moveToRm =
  (size: Size, source: Source): Meaning =>
  (m, f) => {
    const value = source(m, f, size);
    if (f.rm >= 0) setPart(m, f.rm, size, value);
    else m.store(size, addressOf(m, f), value);
  };

export const moveToReg =
  (size: Size, source: Source): Meaning =>
  (m, f) =>
    setPart(m, f.reg, size, source(m, f, size));

export const moveExtended =
  (extend: "zext" | "sext", from: Size, to: Width): Meaning =>
  (m, f) =>
    m.set(f.reg, m.zext(to, m[extend](from, rm(m, f, from))));

export const lea =
  (size: Width): Meaning =>
  (m, f) =>
    m.set(f.reg, m.zext(size, addressOf(m, f)));

export const xchg =
  (size: Width): Meaning =>
  (m, f) => {
    const value = reg(m, f, size);
    if (f.rm < 0) m.set(f.reg, m.atomic("exchange", size, addressOf(m, f), value));
    else {
      const other = rm(m, f, size);
      m.set(f.rm, value);
      if (f.reg !== f.rm) m.set(f.reg, other);
    }
  };

/** `lock op [m], reg` */
export const locked =
  (atomic: "add" | "and" | "or" | "xor", { value, flags }: Binary, size: Width): Meaning =>
  (m, f) => {
    const b = reg(m, f, size);
    const old = m.atomic(atomic, size, addressOf(m, f), b);
    flags(m, size, old, b, m.zext(size, value(m, old, b)));
  };

export const lockedXadd =
  (size: Width): Meaning =>
  (m, f) => {
    const b = reg(m, f, size);
    const old = m.atomic("add", size, addressOf(m, f), b);
    addFlags(m, size, old, b, m.zext(size, m.add(old, b)));
    m.set(f.reg, old);
  };

/** rax changes only where it differs from memory, so a success leaves its upper half too. */
export const lockedCmpxchg =
  (size: Width): Meaning =>
  (m, f) => {
    const expected = rax(m, f, size);
    const old = m.atomic("compare-exchange", size, addressOf(m, f), reg(m, f, size), expected);
    subFlags(m, size, expected, old, m.zext(size, m.sub(expected, old)));
    m.set(RAX, size === 8 ? old : m.select(m.eq(expected, old), m.get(RAX), old));
  };

export const setIf =
  (code: number): Meaning =>
  (m, f) => {
    const value = condition(m, code);
    if (f.rm >= 0) setPart(m, f.rm, 1, value);
    else m.store(1, addressOf(m, f), value);
  };

/** The source is read, and the upper half cleared, whether or not the condition holds. */
export const moveIf =
  (code: number, size: Width): Meaning =>
  (m, f) => {
    const value = rm(m, f, size);
    m.set(f.reg, m.select(condition(m, code), value, reg(m, f, size)));
  };
