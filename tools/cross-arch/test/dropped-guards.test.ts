// What a pass made impossible, a lowering does not look for.
import { arm64 } from "@bpfkit/arm64";
import { assemble, type Backend, guardDivision, noFacts, patch, trust, zeroExtend } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

/** The machine code of the instruction at a slot. */
function codeOf(backend: Backend, program: Parameters<Backend["compile"]>[0], slot: number): readonly string[] {
  const { code, boundaries, ends } = backend.compile(program);
  return Array.from(backend.disassemble(code))
    .filter(({ offset }) => offset >= boundaries[slot]! && offset < ends[slot]!)
    .map(({ text }) => text);
}

const unknown = (text: string) => {
  const verified = trust(assemble(text));
  return { ...verified, facts: noFacts(verified.program.insns.length) };
};

describe("a division behind a guard", () => {
  const text = "w0 /= w6\nw0 s/= w6\nexit";
  const guarded = patch(unknown(text), [guardDivision]);

  test("is one on x86-64, without a comparison", () => {
    expect(codeOf(x86_64, unknown(text), 0)).toEqual(expect.arrayContaining(["test ebx, ebx"]));
    expect(codeOf(x86_64, guarded, 3)).toEqual(["push rdx", "xor edx, edx", "div ebx", "pop rdx"]);
    expect(codeOf(x86_64, guarded, 11)).toEqual(["push rdx", "cdq", "idiv ebx", "pop rdx"]);
  });

  test("is one on riscv64, which gives something else for a division by 0", () => {
    const [plain, less] = [codeOf(riscv64, unknown(text), 0), codeOf(riscv64, guarded, 3)];
    expect(less.length).toBeLessThan(plain.length);
    expect(less[0]).toMatch(/^divuw/);
  });

  test("has nothing to lose on arm64, whose hardware gives what BPF asks for", () => {
    expect(codeOf(arm64, guarded, 3)).toEqual(codeOf(arm64, unknown(text), 0));
  });
});

test("a result of 32 bits whose upper half is cleared behind it, or not looked at, is not extended on riscv64", () => {
  const text = "w6 += w7\nr0 = r6\nexit";
  expect(codeOf(riscv64, unknown(text), 0).length).toBe(2);
  const extended = patch(unknown(text), [zeroExtend]);
  expect(codeOf(riscv64, extended, 0).length).toBe(1);
  expect(codeOf(riscv64, extended, 1).length).toBe(1);
  expect(
    codeOf(riscv64, patch(trust(assemble("w6 += w7\n*(u32 *)(r10 - 4) = r6\nr6 = 0\nr0 = 0\nexit")), []), 0).length,
  ).toBe(1);
});
