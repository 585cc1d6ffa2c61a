import { type Image, type LinkKind, parseFuncModel, type Settings, type TrampolineSpec } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";
import { blocksOf, type Call, predict, TrampolineWorld } from "./trampoline-world.ts";

function emit(
  model: string,
  kinds: readonly LinkKind[],
  spec: Partial<TrampolineSpec> = {},
  layout: Settings = {},
): Image {
  const links = kinds.map((kind) => ({ kind }));
  return x86_64.emitTrampoline({ model: parseFuncModel(model), links, original: "known", ...spec }, { layout });
}

/** The code in the notation of kernel listings, with addresses masked: an instruction an entry, its place before the first of each `;`-joined row. */
function listing({ code, relocations }: Image): readonly { at: number; text: string }[] {
  const fields = new Map(relocations.map(({ offset, kind }) => [offset, kind]));
  return [...x86_64.disassemble(code)].map(({ offset, bytes, text }) => {
    if (fields.get(offset + 1) === "rel32") return { at: offset, text: "call FAR" };
    const isLong = bytes.length === 10 && (bytes[1]! & 0xf8) === 0xb8;
    const [mnemonic] = text.split(" ");
    const branch = /^j\w+ (0x[0-9a-f]+|\d+)$/.exec(text);
    const plain =
      fields.get(offset + 2) === "abs64"
        ? text.replace(/, .*/, ",ADDRESS")
        : branch !== null
          ? `${mnemonic} .+${Number(branch[1]) - offset}`
          : text
              .replace(", ", ",")
              .replace("qword ptr ", "")
              .replace("dword ptr ", "d")
              .replace("nop d[rax+rax]", "nop5")
              .replace(/([,+-])(\d)(?=\]|,|$)/g, "$10x$2");
    return { at: offset, text: isLong ? plain.replace("mov ", "movabs ") : plain };
  });
}

/** Rows of a kernel's listing, `place instruction; …`, with calls and addresses masked, against those at the same places. */
function expectRows(image: Image, rows: string): void {
  const ours = listing(image);
  for (const row of rows.trim().split("\n")) {
    const [, place, text] = /^\s*([0-9a-f]+) (.*)$/.exec(row)!;
    const expected = text!
      .replaceAll(/call \.[-+]\d+/g, "call FAR")
      .replaceAll(/(MAP|PROG)\b/g, "ADDRESS")
      .split("; ");
    const from = ours.findIndex(({ at }) => at === Number.parseInt(place!, 16));
    expect(ours.slice(from, from + expected.length).map((line) => line.text)).toEqual(expected);
  }
}

describe("code is what Linux 7.2 shows", () => {
  test("for one fentry of a function with two arguments", () => {
    const image = emit("int (u64, u64)", ["fentry"]);
    expect(image.code).toHaveLength(112);
    expectRows(
      image,
      `0 push rbp; mov rbp,rsp; sub rsp,0x30; mov [rbp-0x20],rbx; mov eax,0x2; mov [rbp-0x18],rax; mov [rbp-0x10],rdi
      19 mov [rbp-0x8],rsi
      1d nop5
      22 xor edi,edi; mov [rbp-0x30],rdi
      28 movabs rdi,PROG; lea rsi,[rbp-0x30]; call FAR; mov rbx,rax; test rax,rax; je .+11; lea rdi,[rbp-0x10]; call .-119; movabs rdi,PROG; mov rsi,rbx
      59 lea rdx,[rbp-0x30]; call FAR; mov rdi,[rbp-0x10]; mov rsi,[rbp-0x8]; mov rbx,[rbp-0x20]; leave; ret`,
    );
  });

  test("for one fexit of a function with two arguments", () => {
    const image = emit("int (u64, u64)", ["fexit"]);
    expect(image.code).toHaveLength(155);
    expectRows(
      image,
      `0 push rbp; mov rbp,rsp; sub rsp,0x38; mov [rbp-0x28],rbx; mov eax,0x2; mov [rbp-0x20],rax; mov [rbp-0x18],rdi; mov [rbp-0x10],rsi; movabs rdi,MAP
      27 call FAR
      2c mov rdi,[rbp-0x18]; mov rsi,[rbp-0x10]; call FAR
      39 mov [rbp-0x8],rax; nop5
      42 xor edi,edi; mov [rbp-0x38],rdi; movabs rdi,PROG; lea rsi,[rbp-0x38]; call FAR; mov rbx,rax; test rax,rax; je .+11; lea rdi,[rbp-0x18]; call .-735
      6c movabs rdi,PROG; mov rsi,rbx; lea rdx,[rbp-0x38]; call FAR; movabs rdi,MAP; call FAR
      91 mov rax,[rbp-0x8]; mov rbx,[rbp-0x28]; leave; ret`,
    );
  });

  test("for one fmod_ret of a function with one argument", () => {
    const image = emit("int (u64)", ["fmod_ret"]);
    expect(image.code).toHaveLength(169);
    expectRows(
      image,
      `0 push rbp; mov rbp,rsp; sub rsp,0x30; mov [rbp-0x20],rbx; mov eax,0x1; mov [rbp-0x18],rax; mov [rbp-0x10],rdi; movabs rdi,MAP; call FAR; xor eax,eax
      2a mov [rbp-0x8],rax; nop5
      33 xor edi,edi; mov [rbp-0x30],rdi; movabs rdi,PROG; lea rsi,[rbp-0x30]; call FAR; mov rbx,rax; test rax,rax; je .+15; lea rdi,[rbp-0x10]; call .-380
      5d mov [rbp-0x8],rax
      61 movabs rdi,PROG; mov rsi,rbx; lea rdx,[rbp-0x30]; call FAR; cmp [rbp-0x8],0x0; jne .+20
      82 mov rdi,[rbp-0x10]; call FAR
      8b mov [rbp-0x8],rax; nop
      90 movabs rdi,MAP; call FAR; mov rax,[rbp-0x8]; mov rbx,[rbp-0x20]; leave; ret`,
    );
  });

  const SEVEN = "int (u64, u64, u64, u64, u64, u64, int)";

  test("for one fentry of a function with seven arguments", () => {
    const image = emit(SEVEN, ["fentry"]);
    expect(image.code).toHaveLength(159);
    expectRows(
      image,
      `0 push rbp; mov rbp,rsp; sub rsp,0x58; mov [rbp-0x48],rbx; mov eax,0x7; mov [rbp-0x40],rax; mov [rbp-0x38],rdi; mov [rbp-0x30],rsi; mov [rbp-0x28],rdx
      21 mov [rbp-0x20],rcx; mov [rbp-0x18],r8; mov [rbp-0x10],r9; mov rax,[rbp+0x18]
      31 mov [rbp-0x8],rax; mov d[rbp-0x4],0x0
      3c nop5`,
    );
  });

  test("for one fexit of a function with seven arguments", () => {
    const image = emit(SEVEN, ["fexit"]);
    expect(image.code).toHaveLength(217);
    expectRows(
      image,
      `0 push rbp; mov rbp,rsp; sub rsp,0x70; mov [rbp-0x50],rbx; mov eax,0x7; mov [rbp-0x48],rax; mov [rbp-0x40],rdi; mov [rbp-0x38],rsi; mov [rbp-0x30],rdx
      21 mov [rbp-0x28],rcx; mov [rbp-0x20],r8; mov [rbp-0x18],r9; mov rax,[rbp+0x10]
      31 mov [rbp-0x10],rax; mov d[rbp-0xc],0x0; movabs rdi,MAP; call FAR; mov rdi,[rbp-0x40]; mov rsi,[rbp-0x38]; mov rdx,[rbp-0x30]; mov rcx,[rbp-0x28]
      5b mov r8,[rbp-0x20]; mov r9,[rbp-0x18]; mov rax,[rbp+0x10]; mov [rbp-0x70],rax
      6b mov d[rbp-0x6c],0x0; call FAR`,
    );
  });

  test("for one session of a function with one argument", () => {
    expectRows(
      emit("int (u64)", ["fsession"]),
      `0 push rbp; mov rbp,rsp; sub rsp,0x38; mov [rbp-0x28],rbx; mov eax,0x1; mov [rbp-0x18],rax; mov [rbp-0x10],rdi; movabs rdi,MAP; call FAR; xor eax,eax
      2a mov [rbp-0x20],rax; xor eax,eax; mov [rbp-0x8],rax; mov eax,0x201; mov [rbp-0x18],rax; nop5
      82 mov rdi,[rbp-0x10]; call FAR; mov [rbp-0x8],rax; movabs rax,0x8000000000000001; mov [rbp-0x18],rax; movabs rax,0x8000000000000201; mov [rbp-0x18],rax
      ab nop5`,
    );
  });

  test("and each program's block ends 64 bytes behind its site", () => {
    const { patchSites } = emit("int (u64)", ["fentry", "fentry", "fexit", "fsession"]);
    expect(patchSites).toHaveLength(5);
    for (const { kind, size, offset, end } of patchSites) {
      expect([kind, size, end! - offset - size]).toEqual(["block", 5, 64]);
    }
  });
});

const KINDS: readonly LinkKind[] = ["fentry", "fmod_ret", "fexit", "fsession"];

/** All lists of one to three links. */
const LISTS: readonly (readonly LinkKind[])[] = (() => {
  const longer = (lists: LinkKind[][]): LinkKind[][] => lists.flatMap((list) => KINDS.map((kind) => [...list, kind]));
  const one = longer([[]]);
  const two = longer(one);
  return [...one, ...two, ...longer(two)];
})();

const MODELS: readonly string[] = [
  "void ()",
  "int (int)",
  "u64 (u64, u8, s16)",
  "long (char *, size_t, s8, u32, struct {u32, u32})",
  "s16 (u64, u64, u64, u64, u64, u64)",
  "int (u64, u64, u64, u64, u64, u64, int)",
  "u8 (u64, u64, u64, u64, u64, u64, s8, u64, u16)",
  "u64 (u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64)",
  "int (u64, struct {u64, u32})",
  "int (u64, u64, u64, u64, u64, struct {u64, u64}, u32)",
  "int (u64, u64, u64, u64, u64, struct {u64, u64}, u32, u32, struct {u8}, s32)",
  "void (struct 16, struct 16, struct 16, struct 16, struct 12, struct 9)",
  "int (u64, u64, u64, u64, u64, u64, struct {u32}, bool)",
];
const COOKIES: readonly bigint[] = [0n, 0x1234n, 0xfedc_ba98_7654_3210n];

/** A call of a function with links: `seed` decides what programs return and whether they are let in; 0 is the plain case. */
function callOf(kinds: readonly LinkKind[], original: Call["original"], seed: number): Call {
  const letIn = kinds.map((_, i) => seed === 0 || (seed + 3 * i) % 4 !== 0);
  return {
    links: kinds.map((kind, i) => ({ kind, cookie: COOKIES[(i + seed) % 3]! })),
    original,
    funcIp: seed % 2 === 1,
    returns: kinds.map((_, i) => (seed !== 0 && (seed + i) % 3 === 0 ? BigInt(-5 - i) & 0xffff_ffff_ffff_ffffn : 0n)),
    letIn,
    result: 0x1234_5678_0000_0000n + BigInt(seed),
  };
}

const ORIGINALS: readonly Call["original"][] = ["known", "from-stack"];
const wraps = (kinds: readonly LinkKind[]): boolean => kinds.some((kind) => kind !== "fentry");

describe.each(ORIGINALS)("on the CPU, with the original %s,", (original) => {
  test.each(MODELS)("every list of up to three links does what a call of functions would: %s", (text) => {
    const model = parseFuncModel(text);
    const world = new TrampolineWorld(model);
    const isBpf = world.args.length <= 5 && !world.onStack;
    const worlds = isBpf ? [world, new TrampolineWorld(model, "bpf")] : [world];
    for (const [i, kinds] of LISTS.entries()) {
      for (const seed of [0, i + 1]) {
        const call = callOf(kinds, original, seed);
        for (const w of worlds) {
          w.attach(call);
          const happened = w.run(call);
          expect(happened).toEqual(predict(model, w.args, call, w.traced));
          if (w.onStack || !wraps(kinds)) expect(w.aligned ?? true).toBe(true);
          w.detach();
        }
      }
    }
  });
});

describe("a block that is turned off while its program is linked", () => {
  test.each(["void ()", "int (u64, u64, u64, u64, u64, u64, int)", "int (u64, struct {u64, u32})"])(
    "skips just that program: %s",
    (text) => {
      const model = parseFuncModel(text);
      const world = new TrampolineWorld(model);
      for (const [i, kinds] of LISTS.entries()) {
        const call = callOf(kinds, ORIGINALS[i % 2]!, 0);
        world.attach(call);
        for (const block of blocksOf(call.links).keys()) {
          world.turn(block, "off");
          expect(world.run(call)).toEqual(predict(model, world.args, call, world.traced, block));
          world.turn(block, "on");
        }
        world.detach();
      }
    },
  );
});
