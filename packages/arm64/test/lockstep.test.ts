import { generateProgram } from "@bpfkit/conformance";
import { assemble, jit, trust } from "@bpfkit/core";
import { Lockstep } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { arm64 } from "../src/index.ts";

describe("in lockstep with the interpreter", () => {
  test("every boundary of drawn programs is equal: registers, writes, pointers bit by bit", () => {
    const lockstep = new Lockstep({ engine: jit(arm64), disassemble: arm64.disassemble });
    for (let seed = 0; seed < 60; seed++) {
      const program = lockstep.load(trust(generateProgram(seed, { size: 60 })));
      const result = program.run({ context: Uint8Array.from({ length: 64 }, (_, i) => i * seed * 37) });
      expect(result.difference?.listing).toBeUndefined();
      expect(result.equal).toBe(true);
      expect(result.subject.stop.kind).toBe("returned");
      expect(result.boundaries).toBeGreaterThan(result.instructions * 0.8);
    }
  });

  test("frames that do not name r10 have none, and run as the interpreter's do", () => {
    const lockstep = new Lockstep({ engine: jit(arm64), disassemble: arm64.disassemble });
    for (const text of ["r0 = 0\nexit", "r6 = 5\ncall f\nr0 += r6\nexit\nf:\nr6 = 7\nr0 = r6\nexit"]) {
      const result = lockstep.load(trust(assemble(text))).run({ context: new Uint8Array(8) });
      expect(result.difference?.listing).toBeUndefined();
      expect(result.equal).toBe(true);
    }
  });

  test.each([
    ["ends the program", "r6 = r1\nr0 = *(u32 *)skb[1000]\nr0 += 5\nexit", 0],
    ["ends a subprogram", "r6 = r1\ncall f\nr0 += 9\nexit\nf:\nr6 = r1\nr0 = *(u8 *)skb[-1]\nr0 += 5\nexit", 9],
    ["is followed by an exit", "r6 = r1\nr0 = *(u16 *)skb[1000]\nexit", 0],
  ])("a packet load outside the packet that %s leaves both alike", (_what, text, returned) => {
    const lockstep = new Lockstep({ engine: jit(arm64), disassemble: arm64.disassemble });
    const result = lockstep.load(trust(assemble(text, { type: "socket_filter" }))).run({ data: new Uint8Array(64) });
    expect(result.difference?.listing).toBeUndefined();
    expect(result).toMatchObject({ equal: true, subject: { returnValue: returned } });
  });
});
