import { assemble, type CompileOptions, type Image, interpreter, MAX_TAIL_CALLS, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";
import { ENTRIES, MAP, TailWorld } from "./tail-world.ts";

const compile = (text: string, layout: CompileOptions["layout"] = {}): Image =>
  arm64.compile(trust(assemble(text, { maps: [MAP] })), { layout });
const texts = ({ code }: Image, from = 0, to = code.length): string[] =>
  [...arm64.disassemble(code.subarray(from, to), BigInt(from))].map(({ text }) => text);
const returned = (value: number | bigint): unknown => ({ kind: "returned", value: BigInt(value) });

/** `bpf_tail_call(r6, table, slot)`. */
const jump = (slot: number | string): string => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call`;
/** Adds 1 to word `index` of the log that r6 points to. */
const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1`;

const TAIL = `
  r6 = r1
  r7 = 1
  *(u64 *)(r10 - 8) = r7
  r3 = *(u32 *)(r1 + 0)
  r2 = map[table]
  call tail_call
  r1 = r6
  r2 = map[table]
  r3 = 2
  call tail_call
  r0 = 1
  exit`;
/** Slots of the two tail calls, and of what comes behind each. */
const INDIRECT = 6;
const DIRECT = 11;

describe("a tail call is what Linux 7.2 makes of it", () => {
  const prologue = "e9 03 1e aa 1f 20 03 d5 3f 23 03 d5 fd 7b bf a9 fd 03 00 91 ff 6b bf a9 fa 03 00 91";
  const indirect =
    "8a 09 80 52 2a 68 6a b8 e2 03 02 2a 5f 00 0a 6b 62 02 00 54 2a 04 80 52 4c 03 40 f9 9f 01 0a eb e2 01 00 54 8c 05 00 91 " +
    "0a 26 80 52 2a 00 0a 8b 4b f0 7d d3 4b 69 6b f8 2b 01 00 b4 4c 03 00 f9 ff 43 00 91 f9 7f c1 a8 f3 53 c1 a8 0a 09 80 52 " +
    "6a 69 6a f8 4a 71 00 91 40 01 1f d6";

  test("byte for byte, whether array and slot are known or not", () => {
    const image = compile(TAIL);
    expect(image.code.length).toBe(320);
    expect(image.landing).toBe(0x1c);
    expect(hex(image.code.subarray(0, image.landing))).toBe(prologue);
    for (const slot of [INDIRECT, DIRECT]) {
      expect(hex(image.code.subarray(image.boundaries[slot]!, image.ends[slot]!))).toBe(indirect);
    }
    expect([image.boundaries[INDIRECT], image.boundaries[DIRECT]]).toEqual([0x48, 0xb8]);
    expect([image.pokes, image.patchSites.length]).toEqual([[], 1]);
  });

  test("or has two sites where it is asked to be direct and array and slot are known", () => {
    const image = compile(TAIL, { directTailCalls: true });
    expect(hex(image.code.subarray(image.boundaries[INDIRECT]!, image.ends[INDIRECT]!))).toBe(indirect);
    const at = image.boundaries[DIRECT]!;
    const out = `0x${image.ends[DIRECT]!.toString(16)}`;
    expect(texts(image, at, image.ends[DIRECT])).toEqual([
      "mov w10, #0x21",
      "ldr x12, [x26]",
      "cmp x12, x10",
      `b.hs ${out}`,
      "add x12, x12, #0x1",
      `b ${out}`,
      "str x12, [x26]",
      "add sp, sp, #0x10",
      "ldp x25, xzr, [sp], #0x10",
      "ldp x19, x20, [sp], #0x10",
      "nop",
    ]);
    const site = { size: 4, subprog: 0, insn: DIRECT };
    const bypass = { ...site, kind: "bypass", offset: at + 20 };
    const target = { ...site, kind: "target", offset: at + 40 };
    expect(image.pokes).toEqual([{ insn: DIRECT, subprog: 0, map: 0, key: 2, bypass, target }]);
  });
});

describe("ways of counting", () => {
  test("that arm64 never had are refused by name", () => {
    for (const tailCalls of ["pass-through", "per-program", "none"]) {
      expect(() => compile(TAIL, { tailCalls })).toThrow(`layout setting tailCalls=${tailCalls}`);
    }
  });
});

describe("code for the counter", () => {
  const TREE = `r6 = r1\ncall sub\nr1 = r6\ncall leaf\nexit\nsub:\nr6 = r1\n${jump(0)}\nr0 = 0\nexit\nleaf:\nr0 = 0\nexit`;
  const edges = (tailCalls: string): string[] => {
    const image = compile(TREE, { tailCalls });
    return image.counterCode.map(
      ({ edge, start, end, subprog }) => `${subprog} ${edge}: ${texts(image, start, end).join("; ")}`,
    );
  };

  test("hands the address of one counter down the call tree", () => {
    const image = compile(TREE);
    const out = `0x${image.ends[10]!.toString(16)}`;
    expect(edges("pointer")).toEqual([
      "0 entry: stp xzr, x26, [sp, #-0x10]!; mov x26, sp",
      "0 exit: ldp xzr, x26, [sp], #0x10",
      "1 entry: stp x26, x26, [sp, #-0x10]!",
      `1 tail-call: mov w10, #0x21; ldr x12, [x26]; cmp x12, x10; b.hs ${out}; add x12, x12, #0x1`,
      "1 tail-call: str x12, [x26]",
      "1 exit: ldp xzr, x26, [sp], #0x10",
      "2 entry: stp x26, x26, [sp, #-0x10]!",
      "2 exit: ldp xzr, x26, [sp], #0x10",
    ]);
    const place = { in: "register", register: "x26", holds: "address", counts: "up" };
    expect(image.subprogs.map(({ counter }) => counter)).toEqual([place, place, undefined]);
  });

  test("hands the count down, and what has come of it back", () => {
    const image = compile(TREE, { tailCalls: "write-back" });
    const out = `0x${image.ends[10]!.toString(16)}`;
    expect(edges("write-back")).toEqual([
      "0 entry: stp xzr, xzr, [sp, #-0x10]!",
      "0 call: ldur x12, [x29, #-0x10]",
      "0 return: stur x12, [x29, #-0x10]",
      "0 exit: ldp x12, xzr, [sp], #0x10",
      "1 entry: stp x12, xzr, [sp, #-0x10]!",
      `1 tail-call: mov w10, #0x21; ldur x12, [x29, #-0x10]; cmp x12, x10; b.hs ${out}; add x12, x12, #0x1`,
      "1 tail-call: stur x12, [x29, #-0x10]",
      "1 exit: ldp x12, xzr, [sp], #0x10",
    ]);
    const place = { in: "frame", base: "x29", offset: -16, holds: "count", counts: "up" };
    expect(image.subprogs.map(({ counter }) => counter)).toEqual([place, place, undefined]);
  });

  test("hands the count down and forgets what comes of it", () => {
    const out = `0x${compile(TREE, { tailCalls: "by-value" }).ends[10]!.toString(16)}`;
    expect(edges("by-value")).toEqual([
      "0 entry: stp xzr, x26, [sp, #-0x10]!; mov x26, #0x0",
      "0 exit: ldp xzr, x26, [sp], #0x10",
      "1 entry: stp xzr, x26, [sp, #-0x10]!",
      `1 tail-call: mov w10, #0x21; cmp x26, x10; b.hs ${out}`,
      "1 tail-call: add x26, x26, #0x1",
      "1 exit: ldp xzr, x26, [sp], #0x10",
      "2 entry: stp xzr, x26, [sp, #-0x10]!",
      "2 exit: ldp xzr, x26, [sp], #0x10",
    ]);
  });

  test("E-7 no calls, no tail calls: the pair of words is there, as in the kernel, and nothing looks at it", () => {
    expect(compile("r0 = 0\nexit").counterCode.map(({ edge }) => edge)).toEqual(["entry", "exit"]);
    expect(compile("r0 = 0\nexit", { tailCalls: "write-back" }).counterCode.map(({ edge }) => edge)).toEqual([
      "entry",
      "exit",
    ]);
  });

  test("is all that touches its registers", () => {
    for (const tailCalls of arm64.capabilities.tailCallSchemes) {
      const image = compile(TREE, { tailCalls });
      texts(image).forEach((text, word) => {
        const inside = image.counterCode.some(({ start, end }) => 4 * word >= start && 4 * word < end);
        if (/x26|x12/.test(text)) expect([tailCalls, text, inside]).toEqual([tailCalls, text, true]);
      });
    }
  });

  test("has its place in the picture of the frame", () => {
    const names = (tailCalls: string): string[][] =>
      compile(TREE, { tailCalls }).subprogs.map(({ frame }) => frame.map(({ name, offset }) => `${offset} ${name}`));
    const rest = ["0 x19"];
    const link = ["40 return address", "32 x29 of the caller"];
    const pair = [...link, "24 x26 of the caller", "16 tail calls", ...rest];
    expect(names("pointer").slice(0, 2)).toEqual([pair, pair]);
    expect(names("write-back").slice(0, 2)).toEqual([
      [...link, "16 tail calls", ...rest],
      [...link, "16 tail calls", ...rest],
    ]);
    expect(names("by-value")[0]).toEqual([...link, "24 x26 of the caller", ...rest]);
    expect(names("write-back")[2]).toEqual(["8 return address", "0 x29 of the caller"]);
  });
});

describe("tail calls land behind the counter of the program that they go to", () => {
  const layouts = [true, false].flatMap((pac) =>
    [true, false].flatMap((bti) => arm64.capabilities.tailCallSchemes.map((tailCalls) => ({ pac, bti, tailCalls }))),
  );

  test.each(layouts)("E-4 entry with extra words: %o", (layout) => {
    const { pac, bti, tailCalls } = layout;
    const words = 6 + Number(pac) + Number(bti) - Number(tailCalls === "write-back");
    for (const text of ["r0 = 0\nexit", "call f\nexit\nf:\nr6 = r1\nr0 = *(u64 *)(r10 - 8)\nexit", TAIL]) {
      const image = compile(text, layout);
      expect(image.landing).toBe(4 * words);
      const entry = image.counterCode.find(({ edge }) => edge === "entry")!;
      expect(entry.end).toBe(image.landing);
      expect(texts(image, image.landing, image.landing + 4)[0] === "bti j").toBe(bti);
    }
    for (const directTailCalls of [false, true]) {
      const world = new TailWorld({ layout: { ...layout, directTailCalls } });
      const self = world.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
      world.set(0, self);
      expect(world.run(self)).toEqual(returned(MAX_TAIL_CALLS + 1));
    }
  });

  test("by an offset that is the scheme's", () => {
    const image = compile(TAIL, { tailCalls: "write-back", bti: true });
    const at = image.ends[INDIRECT]!;
    expect(texts(image, at - 8, at)).toEqual(["add x10, x10, #0x1c", "br x10"]);
  });
});

const ways = arm64.capabilities.tailCallSchemes.flatMap((tailCalls) =>
  [false, true].map((directTailCalls) => ({ tailCalls, directTailCalls })),
);

describe.each(ways)("tail calls counted %o", (layout) => {
  const { tailCalls, directTailCalls } = layout;
  const isExact = tailCalls !== "by-value";
  const worldOf = (): TailWorld => new TailWorld({ layout });

  test("B-1 simple chain: 33 of one invocation, then they fall through; the next invocation has 33 again", () => {
    const world = worldOf();
    const self = world.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    world.set(0, self);
    expect(self.image!.pokes.length).toBe(directTailCalls ? 1 : 0);
    expect(world.run(self)).toEqual(returned(34));
    expect(world.run(self)).toEqual(returned(68));
  });

  test("B-2 from subprogram: the callee's result is the call's, and the callee has the context", () => {
    const world = worldOf();
    world.set(1, world.load("r0 = *(u64 *)(r1 + 8)\nexit"));
    const entry = world.load(`r6 = r1\ncall sub\nr0 += 2\nexit\nsub:\nr6 = r1\n${jump(1)}\nr0 = 0\nexit`);
    world.memory.store(8, world.log + 8n, 40n);
    expect(world.run(entry)).toEqual(returned(42));
  });

  const misses: [string, string][] = [
    ["an empty slot", "1"],
    ["an index behind the array", `${ENTRIES}`],
    ["an index that is negative", "-1"],
    ["an index whose low half is that of an empty slot", "0x500000001 ll"],
  ];
  test.each(misses)("B-3 missing target: %s costs nothing and leaves r6..r10 and the stack alone", (_, slot) => {
    const world = worldOf();
    const self = world.load(`
      r6 = r1
      r7 = 7
      r8 = 8
      r9 = 9
      r1 = 10
      *(u64 *)(r10 - 16) = r1
      ${jump(slot)}
      r0 = *(u64 *)(r10 - 16)
      r0 += r7
      r0 += r8
      r0 += r9
      if r0 != 34 goto out
      ${count(0)}
      ${jump(0)}
    out:
      exit`);
    world.set(0, self);
    world.run(self);
    expect(world.logged(0)).toBe(34n);
  });

  test("look at the low half of the index alone", () => {
    const world = worldOf();
    world.set(1, world.load("r0 = 9\nexit"));
    expect(world.run(world.load(`r6 = r1\n${jump("0x500000001 ll")}\nr0 = 1\nexit`))).toEqual(returned(9));
  });

  /** A program that tail-calls itself until word 0 of the log is `first`, and then the program in slot 1. */
  const chain = (first: number): string =>
    `r6 = r1\n${count(0)}\nr1 = *(u64 *)(r6 + 0)\nif r1 >= ${first} goto rest\n${jump(0)}\nr0 = 1\nexit\nrest:\n${jump(1)}\nr0 = 1\nexit`;
  /** A program that counts its runs in word 1 and calls a subprogram `calls` times, which tail-calls the program. */
  const hierarchy = (calls: number): string =>
    `r6 = r1\n${count(1)}\n${"r1 = r6\ncall sub\n".repeat(calls)}r0 = 1\nexit\nsub:\nr6 = r1\n${jump(1)}\nr0 = 0\nexit`;

  test("B-4 hierarchy: a program calls a subprogram twice that tail-calls it", () => {
    const world = worldOf();
    const entry = world.load(hierarchy(2));
    world.set(1, entry);
    const stop = world.run(entry);
    if (isExact) expect([stop, world.logged(1)]).toEqual([returned(1), 34n]);
    else {
      expect(stop).toEqual({ kind: "budget" });
      expect(world.logged(1)).toBeGreaterThan(500n);
    }
  });

  test.each([
    [2, 14],
    [3, 39],
  ])("B-5 with 3 tail calls left and %i calls: the count by value allows %i", (calls, byValue) => {
    const world = worldOf();
    world.set(0, world.load(chain(30)));
    world.set(1, world.load(hierarchy(calls)));
    expect(world.run(world.load(chain(30)))).toEqual(returned(1));
    // Word 1 counts runs: one that the chain goes to with its 30th tail call, and one for each that follows.
    expect(world.logged(0)).toBe(30n);
    expect(world.logged(1) - 1n).toBe(BigInt(isExact ? 3 : byValue));
  });

  test("B-16 callee with different saved registers and depth: the caller's are intact after it returns", () => {
    const clobber = (...registers: number[]): string => registers.map((r) => `r${r} = ${90 + r}`).join("\n");
    const bodies = [
      "", // nothing saved
      clobber(9),
      clobber(6, 7, 8),
      `${clobber(6, 7, 8, 9)}\nr1 = 98\n*(u64 *)(r10 - 8) = r1\n*(u64 *)(r10 - 512) = r1`,
      `${clobber(7)}\nagain:\nr7 += 1\nif r7 == 200 goto out\nmay_goto out\ngoto again\nout:`,
      `*(u64 *)(r10 - 480) = r1\n${clobber(8)}\nmay_goto +0`,
    ];
    for (const own of bodies) {
      for (const theirs of bodies) {
        const world = worldOf();
        world.set(2, world.load(`${theirs}\nr0 = 30\nexit`));
        const entry = world.load(`
          r6 = r1
          r7 = 1
          r8 = 2
          r9 = 4
          r1 = 5
          *(u64 *)(r10 - 8) = r1
          r1 = r6
          call sub
          r0 += r7
          r0 += r8
          r0 += r9
          r1 = *(u64 *)(r10 - 8)
          r0 += r1
          exit
        sub:
          *(u64 *)(r10 - 40) = r1
          ${own}
          r1 = *(u64 *)(r10 - 40)
          r2 = map[table]
          r3 = 2
          call tail_call
          r0 = 0
          exit`);
        expect(world.run(entry)).toEqual(returned(42));
      }
    }
  });

  test("B-17 helper call between two tail-call attempts: the count is kept", () => {
    const world = worldOf();
    const self = world.load(
      `r6 = r1\n${count(0)}\ncall 5\n${jump(1)}\ncall 5\n${jump(0)}\ncall 5\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`,
    );
    world.set(0, self);
    expect(world.run(self)).toEqual(returned(34));
  });

  test("B-19 two invocations by turns have counters of their own", () => {
    const world = worldOf();
    const other = world.memory.allocate("stack", 4096, "another stack").address;
    const self = world.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    world.set(0, self);
    const first = world.begin(self);
    const second = self.start({ args: [world.log + 64n], stack: { low: other, high: other + 4096n } });
    for (let turns = 0; turns < 1000 && first.run(7).kind === "budget"; turns++) second.run(7);
    second.run(1000);
    expect([world.logged(0), world.logged(8)]).toEqual([34n, 34n]);
  });

  test.each([
    ["E-1 one left, used below the first subprogram", 32, 1],
    ["E-2 33 used below the first subprogram", 0, 33],
  ])("%s: the third one's tail call falls through where the scheme is exact", (_, before, below) => {
    const world = worldOf();
    // Slot 0 leads to the entry in slot 1 with so many tail calls before it; slot 2 tail-calls itself while it can.
    world.set(0, world.load(chain(before)));
    world.set(2, world.load(`r6 = r1\n${count(2)}\n${jump(2)}\nr0 = 0\nexit`));
    world.set(3, world.load(`r6 = r1\n${count(3)}\nr0 = 0\nexit`));
    const sub = (name: string, slot: number): string => `${name}:\nr6 = r1\n${jump(slot)}\nr0 = 0\nexit`;
    const entry = `r6 = r1\ncall sub1\nr1 = r6\ncall sub3\nr0 = 1\nexit\n${sub("sub1", 2)}\n${sub("sub3", 3)}`;
    world.set(1, world.load(entry));
    expect(world.run(world.load(before > 0 ? chain(before) : entry))).toEqual(returned(1));
    expect([world.logged(2), world.logged(3)]).toEqual([BigInt(below), isExact ? 0n : 1n]);
  });

  test("E-8 empty table then filled, another program in its place, and empty again", () => {
    const world = worldOf();
    const caller = world.load(`r6 = r1\nr7 = 5\n*(u64 *)(r10 - 8) = r7\n${jump(3)}\nr0 = 0\nexit`);
    const before = world.memory.view(caller.imageAddress!, caller.image!.code.length).slice();
    expect(world.run(caller)).toEqual(returned(0));
    world.set(3, world.load("r0 = 42\nexit"));
    expect(world.run(caller)).toEqual(returned(42));
    world.set(3, world.load("r6 = 43\nr0 = r6\nexit"));
    expect(world.run(caller)).toEqual(returned(43));
    // A program that comes later finds the slot filled.
    expect(world.run(world.load(`r6 = r1\n${jump(3)}\nr0 = 0\nexit`))).toEqual(returned(43));
    world.set(3, undefined);
    expect(world.run(caller)).toEqual(returned(0));
    expect(world.memory.view(caller.imageAddress!, before.length).slice()).toEqual(before);
  });

  test("do not care how large frames are, or whether they count may_goto", () => {
    const world = worldOf();
    const big = `*(u64 *)(r10 - 512) = r6\n*(u64 *)(r10 - 8) = r6\nmay_goto +0\nr7 = 7\nr9 = 9`;
    const self = world.load(`r6 = r1\n${count(0)}\n${big}\n${jump(0)}\nr0 = *(u64 *)(r10 - 512)\nr0 -= r6\nexit`);
    const small = world.load(`r6 = r1\n${count(0)}\n${jump(1)}\nr0 = 1\nexit`);
    world.set(0, small);
    world.set(1, self);
    expect(world.run(small)).toEqual(returned(0)); // the 34th to run is the large one
    expect(world.logged(0)).toBe(34n);
  });

  test("are seen where BPF instructions begin, as the interpreter counts them", () => {
    // Each of three subprograms makes a chain of four.
    const sub = `sub:\nr6 = r1\n${jump(0)}\nr0 = 0\nexit`;
    const link = `r6 = r1\n${count(0)}\nr1 = *(u64 *)(r6 + 0)\nif r1 & 3 goto on\nr0 = 1\nexit\non:\n${jump(0)}\nr0 = 0\nexit`;
    const seen = (world: TailWorld): number[] => {
      world.set(0, world.load(link));
      const execution = world.begin(
        world.load(`r6 = r1\ncall sub\nr1 = r6\ncall sub\nr1 = r6\ncall sub\nexit\n${sub}`),
      );
      const counts: number[] = [];
      for (let steps = 0; steps < 1000 && execution.step(100) === undefined; steps++) {
        const { tailCalls: now } = execution;
        if (now >= 0 && now !== counts.at(-1)) counts.push(now);
      }
      return counts;
    };
    const four = [1, 2, 3, 4];
    expect(seen(worldOf())).toEqual(
      isExact ? seen(new TailWorld({}, interpreter)) : [0, ...four, 0, ...four, 0, ...four, 0],
    );
    expect(seen(new TailWorld({}, interpreter))).toEqual(Array.from({ length: 13 }, (_, i) => i));
  });
});
