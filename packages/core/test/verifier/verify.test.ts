// The door `verify`: what it gives for programs that it accepts and for those that it does not.
import { expect, test } from "vitest";
import { Fact } from "../../src/analysis/facts.ts";
import { assemble } from "../../src/asm/parse.ts";
import { KERNELS, verify } from "../../src/verifier/verify.ts";

test("an accepted program carries its basis, facts and counts", () => {
  const result = verify(assemble("r0 = *(u32 *)(r1 + 0)\nr2 = 7\nr0 /= r2\nexit", { type: "socket_filter" }));
  if (!result.ok) throw new Error(result.reason);
  expect(result.program.basis).toEqual({ kind: "verified", profile: "7.2" });
  expect(result.facts.flags[2]! & Fact.DIVISOR_NONZERO).not.toBe(0);
  expect(result.stats.totalInsns).toBe(4);
  expect([...result.stats.visits]).toEqual([1, 1, 1, 1]);
});

test("a rejection is a value with the kernel's words and number", () => {
  const result = verify(assemble("r0 = r3\nexit", { type: "socket_filter" }), { logLevel: 1 });
  expect(result).toMatchObject({ ok: false, reason: "R3 !read_ok", errno: 13, insn: 0 });
  expect(result.log).toEqual([
    "func#0 @0",
    "0: R1=ctx() R10=fp0",
    "0: (bf) r0 = r3",
    "R3 !read_ok",
    "processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
  ]);
});

test("a loop that never ends is found", () => {
  const result = verify(assemble("r0 = 0\nloop:\nr0 ^= 1\nif r0 < 5 goto loop\nexit", { type: "socket_filter" }));
  expect(result).toMatchObject({ ok: false, reason: "infinite loop detected at insn 1", errno: 22 });
  expect(result.stats.totalInsns).toBe(12);
});

test("a budget ends in a report", () => {
  const long = assemble("r6 = 0\nloop:\nr6 += 1\nif r6 != 1000000 goto loop\nr0 = 0\nexit", { type: "socket_filter" });
  expect(verify(long, { budget: { insns: 1000 } })).toMatchObject({ ok: false, budget: "instructions" });
  expect(verify(long, { budget: { states: 4 } })).toMatchObject({ ok: false, budget: "states" });
  const few = { ...KERNELS["7.2"]!, limits: { ...KERNELS["7.2"]!.limits, processedInsns: 5000 } };
  expect(verify(long, { kernel: few })).toMatchObject({
    ok: false,
    reason: "BPF program is too large. Processed 5001 insn",
    errno: 7,
  });
});
