// Trampolines: their code beside Linux 7.2's, and what they do on the CPU beside a model of it.
import { LINK_LISTS, plainCall, TrampolineWorld } from "@bpfkit/conformance";
import {
  assemble,
  type CompileOptions,
  type Executable,
  type Host,
  jit,
  type LinkKind,
  MAP_TYPES,
  Memory,
  PROG,
  PROG_ARRAY,
  parseFuncModel,
  type SiteState,
  type TrampolineLink,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";

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

  test("fits on a page with as many links as there can be, unless most cookies are wide", () => {
    const full = (kind: LinkKind, cookie: bigint): number => {
      const links = new Array(38).fill({ kind, cookie });
      return riscv64.emitTrampoline({ model: parseFuncModel(MODELS[11]!), links, original: "known" }).code.length;
    };
    for (const kind of ["fentry", "fmod_ret", "fexit"] as const) expect(full(kind, 7n)).toBeLessThan(4096);
    expect(() => full("fmod_ret", 0x1234_5678_9abc_def0n)).toThrow(/E2BIG/);
  });
});

describe("fmod_ret", () => {
  const world = new TrampolineWorld(riscv64);
  /** Whether the program takes the function's place, and what the caller gets. */
  const given = (model: string, result: bigint): readonly [boolean, bigint] => {
    const spec = specOf(model, ["fexit", "fmod_ret"]);
    world.attach(spec, "function");
    const outcome = world.run({ ...plainCall(spec, world.places.slots.length), returns: [1n, result] });
    return [!outcome.events.some((event) => event.startsWith("the function")), outcome.result];
  };
  const isReplaced = (model: string, result: bigint): boolean => given(model, result)[0];

  test("with 0 lets the function run, with anything else takes its place", () => {
    expect(isReplaced("int (int)", 0n)).toBe(false);
    expect(isReplaced("int (int)", 1n)).toBe(true);
    expect(isReplaced("int (int)", 0xffff_fff4n)).toBe(true);
  });

  test("gives a function of 64 bits all of what the program gave, and others 32 with their sign", () => {
    expect(isReplaced("u64 (int)", 1n << 32n)).toBe(true);
    expect(isReplaced("int (int)", 1n << 32n)).toBe(false);
    expect(given("u64 (int)", 0x8000_0001_0000_0002n)).toEqual([true, 0x8000_0001_0000_0002n]);
    expect(given("int (int)", 0xffff_fff4n)).toEqual([true, 0xffff_ffff_ffff_fff4n]);
  });
});

describe("an indirect trampoline", () => {
  const world = new TrampolineWorld(riscv64);

  test.each([
    ["s8", 0xffff_ffff_ffff_ff81n],
    ["u8", 0x81n],
    ["s16", 0xffff_ffff_ffff_8081n],
    ["u16", 0x8081n],
    ["int", 0xffff_ffff_8000_8081n],
    ["u32", 0xffff_ffff_8000_8081n],
    ["u64", 0x7777_7777_8000_8081n],
  ])("gives what its program gives as a function does that returns %s", (type, a0) => {
    for (const list of ["()", MODELS[9]!.slice(4)]) {
      const spec = specOf(`${type} ${list}`, ["fentry"], { indirect: true });
      world.attach(spec, "function");
      const call = plainCall(spec, world.places.slots.length);
      expect(world.run({ ...call, returns: [0x7777_7777_8000_8081n] }).result).toBe(a0);
    }
  });
});

describe("the frame", () => {
  const world = new TrampolineWorld(riscv64);
  const { cpu, memory } = world;

  test.each(MODELS)("of a function %s has what its picture says", (model) => {
    for (const [i, kinds] of LINK_LISTS.filter(({ length }) => length === 1 || length === 2).entries()) {
      const spec = specOf(model, kinds, { funcIp: true, tailCalls: i % 2 === 0 });
      world.attach(spec, "function");
      const { frame } = world.trampoline.image.subprogs[0]!;
      for (const [at, { offset, size }] of frame.entries()) {
        if (at > 0) expect(offset + size).toBeLessThanOrEqual(frame[at - 1]!.offset);
      }
      const call = plainCall(spec, world.places.slots.length);
      const place = (name: string): bigint =>
        cpu.get("s0") + BigInt(frame.find((slot) => slot.name.startsWith(name))!.offset);
      const look = (name: string): bigint => memory.load(8, place(name));
      let looked = 0;
      world.run(call, (pc) => {
        if (!world.programs.some(({ imageAddress }) => imageAddress === pc)) return;
        looked++;
        expect(look("return address into the caller")).toBe(world.hostReturn);
        expect(look("return address into the function")).toBe(world.function.original);
        expect(look("address of the function")).toBe(world.function.address);
        expect(look("number of argument words") & 255n).toBe(BigInt(call.words.length));
        for (const [word, value] of call.words.entries()) expect(look(`argument word ${word},`)).toBe(value);
        if (call.words.length > 0) expect(cpu.get("a0")).toBe(place("argument word 0,"));
      });
      expect(looked).toBeGreaterThan(0);
    }
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
    const memory = new Memory({ sizes: { host: 1 << 16, text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
    const engine = jit(riscv64, { layout: { tailCalls } });
    const words = memory.allocate("data", 16 + 8 * kinds.length, "words").address;
    const array = memory.allocate("data", PROG_ARRAY.programs + 8, "table").address;
    const object = memory.allocate("data", PROG.entry + 8, "program").address;
    const never = (): never => {
      throw new Error("nothing else is referred to");
    };
    const load = (text: string): Executable => {
      const host: Host = { memory, address: ({ kind }) => (kind === "map" ? array : never()), function: never };
      return engine.load(trust({ ...assemble(text, { maps: [table] }), name: "program" }), host);
    };
    memory.store(4, array + BigInt(PROG_ARRAY.maxEntries), 1n);
    memory.store(8, array + BigInt(PROG_ARRAY.programs), object);
    memory.store(8, object + BigInt(PROG.entry), load(SLOT).imageAddress!);
    const main = load(MAIN);
    const runs = (link: number): bigint => words + BigInt(16 + 8 * link);
    if (around !== undefined) {
      const { start } = main.image!.subprogs[around === "f" ? 1 : 0]!;
      const address = main.imageAddress! + BigInt(start);
      const linked = kinds.map((_, link) =>
        load(`r1 = ${runs(link)} ll\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit`),
      );
      const image = engine.text!.emitTrampoline(specOf("int (void *)", kinds, { original, tailCalls: true }));
      const placed = engine.text!.place(image, "trampoline", {
        memory,
        address: (symbol) => {
          if (symbol.kind === "program") return linked[symbol.index]!.imageAddress!;
          return symbol.kind === "trampoline" && symbol.part === "original" ? address + 8n : words;
        },
        function: () => () => 1n, // the engine changes what calls may change, a6 among it
      });
      const call: SiteState = { kind: "call", target: placed.address };
      for (const phase of riscv64.poke({ address, size: 8 }, { kind: "nop" }, call).phases) {
        if (phase.kind === "write") memory.write(phase.address, phase.bytes);
      }
    }
    const { address: low, size } = memory.allocate("stack", 1 << 14, "stack");
    const stop = main.start({ args: [words], stack: { low, high: low + BigInt(size) } }).run(1_000_000);
    expect(stop).toEqual({ kind: "returned", value: 9n });
    const calls = around === "f" ? 5n : around === "main" ? 1n : 0n;
    for (const [link, kind] of kinds.entries()) {
      expect(memory.load(8, runs(link))).toBe(calls * (kind === "fsession" ? 2n : 1n));
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
