import { assemble } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { bpfkit, type Outcome } from "./support.ts";

const hex = (text: string, separator = " "): string =>
  Array.from(assemble(text).insns.toBytes(), (byte) => byte.toString(16).padStart(2, "0")).join(separator);

const plugin = (program: string, ...argv: readonly string[]): Outcome =>
  bpfkit(["plugin", ...argv], { "-": new TextEncoder().encode(program) });

const ENGINES = ["interpreter", "x86-64"];

describe.each(ENGINES)("plugin on %s", (engine) => {
  test("prints r0 in hex, all 64 bits of it", () => {
    expect(plugin(hex("r0 = -2\nexit"), "--engine", engine)).toEqual({ code: 0, out: "fffffffffffffffe\n", err: "" });
    expect(plugin(hex("r0 = 10\nexit", ""), "--engine", engine).out).toBe("a\n");
  });

  test("hands over memory and its length", () => {
    const program = hex("r0 = *(u16 *)(r1 + 1)\nr0 <<= 8\nr0 |= r2\nexit");
    expect(plugin(program, "aa bb cc", "--engine", engine).out).toBe("ccbb03\n");
    expect(plugin(program, "0xaabbcc", "--engine", engine).out).toBe("ccbb03\n");
    expect(plugin(hex("r0 = r1\nr0 += r2\nexit"), "--engine", engine).out).toBe("0\n");
  });

  test("takes the program as an option, too", () => {
    expect(plugin("", "--program", hex("r0 = 7\nexit"), "--engine", engine).out).toBe("7\n");
  });

  test.each([
    ["what is no hex", "b7 zz", 2],
    ["half a byte", "b70", 2],
    ["part of an instruction", "b7 00", 3],
    ["nothing", "", 3],
    ["an unknown opcode", "ff".padEnd(16, "0") + hex("exit", ""), 3],
    ["a program without an end", hex("r0 = 5\nexit", "").slice(0, 16), 3],
    ["a helper that nobody has", hex("call 4242\nexit"), 3],
    ["a tail call", hex("call 12\nexit"), 3],
    ["a packet load", hex("r0 = *(u8 *)skb[0]\nexit"), 3],
    ["a load from nowhere", hex("r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit"), 1],
  ])("exits with an error, and prints no number, for %s", (_, program, code) => {
    const outcome = plugin(program, "--engine", engine);
    expect(outcome).toMatchObject({ code, out: "" });
    expect(outcome.err).toMatch(/^bpfkit: /);
  });

  test("does the same for memory that is no hex, and for objects", () => {
    expect(plugin(hex("r0 = 0\nexit"), "xyz", "--engine", engine)).toMatchObject({ code: 2, out: "" });
    expect(plugin("", "--elf", "--engine", engine)).toMatchObject({ code: 3, out: "" });
  });
});
