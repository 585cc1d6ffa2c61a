import { generateProgram } from "@bpfkit/conformance";
import { assemble, jit, trust } from "@bpfkit/core";
import { Lockstep } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";

describe("in lockstep with the interpreter", () => {
  test("every boundary of drawn programs is equal: registers, writes, pointers bit by bit", () => {
    const lockstep = new Lockstep({ engine: jit(x86_64), disassemble: x86_64.disassemble });
    for (let seed = 0; seed < 60; seed++) {
      const program = lockstep.load(trust(generateProgram(seed, { size: 60 })));
      const result = program.run({ context: Uint8Array.from({ length: 64 }, (_, i) => i * seed * 37) });
      expect(result.difference?.listing).toBeUndefined();
      expect(result.equal).toBe(true);
      expect(result.subject.stop.kind).toBe("returned");
      expect(result.boundaries).toBeGreaterThan(result.instructions * 0.8);
    }
  });

  test.each(["add", "or", "and", "xor"])("an atomic fetch-%s at a bad address traps in both alike", (name) => {
    const lockstep = new Lockstep({ engine: jit(x86_64), disassemble: x86_64.disassemble });
    const text = `r1 = 8\nr2 = 1\nr2 = atomic_fetch_${name}((u64 *)(r1 + 0), r2)\nr0 = 0\nexit`;
    const result = lockstep.load(trust(assemble(text, { type: "syscall" }))).run();
    expect(result.difference?.listing).toBeUndefined();
    expect(result).toMatchObject({ equal: true, subject: { stop: { kind: "trap", address: 8n } } });
  });

  const PASSING = "r6 = 77\n*(u64 *)(r10 - 8) = 9\nr1 = r10\nr1 += -8\ncall f\nr0 += r6\nexit\nf:\n";
  const LOOPING = "r1 = 3\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = 0\ncall loop\nr0 += r6\nexit\nf:\n";
  test.each([
    ["a subprogram does, below what it got", `${PASSING}*(u64 *)(r1 - 16) = 5\nr0 = *(u64 *)(r1 - 16)\nexit`, 82],
    ["the callee's callee does", `${PASSING}r1 += -8\ncall g\nexit\ng:\n*(u64 *)(r1 - 32) = 11\nr0 = 11\nexit`, 88],
    ["a callback does", `r6 = 77\n*(u64 *)(r10 - 8) = 9\n${LOOPING}*(u64 *)(r2 - 24) = r1\nr0 = 0\nexit`, 80],
    [
      "a callback does through a pointer that it finds",
      `r6 = 77\nr1 = r10\nr1 += -64\n*(u64 *)(r10 - 8) = r1\n${LOOPING}r3 = *(u64 *)(r2 + 0)\n*(u64 *)(r3 + 0) = r1\nr0 = 0\nexit`,
      80,
    ],
  ])("what Linux gives for a program whose stack only %s is given by both", (_what, text, returned) => {
    const lockstep = new Lockstep({ engine: jit(x86_64), disassemble: x86_64.disassemble });
    const result = lockstep.load(trust(assemble(text, { type: "syscall" }))).run();
    expect(result.difference?.listing).toBeUndefined();
    expect(result).toMatchObject({ equal: true, subject: { returnValue: returned } });
  });

  test.each([
    ["ends the program", "r6 = r1\nr0 = *(u32 *)skb[1000]\nr0 += 5\nexit", 0, 2],
    ["ends a subprogram", "r6 = r1\ncall f\nr0 += 9\nexit\nf:\nr6 = r1\nr0 = *(u8 *)skb[-1]\nr0 += 5\nexit", 9, 6],
    ["is followed by an exit", "r6 = r1\nr0 = *(u16 *)skb[1000]\nexit", 0, 2],
  ])("a packet load outside the packet that %s leaves both alike", (_what, text, returned, boundaries) => {
    const lockstep = new Lockstep({ engine: jit(x86_64), disassemble: x86_64.disassemble });
    const result = lockstep.load(trust(assemble(text, { type: "socket_filter" }))).run({ data: new Uint8Array(64) });
    expect(result.difference?.listing).toBeUndefined();
    expect(result).toMatchObject({ equal: true, boundaries, subject: { returnValue: returned } });
  });
});
