import { Access, CodeBuffer, Memory } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { Arm64Cpu, createCpu } from "../src/cpu.ts";
import { emit } from "../src/emit.ts";

const sizes = { host: 65536, text: 65536, stack: 65536, data: 65536 };

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
  cpu.set("x30", host.address);
  return { memory, cpu, code, host };
}

/** x0 = the sum of 1..x1 */
function sum(code: CodeBuffer): void {
  emit.movz(code, 1, 0, 0, 0);
  emit.add_shift(code, 1, 0, 0, 1, 0, 0);
  emit.subs_imm(code, 1, 1, 1, 1, 0);
  emit.b_cond(code, 1, -2);
  emit.ret(code, 30);
}

describe("running", () => {
  test("goes on until code returns to the host", () => {
    const { cpu, host } = machine(sum);
    cpu.set("x1", 100n);
    expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect([cpu.get("x0"), cpu.pc, cpu.executed]).toEqual([5050n, host.address, 302]);
  });

  test("stops on its budget at any instruction and can be continued", () => {
    const { cpu, code } = machine(sum);
    cpu.set("x1", 100n);
    expect(cpu.run(0)).toEqual({ kind: "budget" });
    expect(cpu.pc).toBe(code.address);
    for (let i = 0; i < 301; i++) expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect([cpu.executed, cpu.get("x0")]).toEqual([301, 5050n]);
    expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect(cpu.run(1).kind).toBe("host");
  });

  test("gives flags as NZCV and takes them, with the ghosts that conditions look at", () => {
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
    expect(cpu.run(10)).toEqual({ kind: "host", address: host.address });
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
    [
      "a load from nowhere",
      (code: CodeBuffer) => emit.ldr_uoff(code, 1, 0, 1, 1),
      { cause: "load", address: 8n, size: 8, detail: "8 bytes past a null pointer" },
    ],
    ["a jump to data", (code: CodeBuffer) => emit.br(code, 1), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction and leaves the state before it", (_what, write, expected) => {
    const { cpu, code } = machine((buffer) => {
      emit.nop(buffer);
      write(buffer);
      emit.ret(buffer, 30);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 4n, ...expected });
    expect(cpu.get("x0")).toBe(0n);
  });

  test("for a place that is no multiple of 4 is one of fetching", () => {
    const { cpu, code } = machine(sum);
    cpu.pc = code.address + 2n;
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", pc: code.address + 2n });
  });
});

test("code that changes is decoded anew", () => {
  const { memory, code } = machine((buffer) => {
    emit.movz(buffer, 1, 0, 1, 0);
    emit.nop(buffer);
  });
  const cpu = new Arm64Cpu(memory);
  const again = (): bigint => {
    cpu.pc = code.address;
    cpu.run(1);
    return cpu.get("x0");
  };
  expect(again()).toBe(1n);
  const buffer = new CodeBuffer();
  emit.movz(buffer, 1, 0, 2, 0);
  memory.write(code.address, buffer.bytes.subarray(0, 4));
  expect(again()).toBe(2n);
});
