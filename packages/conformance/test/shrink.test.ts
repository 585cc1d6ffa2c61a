import { assemble, formatProgram, INSNS, OPS, type Op, opAt, type Program, tryTrust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { generateProgram, shrinkProgram } from "../src/index.ts";

const contains =
  (op: Op) =>
  ({ insns }: Program): boolean => {
    for (let at = 0; at < insns.length; at += insns.width(at)) if (OPS[opAt(insns, at)] === op) return true;
    return false;
  };

describe("shrinking", () => {
  test("leaves what the mistake needs, made plain, and what a program needs", () => {
    for (const op of ["sdiv64_reg", "arsh32_imm", "jset32_reg", "atomic_fetch_xor64", "call_subprog"] as const) {
      let seed = 1;
      while (!contains(op)(generateProgram(seed, { size: 60 }))) seed++;
      const small = shrinkProgram(generateProgram(seed, { size: 60 }), contains(op));
      expect(small.insns.length, formatProgram(small)).toBeLessThanOrEqual(op === "call_subprog" ? 3 : 2);
      expect(contains(op)(small)).toBe(true);
      expect(tryTrust(small).ok).toBe(true);
    }
  });

  test("keeps jumps on their targets", () => {
    const program = assemble(`
      r0 = 1
      r1 = 2
      r2 = 3
      if r0 == 1 goto out
      r0 = 9
      r2 = 5
    out:
      r0 += 7
      exit`);
    const small = shrinkProgram(
      program,
      (candidate) => contains("jeq64_imm")(candidate) && contains("add64_imm")(candidate),
    );
    expect(formatProgram(small, { slots: false })).toBe("main:\n  if r0 == 0 goto +0\n  r0 += 0\n  exit");
  });

  test("takes the same way every time, and only so far", () => {
    const program = generateProgram(5, { size: 100 });
    let tried = 0;
    const fails = (candidate: Program): boolean => {
      tried++;
      return candidate.insns.length > 20;
    };
    const first = shrinkProgram(program, fails);
    expect(shrinkProgram(program, fails)).toEqual(first);
    tried = 0;
    shrinkProgram(program, fails, { attempts: 10 });
    expect(tried).toBe(10);
  });

  test("never tries a program that engines refuse", () => {
    shrinkProgram(generateProgram(9, { size: 80, subprogs: 2 }), (candidate) => {
      expect(tryTrust(candidate).ok).toBe(true);
      return contains("exit")(candidate) && INSNS.exit.code === candidate.insns.code(candidate.insns.length - 1);
    });
  });
});
