import { Access, Memory } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { createCpu, X86Cpu } from "../src/cpu.ts";
import { emit, emitMem } from "../src/emit.ts";

const sizes = { host: 65536, text: 65536, stack: 65536, data: 65536 };
const RAX = 0;
const RCX = 1;
const RDI = 7;

type Sink = { bytes: Uint8Array; length: number; ensure(): void };

/** A machine with code in it, about to run its first instruction and to return to the host behind its `ret`. */
function machine(write: (sink: Sink) => void) {
  const memory = new Memory({ sizes });
  const sink: Sink = { bytes: new Uint8Array(256), length: 0, ensure() {} };
  write(sink);
  const code = memory.allocate("text", sink.length, "code", Access.READ | Access.EXECUTE);
  memory.write(code.address, sink.bytes.subarray(0, sink.length));
  const host = memory.allocate("host", 16, "host", Access.HOST);
  const stack = memory.allocate("stack", 64, "stack");
  const cpu = createCpu(memory);
  cpu.pc = code.address;
  cpu.set("rsp", stack.address + 56n);
  memory.store(8, stack.address + 56n, host.address);
  return { memory, cpu, code, host, stack };
}

/** rax = the sum of 1..rcx */
function sum(sink: Sink): void {
  emit.xor_rm32_r32(sink, RAX, RAX);
  emit.add_rm64_r64(sink, RAX, RCX);
  emit.sub_rm64_imm8(sink, RCX, 1);
  emit.jne_rel8(sink, -9);
  emit.ret(sink);
}

describe("running", () => {
  test("goes on until code returns to the host", () => {
    const { cpu, host } = machine(sum);
    cpu.set("rcx", 100n);
    expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect([cpu.get("rax"), cpu.pc, cpu.executed]).toEqual([5050n, host.address, 302]);
    expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect(cpu.executed).toBe(302);
  });

  test("stops on its budget at any instruction and can be continued", () => {
    const { cpu, code } = machine(sum);
    cpu.set("rcx", 100n);
    expect(cpu.run(0)).toEqual({ kind: "budget" });
    expect(cpu.pc).toBe(code.address);
    for (let i = 0; i < 301; i++) expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect([cpu.executed, cpu.get("rax")]).toEqual([301, 5050n]);
    expect(cpu.run(1)).toEqual({ kind: "budget" });
    expect(cpu.run(1).kind).toBe("host");
  });

  test("stops before a marked instruction, but not before the first it runs", () => {
    const { cpu, code } = machine(sum);
    cpu.set("rcx", 2n);
    const marks = new Uint8Array(16);
    marks[2] = 1;
    const stopAt = { base: code.address, marks };
    expect(cpu.run(100, stopAt)).toEqual({ kind: "budget" });
    expect([cpu.pc, cpu.executed]).toEqual([code.address + 2n, 1]);
    expect(cpu.run(100, stopAt)).toEqual({ kind: "budget" });
    expect([cpu.pc, cpu.executed]).toEqual([code.address + 2n, 4]);
    expect(cpu.run(100, stopAt).kind).toBe("host");
  });

  test("gives flags as RFLAGS and takes them", () => {
    const { cpu } = machine((sink) => emit.cmp_rm64_imm8(sink, RAX, 1));
    cpu.run(1);
    expect(cpu.flags).toBe(0b1001_0111n);
    cpu.flags = 0x8c1n;
    expect(cpu.flags).toBe(0x8c3n);
  });
});

describe("a trap", () => {
  test.each([
    ["int3", (sink: Sink) => emit.int3(sink), { cause: "breakpoint" }],
    ["ud2", (sink: Sink) => emit.ud2(sink), { cause: "illegal" }],
    ["what does not decode", (sink: Sink) => sink.bytes.set([0x06], sink.length++), { cause: "illegal" }],
    ["division by zero", (sink: Sink) => emit.div_rm64(sink, RCX), { cause: "divide" }],
    [
      "a load from nowhere",
      (sink: Sink) => emitMem.mov_r64_rm64(sink, RAX, RDI, 8),
      { cause: "load", address: 8n, size: 8, detail: "8 bytes past a null pointer" },
    ],
    ["a store to code", (sink: Sink) => emitMem.mov_rm8_r8(sink, 16, 0, RAX), { cause: "store", size: 1 }],
    ["a jump to data", (sink: Sink) => emit.jmp_rm64(sink, RDI), { cause: "fetch", pc: 0n, address: 0n }],
  ])("for %s names the instruction and leaves the state before it", (_what, write, expected) => {
    const { cpu, code } = machine((sink) => {
      emit.nop(sink);
      write(sink);
      emit.ret(sink);
    });
    expect(cpu.run(10)).toMatchObject({ kind: "trap", pc: code.address + 1n, ...expected });
    expect(cpu.get("rax")).toBe(0n);
    expect(cpu.run(10)).toMatchObject({ kind: "trap", ...expected });
  });

  test("for an instruction that runs past the code is one of fetching, with the address", () => {
    const { cpu, code } = machine((sink) => {
      emit.mov_r64_imm64(sink, RAX, 1, 2);
      sink.length -= 4;
    });
    expect(cpu.run(1)).toMatchObject({
      kind: "trap",
      cause: "fetch",
      pc: code.address,
      address: code.address,
      size: 10,
    });
  });

  test("counts the instructions before it only", () => {
    const { cpu } = machine((sink) => {
      emit.nop(sink);
      emit.nop(sink);
      emit.ud2(sink);
    });
    cpu.run(10);
    expect(cpu.executed).toBe(2);
  });
});

describe("code that changes", () => {
  test("is decoded anew, in the middle of a run of another CPU too", () => {
    const { memory, cpu, code, host, stack } = machine((sink) => {
      emit.mov_r32_imm32(sink, RAX, 1);
      emit.ret(sink);
    });
    const again = (): bigint => {
      cpu.pc = code.address;
      cpu.set("rsp", stack.address + 56n);
      expect(cpu.run(10).kind).toBe("host");
      return cpu.get("rax");
    };
    expect(again()).toBe(1n);
    memory.write(code.address + 1n, Uint8Array.of(2));
    expect(again()).toBe(2n);
    const other = new X86Cpu(memory);
    other.pc = code.address;
    expect(other.run(1).kind).toBe("budget");
    memory.write(code.address + 5n, Uint8Array.of(0xcc));
    expect(other.run(1)).toMatchObject({ cause: "breakpoint", pc: code.address + 5n });
    expect(host.address).not.toBe(other.pc);
  });

  test("under its own feet runs as it is written, after it has run differently too", () => {
    const memory = new Memory({ sizes });
    const code = memory.allocate("text", 64, "code", Access.READ | Access.WRITE | Access.EXECUTE);
    const data = memory.allocate("data", 8, "data");
    const sink: Sink = { bytes: new Uint8Array(64), length: 0, ensure() {} };
    emitMem.mov_rm8_imm8(sink, RDI, 0, -0x34); // cc
    emit.nop(sink);
    memory.write(code.address, sink.bytes.subarray(0, sink.length));
    const cpu = createCpu(memory);
    const run = (target: bigint) => {
      cpu.pc = code.address;
      cpu.set("rdi", target);
      return cpu.run(2);
    };
    expect(run(data.address)).toEqual({ kind: "budget" });
    expect(run(code.address + 4n)).toMatchObject({ kind: "trap", cause: "breakpoint", pc: code.address + 4n });
  });

  test("that loses its permission cannot be run any more", () => {
    const { memory, cpu, code } = machine(sum);
    cpu.set("rcx", 5n);
    cpu.run(2);
    memory.free(code);
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch" });
  });
});
