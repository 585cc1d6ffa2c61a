// Loads, stores and atomic operations: RISC-V Unprivileged ISA manual, chapters RV32I, RV64I, A and Zacas.
import type { AtomicOp, Size } from "@bpfkit/core";
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

/** rd = memory; memory = memory combined with rs2. Runs here have one order anyway, so `aq` and `rl` add nothing. */
export function amo(op: AtomicOp, size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => m.set(rd, m.sext(size, m.atomic(op, size, m.get(rs1), m.zext(size, m.get(rs2)))));
}

/** rd is what memory is compared with, too. */
export function compareAndSwap(size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => {
    const expected = rd === SINK ? m.constant(0n) : m.zext(size, m.get(rd));
    const value = m.zext(size, m.get(rs2));
    m.set(rd, m.sext(size, m.atomic("compare-exchange", size, m.get(rs1), value, expected)));
  };
}

export function loadReserved(size: Size): Meaning {
  return (m, { rd, rs1 }) => m.set(rd, m.sext(size, m.atomic("load-reserved", size, m.get(rs1), m.constant(0n))));
}

/** rd is 0 where it stored. */
export function storeConditional(size: Size): Meaning {
  return (m, { rd, rs1, rs2 }) => m.set(rd, m.atomic("store-conditional", size, m.get(rs1), m.zext(size, m.get(rs2))));
}
