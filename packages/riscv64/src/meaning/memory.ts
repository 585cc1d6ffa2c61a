// Loads, stores and atomic operations: RISC-V Unprivileged ISA manual, chapters RV32I, RV64I, A and Zacas.
import type { AtomicOp, Ops, Size } from "@bpfkit/core";
import { SINK } from "../regs.ts";
import { address, type Meaning } from "./operands.ts";

export function load(size: Size): Meaning {
  return (m, f) => m.set(f.rd, m.sext(size, m.load(size, address(m, f))));
}

export function loadUnsigned(size: Size): Meaning {
  return (m, f) => m.set(f.rd, m.load(size, address(m, f)));
}

export function store(size: Size): Meaning {
  return (m, f) => m.store(size, address(m, f), m.zext(size, m.get(f.rs2)));
}

/** The address in rs1, a multiple of `size`. */
function aligned<V>(m: Ops<V>, rs1: number, size: Size, cause: "load" | "store"): V {
  const at = m.get(rs1);
  m.trapIf(m.and(at, m.constant(BigInt(size - 1))), cause);
  return at;
}

/** rd = memory; memory = memory combined with rs2. Runs here have one order anyway, so `aq` and `rl` add nothing. */
export function amo(op: AtomicOp, size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => {
    const at = aligned(m, rs1, size, "store");
    m.set(rd, m.sext(size, m.atomic(op, size, at, m.zext(size, m.get(rs2)))));
  };
}

/** rd is what memory is compared with, too. */
export function compareAndSwap(size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => {
    const at = aligned(m, rs1, size, "store");
    const expected = rd === SINK ? m.constant(0n) : m.zext(size, m.get(rd));
    const value = m.zext(size, m.get(rs2));
    m.set(rd, m.sext(size, m.atomic("compare-exchange", size, at, value, expected)));
  };
}

export function loadReserved(size: Size): Meaning {
  return (m, { rd, rs1 }) => {
    const at = aligned(m, rs1, size, "load");
    m.set(rd, m.sext(size, m.atomic("load-reserved", size, at, m.constant(0n))));
  };
}

/** rd is 0 where it stored. */
export function storeConditional(size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => {
    const at = aligned(m, rs1, size, "store");
    m.set(rd, m.atomic("store-conditional", size, at, m.zext(size, m.get(rs2))));
  };
}
