import { Access, CodeBuffer, Memory } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { createCpu, RiscvCpu } from "../src/cpu.ts";
import { emit } from "../src/emit.ts";

const sizes = { host: 65536, text: 65536, stack: 65536, data: 65536 };
const A0 = 10;
const A1 = 11;

/** A machine with code in it, about to run its first instruction and to return to the host by its `ret`. */
function machine(write: (code: CodeBuffer) => void) {
  const memory = new Memory({ sizes });
  const buffer = new CodeBuffer();
  write(buffer);
  const code = memory.allocate("text", buffer.length, "code", Access.READ | Access.EXECUTE);
  memory.write(code.address, buffer.bytes.subarray(0, buffer.length));
  const host = memory.allocate("host", 16, "host", Access.HOST);
  const cpu = createCpu(memory);
  cpu.pc = code.address;
  cpu.set("ra", host.address);
  return { memory, cpu, code, host };
}

/** a0 = the sum of 1..a1 */
function sum(code: CodeBuffer): void {
  emit.c_li(code, A0, 0);
  emit.add(code, A0, A0, A1);
  emit.c_addi(code, A1, -1);
  emit.c_bnez(code, A1, -6);
  emit.c_jr(code, 1);
}

describe("running", () => {
  test("goes on until code returns to the host", () => {
    const { cpu, host } = machine(sum);
    cpu.set("a1", 100n);
    expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect([cpu.get("a0"), cpu.pc, cpu.executed]).toEqual([5050n, host.address, 302]);
    expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect(cpu.executed).toBe(302);
  });

  test("stops on its budget at any instruction and can be continued", () => {
    const { cpu, code } = machine(sum);
    cpu.set("a1", 100n);
    expect(cpu.run(0)).toEqual({ kind: "budget" });
    expect(cpu.pc).toBe(code.address);
    for (let i = 0; i < 301; i++) expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect([cpu.executed, cpu.get("a0")]).toEqual([301, 5050n]);
    expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect(cpu.run(1).kind).toBe("host");
  });

  test("stops before a marked instruction, but not before the first it runs", () => {
    const { cpu, code } = machine(sum);
    cpu.set("a1", 2n);
    const marks = new Uint8Array(16);
    marks[2] = 1;
    const stopAt = { base: code.address, marks };
    expect(cpu.run(100, stopAt)).toEqual({ kind: "budget" });
    expect([cpu.pc, cpu.executed]).toEqual([code.address + 2n, 1]);
    expect(cpu.run(100, stopAt)).toEqual({ kind: "budget" });
    expect([cpu.pc, cpu.executed]).toEqual([code.address + 2n, 4]);
    expect(cpu.run(100, stopAt).kind).toBe("host");
  });

  test("reads 0 from x0 whatever is written there", () => {
    const { cpu } = machine((code) => {
      emit.addi(code, 0, 0, 7);
      emit.addi(code, A0, 0, 1);
    });
    cpu.set("zero", 5n);
    cpu.run(2);
    expect([cpu.get("zero"), cpu.get("a0")]).toEqual([0n, 1n]);
  });
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
    [
      "a load from nowhere",
      (code: CodeBuffer) => emit.ld(code, A0, 8, A1),
      { cause: "load", address: 8n, size: 8, detail: "8 bytes past a null pointer" },
    ],
    ["a jump to data", (code: CodeBuffer) => emit.c_jr(code, A1), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction and leaves the state before it", (_what, write, expected) => {
    const { cpu, code } = machine((buffer) => {
      emit.c_nop(buffer);
      write(buffer);
      emit.c_jr(buffer, 1);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 2n, ...expected });
    expect(cpu.get("a0")).toBe(0n);
    expect(cpu.run(10)).toMatchObject({ kind: "trap", ...expected });
  });

  test("for an odd place is one of fetching", () => {
    const { cpu, code } = machine(sum);
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

test("code that changes is decoded anew, in the middle of a run of another CPU too", () => {
  const { memory, code, cpu } = machine((buffer) => {
    emit.c_li(buffer, A0, 1);
    emit.c_nop(buffer);
  });
  const again = (): bigint => {
    cpu.pc = code.address;
    cpu.run(1);
    return cpu.get("a0");
  };
  expect(again()).toBe(1n);
  const other = new RiscvCpu(memory);
  other.pc = code.address;
  other.run(1);
  const buffer = new CodeBuffer();
  emit.c_li(buffer, A0, 2);
  emit.c_ebreak(buffer);
  memory.write(code.address, buffer.bytes.subarray(0, 4));
  expect(again()).toBe(2n);
  expect(other.run(1)).toMatchObject({ cause: "breakpoint", pc: code.address + 2n });
});
