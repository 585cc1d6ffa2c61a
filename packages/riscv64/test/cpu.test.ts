import { Machine } from "@bpfkit/conformance";
import type { CodeBuffer } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { createCpu } from "../src/cpu.ts";
import { emit } from "../src/emit.ts";
import { riscv64 } from "../src/index.ts";

const A0 = 10;
const A1 = 11;

const machine = (write: (code: CodeBuffer) => void) => Machine.of({ abi: riscv64.abi, createCpu }, write);

test("x0 reads as 0 whatever is written there", () => {
  const { cpu } = machine((code) => {
    emit.addi(code, 0, 0, 7);
    emit.addi(code, A0, 0, 1);
  });
  cpu.set("zero", 5n);
  cpu.run(2);
  expect([cpu.get("zero"), cpu.get("a0")]).toEqual([0n, 1n]);
});

describe("reservations", () => {
  const loop = (code: CodeBuffer): void => {
    emit.lr_d(code, 0, 0, A0, A1);
    emit.sc_d(code, 0, 0, 12, 13, A1);
  };

  test("hold where nobody wrote in between", () => {
    const { memory, cpu } = machine(loop);
    const { address } = memory.allocate("data", 8, "data");
    memory.store(8, address, 9n);
    cpu.set("a1", address);
    cpu.set("a3", 4n);
    cpu.run(2);
    expect([cpu.get("a0"), cpu.get("a2"), memory.load(8, address)]).toEqual([9n, 0n, 4n]);
  });

  test("are lost to another write", () => {
    const { memory, cpu } = machine(loop);
    const { address } = memory.allocate("data", 8, "data");
    cpu.set("a1", address);
    cpu.set("a3", 4n);
    cpu.run(1);
    memory.store(8, address, 5n);
    cpu.run(1);
    expect([cpu.get("a2"), memory.load(8, address)]).toEqual([1n, 5n]);
  });
});

/** c.jr by x0, which is not an instruction. */
function reserved(code: CodeBuffer): void {
  code.bytes.set([0x02, 0x80], code.length);
  code.length += 2;
}

describe("a trap", () => {
  test.each([
    ["ebreak", (code: CodeBuffer) => emit.c_ebreak(code), { cause: "breakpoint" }],
    ["ecall", (code: CodeBuffer) => emit.ecall(code), { cause: "call" }],
    ["unimp", (code: CodeBuffer) => emit.c_unimp(code), { cause: "illegal" }],
    ["what does not decode", reserved, { cause: "illegal" }],
    ["a jump to data", (code: CodeBuffer) => emit.c_jr(code, A1), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction", (_what, write, expected) => {
    const { cpu, code } = machine((buffer) => {
      emit.c_nop(buffer);
      write(buffer);
      emit.c_jr(buffer, 1);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 2n, ...expected });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", ...expected });
  });

  test("for an odd place is one of fetching", () => {
    const { cpu, code } = machine((buffer) => emit.c_nop(buffer));
    cpu.pc = code.address + 1n;
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", pc: code.address + 1n });
  });

  test("for an instruction that runs past the code is one of fetching, with the address", () => {
    const { cpu, code } = machine((buffer) => {
      emit.c_nop(buffer);
      emit.addi(buffer, A0, 0, 1);
      buffer.length -= 2;
    });
    expect(cpu.run(2)).toMatchObject({ kind: "trap", cause: "fetch", pc: code.address + 2n, size: 4 });
    expect(cpu.executed).toBe(1);
  });
});
