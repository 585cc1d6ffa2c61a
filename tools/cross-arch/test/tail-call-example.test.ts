// The example with tail calls: what it finds in packets, the same on every engine.
import { readFileSync } from "node:fs";
import { arm64 } from "@bpfkit/arm64";
import { type Engine, interpreter, jit, trust } from "@bpfkit/core";
import { Kernel, type LoadedProgram } from "@bpfkit/kernel";
import { loadObject } from "@bpfkit/object";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const { PACKETS } = await import("../../bench/tail-call-programs.mjs" as string);
const OBJECT = new URL("../../../examples/tail-calls/dissect.bpf.o", import.meta.url);
const engines: [string, Engine][] = [
  ["interpreter", interpreter],
  ...[x86_64, arm64, riscv64].map((backend): [string, Engine] => [backend.arch, jit(backend)]),
];
const [PASS, DROP] = [2, 1];

/** Ethernet type, protocol, tunnels, ports, VLAN and fragment offset, as `struct flow` holds them. */
function flowOf(value: Uint8Array): readonly number[] {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const u16 = (offset: number): number => view.getUint16(offset, true);
  return [u16(4), value[6]!, value[7]!, u16(40), u16(42), u16(44), u16(46)];
}

const FLOWS: Readonly<Record<string, readonly number[]>> = {
  ARP: [0x0806, 0, 0, 0, 0, 0, 0],
  "IPv4 ICMP": [0x0800, 1, 0, 0, 0, 0, 0],
  "a later fragment": [0x0800, 0, 0, 0, 0, 0, 100],
  "IPv4 TCP": [0x0800, 6, 0, 40000, 443, 0, 0],
  "IPv6 UDP": [0x86dd, 17, 0, 40000, 53, 0, 0],
  "VLAN IPv4 UDP": [0x0800, 17, 0, 40000, 53, 7, 0],
  "IPv4 in IPv6 TCP": [0x86dd, 6, 1, 40000, 443, 0, 0],
  "two VLAN tags, IPv4, GRE, IPv6, TCP": [0x86dd, 6, 1, 40000, 443, 9, 0],
};

describe.each(engines)("%s", (_name, engine) => {
  test("finds every packet's flow, and drops one whose header is cut off", () => {
    const kernel = new Kernel({ engine });
    const { programs, maps } = loadObject(new Uint8Array(readFileSync(OBJECT)));
    const loaded = new Map<string, LoadedProgram>(
      programs.map((program) => [program.name, kernel.load(trust(program))]),
    );
    for (const map of maps) {
      for (const { slot, program } of map.programs ?? []) kernel.progArray(map).set(slot, loaded.get(program)!);
    }
    const dissect = loaded.get("dissect")!;
    for (const [name, data] of PACKETS as [string, Uint8Array][]) {
      expect([name, dissect.run({ data }).returnValue]).toEqual([name, PASS]);
      expect([name, ...flowOf(kernel.map("flows").lookup(new Uint8Array(4))!)]).toEqual([name, ...FLOWS[name]!]);
    }
    const cut = Uint8Array.from((PACKETS[3][1] as Uint8Array).subarray(0, 40));
    expect(dissect.run({ data: cut }).returnValue).toBe(DROP);
  });
});
