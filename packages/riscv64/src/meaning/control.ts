// Jumps, fences and traps: RISC-V Unprivileged ISA manual, chapter RV32I, sections 2.5, 2.7 and 2.8.
import type { Ops, TrapCause } from "@bpfkit/core";
import type { Meaning } from "./operands.ts";

const RA = 1;
const WRITE = 1;
const READ_WRITE = 3;

/** Continues at the target where `condition(rs1, rs2)` is `expected`. */
export function branchIf(condition: <V>(m: Ops<V>, a: V, b: V) => V, expected: boolean): Meaning {
  return (m, { rs1, rs2, target }) => {
    const value = condition(m, m.get(rs1), m.get(rs2));
    m.branch(expected ? value : m.eq(value, m.constant(0n)), target);
  };
}

export const jal: Meaning = (m, { rd, target, next }) => {
  m.set(rd, m.constant(next));
  m.jump(m.constant(target), rd === RA ? "call" : "jump");
};

/** The target's lowest bit is cleared. */
export const jalr: Meaning = (m, { rd, rs1, imm, next }) => {
  const target = m.and(m.add(m.get(rs1), m.constant(imm)), m.constant(0xffff_ffff_ffff_fffen));
  m.set(rd, m.constant(next));
  m.jump(target, rd === RA ? "call" : rs1 === RA ? "return" : "jump");
};

export const fence: Meaning = (m, { pred, succ }) => {
  const [before, after] = [pred & READ_WRITE, succ & READ_WRITE];
  if (before === 2 && after === READ_WRITE) m.fence("load-load-store");
  else if (before === READ_WRITE && after === WRITE) m.fence("load-store-store");
  else m.fence("full");
};

/** Instructions are fetched anew after every change of code anyway. */
export const fenceI: Meaning = (m) => m.fence("full");

export function trap(cause: TrapCause): Meaning {
  return (m) => m.trapIf(m.constant(1n), cause);
}
