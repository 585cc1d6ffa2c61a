import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assemble, Insns, Mark, OPS, type Structure, structureOf } from "../../src/index.ts";
import { anyInsn } from "../support/arbitrary-insns.ts";

const maps = [{ name: "m", type: 1, keySize: 8, valueSize: 8, maxEntries: 1, flags: 0 }];
const of = (text: string): Structure => structureOf(assemble(text, { maps }));
const depths = (text: string): number[] => of(text).subprogs.map(({ stackDepth }) => stackDepth);

describe("subprograms", () => {
  test("end where the next begins, and know what they call", () => {
    const { subprogs, subprogAt } = of(`
      r2 = subprog[each]
      call bpf_loop
      call leaf
      call leaf
      exit
    leaf:
      exit
    each:
      call leaf
      exit
    `);
    expect(subprogs).toMatchObject([
      { name: "main", start: 0, end: 6, calls: [1], callbacks: [2], hasCalls: true },
      { name: "leaf", start: 6, end: 7, calls: [], callbacks: [], hasCalls: false },
      { name: "each", start: 7, end: 9, calls: [1], callbacks: [], hasCalls: true },
    ]);
    expect([0, 5, 6, 7, 8].map(subprogAt)).toEqual([0, 0, 1, 2, 2]);
  });

  test("missing from the program are found", () => {
    const program = assemble("call a\n exit\n a: exit");
    const { subprogs } = structureOf({ ...program, subprogs: [{ name: "entry", start: 0 }] });
    expect(subprogs.map(({ name, start }) => ({ name, start }))).toEqual([
      { name: "entry", start: 0 },
      { name: "sub_2", start: 2 },
    ]);
  });

  test("know the registers they use", () => {
    const { subprogs } = of("r6 = r1\n if w7 > 1 goto +0\n call a\n exit\n a: r8 = 1\n exit");
    expect(subprogs.map(({ registers }) => registers.toString(2))).toEqual(["11111111", "100000001"]);
  });

  test("count a legacy packet load as a call, which has r6 for an argument", () => {
    expect(of("r0 = *(u8 *)skb[0]\n exit").subprogs[0]).toMatchObject({ hasCalls: true, registers: 0b111_1111 });
  });

  test("know whether they can pass time and leave for good", () => {
    const { subprogs } = of("may_goto +0\n call a\n exit\n a: call 12\n exit");
    expect(
      subprogs.map(({ hasMayGoto, hasTailCall, tailCallReachable }) => [hasMayGoto, hasTailCall, tailCallReachable]),
    ).toEqual([
      [true, false, true],
      [false, true, true],
    ]);
  });

  test("reach a tail call through calls and callbacks, in cycles too, but not from below", () => {
    const { subprogs } = of(`
      call middle
      exit
    middle:
      r2 = subprog[each]
      call bpf_loop
      call middle
      exit
    each:
      call 12
      call below
      exit
    below:
      exit
    aside:
      call aside
      exit
    `);
    expect(subprogs.map(({ name, tailCallReachable }) => `${name} ${tailCallReachable}`)).toEqual([
      "main true",
      "middle true",
      "each true",
      "below false",
      "aside false",
    ]);
  });
});

describe("marks", () => {
  test("tell starts, targets, subprograms and what can be reached", () => {
    const { marks } = of(
      "if r1 > 0 goto +3\n r1 = 5 ll\n goto +1\n r0 = 1\n exit\n r0 = 2\n exit\n unused: exit\n call unused",
    );
    const { START, TARGET, REACHABLE, SUBPROG } = Mark;
    expect([...marks]).toEqual([
      START | REACHABLE | SUBPROG,
      START | REACHABLE,
      0,
      START | REACHABLE,
      START | REACHABLE | TARGET,
      START | REACHABLE | TARGET,
      START,
      START,
      START | SUBPROG,
      START,
    ]);
  });

  test("make everything reachable from a jump through a table", () => {
    const { marks } = of("gotox r1\n r0 = 1\n exit\n r0 = 2\n exit");
    expect([...marks].every((mark) => (mark & Mark.REACHABLE) !== 0)).toBe(true);
  });
});

describe("stack that others touch counts", () => {
  const passing = (callee: string): string => `r1 = r10\n r1 += -8\n call f\n exit\n f: ${callee}\n exit`;
  const looping = (callee: string): string =>
    `r2 = subprog[f]\n r3 = r10\n r3 += -8\n call bpf_loop\n exit\n f: ${callee}\n exit`;

  test.each<[string, string, number[]]>([
    ["below the pointer that a subprogram gets", passing("*(u64 *)(r1 - 16) = 0"), [24, 0]],
    ["above it", passing("*(u64 *)(r1 + 0) = 0"), [8, 0]],
    ["after the callee has moved it", passing("r6 = r1\n r6 -= 4\n r0 = *(u32 *)(r6 - 12)"), [24, 0]],
    [
      "through the callee's own stack",
      passing("*(u64 *)(r10 - 8) = r1\n r3 = *(u64 *)(r10 - 8)\n r0 = *(u8 *)(r3 - 9)"),
      [24, 8],
    ],
    ["by a known index", passing("r2 &= 7\n r1 += r2\n r0 = *(u8 *)(r1 - 16)"), [24, 0]],
    ["by an index nobody knows", passing("r1 += r2\n r0 = *(u8 *)(r1 + 0)"), [512, 0]],
    ["where the callee rounds", passing("r1 &= -8\n r0 = *(u8 *)(r1 + 0)"), [512, 0]],
    [
      "where the callee mixes it with its own",
      passing("if r2 > 5 goto +1\n r1 = r10\n r0 = *(u8 *)(r1 + 0)"),
      [512, 512],
    ],
    ["where the callee gives it away", passing("*(u64 *)(r2 + 0) = r1"), [512, 0]],
    ["one call further down", `${passing("r1 += -8\n call g\n exit\n g: *(u64 *)(r1 - 32) = 0")}`, [48, 0, 0]],
    ["by a recursion that goes on", passing("r1 += -8\n call f"), [512, 0]],
    ["by a callback", looping("*(u64 *)(r2 - 24) = 0"), [32, 0]],
    ["by a callback through its index, which is no pointer", looping("r1 = *(u64 *)(r1 - 24)"), [8, 0]],
    [
      "where a callback finds a pointer",
      `r1 = r10\n r1 += -64\n *(u64 *)(r10 - 8) = r1\n ${looping("r3 = *(u64 *)(r2 + 0)\n *(u64 *)(r3 + 0) = r1")}`,
      [64, 0],
    ],
    [
      "not by a subprogram that gets something else",
      "r1 = 5\n call f\n exit\n f: r0 = *(u64 *)(r1 - 16)\n exit",
      [0, 0],
    ],
  ])("%s", (_what, text, expected) => {
    expect(depths(text)).toEqual(expected);
  });
});

describe("stack depth", () => {
  test.each<[string, string, number]>([
    ["nothing touched", "r0 = 0", 0],
    ["a store", "*(u8 *)(r10 - 1) = 0", 8],
    ["a load", "r0 = *(u64 *)(r10 - 24)", 24],
    ["an atomic", "lock *(u64 *)(r10 - 16) += r1", 16],
    ["store release", "store_release((u32 *)(r10 - 12), w1)", 16],
    ["the whole stack", "*(u64 *)(r10 - 512) = 0", 512],
    ["below the stack, which traps", "*(u64 *)(r10 - 520) = 0", 512],
    ["a pointer that is only computed", "r1 = r10\n r1 += -64", 0],
    ["a pointer that a store goes through", "r1 = r10\n r1 += -64\n *(u32 *)(r1 + 8) = 0", 56],
    ["a pointer by subtraction", "r1 = r10\n r1 -= 40\n *(u32 *)(r1 + 0) = 0", 40],
    ["a pointer in a register of constants", "r2 = -48\n r1 = r10\n r1 += r2\n *(u32 *)(r1 + 0) = 0", 48],
    ["a pointer that a helper gets", "r2 = r10\n r2 += -40\n r1 = map[m]\n call map_lookup_elem", 40],
    [
      "a pointer in a register that the helper does not take",
      "r3 = r10\n r3 += -40\n r1 = map[m]\n call map_lookup_elem",
      0,
    ],
    ["a pointer that an unknown helper gets", "r5 = r10\n r5 += -40\n call 4711", 40],
    ["a pointer that a subprogram gets", "r1 = r10\n r1 += -40\n call pc+1\n exit", 40],
    ["a pointer forgotten over a call", "r5 = r10\n r5 += -40\n call 5\n r1 = *(u8 *)(r5 + 0)", 0],
    ["a pointer kept over a call", "r6 = r10\n r6 += -40\n call 5\n r1 = *(u8 *)(r6 + 0)", 40],
    [
      "either of two buffers",
      "r2 = r10\n r2 += -16\n if r1 > 5 goto +2\n r2 = r10\n r2 += -32\n *(u8 *)(r2 + 0) = 1",
      32,
    ],
    [
      "a pointer kept on the stack",
      "r2 = r10\n r2 += -64\n *(u64 *)(r10 - 8) = r2\n r3 = *(u64 *)(r10 - 8)\n *(u8 *)(r3 + 0) = 1",
      64,
    ],
    [
      "a pointer kept where a later turn of a loop finds it",
      "goto +3\n r3 = *(u64 *)(r10 - 8)\n *(u8 *)(r3 + 0) = 1\n exit\n r2 = r10\n r2 += -64\n *(u64 *)(r10 - 8) = r2\n goto -7",
      64,
    ],
    ["a pointer given away", "r2 = r10\n r2 += -64\n *(u64 *)(r1 + 0) = r2", 512],
    ["a masked index", "r1 &= 7\n r2 = r10\n r2 += -64\n r2 += r1\n *(u8 *)(r2 + 0) = 1", 64],
    ["a masked index with the buffer in the offset", "r1 &= 7\n r2 = r10\n r2 += r1\n *(u8 *)(r2 - 64) = 1", 64],
    ["an index that was compared", "r2 = r10\n if r1 > 31 goto +2\n r2 += r1\n *(u8 *)(r2 - 32) = 1\n r0 = 0", 32],
    [
      "an index that was compared the other way",
      "r2 = r10\n if r1 < 31 goto +1\n exit\n r2 += r1\n *(u8 *)(r2 - 32) = 1",
      32,
    ],
    ["a 32-bit index", "w1 = w1\n if w1 s> 31 goto +3\n r2 = r10\n r2 += r1\n *(u8 *)(r2 - 32) = 1", 32],
    ["an index read from a byte", "r3 = *(u8 *)(r1 + 0)\n r3 <<= 3\n r2 = r10\n r2 += r3\n *(u8 *)(r2 - 128) = 1", 128],
    [
      "a loop that counts",
      "r3 = 0\n r2 = r10\n r2 += -64\n r2 += r3\n *(u8 *)(r2 + 0) = 1\n r3 += 1\n if r3 != 64 goto -6",
      64,
    ],
    [
      "a loop that moves a pointer up",
      "r2 = r10\n r2 += -64\n *(u8 *)(r2 + 0) = 1\n r2 += 1\n if r2 != r10 goto -3",
      64,
    ],
    ["a loop that moves a pointer down", "r2 = r10\n r2 += -8\n *(u8 *)(r2 + 0) = 1\n if r1 != r2 goto -3", 512],
    ["an index nobody knows", "r2 = r10\n r2 += r1\n *(u8 *)(r2 - 32) = 1", 512],
    ["an index that can be negative", "r1 = (s8)r1\n r2 = r10\n r2 += r1\n *(u8 *)(r2 - 32) = 1", 160],
    ["a pointer rounded down", "r2 = r10\n r2 += -61\n r2 &= -8\n *(u8 *)(r2 + 0) = 1", 64],
    ["a pointer made a number", "r2 = r10\n r2 *= 3\n *(u8 *)(r2 + 0) = 1", 512],
    ["32 bits of a pointer", "w2 = w10\n *(u8 *)(r2 - 8) = 1", 512],
    ["the distance of two pointers", "r2 = r10\n r2 += -32\n r3 = r10\n r3 -= r2\n *(u8 *)(r1 + 0) = 1", 0],
    ["what cannot be reached", "exit\n *(u64 *)(r10 - 64) = 0", 0],
    ["a jump through a table", "gotox r1", 512],
  ])("%s", (_, text, bytes) => {
    expect(depths(`${text}\n exit`)[0]).toBe(bytes);
  });

  const kernel = readFileSync(new URL("linux-7.2-stack-depths.txt", import.meta.url), "utf8")
    .split("==== ")
    .slice(1);

  test.each(kernel.map((part) => [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n"))] as const))(
    "is the kernel's for what clang makes: %s",
    (head, text) => {
      expect(depths(text).join("+")).toBe(head.split(" ")[1]);
    },
  );

  test("is each subprogram's own", () => {
    expect(depths("*(u64 *)(r10 - 8) = 0\n call a\n exit\n a: *(u64 *)(r10 - 16) = 0\n exit")).toEqual([8, 16]);
  });
});

describe("cost", () => {
  const work = (text: string): number => of(text).work / assemble(text).insns.length;

  test("is a few visits an instruction, at any size", () => {
    const straight = (n: number): string =>
      `${"r2 = r10\n r2 += -8\n *(u64 *)(r2 + 0) = r1\n r3 = *(u64 *)(r10 - 8)\n".repeat(n)}exit`;
    const joined = (n: number): string => `${"if r1 > 5 goto out\n r2 += 1\n".repeat(n)}out: exit`;
    const loops = (n: number): string => `${"r3 += 1\n r2 += r3\n if r2 < 64 goto -3\n".repeat(n)}exit`;
    const calls = (n: number): string => `${"call a\n".repeat(n)}exit\n${"a: exit"}`;
    const handedOn = (n: number): string =>
      `r1 = r10\n call f0\n exit\n${Array.from({ length: n }, (_, i) => `f${i}: r1 += -8\n call f${i + 1}\n exit\n`).join("")}f${n}: exit`;
    for (const program of [straight, joined, loops, calls, handedOn]) {
      expect(work(program(20))).toBeLessThan(60);
      expect(work(program(5_000))).toBeLessThanOrEqual(work(program(20)) * 1.1 + 1);
    }
  });

  test("stays a constant a slot for whatever is fed in", () => {
    const anyCode = fc.array(fc.constantFrom(...OPS).chain(anyInsn), { minLength: 1, maxLength: 60 });
    const near = anyCode.map((list) => {
      // Short distances, so that there are many loops and joins.
      const words = Int32Array.from(list.flat());
      for (let i = 0; i < words.length; i += 2) words[i] = (words[i]! & 0xffff) | (((words[i]! >> 16) % 12) << 16);
      return new Insns(words);
    });
    fc.assert(
      fc.property(near, (insns) => {
        const program = { ...assemble("exit"), insns };
        const { subprogs, work } = structureOf(program);
        expect(work).toBeLessThan(2_000 * insns.length);
        for (const { start, end, stackDepth } of subprogs) {
          expect(end).toBeGreaterThan(start);
          expect(stackDepth % 8).toBe(0);
          expect(stackDepth).toBeGreaterThanOrEqual(0);
          expect(stackDepth).toBeLessThanOrEqual(512);
        }
      }),
      { numRuns: 500 },
    );
  });
});
