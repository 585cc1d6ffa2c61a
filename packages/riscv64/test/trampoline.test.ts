// Trampolines: their code beside Linux 7.2's, and what they do on the CPU beside a model of it.
import {
  type CompileOptions,
  type LinkKind,
  MAP_TYPES,
  PROG,
  PROG_ARRAY,
  parseFuncModel,
  type TrampolineLink,
  type TrampolineSpec,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";
import { type Behaviour, expectedOutcome, type Outcome, type Traced, TracingWorld } from "./tracing.ts";

const KINDS: readonly LinkKind[] = ["fentry", "fmod_ret", "fexit", "fsession"];
const MODELS: readonly string[] = [
  "void ()",
  "int (int)",
  "u64 (u64, int)",
  "int (u64, struct{u64,u32}, char *)",
  "s16 (s8, u8, s16, u16, s32, u32)",
  "u64 (struct 16, struct 3, struct 16, u64)",
  "int (u64, u64, u64, u64, u64, u64, u64, u64)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, struct 16)",
  "int (u64, u64, u64, u64, u64, u64, u64, u64, int)",
  "int (u64, u64, u64, u64, u64, u64, u64, struct 12, s8)",
  "u8 (u64, u64, u64, u64, u64, u64, u64, u64, struct 16, u64)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64)",
  "void (struct 16, struct 16, struct 16, struct 16, struct 16, struct 16)",
];
const PLAIN: CompileOptions = { features: { c: false, zba: false, zbb: false } };

const specOf = (model: string, kinds: readonly LinkKind[], more: Partial<TrampolineSpec> = {}): TrampolineSpec => ({
  model: parseFuncModel(model),
  links: kinds.map((kind, i): TrampolineLink => ({ kind, cookie: i === 1 ? 0n : 0x1234_5678_9abc_def0n + BigInt(i) })),
  original: "known",
  ...more,
});
const ints = (count: number): string => `int (${new Array(count).fill("int").join()})`;

/** All lists of at most `length` kinds. */
function lists(length: number): LinkKind[][] {
  if (length === 0) return [[]];
  const shorter = lists(length - 1);
  return [
    ...shorter,
    ...shorter.filter((list) => list.length === length - 1).flatMap((list) => KINDS.map((kind) => [...list, kind])),
  ];
}

/** A listing as the kernel's are written: distances in decimal, addresses and what is called left out. */
function listing(code: Uint8Array): string[] {
  const lines = [...riscv64.disassemble(code)].map(({ offset, text }) => {
    const [name, ...operands] = text.split(/[ ,]+/);
    const numbers = operands.map((operand) =>
      operand.replace(/-?0x[0-9a-f]+/, (hex) => `${Number(hex.replace("-", "")) * (hex[0] === "-" ? -1 : 1)}`),
    );
    if (name![0] === "b" && name !== "bnop") numbers.push(`.+${Number(numbers.pop()) - offset}`);
    return `${name} ${numbers.join()}`.trim();
  });
  return lines
    .join("\n")
    .replace(/auipc (\w+),0\nmv \1,\1/g, "la $1")
    .replace(/auipc t1,0\njalr t1/g, "call")
    .split("\n");
}

describe("the code of a trampoline", () => {
  const code = (kind: LinkKind, count: number, options?: CompileOptions): Uint8Array =>
    riscv64.emitTrampoline({ model: parseFuncModel(ints(count)), links: [{ kind }], original: "known" }, options).code;
  const lines = (text: string): string[] => text.split(";").map((line) => line.trim());

  test("is Linux' around a function with an fentry", () => {
    expect(listing(code("fentry", 2))).toEqual(
      lines(
        "addi sp,sp,-16; sd ra,8(sp); sd s0,0(sp); addi s0,sp,16; addi sp,sp,-64; sd t0,56(sp); sd s0,48(sp); addi s0,sp,64; sd s1,-64(s0);" +
          "li t1,2; sd t1,-40(s0); sd a0,-32(s0); sd a1,-24(s0); nop;" +
          "sd zero,-56(s0); la a0; addi a1,s0,-56; call;" +
          "mv s1,a0; beqz a0,.+16; addi a0,s0,-32; call;" +
          "la a0; mv a1,s1; addi a2,s0,-56; call;" +
          "ld a0,-32(s0); ld a1,-24(s0); ld s1,-64(s0); ld t0,56(sp); ld s0,48(sp); addi sp,sp,64; ld ra,8(sp); ld s0,0(sp); addi sp,sp,16; jr t0",
      ),
    );
  });

  test("is Linux' around a function with an fmod_ret", () => {
    expect(listing(code("fmod_ret", 1))).toEqual(
      lines(
        "addi sp,sp,-16; sd ra,8(sp); sd s0,0(sp); addi s0,sp,16; addi sp,sp,-80; sd t0,72(sp); sd s0,64(sp); addi s0,sp,80; sd s1,-72(s0); li t1,1;" +
          "sd t1,-48(s0); sd a0,-40(s0); la a0; call; sd zero,-32(s0); nop;" +
          "sd zero,-64(s0); la a0; addi a1,s0,-64; call; mv s1,a0; beqz a0,.+24; addi a0,s0,-40; call; sd a0,-32(s0); sd a5,-24(s0);" +
          "la a0; mv a1,s1; addi a2,s0,-64; call; ld t1,-32(s0); bnez t1,.+24;" +
          "ld a0,-40(s0); call; sd a0,-32(s0); sd a5,-24(s0); la a0; call;" +
          "ld a5,-24(s0); ld a0,-32(s0); ld s1,-72(s0); ld t0,72(sp); ld s0,64(sp); addi sp,sp,80; ld ra,8(sp); ld s0,0(sp); addi sp,sp,16; ret",
      ),
    );
  });

  test("is Linux' around a function with an fexit", () => {
    expect(listing(code("fexit", 2))).toEqual(
      lines(
        "addi sp,sp,-16; sd ra,8(sp); sd s0,0(sp); addi s0,sp,16; addi sp,sp,-80; sd t0,72(sp); sd s0,64(sp); addi s0,sp,80; sd s1,-80(s0); li t1,2;" +
          "sd t1,-56(s0); sd a0,-48(s0); sd a1,-40(s0); la a0; call; ld a0,-48(s0); ld a1,-40(s0); call; sd a0,-32(s0); sd a5,-24(s0); nop;" +
          "sd zero,-72(s0); la a0; addi a1,s0,-72; call; mv s1,a0; beqz a0,.+16; addi a0,s0,-48; call;" +
          "la a0; mv a1,s1; addi a2,s0,-72; call; la a0; call; ld a5,-24(s0); ld a0,-32(s0); ld s1,-80(s0); ld t0,72(sp); ld s0,64(sp);" +
          "addi sp,sp,80; ld ra,8(sp); ld s0,0(sp); addi sp,sp,16; ret",
      ),
    );
    expect(listing(code("fexit", 7)).slice(0, 32)).toEqual(
      lines(
        "addi sp,sp,-16; sd ra,8(sp); sd s0,0(sp); addi s0,sp,16; addi sp,sp,-128; sd t0,120(sp); sd s0,112(sp); addi s0,sp,128; sd s1,-120(s0); li t1,7;" +
          "sd t1,-96(s0); sd a0,-88(s0); sd a1,-80(s0); sd a2,-72(s0); sd a3,-64(s0); sd a4,-56(s0); sd a5,-48(s0); sd a6,-40(s0); la a0; call;" +
          "ld a0,-88(s0); ld a1,-80(s0); ld a2,-72(s0); ld a3,-64(s0); ld a4,-56(s0); ld a5,-48(s0); ld a6,-40(s0); call;" +
          "sd a0,-32(s0); sd a5,-24(s0); nop; sd zero,-112(s0)",
      ),
    );
  });

  // 7.2 takes 12 to 18 bytes for an address where this takes 8, and calls a program that is near in 4 bytes where this takes 8.
  test.each([
    ["fentry", 1, 120, 124],
    ["fentry", 2, 128, 132],
    ["fentry", 7, 168, 172],
    ["fexit", 2, 184, 200],
    ["fexit", 7, 224, 248],
    ["fmod_ret", 1, 196, 220],
  ] as const)("with %s and %i arguments takes %i bytes, where Linux' takes %i", (kind, count, bytes, linux) => {
    expect(code(kind, count).length).toBe(bytes);
    expect(bytes).toBeLessThanOrEqual(linux);
  });

  test("is the same without compressed instructions, each in four bytes", () => {
    for (const [kind, count] of [
      ["fentry", 2],
      ["fexit", 7],
      ["fmod_ret", 1],
    ] as const) {
      const plain = code(kind, count, PLAIN);
      const compressed = listing(code(kind, count)).map((line) => line.replace(/\.\+\d+/, ""));
      expect(listing(plain).map((line) => line.replace(/\.\+\d+/, ""))).toEqual(compressed);
      for (const { bytes } of riscv64.disassemble(plain)) expect(bytes.length).toBe(4);
    }
  });

  test("is equal for equal specifications and for functions that can share it", () => {
    const fexit = (model: string): Uint8Array => riscv64.emitTrampoline(specOf(model, ["fexit"])).code;
    expect(fexit("int (u64, struct 16)")).toEqual(fexit("int (u64, struct 16)"));
    expect(riscv64.funcModelEqual(parseFuncModel("int (u64)"), parseFuncModel("int (u32)"))).toBe(false);
    expect(riscv64.funcModelEqual(parseFuncModel("int (u64)"), parseFuncModel("int (char *)"))).toBe(true);
  });

  test("fits on a page with as many links as there can be, unless most cookies are wide", () => {
    const full = (kind: LinkKind, cookie: bigint): number => {
      const links = new Array(38).fill({ kind, cookie });
      return riscv64.emitTrampoline({ model: parseFuncModel(MODELS[11]!), links, original: "known" }).code.length;
    };
    for (const kind of ["fentry", "fmod_ret", "fexit"] as const) expect(full(kind, 7n)).toBeLessThan(4096);
    expect(() => full("fmod_ret", 0x1234_5678_9abc_def0n)).toThrow(/E2BIG/);
  });
});

/** A world with one function that calls the trampoline. */
class Setting {
  readonly world: TracingWorld;
  readonly traced: Traced;

  constructor(options: CompileOptions = {}, bpf?: bigint) {
    this.world = new TracingWorld(options);
    this.traced = bpf === undefined ? this.world.rawFunction() : this.world.bpfFunction(bpf);
    this.world.attach(this.traced);
    this.world.bodyResult = 0xfedc_ba98_7654_3210n;
    this.world.bodyRest = bpf ?? 0x5a5a_0000_a5a5_ffffn;
    if (bpf !== undefined) this.world.bodyResult = BigInt.asUintN(64, BigInt.asIntN(32, bpf));
  }

  /** Runs a call of the function with a trampoline around it, and says what it has to come to. */
  compare(
    spec: TrampolineSpec,
    behaviours: readonly Behaviour[],
    off?: Parameters<typeof expectedOutcome>[5],
  ): Compared {
    const { world, traced } = this;
    world.install(spec, traced, behaviours);
    const words = wordsOf(spec);
    const body = { result: world.bodyResult, rest: world.bodyRest };
    const expected = expectedOutcome(spec, traced, words, behaviours, body, off);
    return { expected, run: (hooks) => world.call(traced.address, words, hooks) };
  }
}

interface Compared {
  readonly expected: Outcome;
  readonly run: (hooks?: Parameters<TracingWorld["call"]>[2]) => Outcome;
}

/** Words that differ in every byte, with garbage above what is small. */
function wordsOf(spec: TrampolineSpec): bigint[] {
  return riscv64
    .classifyArgs(spec.model)
    .slots.map((_, i) => BigInt.asUintN(64, 0xf1e2_d3c4_b5a6_9788n * BigInt(2 * i + 1)));
}

function check({ expected, run }: Compared, what: string): void {
  const { events, a0, a5 } = run();
  const seen = { what, events, a0, a5 };
  const { steps: _, ...rest } = expected;
  expect(seen).toEqual({ what, ...rest });
}

/** What programs return: those in place of the function give nothing the first time, so that the function runs in half of the cases. */
const behavioursOf = (kinds: readonly LinkKind[], round: number): Behaviour[] =>
  kinds.map((kind, i) => ({
    result: kind === "fmod_ret" && (round + i) % 2 === 0 ? 0n : 0xffff_ffff_8000_0007n + BigInt(i),
    skipped: round > 1 && (round + i) % 3 === 0,
  }));

describe.each([
  ["with C and Zba: every list", {}, 1],
  ["without: lists", PLAIN, 7],
  ["with short branches: lists", { layout: { shortBranches: true } }, 11],
] as const)("on the CPU, %s of at most three links", (_name, options, every) => {
  const setting = new Setting(options);

  test.each(MODELS)("around %s", (model) => {
    let cases = 0;
    for (const [i, kinds] of lists(3).entries()) {
      if (i % every !== 0) continue;
      for (const original of ["known", "from-stack"] as const) {
        const spec = specOf(model, kinds, { original, funcIp: i % 3 === 0 });
        check(setting.compare(spec, behavioursOf(kinds, i % 4)), `${kinds} ${original}`);
        cases++;
      }
    }
    expect(cases).toBe(2 * Math.ceil(85 / every));
  });
});

describe("around a function in BPF", () => {
  const setting = new Setting({}, 0x1_8000_0001n);

  test.each([
    "void ()",
    "int (int)",
    "u64 (u64, int)",
    "int (u64, struct{u64,u32}, char *)",
    "int (struct 16, struct 16, s8)",
  ])("of type %s", (model) => {
    for (const [i, kinds] of lists(2).entries()) {
      for (const original of ["known", "from-stack"] as const) {
        check(setting.compare(specOf(model, kinds, { original }), behavioursOf(kinds, i % 4)), `${kinds} ${original}`);
      }
    }
  });
});

describe("fmod_ret", () => {
  const setting = new Setting();
  const replaced = (model: string, result: bigint): boolean => {
    const { events } = setting.compare(specOf(model, ["fexit", "fmod_ret"]), [{ result: 1n }, { result }]).run();
    expect(events.filter((event) => event.startsWith("program 0"))).toHaveLength(1);
    return !events.some((event) => event.startsWith("original"));
  };

  test("with 0 lets the function run, with anything else takes its place", () => {
    expect(replaced("int (int)", 0n)).toBe(false);
    expect(replaced("int (int)", 1n)).toBe(true);
    expect(replaced("int (int)", 0xffff_fff4n)).toBe(true);
  });

  test("gives a function of 64 bits all of what the program gave", () => {
    expect(replaced("u64 (int)", 1n << 32n)).toBe(true);
    expect(replaced("int (int)", 1n << 32n)).toBe(false);
    const { run } = setting.compare(specOf("u64 (int)", ["fmod_ret"]), [{ result: 0x8000_0001_0000_0002n }]);
    expect(run().a0).toBe(0x8000_0001_0000_0002n);
    const { run: narrow } = setting.compare(specOf("int (int)", ["fmod_ret"]), [{ result: 0xffff_fff4n }]);
    expect(narrow().a0).toBe(0xffff_ffff_ffff_fff4n);
  });
});

describe("a block that is turned off", () => {
  const setting = new Setting();
  const kinds: readonly LinkKind[] = ["fentry", "fexit", "fmod_ret", "fsession"];
  /** Programs in the order of their blocks. */
  const BLOCKS = [
    ["fentry", 3],
    ["fentry", 0],
    ["fmod_ret", 2],
    ["fexit", 3],
    ["fexit", 1],
  ] as const;

  test.each([...BLOCKS.entries()])("of number %i skips just its program", (index, [kind, link]) => {
    for (const result of [0n, 5n]) {
      const behaviours = kinds.map(() => ({ result }));
      const compared = setting.compare(
        specOf("int (u64, int)", kinds),
        behaviours,
        (when, which) => when === kind && which === link,
      );
      setting.world.turnOff(index);
      check(compared, `${kind} ${link}`);
    }
  });

  test("while the function runs skips what is behind it, and the call is over for the host all the same", () => {
    const off = (kind: string): boolean => kind === "fexit";
    const compared = setting.compare(
      specOf("int (u64, int)", kinds),
      kinds.map(() => ({ result: 0n })),
      off,
    );
    const body = (): void => {
      for (const index of [3, 4]) setting.world.turnOff(index);
    };
    const { events } = compared.run({ body });
    expect(events).toEqual(compared.expected.events);
    expect(events.at(-1)).toBe("exit");
  });
});

test("A-26 one image, entered by three functions, calls each with its own arguments and gives each one's result", () => {
  const { world, traced } = new Setting();
  const others = [world.rawFunction(), world.rawFunction()];
  for (const other of others) world.attach(other);
  const spec = specOf(MODELS[9]!, ["fexit"], { original: "from-stack" });
  world.install(spec, traced, [{ result: 0n }]);
  for (const [i, { address }] of [traced, ...others].entries()) {
    const words = wordsOf(spec).map((word) => word ^ BigInt(i));
    world.bodyResult = 100n + BigInt(i);
    let entered = -1n;
    const { events, a0 } = world.call(address, words, {
      body: () => (entered = world.memory.load(8, world.cpu.get("s0") - 8n)),
    });
    expect(events.filter((event) => event.startsWith("original"))).toEqual([`original ${words.join()}`]);
    expect(events).toContain(`program 0 finds ${[words.length, ...words, 100 + i].join()}`);
    expect(a0).toBe(100n + BigInt(i));
    // Its own frame says whom it returns to: the trampoline.
    expect(entered >= world.trampoline.address && entered < world.trampoline.address + 4096n).toBe(true);
  }
});

describe("an indirect trampoline", () => {
  const { world, traced } = new Setting();

  test.each([
    ["s8", 0xffff_ffff_ffff_ff81n],
    ["u8", 0x81n],
    ["s16", 0xffff_ffff_ffff_8081n],
    ["u16", 0x8081n],
    ["int", 0xffff_ffff_8000_8081n],
    ["u32", 0xffff_ffff_8000_8081n],
    ["u64", 0x7777_7777_8000_8081n],
  ])("gives what its program gives as a function does that returns %s", (type, a0) => {
    const list = MODELS[9]!.slice(4);
    for (const model of [`${type} ()`, `${type} ${list}`]) {
      const spec = specOf(model, ["fentry"], { indirect: true });
      const words = wordsOf(spec);
      world.install(spec, traced, [{ result: 0x7777_7777_8000_8081n }]);
      const found = world.call(world.trampoline.address, words);
      expect(found.events[1]).toBe(`program 0 finds ${[words.length, ...words].join()}`);
      expect(found.events).toHaveLength(3);
      expect(found.a0).toBe(a0);
    }
  });
});

test("an indirect trampoline whose program is not to run gives 0", () => {
  const { world, traced } = new Setting();
  world.install(specOf("u64 (u64)", ["fentry"], { indirect: true }), traced, [{ result: 5n, skipped: true }]);
  expect(world.call(world.trampoline.address, [1n])).toMatchObject({ a0: 0n, events: { length: 2 } });
});

describe("the frame", () => {
  const { world, traced } = new Setting();

  test.each(MODELS)("of a function %s has what its picture says", (model) => {
    for (const [i, kinds] of lists(2).entries()) {
      const spec = specOf(model, kinds, { funcIp: true, tailCalls: i % 2 === 0 });
      const frame = world.install(spec, traced, behavioursOf(kinds, 1)).subprogs[0]!.frame;
      for (const [at, { offset, size }] of frame.entries()) {
        if (at > 0) expect(offset + size).toBeLessThanOrEqual(frame[at - 1]!.offset);
      }
      const words = wordsOf(spec);
      const look = (name: string): bigint =>
        world.memory.load(8, world.cpu.get("s0") + BigInt(frame.find((slot) => slot.name.startsWith(name))!.offset));
      const host = (part: string): void => {
        if (part !== "program-enter") return;
        expect(look("return address into the caller")).toBe(world.host("return"));
        expect(look("return address into the function")).toBe(traced.address + 8n);
        expect(look("address of the function")).toBe(traced.address);
        expect(look("number of argument words") & 255n).toBe(BigInt(words.length));
        for (const [word, value] of words.entries()) expect(look(`argument word ${word},`)).toBe(value);
        expect(world.cpu.get("s0") + BigInt(frame.find(({ name }) => name === "run context")!.offset)).toBe(
          world.cpu.get("a1"),
        );
      };
      world.call(traced.address, words, { host });
    }
  });
});

describe("who follows frame pointers", () => {
  const { world, traced } = new Setting();
  const leaf = world.placeProgram("r6 = r1\nr0 = *(u64 *)(r6 - 8)\n*(u64 *)(r10 - 8) = r0\nr0 = 0\nexit");
  const caller = world.placeProgram("r6 = r1\ncall f\nr0 = 0\nexit\nf:\nr0 = 1\nexit");

  /** Return addresses from a place on, as Linux finds them; a function that has not stored ra has s0 in its place. */
  function backtrace(): bigint[] {
    const { cpu, memory } = world;
    const found: bigint[] = [];
    const { address, size } = world.stack;
    let frame = cpu.get("s0");
    while (found.length < 8 && frame > address && frame <= address + BigInt(size) && (frame & 7n) === 0n) {
      const above = memory.load(8, frame - 8n);
      const isLeaf = found.length === 0 && above > address && above <= address + BigInt(size);
      found.push(isLeaf ? cpu.get("ra") : above);
      frame = isLeaf ? above : memory.load(8, frame - 16n);
    }
    return found;
  }

  /** Offsets at which a piece of code has its frame: behind what sets s0 for the last time, up to what loads it first. */
  function framed(code: Uint8Array, from = 0): ReadonlySet<number> {
    const lines = [...riscv64.disassemble(code)].filter(({ offset }) => offset >= from);
    const set = lines.findLastIndex(({ text }) => text.startsWith("addi s0, sp"));
    const load = lines.findIndex(({ text }) => text.startsWith("ld s0"));
    return new Set(lines.slice(set + 1, load + 1).map(({ offset }) => offset));
  }

  test.each([
    ["fentry", "known"],
    ["fexit", "known"],
    ["fmod_ret", "from-stack"],
    ["fsession", "from-stack"],
  ] as const)("from inside %s, original %s, finds the trampoline, the function and its caller", (kind, original) => {
    const spec = specOf(MODELS[9]!, [kind, kind], { original });
    const { code } = world.install(spec, traced, [{ result: 0n }, { result: 0n }], [leaf.address, caller.address]);
    const { start: f } = caller.image.subprogs[1]!;
    const places = [
      { name: "trampoline", base: world.trampoline.address, at: framed(code), depth: 0 },
      { name: "leaf", base: leaf.address, at: framed(leaf.image.code), depth: 1 },
      { name: "caller", base: caller.address, at: framed(caller.image.code.subarray(0, f)), depth: 1 },
      { name: "its subprogram", base: caller.address, at: framed(caller.image.code, f), depth: 2 },
    ];
    const looked = new Map(places.map(({ name, at }) => [name, new Set(at)]));
    const isIn = (base: bigint, size: number, pc: bigint): boolean => pc >= base && pc < base + BigInt(size);
    const step = (pc: bigint): void => {
      for (const { name, base, at, depth } of places) {
        if (!at.has(Number(pc - base))) continue;
        looked.get(name)!.delete(Number(pc - base));
        const found = backtrace();
        expect(found.slice(depth)).toEqual([traced.address + 8n, world.host("return")]);
        if (depth === 2) expect(isIn(caller.address, f, found[0]!)).toBe(true);
        if (depth > 0) expect(isIn(world.trampoline.address, code.length, found[depth - 1]!)).toBe(true);
      }
    };
    const body = (): void => {
      const found = backtrace();
      if (kind !== "fentry") expect(isIn(world.trampoline.address, code.length, found.shift()!)).toBe(true);
      expect(found).toEqual(kind === "fentry" ? [world.host("return")] : [traced.address + 8n, world.host("return")]);
    };
    world.call(traced.address, wordsOf(spec), { step, body });
    // Every place was reached, so every one has been looked at.
    for (const [name, rest] of looked) expect({ name, rest: [...rest] }).toEqual({ name, rest: [] });
  });
});

describe.each(riscv64.capabilities.tailCallSchemes)("tail calls counted %s", (tailCalls) => {
  const table = { name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
  const jump = "r1 = r6\nr2 = map[table]\nr3 = 0\ncall tail_call\n";
  const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1\n`;
  /** Calls a subprogram five times that makes up to ten tail calls; word 0 counts calls, word 1 tail calls. */
  const MAIN = `r6 = r1\n${"r1 = r6\ncall f\n".repeat(5)}r0 = 9\nexit\nf:\nr6 = r1\n${count(0)}${jump}r0 = 2\nexit`;
  const SLOT = `r6 = r1\n${count(1)}r7 = *(u64 *)(r6 + 8)\nr7 %= 10\nif r7 == 0 goto out\n${jump}out:\nr0 = 3\nexit`;

  /** Tail calls that succeed with a trampoline around the subprogram or the program, or around nothing. */
  function counted(
    around: "f" | "main" | undefined,
    kinds: readonly LinkKind[],
    original: TrampolineSpec["original"],
  ): number[] {
    const world = new TracingWorld({ layout: { tailCalls } });
    const { memory } = world;
    const words = memory.allocate("data", 16, "words").address;
    const array = memory.allocate("data", PROG_ARRAY.programs + 8, "table").address;
    const object = memory.allocate("data", PROG.entry + 8, "program").address;
    memory.store(4, array + BigInt(PROG_ARRAY.maxEntries), 1n);
    memory.store(8, array + BigInt(PROG_ARRAY.programs), object);
    memory.store(8, object + BigInt(PROG.entry), world.placeProgram(SLOT, [table], array).address);
    const main = world.placeProgram(MAIN, [table], array);
    const start = main.image.subprogs[around === "f" ? 1 : 0]!.start;
    const target = { address: main.address + BigInt(start) };
    const spec = specOf("int (void *)", kinds, { original, tailCalls: true });
    world.install(
      spec,
      target,
      kinds.map(() => ({ result: 0n })),
    );
    if (around !== undefined) world.attach(target);
    const { events, a5 } = world.call(main.address, [words]);
    expect(a5).toBe(9n);
    const calls = around === "f" ? 5 : around === "main" ? 1 : 0;
    for (const [link] of kinds.entries()) {
      expect(events.filter((event) => event.startsWith(`program ${link} `)).length).toBe(
        calls * (kinds[link] === "fsession" ? 2 : 1),
      );
    }
    return [Number(memory.load(8, words)), Number(memory.load(8, words + 8n))];
  }

  test("E-6 go through a trampoline as they go without one, whether it calls the original or goes on in it", () => {
    const alone = counted(undefined, [], "known");
    expect(alone).toEqual([5, tailCalls === "by-value" ? 50 : 33]);
    for (const around of ["f", "main"] as const) {
      for (const kinds of [
        ["fentry"],
        ["fexit"],
        ["fmod_ret"],
        ["fsession"],
        ["fentry", "fexit", "fmod_ret"],
      ] as const) {
        for (const original of ["known", "from-stack"] as const) {
          const what = `${around} ${kinds} ${original}`;
          expect({ what, counts: counted(around, kinds, original) }).toEqual({ what, counts: alone });
        }
      }
    }
  });
});
