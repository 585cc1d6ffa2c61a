import {
  assemble,
  BpfError,
  type Engine,
  type Image,
  interpreter,
  jit,
  MAX_TAIL_CALLS,
  type Settings,
  type TailCallSchemeName,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";
import { ARRAY, TailWorld } from "./tail-world.ts";

function compile(text: string, layout: Settings = {}): Image {
  return x86_64.compile(trust(assemble(text, { maps: [ARRAY] })), { layout });
}

/** The code of a range, an instruction a line, with its place. */
function listing(image: Image, from: number, to: number): string[] {
  return [...x86_64.disassemble(image.code)]
    .filter(({ offset }) => offset >= from && offset < to)
    .map(({ offset, text }) => `${offset.toString(16)} ${text}`);
}

/** The bytes of a range, as hex. */
const bytes = ({ code }: Image, from: number, to: number): string =>
  Array.from(code.subarray(from, to), (byte) => byte.toString(16).padStart(2, "0")).join(" ");

const returned = (value: number | bigint): unknown => ({ kind: "returned", value: BigInt(value) });

/** `bpf_tail_call(r6, array, slot)`. */
const jump = (slot: number | string): string => `r1 = r6\nr2 = map[array]\nr3 = ${slot}\ncall tail_call`;
/** Adds 1 to word `index` of the log that r6 points to. */
const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1`;

/** An indirect tail call, then one of slot 2. */
const TAIL = `
  r6 = r1
  r7 = 1
  *(u64 *)(r10 - 8) = r7
  r3 = *(u32 *)(r1 + 112)
  r2 = map[array]
  call tail_call
  r1 = r6
  r2 = map[array]
  r3 = 2
  call tail_call
  r0 = 1
  exit`;

/** A subprogram that makes an indirect tail call, and its caller. */
const BELOW = `
  call sub
  r0 = 0
  exit
sub:
  r3 = *(u32 *)(r1 + 0)
  *(u64 *)(r10 - 8) = r3
  r2 = map[array]
  call tail_call
  r0 = 1
  exit`;

describe("code is what Linux 7.2 makes of the same program", () => {
  const image = compile(TAIL, { indirectJumps: "retpoline" });

  test("to the byte, in a main program with an indirect and a direct tail call", () => {
    expect(listing(image, 0, 0x2c)).toEqual([
      "0 endbr64", "4 nop dword ptr [rax+rax]", "9 xor rax, rax", "c push rbp", "d mov rbp, rsp", "10 endbr64", "14 sub rsp, 8",
      "1b cmp rax, 0x21", "1f ja 0x27", "21 push rax", "22 mov rax, rsp", "25 jmp 0x28", "27 push rax", "28 push rax",
      "29 push rbx", "2a push r13",
    ]); // biome-ignore format: as the kernel's listing breaks it
    expect(bytes(image, 0x9, 0x29)).toBe(
      "48 31 c0 55 48 89 e5 f3 0f 1e fa 48 81 ec 08 00 00 00 48 83 f8 21 77 06 50 48 89 e0 eb 01 50 50",
    );
    expect(listing(image, 0x46, 0x84)).toEqual([
      "46 mov edx, edx", "48 cmp [rsi+0x4c], edx", "4b jbe 0x84", "4d mov rax, [rbp-0x18]", "54 cmp qword ptr [rax], 0x21", "58 jae 0x84",
      "5a mov rcx, [rsi+rdx*8+0x130]", "62 test rcx, rcx", "65 je 0x84", "67 add qword ptr [rax], 1", "6b pop r13",
      "6d pop rbx", "6e pop rax", "6f pop rax", "70 add rsp, 8", "77 mov rcx, [rcx+0x48]", "7b add rcx, 0x10", "7f jmp 0xc8",
    ]); // biome-ignore format: as the kernel's listing breaks it
    expect(bytes(image, 0x46, 0x80)).toBe(
      "89 d2 39 56 4c 76 37 48 8b 85 e8 ff ff ff 48 83 38 21 73 2a 48 8b 8c d6 30 01 00 00 48 85 c9 74 1d 48 83 00 01 " +
        "41 5d 5b 58 58 48 81 c4 08 00 00 00 48 8b 49 48 48 83 c1 10 e9",
    );
    expect(listing(image, 0x96, 0xc8)).toEqual([
      "96 mov rax, [rbp-0x18]", "9d cmp qword ptr [rax], 0x21", "a1 jae 0xbd", "a3 jmp 0xbd", "a8 add qword ptr [rax], 1", "ac pop r13",
      "ae pop rbx", "af pop rax", "b0 pop rax", "b1 add rsp, 8", "b8 nop dword ptr [rax+rax]",
      "bd mov eax, 1", "c2 pop r13", "c4 pop rbx", "c5 leave", "c6 ret", "c7 int3",
    ]); // biome-ignore format: as the kernel's listing breaks it
    expect(bytes(image, 0xa3, 0xa8)).toBe("e9 15 00 00 00");
  });

  test("and what the indirect jump goes through stands behind it", () => {
    expect(image.code.length).toBe(200 + 18);
    expect(listing(image, 200, 218)).toEqual([
      "c8 call 0xd4", "cd pause", "cf lfence", "d2 jmp 0xcd", "d4 mov [rsp], rcx", "d8 ret", "d9 int3",
    ]); // biome-ignore format: a line
    const plain = compile(TAIL);
    expect(plain.code.length).toBe(198);
    expect(bytes(plain, 0x7b, 0x82)).toBe("48 83 c1 10 ff e1 cc");
    expect(bytes(compile(TAIL, { indirectJumps: "lfence" }), 0x7b, 0x84)).toBe("48 83 c1 10 0f ae e8 ff e1");
    expect(bytes(compile(TAIL, { sls: false }), 0x7b, 0x82)).toBe("48 83 c1 10 ff e1 48");
  });

  test("one thunk serves all indirect jumps of an image", () => {
    const both = `call sub\n${TAIL}\nsub:\n${TAIL}`.replaceAll("r3 = 2", "r3 = *(u32 *)(r1 + 8)");
    const thunks = listing(compile(both, { indirectJumps: "retpoline" }), 0, 2000).filter((line) =>
      line.endsWith("pause"),
    );
    expect(thunks).toHaveLength(1);
    expect(() => compile("exit", { indirectJumps: "retpolin" })).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: layout setting indirectJumps=retpolin, expected plain, lfence, retpoline]`,
    );
  });

  test("in a caller of a subprogram that makes one, and in the subprogram", () => {
    const below = compile(BELOW, { indirectJumps: "retpoline" });
    const [main, sub] = below.subprogs;
    expect(listing(below, main!.body, main!.end).slice(0, 2)).toEqual([
      "22 mov rax, [rbp-0x10]",
      `29 call 0x${sub!.start.toString(16)}`,
    ]);
    expect(bytes(below, main!.body, main!.body + 8)).toBe("48 8b 85 f0 ff ff ff e8");
    expect(bytes(below, sub!.start + 9, sub!.body)).toBe("0f 1f 00 55 48 89 e5 f3 0f 1e fa 48 81 ec 08 00 00 00 50 50");
    expect(bytes(below, sub!.start + 0x4f, sub!.start + 0x65)).toBe(
      "48 83 00 01 58 58 48 81 c4 08 00 00 00 48 8b 49 48 48 83 c1 10 e9",
    );
  });

  test("nothing of it is in a program without tail calls, in the kernel's layout", () => {
    const { code, counterCode, landing } = compile("call sub\nexit\nsub:\nr0 = 0\nexit");
    expect([counterCode, landing]).toEqual([[], 16]);
    expect(bytes(compile("r0 = 0\nexit"), 9, 12)).toBe("0f 1f 00");
    expect(code.length).toBe(28 + 25);
  });
});

const LAYOUTS: readonly [string, Settings][] = [
  ["the kernel's", {}],
  ["indirect", { directTailCalls: false }],
  ["indirect, without ibt and sls", { directTailCalls: false, ibt: false, sls: false }],
  ["retpoline", { directTailCalls: false, indirectJumps: "retpoline" }],
  ["lfence", { directTailCalls: false, indirectJumps: "lfence" }],
  ["all registers saved", { saveAll: true }],
  ["direct, without ibt", { ibt: false }],
  ["write-back", { tailCalls: "write-back" }],
  ["write-back, indirect", { tailCalls: "write-back", directTailCalls: false, ibt: false }],
  ["by-value", { tailCalls: "by-value" }],
  ["by-value, indirect", { tailCalls: "by-value", directTailCalls: false }],
  ["per-program", { tailCalls: "per-program" }],
  ["per-program, indirect", { tailCalls: "per-program", directTailCalls: false, ibt: false }],
];
const isExact = ({ tailCalls }: Settings): boolean => tailCalls !== "by-value";
const allowsSubprogs = ({ tailCalls }: Settings): boolean => tailCalls !== "per-program";
const IN_SUBPROGS = LAYOUTS.filter(([, layout]) => allowsSubprogs(layout));
const EXACT_IN_SUBPROGS = IN_SUBPROGS.filter(([, layout]) => isExact(layout));

const world = (layout: Settings): TailWorld => new TailWorld(jit(x86_64, { layout, counting: true }));

/** A subprogram that tail-calls a slot, and gives -1 where that fails. */
const sub = (slot: number): string => `sub${slot}:\nr6 = r1\n${jump(slot)}\nr0 = -1\nexit`;

describe.each(LAYOUTS)("on the CPU, %s:", (_, layout) => {
  test("B-1 simple chain: 33 tail calls, 34 executions, and again in the next invocation", () => {
    const w = world(layout);
    const self = w.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    w.set(0, self);
    const execution = w.begin(self);
    expect(execution.run(100_000)).toEqual(returned(MAX_TAIL_CALLS + 1));
    expect(w.begin(self).run(100_000)).toEqual(returned(2 * (MAX_TAIL_CALLS + 1)));
    // The frame, its return address and no more, however long the chain is.
    const alone = w.load("r0 = 0\nexit");
    w.set(0, undefined);
    const single = w.begin(self);
    expect(single.run(100_000)).toEqual(returned(2 * (MAX_TAIL_CALLS + 1) + 1));
    w.set(0, alone);
    expect(w.begin(self).run(100_000)).toEqual(returned(0));
    const thunk = layout.indirectJumps === "retpoline" ? 8n : 0n;
    expect(execution.counts!.lowestStack).toBeGreaterThanOrEqual(single.counts!.lowestStack! - thunk);
  });

  test("B-3 missing target: falls through with r6..r9 and the stack as they were, and costs nothing", () => {
    const w = world(layout);
    const text = `
      r6 = r1
      r7 = 7
      r8 = 8
      r9 = 9
      r1 = 5
      *(u64 *)(r10 - 16) = r1
      ${count(0)}
      ${jump(1)}
      ${jump(8)}
      ${jump(-1)}
      r1 = *(u64 *)(r10 - 16)
      if r1 != 5 goto bad
      if r7 != 7 goto bad
      if r8 != 8 goto bad
      if r9 != 9 goto bad
      ${jump(0)}
      r0 = *(u64 *)(r6 + 0)
      exit
    bad:
      r0 = -1
      exit`;
    const self = w.load(text);
    expect(w.begin(self).run(1000)).toEqual(returned(1));
    w.set(0, self);
    expect(w.begin(self).run(100_000)).toEqual(returned(1 + MAX_TAIL_CALLS + 1));
  });

  test("looks at the low half of the index alone", () => {
    const w = world(layout);
    const caller = w.load(`r6 = r1\nr7 = 0x500000001 ll\n${jump("r7")}\nr0 = 1\nexit`);
    w.set(1, w.load("r0 = 9\nexit"));
    expect(w.begin(caller).run(100)).toEqual(returned(9));
  });

  test("frames of all shapes follow each other: stack, may_goto, saved registers", () => {
    const w = world(layout);
    const deep = `*(u64 *)(r10 - ${layout.tailCalls === "per-program" ? 504 : 512}) = r7`;
    const shapes = [
      `r6 = r1\n${count(0)}\n${jump(1)}\nr0 = -1\nexit`,
      `r6 = r1\nr7 = r6\nr8 = r6\nr9 = r6\n${deep}\nmay_goto +0\n${count(0)}\n${jump(2)}\nr0 = -1\nexit`,
      `r6 = r1\nr9 = r6\n*(u64 *)(r10 - 8) = r9\n${count(0)}\n${jump(3)}\nr0 = -1\nexit`,
      `r0 = 0\nr7 = r1\n${deep}\nloop:\nr0 += 1\nif r0 == 20 goto done\nmay_goto +1\ngoto loop\ndone:\nr1 = *(u64 *)(r7 + 0)\nr0 += r1\nexit`,
    ];
    const loaded = shapes.map((shape) => w.load(shape));
    for (const [slot, program] of loaded.entries()) w.set(slot, program);
    expect(w.begin(loaded[0]!).run(1_000_000)).toEqual(returned(20 + 3));
  });

  test("B-17 helper call between two attempts: the count is kept", () => {
    const w = world(layout);
    const helper = "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall 5";
    const self = w.load(
      `r6 = r1\n${count(0)}\n${helper}\n${jump(5)}\n${helper}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`,
    );
    w.set(0, self);
    expect(w.begin(self).run(100_000)).toEqual(returned(MAX_TAIL_CALLS + 1));
  });

  test("the place of the count holds it wherever an instruction begins", () => {
    const w = world(layout);
    const self = w.load(`r6 = r1\nmay_goto +0\n${jump(7)}\nr7 = 1\n${count(0)}\n${jump(0)}\nr0 = 0\nexit`);
    w.set(0, self);
    const execution = w.begin(self);
    const seen = new Set<number>();
    let entries = 0;
    while (execution.step(1000) === undefined) {
      if (execution.at === 0) entries++;
      expect(execution.tailCalls).toBe(entries - 1);
      seen.add(execution.tailCalls);
    }
    expect(seen.size).toBe(MAX_TAIL_CALLS + 1);
  });

  test("B-19 preemption: two invocations that take turns have a count each", () => {
    const w = world(layout);
    const self = w.load(`r6 = r1\n${count(0)}\n${jump(0)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    w.set(0, self);
    const both = [w.begin(self, 0), w.begin(self, 1)] as const;
    while (both[0].run(7).kind === "budget") both[1].run(5);
    expect(both.map((execution) => execution.run(100_000))).toEqual([34, 34].map(returned));
  });

  test("does what the interpreter does with the same slots", () => {
    const outcome = (engine: Engine): unknown => {
      const w = new TailWorld(engine);
      const programs = [0, 1, 2, 3].map((i) =>
        w.load(
          `r6 = r1\nr9 = ${i}\n${count(i)}\n${jump((i + 2) % 5)}\n${count(4 + i)}\n${jump((3 * i + 1) % 4)}\nr0 = r9\nexit`,
        ),
      );
      programs.slice(0, 3).forEach((program, i) => void w.set(i, program));
      const first = w.begin(programs[3]!).run(100_000);
      w.set(1, undefined);
      w.set(3, programs[3]);
      return [first, w.begin(programs[0]!).run(100_000), [0, 1, 2, 3, 4, 5, 6, 7].map((i) => w.logged(i))];
    };
    expect(outcome(jit(x86_64, { layout }))).toEqual(outcome(interpreter));
  });
});

describe.each(IN_SUBPROGS)("with subprograms, %s:", (_, layout) => {
  test("B-2 from subprogram: the result returns to the call of the subprogram, by whatever frames", () => {
    const w = world(layout);
    w.memory.store(8, w.log.address, 40n);
    const entry = w.load(`r6 = r1\ncall sub1\nr0 += 2\nexit\n${sub(1)}`);
    w.set(1, w.load("r0 = *(u64 *)(r1 + 0)\nexit"));
    expect(w.begin(entry).run(1000)).toEqual(returned(42));
    w.set(1, undefined);
    expect(w.begin(entry).run(1000)).toEqual(returned(1));
  });

  test("B-16 callee with other saved registers and depth: the caller's are intact after the return", () => {
    const w = world(layout);
    const entry = w.load(`
      r6 = r1
      r7 = 7
      r8 = 8
      r9 = 9
      *(u64 *)(r10 - 24) = r9
      call sub1
      r0 += r7
      r0 += r8
      r0 += r9
      r1 = *(u64 *)(r10 - 24)
      r0 += r1
      exit
    ${sub(1)}`);
    w.set(1, w.load(`r9 = r1\nr8 = 1\nr7 = 2\nr6 = 3\n*(u64 *)(r10 - 400) = r9\nmay_goto +0\nr0 = 100\nexit`));
    expect(w.begin(entry).run(1000)).toEqual(returned(133));
  });

  test("a program in between that makes no tail call and calls helpers leaves the count as it is", () => {
    const w = world(layout);
    const entry = w.load(
      `r6 = r1\ncall sub1\nr1 = r6\ncall sub1\nr7 = r0\n${jump(2)}\nr0 = *(u64 *)(r6 + 0)\nexit\n${sub(1)}`,
    );
    const self = w.load(`r6 = r1\n${count(0)}\n${jump(2)}\nr0 = *(u64 *)(r6 + 0)\nexit`);
    w.set(1, w.load("r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = 5\ncall 5\nr1 = 0x123456789 ll\nr0 += r1\nexit"));
    w.set(2, self);
    const lost = isExact(layout) ? 2 : 0;
    expect(w.begin(entry).run(10_000)).toEqual(returned(MAX_TAIL_CALLS - lost));
  });
});

/** Calls two subprograms that each tail-call it, and counts how often it is entered. */
const HIERARCHY = `r6 = r1\n${count(0)}\nr1 = r6\ncall sub0\nr1 = r6\ncall other\nr0 = *(u64 *)(r6 + 0)\nexit\n${sub(0)}\n${sub(0).replace("sub0", "other")}`;

describe.each(EXACT_IN_SUBPROGS)("B-4 hierarchy, %s:", (_, layout) => {
  test("34 executions in all, however the tree branches", () => {
    const w = world(layout);
    const entry = w.load(HIERARCHY);
    w.set(0, entry);
    expect(w.begin(entry).run(100_000)).toEqual(returned(MAX_TAIL_CALLS + 1));
  });
});

test("B-4 hierarchy: counts that each frame has a copy of do not hold the limit", () => {
  const w = world({ tailCalls: "by-value" });
  const entry = w.load(HIERARCHY);
  w.set(0, entry);
  expect(w.begin(entry).run(100_000)).toEqual({ kind: "budget" });
  expect(w.logged(0)).toBeGreaterThan(500n);
});

test("B-4 hierarchy: of a count that begins at 30, three are left on each path, so 14 follow and not 3", () => {
  const follow = (tailCalls: TailCallSchemeName): bigint => {
    const w = world({ tailCalls });
    const entry = w.load(HIERARCHY);
    w.set(0, entry);
    const chain = w.load(
      `r6 = r1\n${count(1)}\nr2 = *(u64 *)(r6 + 8)\nif r2 >= 30 goto out\n${jump(1)}\nout:\n${jump(0)}\nexit`,
    );
    w.set(1, chain);
    w.begin(chain).run(100_000);
    return w.logged(0);
  };
  expect([follow("pointer"), follow("write-back"), follow("by-value")]).toEqual([4n, 4n, 15n]);
});

describe("frames that tail calls take over", () => {
  const layout = { tailCalls: "per-program" };

  test("have 512 bytes of stack and all registers where a tail call is made, and all registers elsewhere", () => {
    const names = ({ subprogs }: Image): string[] => subprogs[0]!.frame.map(({ name, offset }) => `${offset} ${name}`);
    expect(names(compile(`r6 = r1\n${jump(0)}\nexit`, layout))).toEqual([
      "8 return address",
      "0 rbp of the caller",
      "-512 stack",
      "-520 rbx",
      "-528 r13",
      "-536 r14",
      "-544 r15",
      "-552 tail calls",
    ]);
    expect(names(compile("r0 = 0\nexit", layout)).slice(2)).toEqual([
      "-8 rbx",
      "-16 r13",
      "-24 r14",
      "-32 r15",
      "-40 tail calls",
    ]);
  });

  test("land behind all that makes the frame, and refuse what cannot be taken over", () => {
    expect(compile("r0 = 0\nexit", layout).landing).toBe(29);
    expect(compile("r0 = 0\nexit", { ...layout, ibt: false }).landing).toBe(25);
    expect(() => compile(`call sub0\nexit\n${sub(0)}`, layout)).toThrow(BpfError);
    expect(() =>
      compile("r1 = 1\n*(u64 *)(r10 - 512) = r1\nmay_goto +0\nexit", layout),
    ).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: 512 bytes of stack and may_goto with tail calls counted per-program, expected at most 512 bytes with the counter of may_goto]`,
    );
  });
});

describe("an image", () => {
  test("tells of each direct tail call its array, slot and two sites, and has none of others", () => {
    const { pokes, patchSites } = compile(TAIL);
    const site = { size: 5, subprog: 0, insn: 11 };
    expect(pokes).toEqual([
      {
        insn: 11,
        subprog: 0,
        map: 0,
        key: 2,
        bypass: { ...site, kind: "bypass", offset: 0xa3 - 2 },
        target: { ...site, kind: "target", offset: 0xb8 - 2 },
      },
    ]);
    expect(patchSites.slice(1)).toEqual([pokes[0]!.bypass, pokes[0]!.target]);
    expect(compile(TAIL, { directTailCalls: false }).patchSites).toHaveLength(1);
  });

  test("saves all four registers in every frame where the layout says so", () => {
    const saved = (settings: Settings): string[][] =>
      compile("r9 = 1\ncall leaf\nexit\nleaf:\nr0 = 0\nexit", settings).subprogs.map(({ frame }) =>
        frame.slice(2).map(({ name }) => name),
      );
    expect(saved({})).toEqual([["r15"], []]);
    const all = ["rbx", "r13", "r14", "r15"];
    expect(saved({ saveAll: true })).toEqual([all, all]);
  });

  test("lands tail calls at the same offset in every program of a layout", () => {
    for (const text of [TAIL, BELOW, "r0 = 0\nexit"]) {
      expect([compile(text).landing, compile(text, { ibt: false }).landing]).toEqual([16, 12]);
    }
  });

  test("draws the count's part of the frame", () => {
    const text = `r6 = r1\nmay_goto +0\n*(u64 *)(r10 - 8) = r6\ncall sub0\nexit\n${sub(0)}`;
    const frame = (settings: Settings, subprog: number) =>
      compile(text, settings)
        .subprogs[subprog]!.frame.slice(2)
        .map(({ name, offset }) => `${offset} ${name}`);
    expect(frame({}, 0)).toEqual([
      "-8 stack", "-16 may_goto counter", "-24 tail calls, or their address", "-32 address of tail calls", "-40 rbx",
    ]); // biome-ignore format: a line
    expect(frame({}, 1)).toEqual(["-8 address of tail calls", "-16 address of tail calls", "-24 rbx"]);
    expect(frame({ tailCalls: "by-value" }, 0)).toEqual([
      "-8 stack",
      "-16 may_goto counter",
      "-24 tail calls",
      "-32 rbx",
    ]);
  });

  test("says which of its code serves the count, and on which edge", () => {
    const serving = (text: string, tailCalls: TailCallSchemeName): string[] => {
      const image = compile(text, { tailCalls });
      return image.counterCode.map(({ edge, start, end, subprog }) => {
        const code = listing(image, start, end).map((line) => line.replace(/^\w+ /, "").replace(/ 0x[0-9a-f]+$/, ""));
        return `${subprog} ${edge}: ${code.join("; ")}`;
      });
    };
    const text = `r6 = r1\ncall sub0\nr0 = 0\nexit\n${sub(0)}`;
    expect(serving(text, "pointer")).toMatchInlineSnapshot(`
      [
        "0 entry: xor rax, rax",
        "0 entry: cmp rax,; ja; push rax; mov rax, rsp; jmp; push rax; push rax",
        "0 call: mov rax, [rbp-0x10]",
        "1 entry: push rax; push rax",
        "1 tail-call: mov rax, [rbp-0x10]; cmp qword ptr [rax],; jae",
        "1 tail-call: add qword ptr [rax], 1",
        "1 tail-call: pop rax; pop rax",
      ]
    `);
    expect(serving(text, "write-back")).toMatchInlineSnapshot(`
      [
        "0 entry: xor rax, rax",
        "0 entry: push rax",
        "0 call: mov rax, [rbp-8]",
        "0 return: mov [rbp-8], r11",
        "0 exit: mov r11, [rbp-8]",
        "1 entry: push rax",
        "1 tail-call: mov rax, [rbp-8]; cmp rax,; jae",
        "1 tail-call: add rax, 1; mov [rbp-8], rax",
        "1 tail-call: pop rax",
        "1 exit: mov r11, [rbp-8]",
      ]
    `);
    expect(serving(text, "by-value")).toMatchInlineSnapshot(`
      [
        "0 entry: xor rax, rax",
        "0 entry: push rax",
        "0 call: mov rax, [rbp-8]",
        "1 entry: push rax",
        "1 tail-call: mov rax, [rbp-8]; cmp rax,; jae",
        "1 tail-call: add rax, 1; mov [rbp-8], rax",
        "1 tail-call: pop rax",
      ]
    `);
    expect(serving(`r6 = r1\n${jump(0)}\nr0 = 0\nexit`, "per-program")).toMatchInlineSnapshot(`
      [
        "0 entry: push 0",
        "0 tail-call: mov rax, [rbp-0x228]; cmp rax,; jae",
        "0 tail-call: add rax, 1; mov [rbp-0x228], rax",
        "0 exit: pop rbx",
      ]
    `);
  });
});
