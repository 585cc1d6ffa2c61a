import { LINK_LISTS, plainCall, TrampolineWorld } from "@bpfkit/conformance";
import {
  Access,
  assemble,
  type Executable,
  type Image,
  type LinkKind,
  parseFuncModel,
  type Settings,
  type Symbol as SymbolRef,
  type TrampolineLink,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64, encode } from "../src/index.ts";
import { apply, TailWorld } from "./tail-world.ts";

const KINDS: readonly LinkKind[] = ["fentry", "fmod_ret", "fexit", "fsession"];
const words = (count: number): string => `u64 (${Array(count).fill("u64").join(", ")})`;
const linksOf = (...kinds: readonly LinkKind[]): TrampolineLink[] => kinds.map((kind) => ({ kind }));

function image(
  model: string,
  kinds: readonly LinkKind[],
  rest: Partial<TrampolineSpec> = {},
  layout: Settings = {},
): Image {
  return arm64.emitTrampoline(
    { model: parseFuncModel(model), links: linksOf(...kinds), original: "known", ...rest },
    { layout },
  );
}

/** Instructions, with distances for addresses of near branches, FAR for what is filled in, and numbers in decimal. */
function code({ code, relocations }: Image): string[] {
  const filled = new Map(
    relocations.flatMap(({ offset, kind }) => (kind === "abs48" ? [0, 4, 8] : [0]).map((at) => [offset + at, kind])),
  );
  return [...arm64.disassemble(code)].map(({ offset, text }) => {
    const kind = filled.get(offset);
    if (kind === "call26") return "bl FAR";
    if (kind === "abs48") return `${text.split(",")[0]!.replace("movk", "mov")}, ADDRESS`;
    const branch = /^(cbn?z x\d+, |adr x\d+, |b )0x([0-9a-f]+)$/.exec(text);
    if (branch !== null) return `${branch[1]}.+${Number.parseInt(branch[2]!, 16) - offset}`;
    return text.replace(/#(-?)0x([0-9a-f]+)/g, (_, sign, digits) => `#${sign}${Number.parseInt(digits, 16)}`);
  });
}

/** A sequence as kernels' images are noted down: `;` between instructions, `#` before remarks; addresses as {@link code} has them. */
function sequence(text: string): string[] {
  return text
    .split("\n")
    .flatMap((line) => line.replace(/ {2,}# .*$/, "").split(";"))
    .map((insn) => insn.trim().replace(/#0x([0-9a-f]+)/g, (_, digits) => `#${Number.parseInt(digits, 16)}`))
    .filter((insn) => insn !== "");
}

const ENTRY = "stp x29, x9, [sp, #-16]!; mov x29, sp; stp x29, x30, [sp, #-16]!; mov x29, sp;";
const LEAVE = "mov sp, x29; ldp x29, x30, [sp], #16; ldp x29, x9, [sp], #16;";
const object = (register: string): string =>
  `mov ${register}, ADDRESS; mov ${register}, ADDRESS; mov ${register}, ADDRESS;`;

describe("code is what Linux 7.2 makes for the same links", () => {
  test("fentry, 2 arguments", () => {
    const expected = sequence(`
      ${ENTRY} sub sp, sp, #0x40
      mov w10, #0x2; str x10, [sp, #16]; str x0, [sp, #24]; str x1, [sp, #32]; str x19, [sp, #40]; str x20, [sp, #48]; nop
      str xzr, [sp]; ${object("x19")} mov x0, x19; mov x1, sp; bl FAR    # enter
      mov x20, x0; cbz x0, .+12; add x0, sp, #0x18; bl FAR    # program
      mov x0, x19; mov x1, x20; mov x2, sp; bl FAR    # exit
      ldr x0, [sp, #24]; ldr x1, [sp, #32]; ldr x19, [sp, #40]; ldr x20, [sp, #48]; ${LEAVE}
      mov x10, x30; mov x30, x9; ret x10`);
    expect(code(image(words(2), ["fentry"]))).toEqual(expected);
    expect(code(image(words(2), ["fentry"], { original: "from-stack", tailCalls: true }))).toEqual(expected);
  });

  test("fexit, 2 arguments", () => {
    const expected = sequence(`
      ${ENTRY} sub sp, sp, #0x40; mov w10, #0x2; str x10, [sp, #16]; str x0, [sp, #24]
      str x1, [sp, #32]; str x19, [sp, #48]; str x20, [sp, #56]; ${object("x0")} bl FAR    # __bpf_tramp_enter
      ldr x0, [sp, #24]; ldr x1, [sp, #32]; ldr x10, [sp, #72]; adr x30, .+8; ret x10    # original by the saved lr
      str x0, [sp, #40]; nop
      str xzr, [sp]; ${object("x19")} mov x0, x19; mov x1, sp; bl FAR; mov x20, x0; cbz x0, .+12
      add x0, sp, #0x18; bl FAR; mov x0, x19; mov x1, x20; mov x2, sp; bl FAR; ${object("x0")}
      bl FAR    # __bpf_tramp_exit
      ldr x19, [sp, #48]; ldr x20, [sp, #56]; ldr x0, [sp, #40]; ${LEAVE} mov x30, x9; ret x9`);
    expect(code(image(words(2), ["fexit"]))).toEqual(expected);
    expect(code(image(words(2), ["fexit"], { original: "from-stack", tailCalls: true }))).toEqual(expected);
  });

  test("fmod_ret, 1 argument", () => {
    const expected = sequence(`
      ${ENTRY} sub sp, sp, #0x40; mov w10, #0x1; str x10, [sp, #16]; str x0, [sp, #24]
      str x19, [sp, #40]; str x20, [sp, #48]; ${object("x0")} bl FAR; str xzr, [sp, #32]; nop
      str xzr, [sp]; ${object("x19")} mov x0, x19; mov x1, sp; bl FAR; mov x20, x0; cbz x0, .+16
      add x0, sp, #0x18; bl FAR; str x0, [sp, #32]; mov x0, x19; mov x1, x20; mov x2, sp; bl FAR; ldr x10, [sp, #32]; cbnz x10, .+24
      ldr x0, [sp, #24]; ldr x10, [sp, #72]; adr x30, .+8; ret x10; str x0, [sp, #32]; ${object("x0")}
      bl FAR; ldr x19, [sp, #40]; ldr x20, [sp, #48]; ldr x0, [sp, #32]; ${LEAVE}
      mov x30, x9; ret x9`);
    expect(code(image(words(1), ["fmod_ret"]))).toEqual(expected);
  });

  test("fentry, 7 arguments", () => {
    const expected = sequence(`
      ${ENTRY} sub sp, sp, #0x60; mov w10, #0x7; str x10, [sp, #16]; str x0, [sp, #24]
      str x1, [sp, #32]; str x2, [sp, #40]; str x3, [sp, #48]; str x4, [sp, #56]; str x5, [sp, #64]; str x6, [sp, #72]; str x19, [sp, #80]
      str x20, [sp, #88]; nop`);
    expect(code(image(words(7), ["fentry"])).slice(0, expected.length)).toEqual(expected);
  });

  test("in size", () => {
    const sizes = (kind: LinkKind, ...counts: readonly number[]): number[] =>
      counts.map((count) => image(words(count), [kind]).code.length);
    expect(sizes("fentry", 1, 2, 7)).toEqual([140, 148, 188]);
    expect(sizes("fexit", 2, 7)).toEqual([196, 236]);
    expect(sizes("fmod_ret", 1)).toEqual([204]);
  });
});

/** No arguments to twelve words; small numbers and structs in registers, on the stack, and where the last register would be half of one. */
const MODELS: readonly string[] = [
  "void ()",
  "int (s8)",
  words(2),
  "u32 (u64, struct{u64, u32}, u8)",
  "int (u16, s32, void *, struct 16)",
  words(8),
  "long (u64, u64, u64, u64, u64, u64, u64, u64, s8)",
  "int (u64, u64, u64, u64, u64, u64, u64, u64, u8, s16, u32)",
  "int (u64, u64, u64, u64, u64, u64, u64, struct 16, u64)",
  "int (struct 16, struct 16, struct 16, u64, struct 12, u8, s32)",
  "void (struct 16, struct 16, struct 16, struct 16, struct 16, struct 3, u64)",
  words(12),
];

test("arguments lie where AAPCS64 puts them: a struct is never split, and behind one on the stack all are there", () => {
  const placesOf = (model: string): string =>
    arm64
      .classifyArgs(parseFuncModel(model))
      .slots.map(({ in: where, index, size }) => (where === "register" ? `x${index}` : `${8 * index}:${size}`))
      .join(" ");
  expect(MODELS.map(placesOf)).toEqual([
    "",
    "x0",
    "x0 x1",
    "x0 x1 x2 x3",
    "x0 x1 x2 x3 x4",
    "x0 x1 x2 x3 x4 x5 x6 x7",
    "x0 x1 x2 x3 x4 x5 x6 x7 0:1",
    "x0 x1 x2 x3 x4 x5 x6 x7 0:1 8:2 16:4",
    "x0 x1 x2 x3 x4 x5 x6 0:8 8:8 16:8",
    "x0 x1 x2 x3 x4 x5 x6 0:8 8:4 16:1 24:4",
    "x0 x1 x2 x3 x4 x5 x6 x7 0:8 8:8 16:3 24:8",
    "x0 x1 x2 x3 x4 x5 x6 x7 0:8 8:8 16:8 24:8",
  ]);
  expect(() =>
    arm64.classifyArgs(parseFuncModel("void (u64, struct 16, struct 16, struct 16, struct 16, struct 16, struct 16)")),
  ).toThrow("ENOTSUPP");
});

describe("a trampoline", () => {
  const model = "int (u64, u64, u64, u64, u64, u64, u64, struct 16, u8)";

  test("that is shared does not refer to the function", () => {
    const symbols = (original: TrampolineSpec["original"]): unknown[] => {
      const { relocations } = image(words(12), ["fexit"], { original, funcIp: true });
      return relocations.map(({ symbol }) => (symbol.kind === "trampoline" ? symbol.part : symbol.kind));
    };
    const rest = ["enter", "program-object", "program-enter", "program", "program-exit", "image", "exit"];
    expect(symbols("from-stack")).toEqual(["image", ...rest]);
    expect(symbols("known")).toEqual(["function", "image", ...rest]);
  });

  test("has its words where its picture says", () => {
    const links = linksOf("fsession", "fentry", "fsession", "fexit");
    const spec: TrampolineSpec = {
      model: parseFuncModel(model),
      links,
      original: "known",
      funcIp: true,
      tailCalls: true,
    };
    const { subprogs, code } = arm64.emitTrampoline(spec, { layout: { tailCalls: "write-back" } });
    expect(subprogs.map(({ start, end }) => [start, end])).toEqual([[0, code.length]]);
    expect(subprogs[0]!.frame.map(({ name, offset, size }) => `${offset} ${size} ${name}`)).toEqual([
      "24 8 return address of the function",
      "16 8 x29 of the caller",
      "8 8 return address",
      "0 8 x29 of the function",
      "-16 8 tail calls",
      "-24 8 x20",
      "-32 8 x19",
      "-40 8 result",
      ...[9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((i) => `${8 * i - 120} 8 argument word ${i}`),
      "-128 8 func_meta",
      "-136 8 function",
      "-144 8 session word 0",
      "-152 8 session word 1",
      "-168 16 run context",
      "-192 24 arguments on the stack",
    ]);
    const frame = image(words(0), ["fentry"], { indirect: true }).subprogs[0]!.frame;
    expect(frame.map(({ name, offset }) => `${offset} ${name}`)).toEqual([
      "8 return address",
      "0 x29 of the caller",
      "-8 x20",
      "-16 x19",
      "-24 result",
      "-32 func_meta",
      "-48 run context",
    ]);
  });

  test("of 38 programs fits into a page, but not where all calls are far", () => {
    const links = Array.from({ length: 38 }, (): TrampolineLink => ({ kind: "fexit", cookie: 0x1234_5678_9abc_def0n }));
    const spec: TrampolineSpec = { model: parseFuncModel(words(12)), links, original: "known" };
    expect(arm64.emitTrampoline(spec).code.length).toBe(38 * 80 + 4 * 61);
    expect(() => arm64.emitTrampoline(spec, { layout: { far: true } })).toThrow("(E2BIG)");
  });
});

describe("the count of tail calls", () => {
  test.each(["pointer", "by-value", "write-back"])("goes through a trampoline both ways (%s)", (tailCalls) => {
    const world = new TrampolineWorld(arm64, { compile: { layout: { tailCalls } } });
    const { cpu } = world;
    const inRows = LINK_LISTS.filter((kinds) => !kinds.includes("fmod_ret"));
    for (const [i, kinds] of [...LINK_LISTS, ...inRows].entries()) {
      const spec: TrampolineSpec = {
        model: parseFuncModel(MODELS[7]!),
        links: linksOf(...kinds),
        ...(i < LINK_LISTS.length ? { original: "known" } : { original: "from-stack", fromRow: true }),
        tailCalls: true,
      };
      world.attach(spec, "function");
      const { address, size } = world.targets.function.place;
      const counts = (): bigint[] => [cpu.get("x12"), cpu.get("x26")];
      let [brought, found, back]: (bigint[] | undefined)[] = [];
      world.run(plainCall(spec, world.places.slots.length), (pc) => {
        if (pc === world.trampoline.address) brought = counts();
        if (pc === world.function.original) found = counts();
        if (pc === address + BigInt(size - 4)) cpu.set("x12", 9n); // its ret
        if (pc === world.hostReturn) back ??= counts();
      });
      const isTakenBack = tailCalls === "write-back";
      expect([kinds, found?.[1], back?.[1]]).toEqual([kinds, brought![1], brought![1]]);
      if (isTakenBack) expect([kinds, found?.[0], back?.[0]]).toEqual([kinds, brought![0], 9n]);
    }
  });

  test("of a function that a program replaced for once is what its caller gave (write-back)", () => {
    const world = new TrampolineWorld(arm64, { compile: { layout: { tailCalls: "write-back" } } });
    const spec: TrampolineSpec = {
      model: parseFuncModel(words(2)),
      links: linksOf("fmod_ret"),
      original: "known",
      tailCalls: true,
    };
    world.attach(spec, "function");
    let [brought, back]: (bigint | undefined)[] = [];
    world.run({ ...plainCall(spec, 2), returns: [1n] }, (pc) => {
      if (pc === world.trampoline.address) brought = world.cpu.get("x12");
      if (pc === world.hostReturn) back ??= world.cpu.get("x12");
    });
    expect([brought === undefined, back]).toEqual([false, brought]);
  });

  test.each(["pointer", "by-value", "write-back"])(
    "is that of the function without programs around it (%s)",
    (tailCalls) => {
      const layout = { tailCalls };
      const counted = [undefined, ...KINDS].map((kind) => {
        const world = new TailWorld({ layout });
        world.set(0, world.load(chain(30)));
        const tree = world.load(HIERARCHY);
        world.set(1, tree);
        if (kind !== undefined) trace(world, tree, linksOf(kind), layout);
        expect(world.run(world.load(chain(30)))).toEqual({ kind: "returned", value: 1n });
        return world.logged(1);
      });
      // One run that the chain comes to, and 3 more; by value each call in the tree may go on from what was left to its caller.
      expect(counted).toEqual([undefined, ...KINDS].map(() => (tailCalls === "by-value" ? 15n : 4n)));
    },
  );
});

const jump = (slot: number): string => `r1 = r6\nr2 = map[table]\nr3 = ${slot}\ncall tail_call`;
const count = (index: number): string => `r1 = 1\nlock *(u64 *)(r6 + ${8 * index}) += r1`;
/** A program that tail-calls itself until word 0 of the log is `first`, and then the program in slot 1. */
const chain = (first: number): string =>
  `r6 = r1\n${count(0)}\nr1 = *(u64 *)(r6 + 0)\nif r1 >= ${first} goto rest\n${jump(0)}\nr0 = 1\nexit\nrest:\n${jump(1)}\nr0 = 1\nexit`;
/** One that counts its runs in word 1 and calls a subprogram twice, which tail-calls slot 1. */
const HIERARCHY = `r6 = r1\n${count(1)}\n${"r1 = r6\ncall sub\n".repeat(2)}r0 = 1\nexit\nsub:\nr6 = r1\n${jump(1)}\nr0 = 0\nexit`;

/** Puts a trampoline around a program's subprogram 1. The host's part is code that leaves nothing in the registers that it may change. */
function trace(
  { memory }: TailWorld,
  { image, imageAddress }: Executable,
  links: readonly TrampolineLink[],
  layout: Settings,
): void {
  const place = (bytes: (address: bigint) => Uint8Array, size: number): bigint => {
    const { address } = memory.allocate("text", size, "trampoline", Access.READ | Access.EXECUTE, 8);
    memory.write(address, bytes(address));
    return address;
  };
  const clobber = Array.from({ length: 16 }, (_, i) => encode("movz", { sf: 1, rd: i + 1, imm16: 33, hw: 0 }));
  const host = [encode("movz", { sf: 1, rd: 0, imm16: 2, hw: 0 }), ...clobber, encode("ret", { rn: 30 })];
  const part = place(() => new Uint8Array(Int32Array.from(host).buffer), 4 * host.length);
  const nothing = arm64.compile(trust(assemble("r0 = 0\nexit")), { layout });
  const program = place(() => nothing.code, nothing.code.length);
  const model = parseFuncModel("int (void *)");
  const code = arm64.emitTrampoline({ model, links, original: "known", tailCalls: true }, { layout });
  const resolve = ({ kind }: SymbolRef): bigint => (kind === "program" ? program : part);
  const trampoline = place((address) => arm64.link(code, address, resolve), code.code.length);
  const { offset, size } = image!.patchSites.find(({ kind, subprog }) => kind === "entry" && subprog === 1)!;
  const site = { address: imageAddress! + BigInt(offset), size };
  apply(memory, arm64.poke(site, { kind: "nop" }, { kind: "call", target: trampoline }));
}
