import { Machine } from "@bpfkit/conformance";
import type { CodeBuffer } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { createCpu } from "../src/cpu.ts";
import { emit, emitMem } from "../src/emit.ts";
import { x86_64 } from "../src/index.ts";

const RAX = 0;
const RCX = 1;
const RDI = 7;

const machine = (write: (code: CodeBuffer) => void) => Machine.of({ abi: x86_64.abi, createCpu }, write);

test("flags are read as RFLAGS and written so", () => {
  const { cpu } = machine((code) => emit.cmp_rm64_imm8(code, RAX, 1));
  cpu.run(1);
  expect(cpu.flags).toBe(0b1001_0111n);
  cpu.flags = 0x8c1n;
  expect(cpu.flags).toBe(0x8c3n);
});

describe("a trap", () => {
  test.each([
    ["int3", (code: CodeBuffer) => emit.int3(code), { cause: "breakpoint" }],
    ["ud2", (code: CodeBuffer) => emit.ud2(code), { cause: "illegal" }],
    ["what does not decode", (code: CodeBuffer) => code.bytes.set([0x06], code.length++), { cause: "illegal" }],
    ["division by zero", (code: CodeBuffer) => emit.div_rm64(code, RCX), { cause: "divide" }],
    ["a store to code", (code: CodeBuffer) => emitMem.mov_rm8_r8(code, 16, 0, RAX), { cause: "store", size: 1 }],
    ["a jump to data", (code: CodeBuffer) => emit.jmp_rm64(code, RDI), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction", (_what, write, expected) => {
    const { cpu, code } = machine((buffer) => {
      emit.nop(buffer);
      write(buffer);
      emit.ret(buffer);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 1n, ...expected });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", ...expected });
  });

  test("for an instruction that runs past the code is one of fetching, with the address", () => {
    const { cpu, code } = machine((buffer) => {
      emit.mov_r64_imm64(buffer, RAX, 1, 2);
      buffer.length -= 4;
    });
    const { address } = code;
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", pc: address, address, size: 10 });
  });
});
