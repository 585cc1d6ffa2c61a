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

test("level 1 shows the path that led to the rejection, level 2 every path", () => {
  const text = "r6 = *(u32 *)(r1 + 0)\nr7 = 1\nif r6 > 10 goto a\nr0 = r6\nexit\na:\nr7 += r6\nr0 = r9\nexit";
  const logOf = (logLevel: 1 | 2): readonly string[] =>
    verify(assemble(text, { type: "socket_filter" }), { logLevel }).log;
  const second = "R6=scalar(smin=umin=umin32=11,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R7=1 R10=fp0";
  expect(logOf(1).slice(2)).toEqual([
    "1: (b7) r7 = 1                        ; R7=1",
    `2: (25) if r6 > 0xa goto pc+2 5: ${second}`,
    "5: (0f) r7 += r6                      ; R6=scalar(smin=umin=umin32=11,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R7=scalar(smin=umin=12,smax=umax=0x100000000,var_off=(0x0; 0x1ffffffff))",
    "6: (bf) r0 = r9",
    "R9 !read_ok",
    "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
  ]);
  expect(logOf(2).slice(14, 19)).toEqual([
    "3: (bf) r0 = r6                       ; R0=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=10,var_off=(0x0; 0xf)) R6=scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=10,var_off=(0x0; 0xf))",
    "4: (95) exit",
    "",
    `from 2 to 5: ${second}`,
    `5: ${second}`,
  ]);
});

test("a log that is longer than it may be keeps its end, and the reason", () => {
  const rounds = ["r0 = 0", "again:", "r0 += 1", "if r0 != 500 goto again", "r0 = r3", "exit"].join("\n");
  const program = assemble(rounds, { type: "socket_filter" });
  const whole = verify(program, { logLevel: 2 }).log;
  const cut = verify(program, { logLevel: 2, logLimit: 4000 }).log;
  const size = cut.join("\n").length;
  expect(size).toBeLessThanOrEqual(4000);
  expect(size).toBeGreaterThan(2500);
  expect(cut).toEqual(whole.slice(-cut.length));
  expect(cut.at(-2)).toBe("R3 !read_ok");
});
