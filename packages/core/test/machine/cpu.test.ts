import { describe, expect, test } from "vitest";
import { type CpuParts, type DecodedInsn, EmulatedCpu } from "../../src/machine/cpu.ts";
import { Access, Memory } from "../../src/machine/memory.ts";
import type { Ops } from "../../src/machine/ops.ts";

/** A machine of two-byte instructions: `+n` adds to the only register, `jn` jumps to the n-th byte of the window's text, `?0` traps. */
interface Fields {
  readonly n: bigint;
}

type Meaning = <V>(m: Ops<V>, fields: Fields) => void;
const MEANINGS: Readonly<Record<string, Meaning>> = {
  "+": (m, { n }) => m.set(0, m.add(m.get(0), m.constant(n))),
  j: (m, { n }) => m.jump(m.constant(n), "jump"),
  "?": (m) => m.trapIf(m.constant(1n), "breakpoint"),
};

function toy(text: string) {
  const memory = new Memory({ sizes: { host: 65536, text: 65536, stack: 65536, data: 65536 } });
  const code = memory.allocate("text", text.length, "code", Access.READ | Access.EXECUTE);
  const host = memory.allocate("host", 16, "host", Access.HOST);
  const write = (source: string): void =>
    memory.write(
      code.address,
      Uint8Array.from(source, (letter) => letter.charCodeAt(0)),
    );
  let decoded = 0;
  const decode = (bytes: Uint8Array): DecodedInsn<Fields> | undefined => {
    decoded++;
    const digit = BigInt(bytes[1]! - 48);
    const meaning = MEANINGS[String.fromCharCode(bytes[0]!)];
    const n = meaning === MEANINGS.j ? (digit === 9n ? host.address : code.address + digit) : digit;
    return meaning && { meaning, fields: { n }, length: 2 };
  };
  const parts: CpuParts<"r", Fields> = {
    registerNumber: () => 0,
    stackPointer: "r",
    registers: 1,
    unit: 2,
    longest: 2,
    decode,
  };
  write(text);
  const cpu = new EmulatedCpu(parts, memory);
  cpu.pc = code.address;
  return { memory, code, host, cpu, write, decoded: () => decoded };
}

describe("an emulated processor", () => {
  test("decodes an instruction once, however often it runs", () => {
    const { cpu, decoded } = toy("+1j0");
    expect(cpu.run(1000)).toEqual({ kind: "budget" });
    expect([cpu.get("r"), cpu.executed, decoded()]).toEqual([500n, 1000, 2]);
  });

  test("leaves at a host address, and stays there", () => {
    const { cpu, host } = toy("+1j9");
    for (let i = 0; i < 2; i++) expect(cpu.run(1000)).toEqual({ kind: "host", address: host.address });
    expect([cpu.executed, cpu.pc]).toEqual([2, host.address]);
  });

  test("stops before a marked instruction unless it begins there", () => {
    const { cpu, code } = toy("+1+2j0");
    const marks = Uint8Array.of(0, 0, 1, 0, 0, 0);
    const stopAt = { base: code.address, marks };
    for (const [executed, value] of [[1, 1n], [4, 4n], [7, 7n]] as const) {
      expect(cpu.run(100, stopAt)).toEqual({ kind: "budget" });
      expect([cpu.executed, cpu.get("r"), cpu.pc]).toEqual([executed, value, code.address + 2n]);
    } // biome-ignore format: rows
  });

  test("decodes anew when code changes, also what links led to", () => {
    const { cpu, code, write } = toy("+1+1j0");
    cpu.run(6);
    write("+1+5j0");
    cpu.run(3);
    expect([cpu.get("r"), cpu.pc]).toEqual([10n, code.address]);
  });

  test("traps at the instruction, with nothing of it done", () => {
    const { cpu, code } = toy("+1?0");
    expect(cpu.run(10)).toEqual({ kind: "trap", cause: "breakpoint", pc: code.address + 2n });
    expect(cpu.executed).toBe(1);
    expect(toy("x0").cpu.run(1)).toMatchObject({ kind: "trap", cause: "illegal" });
  });

  test("fetches from whole units of executable memory only", () => {
    const { cpu, code } = toy("+1+1");
    expect(cpu.run(10)).toMatchObject({ kind: "trap", cause: "fetch", pc: code.address + 4n, size: 2 });
    cpu.pc = code.address + 1n;
    expect(cpu.run(1)).toMatchObject({ kind: "trap", cause: "fetch", detail: "not a multiple of 2" });
  });
});
