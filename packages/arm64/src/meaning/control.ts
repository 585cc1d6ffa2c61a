// Meanings of branches and of what does nothing or stops: Arm ARM (DDI 0487) section C6.2, B to TBZ, BRK, DMB, the hints.
import type { Ops } from "@bpfkit/core";
import { condition, opposite } from "./flags.ts";
import { type Fields, type Meaning, read, write } from "./operands.ts";

const LINK = 30;

export const branch: Meaning = (m, f) => m.jump(m.constant(f.imm), "jump");

export const branchLink: Meaning = (m, f) => {
  m.set(LINK, m.constant(f.next));
  m.jump(m.constant(f.imm), "call");
};

export const branchReg =
  (flow: "jump" | "return"): Meaning =>
  (m, f) =>
    m.jump(read(m, f.rn, 8), flow);

export const branchLinkReg: Meaning = (m, f) => {
  const target = read(m, f.rn, 8);
  m.set(LINK, m.constant(f.next));
  m.jump(target, "call");
};

export const branchIf: Meaning = (m, f) => m.branch(condition(m, f.cond), f.imm);

const isZero = <V>(m: Ops<V>, f: Fields): V => m.eq(read(m, f.rt, f.size), m.constant(0n));
const bit = <V>(m: Ops<V>, f: Fields): V =>
  m.and(m.shr(read(m, f.rt, 8), m.constant(BigInt(f.amount))), m.constant(1n));

export const branchIfZero: Meaning = (m, f) => m.branch(isZero(m, f), f.imm);
export const branchUnlessZero: Meaning = (m, f) => m.branch(opposite(m, isZero(m, f)), f.imm);
export const branchIfBit: Meaning = (m, f) => m.branch(bit(m, f), f.imm);
export const branchUnlessBit: Meaning = (m, f) => m.branch(opposite(m, bit(m, f)), f.imm);

/** `xd` = the address that decoding has made. */
export const address: Meaning = (m, f) => write(m, f.rd, 8, m.constant(f.imm));

/** Hints, and pointer authentication: signing leaves a pointer as it is, and so authenticates what was signed. */
export const nothing: Meaning = () => {};

/** Domains whose low bits are 01 order loads only; stores only (10) are given the full fence. */
export const barrier: Meaning = (m, f) => m.fence((f.amount & 3) === 1 ? "load-load-store" : "full");

export const fence: Meaning = (m) => m.fence("full");

export const trap =
  (cause: "breakpoint" | "illegal"): Meaning =>
  (m) =>
    m.trapIf(m.constant(1n), cause);
