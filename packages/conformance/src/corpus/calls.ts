// Cases of calls: subprograms and the registers they keep, helpers, kernel functions, callbacks, may_goto (RFC 9669 section 4.3 and Linux).
import { assemble } from "@bpfkit/core";
import type { ConformanceCase } from "../case.ts";
import { MIX, MIX_KFUNC, mix } from "../host.ts";
import { textCase } from "./text.ts";

/** Families of cases, one per subject. */
export function callCases(): readonly (readonly ConformanceCase[])[] {
  return [savedRegisters(), subprograms(), helpers(), kfuncs(), callbacks(), mayGoto()];
}

const SAVED = [6, 7, 8, 9] as const;

/** Every subset of r6..r9 that a callee uses, with every subset that its caller uses. */
function savedRegisters(): readonly ConformanceCase[] {
  const subsets = Array.from({ length: 16 }, (_, bits) => SAVED.filter((_register, i) => bits & (1 << i)));
  return subsets.flatMap((callee, i) =>
    [...new Set([subsets[15]!, subsets[15 - i]!])].map((caller, k) => {
      const depth = 8 * (1 + ((i + k) % 5));
      const asm = [
        "r0 = 0",
        ...caller.map((register) => `r${register} = ${register * 1000}`),
        `*(u64 *)(r10 - ${depth}) = 77`,
        "r1 = 5",
        "call callee",
        ...caller.map((register) => `r0 += r${register}`),
        `r1 = *(u64 *)(r10 - ${depth})`,
        "r0 += r1",
        "exit",
        "callee:",
        ...callee.map((register) => `r${register} = -${register}`),
        `*(u64 *)(r10 - ${64 - depth}) = 99`,
        "r0 = r1",
        ...callee.map((register) => `r0 += r${register}`),
        "exit",
      ].join("\n");
      const sum = 5 + 77 + caller.reduce((total, register) => total + 1000 * register, 0);
      const r0 = BigInt(sum - callee.reduce((total, register) => total + register, 0));
      const names = (registers: readonly number[]): string => registers.map((r) => `r${r}`).join(" ") || "none";
      return textCase({
        name: `call: the caller keeps ${names(caller)}, the callee uses ${names(callee)}`,
        group: "base32",
        asm,
        runs: [{ r0 }],
      });
    }),
  );
}

function subprograms(): readonly ConformanceCase[] {
  const nested = (depth: number): string =>
    Array.from({ length: depth }, (_, i) =>
      i + 1 < depth
        ? `f${i}:\nr6 = r1\n*(u64 *)(r10 - 8) = r1\nr1 += 1\ncall f${i + 1}\nr2 = *(u64 *)(r10 - 8)\nr0 += r2\nr0 += r6\nexit`
        : `f${i}:\nr0 = r1\nexit`,
    ).join("\n");
  return [
    ...[2, 3, 8].map((depth) =>
      textCase({
        name: `call: ${depth} frames, each with a register and a stack of its own`,
        group: "base32",
        asm: `r1 = 10\ncall f1\nexit\n${nested(depth).replace(/^f0:[\s\S]*?exit\n/, "")}`,
        runs: [
          {
            r0: BigInt(
              Array.from({ length: depth - 2 }, (_, i) => 2 * (10 + i)).reduce((a, b) => a + b, 0) + 10 + depth - 2,
            ),
          },
        ],
      }),
    ),
    textCase({
      name: "call: five arguments arrive in order",
      group: "base32",
      asm: `
        r1 = 1
        r2 = 20
        r3 = 300
        r4 = 4000
        r5 = 50000
        call f
        exit
      f:
        r0 = r1
        r0 += r2
        r0 += r3
        r0 += r4
        r0 += r5
        r1 -= r5
        r0 *= r1
        exit`,
      runs: [{ r0: 54321n * -49999n }],
    }),
    textCase({
      name: "call: a frame's stack is its own",
      group: "base32",
      asm: `
        *(u64 *)(r10 - 512) = 1
        *(u64 *)(r10 - 8) = 2
        call f
        r1 = *(u64 *)(r10 - 512)
        r0 += r1
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
      f:
        *(u64 *)(r10 - 8) = 100
        *(u64 *)(r10 - 512) = 200
        r0 = *(u64 *)(r10 - 8)
        r1 = *(u64 *)(r10 - 512)
        r0 += r1
        exit`,
      runs: [{ r0: 303n }],
    }),
    textCase({
      name: "call: a pointer to the caller's stack",
      group: "base32",
      asm: `
        *(u64 *)(r10 - 16) = 5
        r1 = r10
        r1 += -16
        call f
        r1 = *(u64 *)(r10 - 16)
        r0 += r1
        exit
      f:
        *(u64 *)(r10 - 16) = 9
        r2 = *(u64 *)(r1 + 0)
        r2 *= 7
        *(u64 *)(r1 + 0) = r2
        r0 = 1
        exit`,
      runs: [{ r0: 36n }],
    }),
    textCase({
      name: "call: recursion",
      group: "base32",
      asm: `
        r1 = 7
        call factorial
        exit
      factorial:
        if r1 > 1 goto more
        r0 = 1
        exit
      more:
        r6 = r1
        r1 += -1
        call factorial
        r0 *= r6
        exit`,
      runs: [{ r0: 5040n }],
    }),
    textCase({
      name: "call: backwards, and a callee with several ends",
      group: "base32",
      asm: `
        goto start
      start:
        r6 = r1
        r1 = *(u64 *)(r6 + 0)
        call choose
        r7 = r0
        r1 = *(u64 *)(r6 + 8)
        call choose
        r0 *= 10
        r0 += r7
        exit
      choose:
        r8 = 3
        if r1 == 0 goto none
        if r1 s< 0 goto less
        r0 = r8
        exit
      none:
        r0 = 1
        exit
      less:
        r9 = 2
        r0 = r9
        exit`,
      runs: [
        { mem: "00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00", r0: 31n },
        { mem: "ff ff ff ff ff ff ff ff 00 00 00 00 00 00 00 00", r0: 12n },
        { mem: "01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80", r0: 23n },
      ],
    }),
    textCase({
      name: "call: a chain through all callees of a caller",
      group: "base32",
      asm: `
        r6 = 0
      ${Array.from({ length: 12 }, (_, i) => `r1 = ${i}\ncall f${i % 3}\nr6 += r0`).join("\n")}
        r0 = r6
        exit
      f0:
        r0 = r1
        exit
      f1:
        r6 = r1
        r0 = r6
        r0 *= 10
        exit
      f2:
        r9 = r1
        *(u64 *)(r10 - 8) = r9
        r0 = *(u64 *)(r10 - 8)
        r0 *= 100
        exit`,
      runs: [{ r0: BigInt(0 + 3 + 6 + 9 + 10 * (1 + 4 + 7 + 10) + 100 * (2 + 5 + 8 + 11)) }],
    }),
  ];
}

const ARGS = [11n, -22n, 0x1_0000_0003n, 0x8000_0000n, -1n] as const;
const load = ARGS.map((value, i) => `r${i + 1} = ${value} ll`).join("\n");
const result = mix(ARGS.map((value) => BigInt.asUintN(64, value)));

function helpers(): readonly ConformanceCase[] {
  return [
    textCase({
      name: "helper: five arguments of 64 bits, a result of 64 bits",
      group: "base32",
      asm: `${load}\ncall ${MIX}\nexit`,
      runs: [{ r0: result }],
    }),
    textCase({
      name: "helper: r6 to r9 and the stack are kept",
      group: "base32",
      asm: `
        r6 = 6
        r7 = 77
        r8 = 888
        r9 = 9999
        *(u64 *)(r10 - 8) = 5
        *(u64 *)(r10 - 512) = 50
        ${load}
        call ${MIX}
        r0 = r6
        r0 += r7
        r0 += r8
        r0 += r9
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        r1 = *(u64 *)(r10 - 512)
        r0 += r1
        exit`,
      runs: [{ r0: 11025n }],
    }),
    textCase({
      name: "helper: from a subprogram, and twice in a row",
      group: "base32",
      asm: `
        r6 = 1
        ${load}
        call f
        r0 += r6
        exit
      f:
        call ${MIX}
        r6 = r0
        ${load}
        call ${MIX}
        r0 += r6
        exit`,
      runs: [{ r0: 2n * result + 1n }],
    }),
    textCase({
      name: "helper: get_smp_processor_id",
      group: "base32",
      asm: "r0 = -1\ncall get_smp_processor_id\nr0 += 3\nexit",
      runs: [{ r0: 3n }],
    }),
  ];
}

function kfuncs(): readonly ConformanceCase[] {
  return [
    textCase({
      name: "kfunc: five arguments of 64 bits, a result of 64 bits",
      group: "linux",
      asm: `r6 = 1\n${load}\ncall ${MIX_KFUNC}\nr0 += r6\nexit`,
      kfuncs: [MIX_KFUNC],
      runs: [{ r0: result + 1n }],
    }),
  ];
}

function callbacks(): readonly ConformanceCase[] {
  const loop = (count: number, body: string): string => `
        r6 = 60
        r7 = 70
        r8 = 80
        r9 = 90
        *(u64 *)(r10 - 8) = 0
        r1 = ${count}
        r2 = each ll
        r3 = r10
        r3 += -8
        r4 = 0
        call loop
        r1 = *(u64 *)(r10 - 8)
        r0 *= 1000000
        r0 += r1
        r0 += r6
        r0 += r7
        r0 += r8
        r0 += r9
        exit
      each:
        ${body}`;
  const sum = "r3 = *(u64 *)(r2 + 0)\nr3 += r1\n*(u64 *)(r2 + 0) = r3\n";
  return [
    textCase({
      name: "callback: ten times, with the caller's registers kept",
      group: "linux",
      asm: loop(10, `${sum}r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\nr0 = 0\nexit`),
      runs: [{ r0: 10_000_345n }],
    }),
    textCase({
      name: "callback: not once",
      group: "linux",
      asm: loop(0, `${sum}r0 = 0\nexit`),
      runs: [{ r0: 300n }],
    }),
    textCase({
      name: "callback: ends the loop",
      group: "linux",
      asm: loop(10, `${sum}r0 = 0\nif r1 < 4 goto +1\nr0 = 1\nexit`),
      runs: [{ r0: 5_000_310n }],
    }),
    textCase({
      name: "callback: calls a subprogram and a helper",
      group: "linux",
      asm: loop(
        3,
        `r6 = r2
        r7 = r1
        call twice
        r8 = r0
        call get_smp_processor_id
        r8 += r0
        r1 = *(u64 *)(r6 + 0)
        r1 += r8
        *(u64 *)(r6 + 0) = r1
        r0 = 0
        exit
      twice:
        r0 = r1
        r0 += r1
        exit`,
      ),
      runs: [{ r0: 3_000_306n }],
    }),
    textCase({
      name: "callback: runs a loop of its own",
      group: "linux",
      asm: loop(
        3,
        `r3 = r2
        r2 = inner ll
        r1 = 4
        r4 = 0
        call loop
        r0 = 0
        exit
      inner:
        r3 = *(u64 *)(r2 + 0)
        r3 += 1
        *(u64 *)(r2 + 0) = r3
        r0 = 0
        exit`,
      ),
      runs: [{ r0: 3_000_312n }],
    }),
  ];
}

function mayGoto(): readonly ConformanceCase[] {
  return [
    textCase({
      name: "may_goto: goes on while passes are left",
      group: "linux",
      asm: "r0 = 0\nagain:\nr0 += 1\nmay_goto out\nif r0 < 100 goto again\nr0 += 1000\nout:\nexit",
      runs: [{ r0: 1100n }],
    }),
    textCase({
      name: "may_goto: keeps registers, stack and the frame's counter apart",
      group: "linux",
      asm: `
        r6 = 6
        r7 = 7
        *(u64 *)(r10 - 8) = 8
        *(u64 *)(r10 - 16) = 16
        r0 = 0
      again:
        may_goto out
        r0 += 1
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        r0 += r6
        if r0 < 1000 goto again
      out:
        r1 = *(u64 *)(r10 - 16)
        r0 += r1
        r0 += r7
        exit`,
      runs: [{ r0: 1028n }],
    }),
    textCase({
      name: "may_goto: a counter in each frame",
      group: "linux",
      asm: `
        r6 = 0
      again:
        may_goto out
        r6 += 1
        r1 = r6
        call f
        r6 += r0
        if r6 < 50 goto again
      out:
        r0 = r6
        exit
      f:
        r0 = 0
      inner:
        may_goto done
        r0 += 1
        if r0 < 3 goto inner
      done:
        exit`,
      runs: [{ r0: 52n }],
    }),
    mayGotoAround(),
  ];
}

/** A jump that goes nowhere: there is nothing between it and its target. */
function mayGotoAround(): ConformanceCase {
  const name = "may_goto: to the next instruction";
  return {
    name,
    group: "linux",
    program: { ...assemble("r0 = 5\nmay_goto +0\nr0 += 1\nmay_goto +1\nr0 += 2\nexit"), name },
    runs: [{ expect: { kind: "result", value: 8n } }],
  };
}
