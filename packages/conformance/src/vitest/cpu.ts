// What engines rely on of any backend's CPU, tried with code that the backend compiled.
import { Access, assemble, type Backend, type Image, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { Machine } from "../machine.ts";

/** r0 = the sum of 1..r1 */
const SUM = "r0 = 0\nagain:\nr0 += r1\nr1 += -1\nif r1 != 0 goto again\nexit";
const AGAIN = 1;
const ENOUGH = 10_000;

/** Declares the tests of a backend's CPU. */
export function describeCpu(backend: Backend): void {
  const compile = (text: string): Image => backend.compile(trust(assemble(text)));
  const machineOf = (text: string): Machine => new Machine(backend, compile(text).code);
  const r0 = backend.abi.bpf[0]!;

  describe("a CPU", () => {
    test("goes on until code returns to the host, and stays there", () => {
      const machine = machineOf(SUM);
      const { cpu, host } = machine;
      machine.call(cpu, 100n);
      expect(cpu.run(ENOUGH)).toEqual({ kind: "host", address: host });
      expect([cpu.get(r0), cpu.pc]).toEqual([5050n, host]);
      const { executed } = cpu;
      expect(cpu.run(ENOUGH)).toEqual({ kind: "host", address: host });
      expect(cpu.executed).toBe(executed);
    });

    test("stops on its budget at any instruction and can be continued", () => {
      const machine = machineOf(SUM);
      const { cpu, code } = machine;
      machine.call(cpu, 100n);
      cpu.run(ENOUGH);
      const { executed } = cpu;
      machine.call(cpu, 100n);
      expect(cpu.run(0)).toEqual({ kind: "budget" });
      expect([cpu.pc, cpu.executed]).toEqual([code.address, executed]);
      for (let i = 0; i < executed; i++) expect(cpu.run(1)).toEqual({ kind: "budget" });
      expect(cpu.run(1).kind).toBe("host");
      expect([cpu.get(r0), cpu.executed]).toEqual([5050n, 2 * executed]);
    });

    test("stops before a marked instruction, but not before the first it runs", () => {
      const image = compile(SUM);
      const machine = new Machine(backend, image.code);
      const { cpu, code } = machine;
      const marks = new Uint8Array(image.code.length);
      marks[image.boundaries[AGAIN]!] = 1;
      const stopAt = { base: code.address, marks };
      machine.call(cpu, 3n);
      for (const sum of [0n, 3n, 5n]) {
        expect(cpu.run(ENOUGH, stopAt)).toEqual({ kind: "budget" });
        expect([cpu.pc, cpu.get(r0)]).toEqual([code.address + BigInt(image.boundaries[AGAIN]!), sum]);
      }
      expect(cpu.run(ENOUGH, stopAt).kind).toBe("host");
    });

    test("names the instruction that traps, leaves the state before it, and does not get past it", () => {
      const image = compile("r0 = 7\nr1 = 0\nr0 = *(u64 *)(r1 + 8)\nexit");
      const { cpu, code } = new Machine(backend, image.code);
      const trap = cpu.run(ENOUGH);
      const expected = { kind: "trap", cause: "load", address: 8n, size: 8, detail: "8 bytes past a null pointer" };
      expect(trap).toMatchObject(expected);
      const offset = Number((trap as { readonly pc: bigint }).pc - code.address);
      expect(offset).toBeGreaterThanOrEqual(image.boundaries[2]!);
      expect(offset).toBeLessThan(image.ends[2]!);
      const { executed, pc } = cpu;
      expect([cpu.get(r0), Number(pc - code.address)]).toEqual([7n, offset]);
      expect(cpu.run(ENOUGH)).toEqual(trap);
      expect(cpu.executed).toBe(executed);
    });

    test("cannot run data", () => {
      const { cpu, memory } = machineOf(SUM);
      const { address } = memory.allocate("data", 16, "data");
      cpu.pc = address;
      expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", pc: address, address });
    });

    test("cannot go on in code that is gone", () => {
      const machine = machineOf(SUM);
      machine.call(machine.cpu, 5n);
      machine.cpu.run(4);
      machine.memory.free(machine.code);
      expect(machine.cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch" });
    });
  });

  describe("code that changes", () => {
    const before = compile("r0 = 1\nr0 += 2\nexit");
    const after = compile("r0 = 1\nr0 += 5\nexit");

    test("is decoded anew, in the middle of a run of another CPU too", () => {
      expect(after.code.length).toBe(before.code.length);
      const machine = new Machine(backend, before.code);
      const { cpu, code, memory } = machine;
      cpu.run(ENOUGH);
      expect(cpu.get(r0)).toBe(3n);
      const other = backend.createCpu(memory);
      const marks = new Uint8Array(before.code.length);
      marks[before.boundaries[1]!] = 1;
      machine.call(other);
      expect(other.run(ENOUGH, { base: code.address, marks })).toEqual({ kind: "budget" });
      memory.write(code.address, after.code);
      other.run(ENOUGH);
      machine.call(cpu);
      cpu.run(ENOUGH);
      expect([other.get(r0), cpu.get(r0)]).toEqual([6n, 6n]);
    });

    test("under its own feet runs as it is written, after it has run differently too", () => {
      const writing = (added: number): Image => compile(`r0 = 1\n*(u32 *)(r1 + 0) = r2\nr0 += ${added}\nexit`);
      const [image, other] = [writing(2), writing(5)];
      const at = image.boundaries[2]!;
      expect(other.boundaries[2]).toBe(at);
      const bytes = ({ code }: Image): bigint => BigInt(new DataView(code.buffer, code.byteOffset).getUint32(at, true));
      const machine = new Machine(backend, image.code, Access.READ | Access.WRITE | Access.EXECUTE);
      const { cpu, code } = machine;
      for (const [written, sum] of [
        [image, 3n],
        [other, 6n],
        [image, 3n],
      ] as const) {
        // biome-ignore format: pairs
        machine.call(cpu, code.address + BigInt(at), bytes(written));
        expect(cpu.run(ENOUGH).kind).toBe("host");
        expect(cpu.get(r0)).toBe(sum);
      }
    });
  });
}
