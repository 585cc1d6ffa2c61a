// The building blocks of meanings: operands, and the instruction families that differ in width and operands only.
import type { Ops, Size } from "@bpfkit/core";
import { divide128, divideSigned128 } from "./divide.ts";
import {
  addFlags,
  bitAt,
  type Count,
  condition,
  divFlags,
  logicFlags,
  mulFlags,
  not,
  rotateFlags,
  shiftFlags,
  subFlags,
  topBit,
} from "./flags.ts";
import { regNumber } from "./regs.ts";

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

type Width = 4 | 8;
/** Gives an operand, zero-extended from `size`. */
type Source = <V>(m: Ops<V>, f: Fields, size: Size) => V;

const RAX = regNumber("rax");
const RCX = regNumber("rcx");
const RDX = regNumber("rdx");
const RSP = regNumber("rsp");
const RBP = regNumber("rbp");

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
const vvvv: Source = (m, f, size) => m.zext(size, m.get(f.vvvv));

/** A 32-bit write clears the upper half; narrower ones leave the rest. */
function setPart<V>(m: Ops<V>, number: number, size: Size, value: V): void {
  if (size === 8) m.set(number, value);
  else if (size === 4) m.set(number, m.zext(4, value));
  else {
    const rest = m.and(m.get(number), m.constant(size === 1 ? 0xffff_ffff_ffff_ff00n : 0xffff_ffff_ffff_0000n));
    m.set(number, m.or(rest, m.zext(size, value)));
  }
}

/** `rm = change(rm)`, the address computed once; then `after` sets the flags. */
function updateRm<V>(
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

interface Binary {
  readonly value: <V>(m: Ops<V>, a: V, b: V) => V;
  readonly flags: <V>(m: Ops<V>, size: Size, a: V, b: V, result: V) => void;
}

export const ADD: Binary = { value: (m, a, b) => m.add(a, b), flags: addFlags };
export const SUB: Binary = { value: (m, a, b) => m.sub(a, b), flags: subFlags };
export const AND: Binary = { value: (m, a, b) => m.and(a, b), flags: logicFlags };
export const OR: Binary = { value: (m, a, b) => m.or(a, b), flags: logicFlags };
export const XOR: Binary = { value: (m, a, b) => m.xor(a, b), flags: logicFlags };

/** `rm = rm op source` */
export const toRm =
  ({ value, flags }: Binary, size: Size, source: Source): Meaning =>
  (m, f) => {
    const b = source(m, f, size);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, value(m, a, b)),
      (a, result) => flags(m, size, a, b, result),
    );
  };

/** `register = register op source`, the register being one of the row's or rax. */
const toRegister =
  (number: (f: Fields) => number) =>
  ({ value, flags }: Binary, size: Width, source: Source): Meaning =>
  (m, f) => {
    const a = m.zext(size, m.get(number(f)));
    const b = source(m, f, size);
    const result = m.zext(size, value(m, a, b));
    flags(m, size, a, b, result);
    m.set(number(f), result);
  };

export const toReg: (op: Binary, size: Width, source: Source) => Meaning = toRegister((f) => f.reg);
export const toRax: (op: Binary, size: Width, source: Source) => Meaning = toRegister(() => RAX);

/** Flags of `a op b` and nothing else. */
export const compare =
  ({ value, flags }: Binary, size: Size, left: Source, right: Source): Meaning =>
  (m, f) => {
    const a = left(m, f, size);
    const b = right(m, f, size);
    flags(m, size, a, b, m.zext(size, value(m, a, b)));
  };

export const rax: Source = (m, _f, size) => m.zext(size, m.get(RAX));

export const neg =
  (size: Width): Meaning =>
  (m, f) => {
    const zero = m.constant(0n);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, m.sub(zero, a)),
      (a, result) => subFlags(m, size, zero, a, result),
    );
  };

export const complement =
  (size: Width): Meaning =>
  (m, f) =>
    updateRm(m, f, size, (a) => m.zext(size, m.xor(a, m.constant(0xffff_ffff_ffff_ffffn))));

/** Low and high half of a product, and whether the high half is more than the low one's extension. */
function multiply<V>(
  m: Ops<V>,
  size: Width,
  signed: boolean,
  a: V,
  b: V,
): { readonly low: V; readonly high: V; readonly overflow: V } {
  const zero = m.constant(0n);
  if (size === 4) {
    const product = signed ? m.mul(m.sext(4, a), m.sext(4, b)) : m.mul(a, b);
    const low = m.zext(4, product);
    return {
      low,
      high: m.shr(product, m.constant(32n)),
      overflow: not(m, m.eq(product, signed ? m.sext(4, low) : low)),
    };
  }
  const low = m.mul(a, b);
  const unsignedHigh = m.mulhu(a, b);
  if (!signed) return { low, high: unsignedHigh, overflow: not(m, m.eq(unsignedHigh, zero)) };
  const lessB = m.sub(unsignedHigh, m.select(m.slt(a, zero), b, zero));
  const high = m.sub(lessB, m.select(m.slt(b, zero), a, zero));
  return { low, high, overflow: not(m, m.eq(high, m.sar(low, m.constant(63n)))) };
}

/** `rdx:rax = rax * rm` */
export const mulWide =
  (size: Width, signed: boolean): Meaning =>
  (m, f) => {
    const { low, high, overflow } = multiply(m, size, signed, rax(m, f, size), rm(m, f, size));
    mulFlags(m, size, low, overflow);
    m.set(RAX, low);
    m.set(RDX, high);
  };

/** `reg = left * right`, signed. */
export const imul =
  (size: Width, left: Source, right: Source): Meaning =>
  (m, f) => {
    const { low, overflow } = multiply(m, size, true, left(m, f, size), right(m, f, size));
    mulFlags(m, size, low, overflow);
    m.set(f.reg, low);
  };

/** `rax = rdx:rax / rm`, `rdx` the remainder; a trap where the quotient does not fit. */
export const div =
  (size: Width): Meaning =>
  (m, f) => {
    const divisor = rm(m, f, size);
    const high = m.zext(size, m.get(RDX));
    const low = rax(m, f, size);
    m.trapIf(not(m, m.ult(high, divisor)), "divide");
    if (size === 8) {
      const { quotient, remainder } = divide128(m, high, low, divisor);
      setQuotient(m, size, quotient, remainder);
    } else {
      const dividend = m.or(m.shl(high, m.constant(32n)), low);
      setQuotient(m, size, m.udiv(dividend, divisor), m.urem(dividend, divisor));
    }
  };

export const idiv =
  (size: Width): Meaning =>
  (m, f) => {
    const divisor = rm(m, f, size);
    if (size === 8) {
      const { quotient, remainder, overflows } = divideSigned128(m, m.get(RDX), m.get(RAX), divisor);
      m.trapIf(overflows, "divide");
      setQuotient(m, size, quotient, remainder);
    } else {
      const dividend = m.or(m.shl(m.get(RDX), m.constant(32n)), rax(m, f, 4));
      const by = m.sext(4, divisor);
      const quotient = m.sdiv(dividend, by);
      m.trapIf(m.or(m.eq(by, m.constant(0n)), not(m, m.eq(quotient, m.sext(4, quotient)))), "divide");
      setQuotient(m, size, quotient, m.srem(dividend, by));
    }
  };

function setQuotient<V>(m: Ops<V>, size: Width, quotient: V, remainder: V): void {
  const value = m.zext(size, quotient);
  divFlags(m, size, value);
  m.set(RAX, value);
  m.set(RDX, m.zext(size, remainder));
}

/** `rdx` = all copies of the sign of `rax`. */
export const signToRdx =
  (size: Width): Meaning =>
  (m) =>
    m.set(RDX, m.zext(size, m.sar(m.sext(size, m.get(RAX)), m.constant(63n))));

type CountOf = <V>(m: Ops<V>, f: Fields, mask: bigint) => Count<V>;

export const by1: CountOf = () => ({ known: 1n });
export const byImm: CountOf = (_m, f, mask) => ({ known: f.imm & mask });
export const byCl: CountOf = (m, _f, mask) => {
  const value = m.and(m.get(RCX), m.constant(mask));
  return { value, isZero: m.eq(value, m.constant(0n)) };
};

const countMask = (size: Size): bigint => (size === 8 ? 63n : 31n);
const amountOf = <V>(m: Ops<V>, count: Count<V>): V => ("known" in count ? m.constant(count.known) : count.value);

export const shl =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    const shifted = (a: Parameters<typeof m.zext>[1]): typeof a => m.zext(size, m.shl(a, amount));
    updateRm(m, f, size, shifted, (a, result) => {
      const carry = () => m.and(m.shr(a, m.sub(m.constant(BigInt(8 * size)), amount)), m.constant(1n));
      shiftFlags(m, size, count, result, carry, () => m.xor(topBit(m, size, result), carry()));
    });
  };

export const shr =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    updateRm(
      m,
      f,
      size,
      (a) => m.shr(a, amount),
      (a, result) => {
        const carry = () => m.and(m.shr(a, m.sub(amount, m.constant(1n))), m.constant(1n));
        shiftFlags(m, size, count, result, carry, () => topBit(m, size, a));
      },
    );
  };

export const sar =
  (size: Width, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    const amount = amountOf(m, count);
    updateRm(
      m,
      f,
      size,
      (a) => m.zext(size, m.sar(m.sext(size, a), amount)),
      (a, result) => {
        const carry = () => m.and(m.sar(m.sext(size, a), m.sub(amount, m.constant(1n))), m.constant(1n));
        shiftFlags(m, size, count, result, carry, () => m.constant(0n));
      },
    );
  };

function rotatedLeft<V>(m: Ops<V>, size: Size, a: V, amount: V): V {
  const width = m.constant(BigInt(8 * size));
  const within = m.urem(amount, width);
  return m.zext(size, m.or(m.shl(a, within), m.shr(a, m.sub(width, within))));
}

export const rol =
  (size: Exclude<Size, 1>, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    updateRm(
      m,
      f,
      size,
      (a) => rotatedLeft(m, size, a, amountOf(m, count)),
      (_a, result) => {
        const carry = () => bitAt(m, result, 0);
        rotateFlags(m, count, carry, () => m.xor(topBit(m, size, result), carry()));
      },
    );
  };

function rotatedRight<V>(m: Ops<V>, size: Size, a: V, amount: V): V {
  return rotatedLeft(m, size, a, m.sub(m.constant(BigInt(8 * size)), m.urem(amount, m.constant(BigInt(8 * size)))));
}

export const ror =
  (size: Exclude<Size, 1>, by: CountOf): Meaning =>
  (m, f) => {
    const count = by(m, f, countMask(size));
    updateRm(
      m,
      f,
      size,
      (a) => rotatedRight(m, size, a, amountOf(m, count)),
      (_a, result) => {
        const carry = () => topBit(m, size, result);
        rotateFlags(m, count, carry, () => m.xor(carry(), bitAt(m, result, 8 * size - 2)));
      },
    );
  };

/** The shifts that take any register as count and touch no flags. */
export const shiftX =
  (op: "shl" | "shr" | "sar", size: Width): Meaning =>
  (m, f) => {
    const a = rm(m, f, size);
    const count = m.and(vvvv(m, f, size), m.constant(countMask(size)));
    m.set(f.reg, m.zext(size, m[op](op === "sar" ? m.sext(size, a) : a, count)));
  };

export const rorX =
  (size: Width): Meaning =>
  (m, f) =>
    m.set(f.reg, rotatedRight(m, size, rm(m, f, size), m.constant(f.imm & countMask(size))));

export const bswap =
  (size: Width): Meaning =>
  (m, f) => {
    let value = m.get(f.reg);
    for (const [bits, mask] of [
      [8n, 0x00ff_00ff_00ff_00ffn],
      [16n, 0x0000_ffff_0000_ffffn],
      [32n, 0xffff_ffffn],
    ] as const) {
      const low = m.and(value, m.constant(mask));
      const high = m.and(m.shr(value, m.constant(bits)), m.constant(mask));
      value = m.or(m.shl(low, m.constant(bits)), high);
    }
    m.set(f.reg, size === 8 ? value : m.shr(value, m.constant(32n)));
  };

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

function pushed<V>(m: Ops<V>, value: V): void {
  const top = m.sub(m.get(RSP), m.constant(8n));
  m.store(8, top, value);
  m.set(RSP, top);
}

const afterPop = <V>(m: Ops<V>): V => m.add(m.get(RSP), m.constant(8n));

/** The value is that before rsp changes, `push rsp` included. */
export const push =
  (source: Source): Meaning =>
  (m, f) =>
    pushed(m, source(m, f, 8));

export const popReg: Meaning = (m, f) => {
  const value = m.load(8, m.get(RSP));
  if (f.reg !== RSP) m.set(RSP, afterPop(m));
  m.set(f.reg, value);
};

/** An address with rsp in it is that after the pop. */
export const popRm: Meaning = (m, f) => {
  const value = m.load(8, m.get(RSP));
  if (f.rm < 0) {
    const address = addressOf(m, f);
    m.store(8, f.base === RSP ? m.add(address, m.constant(8n)) : address, value);
  }
  if (f.rm !== RSP) m.set(RSP, afterPop(m));
  if (f.rm >= 0) m.set(f.rm, value);
};

export const leave: Meaning = (m) => {
  const frame = m.get(RBP);
  const saved = m.load(8, frame);
  m.set(RSP, m.add(frame, m.constant(8n)));
  m.set(RBP, saved);
};

export const call =
  (target: Source): Meaning =>
  (m, f) => {
    const to = target(m, f, 8);
    pushed(m, m.constant(f.next));
    m.jump(to, "call");
  };

export const jump =
  (target: Source): Meaning =>
  (m, f) =>
    m.jump(target(m, f, 8), "jump");

export const ret: Meaning = (m) => {
  const target = m.load(8, m.get(RSP));
  m.set(RSP, afterPop(m));
  m.jump(target, "return");
};

export const jumpIf =
  (code: number): Meaning =>
  (m, f) =>
    m.branch(condition(m, code), f.imm);

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

export const nothing: Meaning = () => {};

export const fence =
  (kind: "load-load-store" | "full"): Meaning =>
  (m) =>
    m.fence(kind);

export const trap =
  (cause: "breakpoint" | "illegal"): Meaning =>
  (m) =>
    m.trapIf(m.constant(1n), cause);
