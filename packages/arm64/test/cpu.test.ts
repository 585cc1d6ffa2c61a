import { Machine } from "@bpfkit/conformance";
import type { CodeBuffer } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { createCpu } from "../src/cpu.ts";
import { emit } from "../src/emit.ts";
import { arm64 } from "../src/index.ts";

const machine = (write: (code: CodeBuffer) => void) => Machine.of({ abi: arm64.abi, createCpu }, write);

describe("registers", () => {
  test("flags are read as NZCV and written so, with the ghosts that conditions look at", () => {
    const { cpu } = machine((code) => {
      emit.subs_imm(code, 1, 31, 0, 1, 0);
      emit.csinc(code, 1, 2, 31, 31, 11);
    });
    cpu.run(1);
    expect(cpu.flags).toBe(0x8000_0000n);
    cpu.flags = 0x9000_0000n;
    expect(cpu.flags).toBe(0x9000_0000n);
    cpu.run(1);
    expect(cpu.get("x2")).toBe(1n); // N = V: not less
  });

  test("writes to the zero register are lost, and sp is another register", () => {
    const { cpu } = machine((code) => {
      emit.movz(code, 1, 31, 7, 0);
      emit.orr_shift(code, 1, 0, 31, 31, 0, 0);
      emit.add_imm(code, 1, 31, 31, 16, 0);
    });
    cpu.set("x0", 5n);
    cpu.set("sp", 64n);
    cpu.run(3);
    expect([cpu.get("x0"), cpu.get("sp")]).toEqual([0n, 80n]);
  });

  test("signing and authenticating the return address leaves it as it is", () => {
    const { cpu, host } = machine((code) => {
      emit.paciasp(code);
      emit.autiasp(code);
      emit.ret(code, 30);
    });
    expect(cpu.run(10)).toEqual({ kind: "host", address: host });
  });
});

describe("exclusive accesses", () => {
  const loop = (code: CodeBuffer): void => {
    emit.ldxr(code, 1, 0, 1);
    emit.stxr(code, 1, 2, 3, 1);
  };

  test("store where nobody wrote in between", () => {
    const { memory, cpu } = machine(loop);
    const { address } = memory.allocate("data", 8, "data");
    memory.store(8, address, 9n);
    cpu.set("x1", address);
    cpu.set("x3", 4n);
    cpu.run(2);
    expect([cpu.get("x0"), cpu.get("x2"), memory.load(8, address)]).toEqual([9n, 0n, 4n]);
  });

  test("do not store after another write", () => {
    const { memory, cpu } = machine(loop);
    const { address } = memory.allocate("data", 8, "data");
    cpu.set("x1", address);
    cpu.set("x3", 4n);
    cpu.run(1);
    memory.store(8, address, 5n);
    cpu.run(1);
    expect([cpu.get("x2"), memory.load(8, address)]).toEqual([1n, 5n]);
  });
});

describe("a trap", () => {
  test.each([
    ["brk", (code: CodeBuffer) => emit.brk(code, 1), { cause: "breakpoint" }],
    ["udf", (code: CodeBuffer) => emit.udf(code, 0), { cause: "illegal" }],
    ["a jump to data", (code: CodeBuffer) => emit.br(code, 1), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction", (_what, write, expected) => {
    const { cpu, code } = machine((buffer) => {
      emit.nop(buffer);
      write(buffer);
      emit.ret(buffer, 30);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 4n, ...expected });
  });

  test("for a place that is no multiple of 4 is one of fetching", () => {
    const { cpu, code } = machine((buffer) => emit.nop(buffer));
    cpu.pc = code.address + 2n;
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", pc: code.address + 2n });
  });
});
