// Meanings of loads and stores, exclusive and atomic ones too: Arm ARM (DDI 0487) section C6.2, LDR to SWP, and B2.9 for exclusives.
import type { AtomicOp, Ops, Size } from "@bpfkit/core";
import { ZR } from "../regs.ts";
import { extend, type Fields, type Meaning, not, read, type Width, write } from "./operands.ts";

/** Where an access goes, and what the base register is afterwards, where it changes. */
export interface Mode {
  readonly address: <V>(m: Ops<V>, f: Fields) => V;
  readonly after?: <V>(m: Ops<V>, f: Fields) => V;
}

function plusImm<V>(m: Ops<V>, f: Fields): V {
  const base = read(m, f.rn, 8);
  return f.imm === 0n ? base : m.add(base, m.constant(f.imm));
}

const base = <V>(m: Ops<V>, f: Fields): V => read(m, f.rn, 8);

export const OFFSET: Mode = { address: plusImm };
export const PRE: Mode = { address: plusImm, after: plusImm };
export const POST: Mode = { address: base, after: plusImm };
/** The address that decoding has made. */
export const LITERAL: Mode = { address: (m, f) => m.constant(f.imm) };
export const INDEX: Mode = {
  address: (m, f) => {
    const index = extend(m, f.kind, read(m, f.rm, 8));
    return m.add(read(m, f.rn, 8), f.amount === 0 ? index : m.shl(index, m.constant(BigInt(f.amount))));
  },
};

function writeBack<V>(m: Ops<V>, f: Fields, { after }: Mode, value: V | undefined): void {
  if (after === undefined || value === undefined || f.rn === f.rt || f.rn === f.rt2) return;
  m.set(f.rn, value);
}

/** `rt = zext(size bytes)`; without a size those of the register. */
export const load =
  (mode: Mode, size?: Size): Meaning =>
  (m, f) => {
    const next = mode.after?.(m, f);
    const value = m.load(size ?? f.size, mode.address(m, f));
    write(m, f.rt, 8, value);
    writeBack(m, f, mode, next);
  };

/** `rt = sext(size bytes)` in a register of `to` bytes. */
export const loadSigned =
  (mode: Mode, size: Size, to: Width): Meaning =>
  (m, f) =>
    write(m, f.rt, to, m.sext(size, m.load(size, mode.address(m, f))));

export const store =
  (mode: Mode, size?: Size): Meaning =>
  (m, f) => {
    const next = mode.after?.(m, f);
    m.store(size ?? f.size, mode.address(m, f), read(m, f.rt, 8));
    writeBack(m, f, mode, next);
  };

const second = <V>(m: Ops<V>, f: Fields, address: V): V => m.add(address, m.constant(BigInt(f.size)));

export const loadPair =
  (mode: Mode): Meaning =>
  (m, f) => {
    const address = mode.address(m, f);
    const next = mode.after?.(m, f);
    const first = m.load(f.size, address);
    const other = m.load(f.size, second(m, f, address));
    if (f.rt !== f.rt2) write(m, f.rt, 8, first);
    write(m, f.rt2, 8, other);
    writeBack(m, f, mode, next);
  };

export const storePair =
  (mode: Mode): Meaning =>
  (m, f) => {
    const address = mode.address(m, f);
    const next = mode.after?.(m, f);
    m.store(f.size, address, read(m, f.rt, 8));
    m.store(f.size, second(m, f, address), read(m, f.rt2, 8));
    writeBack(m, f, mode, next);
  };

/** The address in rn, a multiple of `size`: what ordered, exclusive and atomic accesses insist on without FEAT_LSE2. */
function aligned<V>(m: Ops<V>, f: Fields, size: Size, cause: "load" | "store"): V {
  const at = base(m, f);
  if (size > 1) m.trapIf(m.and(at, m.constant(BigInt(size - 1))), cause);
  return at;
}

/** What comes after it in program order is not seen before it. */
export const loadAcquire =
  (narrow?: Size): Meaning =>
  (m, f) => {
    const size = narrow ?? f.size;
    const value = m.load(size, aligned(m, f, size, "load"));
    m.fence("load-load-store");
    write(m, f.rt, 8, value);
  };

/** What comes before it in program order is not seen after it. */
export const storeRelease =
  (narrow?: Size): Meaning =>
  (m, f) => {
    const size = narrow ?? f.size;
    const at = aligned(m, f, size, "store");
    m.fence("load-store-store");
    m.store(size, at, read(m, f.rt, 8));
  };

export const loadExclusive: Meaning = (m, f) =>
  write(m, f.rt, 8, m.atomic("load-reserved", f.size, aligned(m, f, f.size, "load"), m.constant(0n)));

/** `rs` is 0 where it stored. */
export const storeExclusive: Meaning = (m, f) =>
  write(m, f.rs, 8, m.atomic("store-conditional", f.size, aligned(m, f, f.size, "store"), read(m, f.rt, 8)));

/** `rt = memory`, and memory becomes that with `rs` worked in. */
export const fetch =
  (op: AtomicOp, clears = false): Meaning =>
  (m, f) => {
    const operand = read(m, f.rs, 8);
    const at = aligned(m, f, f.size, "store");
    write(m, f.rt, 8, m.atomic(op, f.size, at, clears ? not(m, operand) : operand));
  };

/** `rs` is compared with, and gets what memory held. */
export const compareAndSwap: Meaning = (m, f) => {
  const at = aligned(m, f, f.size, "store");
  const old = m.atomic("compare-exchange", f.size, at, read(m, f.rt, 8), read(m, f.rs, 8));
  if (f.rs !== ZR) m.set(f.rs, old);
};
