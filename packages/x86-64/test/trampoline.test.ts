import { plainCall, TrampolineWorld } from "@bpfkit/conformance";
import {
  Access,
  type Image,
  jit,
  type LinkKind,
  parseFuncModel,
  type Settings,
  type Symbol as SymbolRef,
  type TrampolineSpec,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";
import { apply, TailWorld } from "./tail-world.ts";

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
const ORIGINALS: readonly TrampolineSpec["original"][] = ["known", "from-stack"];
const wraps = (kinds: readonly LinkKind[]): boolean => kinds.some((kind) => kind !== "fentry");

describe("called through a pointer", () => {
  const spec = { indirect: true };

  test("begins with endbr64 where the layout has that", () => {
    const first = (layout: Settings): string => listing(emit("int (int)", ["fentry"], spec, layout))[0]!.text;
    expect([first({}), first({ ibt: false })]).toEqual(["endbr64", "push rbp"]);
    expect(emit("int (int)", ["fentry"], spec).patchSites).toHaveLength(1);
  });
});

describe("tail calls", () => {
  const TEXTS = ["int (u64)", "int (u64, u64, u64, u64, u64, u64, u64, int)"];
  const FROM_ROW = { original: "from-stack", fromRow: true } as const;
  const CASES: readonly (readonly LinkKind[])[] = [["fentry"], ["fexit"], ["fsession", "fentry"], ["fmod_ret"]];

  /** A call of a function: rax where its trampoline and it begin, and r11 as its caller gets it, where the function leaves 9. */
  function registersOf(
    text: string,
    kinds: readonly LinkKind[],
    where: Pick<TrampolineSpec, "original" | "fromRow">,
    tailCalls: string,
    returned: bigint,
  ): Record<"brought" | "found" | "back", bigint | undefined> {
    const world = new TrampolineWorld(x86_64, { compile: { layout: { tailCalls } } });
    const { cpu } = world;
    const links = kinds.map((kind) => ({ kind }));
    const spec: TrampolineSpec = { model: parseFuncModel(text), links, ...where, tailCalls: true };
    world.attach(spec, "function");
    const call = { ...plainCall(spec, world.places.slots.length), returns: kinds.map(() => returned) };
    const { address, size } = world.targets.function.place;
    const found: ReturnType<typeof registersOf> = { brought: undefined, found: undefined, back: undefined };
    const { events } = world.run(call, (pc) => {
      if (pc === world.trampoline.address) found.brought = cpu.get("rax");
      if (pc === world.function.original) found.found = cpu.get("rax");
      if (pc === address + BigInt(size - 1)) cpu.set("r11", 9n); // its ret
      if (pc === world.hostReturn) found.back ??= cpu.get("r11");
    });
    expect(events.filter((event) => / called with | not what | off$/.test(event))).toEqual([]);
    return found;
  }

  test.each(TEXTS)("what rax brings reaches the function, and what comes back in r11 its caller: %s", (text) => {
    for (const tailCalls of ["pointer", "by-value", "write-back"]) {
      for (const where of [...ORIGINALS.map((original) => ({ original })), FROM_ROW]) {
        for (const kinds of CASES) {
          if (where === FROM_ROW && kinds.includes("fmod_ret")) continue;
          const { brought, found, back } = registersOf(text, kinds, where, tailCalls, 0n);
          expect([brought === undefined, found]).toEqual([false, brought]);
          if (tailCalls === "write-back") expect(back).toBe(9n);
        }
      }
    }
  });

  test("of a function that a program replaced for once, the caller gets back what it gave", () => {
    const { brought, found, back } = registersOf("int (u64)", ["fmod_ret"], { original: "known" }, "write-back", 3n);
    expect([found, back]).toEqual([undefined, brought]);
  });

  /** Calls two subprograms that each tail-call it, and counts how often it is entered. */
  const jump = "r1 = r6\nr2 = map[array]\nr3 = 0\ncall tail_call\nr0 = -1\nexit";
  const TREE = `
    r6 = r1
    r1 = 1
    lock *(u64 *)(r6 + 0) += r1
    r1 = r6
    call one
    r1 = r6
    call other
    r0 = *(u64 *)(r6 + 0)
    exit
  one:
    r6 = r1
    ${jump}
  other:
    r6 = r1
    ${jump}`;

  test.each(["pointer", "write-back"])("34 executions in all with traced subprograms and entry, %s", (tailCalls) => {
    const layout = { tailCalls };
    for (const original of ORIGINALS) {
      for (const kinds of CASES) {
        const world = new TailWorld(jit(x86_64, { layout }));
        const { memory } = world;
        const entry = world.load(TREE);
        const linked = world.load(
          `r1 = ${world.log.address + 8n} ll\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit`,
        );
        world.set(0, entry);
        const place = (code: Uint8Array): bigint => {
          const { address } = memory.allocate("text", code.length, "code", Access.READ | Access.EXECUTE);
          memory.write(address, code);
          return address;
        };
        // mov eax, 1; mov r11, -1; ret
        const host = place(Uint8Array.of(0xb8, 1, 0, 0, 0, 0x49, 0xc7, 0xc3, 0xff, 0xff, 0xff, 0xff, 0xc3));
        for (const { offset, kind, size } of entry.image!.patchSites) {
          if (kind !== "entry") continue;
          const image = emit("u64 (u64)", kinds, { original, tailCalls: true }, layout);
          const site = entry.imageAddress! + BigInt(offset);
          const address = place(image.code);
          const resolve = (symbol: SymbolRef): bigint => {
            if (symbol.kind === "program") return linked.subprogAddress(0);
            return "part" in symbol && symbol.part === "original" ? site + BigInt(size) : host;
          };
          memory.write(address, x86_64.link(image, address, resolve));
          const isJump = original === "known" && wraps(kinds);
          apply(
            world,
            x86_64.poke({ address: site, size }, { kind: "nop" }, { kind: isJump ? "jump" : "call", target: address }),
          );
        }
        expect(world.begin(entry).run(100_000)).toEqual({ kind: "returned", value: 34n });
        // Each of the 34 calls two subprograms until no tail call is left: the entry's trampoline runs for the first of them alone.
        const calls = 1n + 34n * 2n;
        const runs = kinds.length + kinds.filter((kind) => kind === "fsession").length;
        expect(world.logged(1)).toBe(calls * BigInt(runs));
      }
    }
  });

  test("code for them is the kernel's", () => {
    const fentry = emit("int (u64, u64)", ["fentry"], { tailCalls: true });
    expectRows(
      fentry,
      `4 sub rsp,0x30; push rax; mov [rbp-0x20],rbx
      63 mov rdi,[rbp-0x10]; mov rsi,[rbp-0x8]; mov rax,[rbp-0x38]; mov rbx,[rbp-0x20]; leave; ret`,
    );
    const fexit = emit("int (u64, u64)", ["fexit"], { tailCalls: true });
    expectRows(
      fexit,
      "2d mov rdi,[rbp-0x18]; mov rsi,[rbp-0x10]; mov rax,[rbp-0x40]; call FAR; mov [rbp-0x8],rax; nop5",
    );
    expect([fentry.code.length, fexit.code.length]).toEqual([112 + 8, 155 + 8]);
    expect(emit("int (u64)", ["fexit"], { tailCalls: true }, { tailCalls: "per-program" }).code).toEqual(
      emit("int (u64)", ["fexit"]).code,
    );
  });
});

describe("an image", () => {
  test("is the same for functions with equal places, and another for others", () => {
    const images = (one: string, other: string): boolean[] => {
      const equal = x86_64.funcModelEqual(parseFuncModel(one), parseFuncModel(other));
      const codes = [one, other].map((model) => emit(model, ["fentry", "fexit"]).code.join());
      return [equal, codes[0] === codes[1]];
    };
    expect(images("int (u64, u8)", "void (char *, s32)")).toEqual([true, true]);
    expect(images("int (struct 16, u8)", "u8 (u64, u64, u64)")).toEqual([true, true]);
    const six = "u64, u64, u64, u64, u64, u64";
    expect(images(`int (${six}, u8)`, `int (${six}, int)`)).toEqual([true, true]);
    expect(images(`int (${six}, u8)`, `int (${six}, u64)`)).toEqual([false, false]);
    expect(images(`int (${six}, u8)`, `int (${six}, struct 1)`)).toEqual([false, false]);
    expect(images("int (u64, u8)", "int (u64)")).toEqual([false, false]);
  });

  test("finds the function's address by what its entry's call left where many functions share it", () => {
    const spec = { original: "from-stack", funcIp: true } as const;
    expectRows(
      emit("int ()", ["fentry"], spec),
      "e mov [rbp-0x8],rax; mov rax,[rbp+0x8]; sub rax,0x9; mov [rbp-0x10],rax",
    );
    expectRows(emit("int ()", ["fentry"], spec, { ibt: false }), "12 mov rax,[rbp+0x8]; sub rax,0x5");
    expectRows(emit("int ()", ["fentry"], { funcIp: true }), "12 movabs rax,ADDRESS; mov [rbp-0x10],rax");
    const wrapped = emit("int ()", ["fexit"], { original: "from-stack" });
    expectRows(wrapped, "21 mov rbx,[rbp+0x8]; call rbx; mov [rbp-0x8],rax; nop5");
    expect(
      listing(wrapped)
        .slice(-3)
        .map(({ text }) => text),
    ).toEqual(["leave", "add rsp,0x8", "ret"]);
    expect(wrapped.relocations.some(({ symbol }) => "part" in symbol && symbol.part === "original")).toBe(false);
  });

  test("fits into a page, or is refused", () => {
    const size = (model: string, kind: LinkKind, count: number, cookie = 0n): number =>
      x86_64.emitTrampoline({
        model: parseFuncModel(model),
        links: new Array(count).fill({ kind, cookie }),
        original: "known",
      }).code.length;
    expect([size("int (u64)", "fentry", 38), size("int (u64)", "fmod_ret", 38)]).toEqual([2657, 3289]);
    const wide = (kind: LinkKind, count: number): number => size(MODELS[7]!, kind, count, 1n << 40n);
    expect([wide("fentry", 38), wide("fmod_ret", 38), wide("fexit", 38), wide("fsession", 18)]).toEqual([
      3052, 4089, 3503, 3927,
    ]);
    expect(() => wide("fsession", 19)).toThrow("4131 bytes (E2BIG)");
    expect(() => size("int (u64)", "fentry", 39)).toThrow("E2BIG");
  });

  test("lets fmod_ret go on at a multiple of 16, behind nops", () => {
    const paddings = new Set<string>();
    for (const model of MODELS) {
      for (const kinds of [["fmod_ret"], ["fmod_ret", "fentry"], ["fmod_ret", "fmod_ret", "fsession"]] as const) {
        for (const original of ORIGINALS) {
          const lines = listing(emit(model, kinds, { original, funcIp: true }));
          const jumps = lines.filter(({ text }) => text.startsWith("jne "));
          const targets = jumps.map(({ at, text }) => at + Number(text.slice(6)));
          expect([jumps.length, new Set(targets).size]).toEqual([
            kinds.filter((kind) => kind === "fmod_ret").length,
            1,
          ]);
          expect(targets[0]! % 16).toBe(0);
          const end = lines.findIndex(({ at }) => at === targets[0]);
          let start = end;
          while (lines[start - 1]!.text.startsWith("nop")) start--;
          expect(lines[start - 1]!.text).toBe("mov [rbp-0x8],rax");
          const places = [...lines.slice(start, end), { at: targets[0]! }].map(({ at }) => at);
          paddings.add(
            places
              .slice(1)
              .map((at, i) => at - places[i]!)
              .join(" "),
          );
        }
      }
    }
    expect([...paddings].sort()).toEqual([
      "", "1", "3", "4", "5", "6", "7", "8", "8 1", "8 1 1", "8 3", "8 4", "8 5", "8 6", "8 7",
    ]); // biome-ignore format: a line
  });

  test("tells each session where its word is, that of the first attached nearest to the arguments", () => {
    const image = emit("int (u64)", ["fsession", "fsession"], { funcIp: true });
    const words = listing(image).flatMap(({ text }) => /^mov(?:abs)? [er]ax,0x(8?0*[34]01)$/.exec(text)?.[1] ?? []);
    // The last attached runs first, before and behind.
    expect(words).toEqual(["401", "301", "8000000000000401", "8000000000000301"]);
    const { frame } = image.subprogs[0]!;
    const [args, first, second] = ["argument 0", "session 0", "session 1"].map(
      (name) => frame.find((slot) => slot.name === name)!.offset,
    );
    expect([args! - first!, args! - second!]).toEqual([3 * 8, 4 * 8]);
  });

  test("draws its frame", () => {
    const frame = (spec: Partial<TrampolineSpec>): string[] =>
      emit("int (u64, u64, u64, u64, u64, u64, int)", ["fsession", "fexit", "fsession"], {
        funcIp: true,
        tailCalls: true,
        ...spec,
      }).subprogs[0]!.frame.map(({ name, offset }) => `${offset} ${name}`);
    expect(frame({})).toMatchInlineSnapshot(`
      [
        "16 stack argument 0",
        "8 return address of the function",
        "0 rbp of the caller",
        "-8 result",
        "-16 argument 6",
        "-24 argument 5",
        "-32 argument 4",
        "-40 argument 3",
        "-48 argument 2",
        "-56 argument 1",
        "-64 argument 0",
        "-72 number of arguments",
        "-80 address of the function",
        "-88 session 0",
        "-96 session 1",
        "-104 rbx",
        "-120 run context",
        "-128 address of tail calls",
        "-144 stack argument 0 of the original",
      ]
    `);
    expect(frame({ original: "from-stack" })[1]).toBe("16 return address of the function");
  });
});
