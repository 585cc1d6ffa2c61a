// Meanings of the stack, jumps and calls, and of what does nothing or stops: Intel SDM volume 2, PUSH, POP, CALL, RET, Jcc, INT3.
import type { Ops } from "@bpfkit/core";
import { condition } from "./flags.ts";
import { addressOf, type Meaning, RBP, RSP, type Source } from "./operands.ts";

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

export const nothing: Meaning = () => {};

export const fence =
  (kind: "load-load-store" | "full"): Meaning =>
  (m) =>
    m.fence(kind);

export const trap =
  (cause: "breakpoint" | "illegal"): Meaning =>
  (m) =>
    m.trapIf(m.constant(1n), cause);
