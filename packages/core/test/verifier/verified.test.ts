import { expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import { verified } from "../../src/verifier/verified.ts";

const caught = (body: () => unknown): unknown => {
  try {
    return body();
  } catch (error) {
    return error instanceof BpfError ? { code: error.code, message: error.message, insn: error.details.insn } : error;
  }
};

test("gives what can be compiled and loaded, with what vouches for it", () => {
  expect(verified(assemble("r0 = 0\nexit")).basis).toEqual({ kind: "verified", profile: "7.2" });
  expect(verified(assemble("r0 = 0\nexit", { type: "xdp" }), { kernel: "6.12" }).basis).toMatchObject({
    profile: "6.12",
  });
});

test("throws what is rejected, with the reason and the instruction, and what took too long", () => {
  const bad = assemble("r2 = 0\nr0 = r3\nexit", { name: "bad" });
  expect(caught(() => verified(bad))).toMatchObject({ code: "rejected", message: "bad: R3 !read_ok", insn: 1 });
  const long = assemble("r6 = 0\nloop:\nr6 += 1\nif r6 != 1000000 goto loop\nr0 = 0\nexit");
  expect(caught(() => verified(long, { budget: { insns: 1000 } }))).toMatchObject({ code: "limit" });
});
