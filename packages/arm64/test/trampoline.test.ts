import {
  type Image,
  type LinkKind,
  parseFuncModel,
  type Settings,
  type TrampolineLink,
  type TrampolineSpec,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64 } from "../src/index.ts";
import { type Behaviour, TrampolineWorld } from "./trampoline-world.ts";

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

/** All lists of one to three links. */
function linkLists(): LinkKind[][] {
  const lists: LinkKind[][] = [[]];
  for (let i = 0; lists[i]!.length < 3; i++) for (const kind of KINDS) lists.push([...lists[i]!, kind]);
  return lists.slice(1);
}

const ALL: Behaviour = { allowed: [true, true, true], results: [0n, 0n, 0n], result: 0x1234_5678_9abc_def0n };

/** Numbers that look random. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
}

function behaviourOf(next: () => number): Behaviour {
  const allowed = [0, 1, 2].map(() => next() % 4 > 0);
  const results = [0, 1, 2].map(() => (next() % 2 === 0 ? 0n : BigInt(next()) << 30n));
  return { allowed, results, result: BigInt(next()) << 20n };
}

/** A call, and that it did what it has to. */
function check(world: TrampolineWorld, behaviour: Behaviour, what: string): void {
  expect({ what, ...world.run(behaviour) }).toEqual({ what, ...world.expected(behaviour) });
}

describe("a call of a function with programs around it", () => {
  test.each(MODELS)("%s", (model) => {
    const next = numbers(model.length);
    const world = new TrampolineWorld(model);
    let lists = 0;
    for (const kinds of linkLists()) {
      lists++;
      for (const original of ["known", "from-stack"] as const) {
        const links = kinds.map(
          (kind, i): TrampolineLink => ({ kind, cookie: [0n, 5n, 0xffff_fffe_dead_0000n][(i + next()) % 3]! }),
        );
        const rest = { original, funcIp: next() % 2 === 0 };
        world.link(links, rest);
        const what = `${kinds.join(" ")}, ${original}`;
        if (original === "known") check(world, ALL, what);
        check(world, behaviourOf(next), what);
      }
    }
    expect(lists).toBe(4 + 16 + 64);
  });
});
