// What a program does wrong where machine code just goes on: lockstep blames the program, on every backend.
import { arm64 } from "@bpfkit/arm64";
import { assemble, type Backend, jit, trust } from "@bpfkit/core";
import { Lockstep } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];

/** Calls itself until r1 is 0. */
const recursion = (frames: number): string => `
    r1 = ${frames}
    call f
    exit
f:
    r0 = r1
    if r1 == 0 goto out
    r1 += -1
    call f
out:
    exit`;

const callBack = (address: string): string => `
    r1 = 2
    r2 = ${address}
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit`;

const SEVENTEENTH = "f would be frame 17 of at most 16";
const NOWHERE = "no subprogram of main to call back";

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (_arch, backend) => {
  test.each([
    ["a 17th frame", recursion(16), "frames", 6, SEVENTEENTH],
    [
      "a 17th frame by a callback",
      `r1 = 14\ncall f\nexit\nf:\nif r1 == 0 goto again\nr1 += -1\ncall f\nexit\nagain:\n${callBack("f ll")}`,
      "frames",
      12,
      SEVENTEENTH,
    ],
    [
      "a store above its frame",
      "call f\nexit\nf:\n*(u8 *)(r10 + 8) = 1\nr0 = 0\nexit",
      "stack",
      2,
      "store of 1 bytes at r10 + 8, which is in no live frame",
    ],
    [
      "a load below its frame",
      "r1 = r10\nr1 += -512\nr0 = *(u64 *)(r1 - 256)\nexit",
      "stack",
      2,
      "load of 8 bytes at r10 - 768, which is in no live frame",
    ],
    ["a callback to data", callBack("r10"), "callback", 4, NOWHERE],
    ["a callback to nothing", callBack("0"), "callback", 4, NOWHERE],
  ])("%s is the program's fault", (_what, text, what, at, detail) => {
    const lockstep = new Lockstep({ engine: jit(backend), disassemble: backend.disassemble });
    const { difference, programFault } = lockstep.load(trust(assemble(text))).run();
    if (difference !== undefined) expect.fail(difference.listing);
    expect(programFault).toEqual({ what, at, detail });
  });

  test("16 frames are none", () => {
    const lockstep = new Lockstep({ engine: jit(backend), disassemble: backend.disassemble });
    const { difference, programFault, subject } = lockstep.load(trust(assemble(recursion(14)))).run();
    if (difference !== undefined) expect.fail(difference.listing);
    expect(programFault).toBeUndefined();
    expect(subject.returnValue).toBe(0);
  });
});
