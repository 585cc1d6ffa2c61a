import { Access, BpfError, Memory, type PokePhase, type SiteState } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const ADDRESS = 0x1000_0000n;
const SITE = { address: ADDRESS, size: 5 };
const NOP: SiteState = { kind: "nop" };
const call = (target: bigint): SiteState => ({ kind: "call", target });
const jump = (target: bigint): SiteState => ({ kind: "jump", target });

const STATES: readonly SiteState[] = [
  NOP,
  call(ADDRESS + 0x1234n),
  jump(ADDRESS + 0x1234n),
  jump(ADDRESS - 0x40n),
  call(ADDRESS),
];

const writes = (phases: readonly PokePhase[]) => phases.filter((phase) => phase.kind === "write");
const text = (bytes: Uint8Array): string => [...x86_64.disassemble(bytes, ADDRESS)].map((line) => line.text).join("; ");

/** What a site holds after a number of a plan's writes, each of which has to find what it expects. */
function after(from: SiteState, to: SiteState, count: number): Uint8Array {
  const bytes = bytesOf(from);
  for (const { address, expect: before, bytes: next } of writes(x86_64.poke(SITE, from, to).phases).slice(0, count)) {
    const at = Number(address - ADDRESS);
    expect(bytes.subarray(at, at + before.length)).toEqual(before);
    expect(next.length).toBe(before.length);
    bytes.set(next, at);
  }
  return bytes;
}

/** The bytes of a state, as a plan leaves them. */
function bytesOf(state: SiteState): Uint8Array {
  const other = state.kind === "nop" ? call(ADDRESS) : NOP;
  const bytes = new Uint8Array(5);
  for (const { address, bytes: next } of writes(x86_64.poke(SITE, other, state).phases)) {
    bytes.set(next, Number(address - ADDRESS));
  }
  return bytes;
}

describe("a site of five bytes", () => {
  test("holds nothing, a call or a jump", () => {
    expect(STATES.map((state) => hex(bytesOf(state)))).toEqual([
      "0f 1f 44 00 00",
      "e8 2f 12 00 00",
      "e9 2f 12 00 00",
      "e9 bb ff ff ff",
      "e8 fb ff ff ff",
    ]);
    expect(STATES.map((state) => text(bytesOf(state)))).toEqual([
      "nop dword ptr [rax+rax]",
      "call 0x10001234",
      "jmp 0x10001234",
      "jmp 0xfffffc0",
      "call 0x10000000",
    ]);
  });

  test("gets from any state to any other, and a CPU that enters it meanwhile finds the old one, a breakpoint, or the new one", () => {
    for (const from of STATES) {
      for (const to of STATES) {
        if (from === to) continue;
        expect(hex(after(from, to, 0))).toBe(hex(bytesOf(from)));
        expect(after(from, to, 1)[0]).toBe(0xcc);
        expect(after(from, to, 2)[0]).toBe(0xcc);
        expect(hex(after(from, to, 3))).toBe(hex(bytesOf(to)));
      }
    }
  });

  test("is written first byte, rest, first byte, with all CPUs told behind each", () => {
    const target = ADDRESS + 5n + 0x0403_0201n;
    const plan = x86_64.poke(SITE, NOP, jump(target));
    const sync = { kind: "sync-cores" };
    expect(plan).toEqual({
      phases: [
        { kind: "write", address: ADDRESS, expect: Uint8Array.of(0x0f), bytes: Uint8Array.of(0xcc) },
        sync,
        {
          kind: "write",
          address: ADDRESS + 1n,
          expect: Uint8Array.of(0x1f, 0x44, 0, 0),
          bytes: Uint8Array.of(1, 2, 3, 4),
        },
        sync,
        { kind: "write", address: ADDRESS, expect: Uint8Array.of(0xcc), bytes: Uint8Array.of(0xe9) },
        sync,
      ],
      trap: { address: ADDRESS, resume: jump(target) },
    });
  });

  test("stays as it is where both states are the same", () => {
    for (const state of STATES) expect(x86_64.poke(SITE, state, { ...state })).toEqual({ phases: [] });
  });

  test("traps a CPU as long as the breakpoint is there, and then does the new thing", () => {
    const memory = new Memory();
    const code = memory.allocate("text", 64, "code", Access.READ | Access.EXECUTE);
    const site = { address: code.address, size: 5 };
    const to = jump(code.address + 32n);
    memory.write(code.address, Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0));
    const cpu = x86_64.createCpu(memory);
    const step = (): unknown => {
      cpu.pc = code.address;
      const { kind } = cpu.run(1);
      return kind === "budget" ? cpu.pc - code.address : kind;
    };
    const seen = [step()];
    for (const { address, bytes } of writes(x86_64.poke(site, NOP, to).phases)) {
      memory.write(address, bytes);
      seen.push(step());
    }
    expect(seen).toEqual([5n, "trap", "trap", 32n]);
  });

  test("reaches 2 GiB before and behind its end, to the byte", () => {
    const end = ADDRESS + 5n;
    for (const state of [call, jump]) {
      for (const far of [end + 0x7fff_ffffn, end - 0x8000_0000n])
        x86_64.poke(SITE, NOP, state(BigInt.asUintN(64, far)));
      for (const far of [end + 0x8000_0000n, end - 0x8000_0001n]) {
        expect(() => x86_64.poke(SITE, NOP, state(BigInt.asUintN(64, far)))).toThrow(BpfError);
      }
    }
    expect(() => x86_64.poke(SITE, NOP, call(end + 0x8000_0000n))).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: call to 0x90000005 at 0x10000000, expected a distance of 32 signed bits]`,
    );
    expect(() => x86_64.poke(SITE, jump(end + 0x8000_0000n), NOP)).toThrow(
      expect.objectContaining({ code: "out-of-range" }),
    );
  });

  test("is no site of another size", () => {
    for (const size of [0, 2, 4, 6, 8]) {
      expect(() => x86_64.poke({ address: ADDRESS, size }, NOP, NOP)).toThrow(
        expect.objectContaining({ code: "argument" }),
      );
    }
  });
});
