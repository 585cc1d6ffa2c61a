import { INSNS, type InsnKind, interpreter, Memory, OPS, type Op, opAt, type Program, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { generateProgram, isSelfContained } from "../src/index.ts";

const opsOf = ({ insns }: Program): Set<Op> => {
  const ops = new Set<Op>();
  for (let at = 0; at < insns.length; at += insns.width(at)) ops.add(OPS[opAt(insns, at)]!);
  return ops;
};

describe("generated programs", () => {
  test("are equal for equal seeds and differ for others", () => {
    expect(generateProgram(7)).toEqual(generateProgram(7));
    const texts = new Set(Array.from({ length: 200 }, (_, seed) => generateProgram(seed).insns.words.join()));
    expect(texts.size).toBe(200);
  });

  test("have a shape that engines take, and end", () => {
    const memory = new Memory({ sizes: { text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
    const stack = memory.allocate("stack", 8192, "stack");
    const context = memory.allocate("data", 64, "context");
    const host = { memory, address: () => 0n, function: () => () => 0n };
    for (let seed = 0; seed < 300; seed++) {
      const loaded = interpreter.load(trust(generateProgram(seed, { size: 80, digest: seed % 2 === 0 })), host);
      const execution = loaded.start({
        args: [context.address],
        stack: { low: stack.address, high: stack.address + 8192n },
      });
      expect(execution.run(100_000)).toMatchObject({ kind: "returned" });
      loaded.release();
    }
  });

  test("contain every instruction that needs no more than a context and a stack", () => {
    const seen = new Set<Op>();
    for (let seed = 0; seed < 600; seed++) for (const op of opsOf(generateProgram(seed, { size: 100 }))) seen.add(op);
    expect(OPS.filter((op) => isSelfContained(op) && !seen.has(op))).toEqual([]);
  });

  test("contain only what is asked for, besides a frame of moves, loads and stores", () => {
    const frame: readonly InsnKind[] = ["mov", "load", "store", "exit"];
    for (let seed = 0; seed < 100; seed++) {
      for (const op of opsOf(generateProgram(seed, { ops: (name) => INSNS[name].kind === "shift" }))) {
        expect([...frame, "shift"]).toContain(INSNS[op].kind);
      }
      for (const op of opsOf(generateProgram(seed, { isa: 1 }))) expect(INSNS[op].isa).toBe(1);
    }
  });

  test("are about as long as asked for", () => {
    for (const size of [20, 200, 2000]) {
      const { length } = generateProgram(3, { size, subprogs: 0 }).insns;
      expect(length).toBeGreaterThan(size * 0.9);
      expect(length).toBeLessThan(size * 1.3 + 40);
    }
  });

  test("divide by a constant 0 only where no verifier looks", () => {
    const divides = (verifiable: boolean): boolean =>
      Array.from({ length: 300 }, (_, seed) =>
        generateProgram(seed, { verifiable, ops: (op) => op === "div64_imm" }),
      ).some(({ insns }) =>
        Array.from({ length: insns.length }, (_, at) => at).some(
          (at) => insns.code(at) === INSNS.div64_imm.code && insns.imm(at) === 0,
        ),
      );
    expect([divides(true), divides(false)]).toEqual([false, true]);
  });
});
