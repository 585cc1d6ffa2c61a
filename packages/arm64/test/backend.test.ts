import { generateProgram } from "@bpfkit/conformance";
import { assemble, BpfError, type Image, INSNS, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { arm64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const MAP = { name: "counts", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
const compile = (text: string, options = {}): Image => arm64.compile(trust(assemble(text, { maps: [MAP] })), options);
const sizes = ({ subprogs }: Image): number[] => subprogs.map(({ start, end }) => end - start);
const texts = ({ code }: Image, from = 0, to = code.length): string[] =>
  [...arm64.disassemble(code.subarray(from, to), BigInt(from))].map(({ text }) => text);

describe("code is what Linux 7.2 makes of the same program", () => {
  test("byte for byte, without and with a frame", () => {
    expect(hex(compile("r0 = 0\nexit").code)).toBe(
      "e9 03 1e aa 1f 20 03 d5 3f 23 03 d5 fd 7b bf a9 fd 03 00 91 ff 6b bf a9 fa 03 00 91 08 00 80 d2 " +
        "ff 6b c1 a8 fd 7b c1 a8 e0 03 08 aa bf 23 03 d5 c0 03 5f d6 1f 20 03 d5 4a 00 00 58 40 01 1f d6",
    );
    const saved =
      "r6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\n*(u64 *)(r10 - 64) = r9\nr0 = *(u64 *)(r10 - 64)\nr0 += r6\nr0 += r7\nr0 += r8\nexit";
    expect(hex(compile(saved).code)).toBe(
      "e9 03 1e aa 1f 20 03 d5 3f 23 03 d5 fd 7b bf a9 fd 03 00 91 ff 6b bf a9 fa 03 00 91 f3 53 bf a9 f5 5b bf a9 f9 7f bf a9 " +
        "f9 03 00 91 ff 03 01 d1 d3 00 80 d2 f4 00 80 d2 15 01 80 d2 36 01 80 d2 f6 03 00 f9 e8 03 40 f9 08 01 13 8b 08 01 14 8b " +
        "08 01 15 8b ff 03 01 91 f9 7f c1 a8 f5 5b c1 a8 f3 53 c1 a8 ff 6b c1 a8 fd 7b c1 a8 e0 03 08 aa bf 23 03 d5 c0 03 5f d6 " +
        "4a 00 00 58 40 01 1f d6",
    );
  });

  test("in the size of each subprogram", () => {
    const calls = `
      r1 = 10
      r2 = 32
      call f1
      r0 += 3
      exit
    f1:
      r6 = r1
      r7 = r2
      *(u64 *)(r10 - 8) = r6
      r1 = r7
      call f2
      r0 += r6
      exit
    f2:
      r0 = r1
      exit`;
    expect(sizes(compile(calls))).toEqual([80, 112, 56]);
  });

  test("in how numbers are made", () => {
    const made = (text: string): string[] => {
      const image = compile(`${text}\nr0 = 0\nexit`);
      return texts(image, image.boundaries[0], image.ends[0]);
    };
    expect(made("r1 = 65536")).toEqual(["mov x0, #0x0", "movk x0, #0x1, lsl #16"]);
    expect(made("w1 = -7")).toEqual(["mov w0, #-0x7"]);
    expect(made("r1 = -65538")).toEqual(["mov x0, #-0x10001", "movk x0, #0xfffe"]);
    expect(made("r1 = 0xfff000000000a400 ll")).toEqual(["mov x0, #-0x10000000000000", "movk x0, #0xa400"]);
    expect(made("r1 = -1 ll")).toEqual(["mov x0, #-0x1"]);
    expect(made("r1 += 0xfff000")).toEqual(["add x0, x0, #0xfff, lsl #12"]);
    expect(made("r1 -= -5")).toEqual(["add x0, x0, #0x5"]);
    expect(made("r1 += 4097")).toEqual(["mov x10, #0x1001", "add x0, x0, x10"]);
    expect(made("r1 &= -256")).toEqual(["and x0, x0, #0xffffffffffffff00"]);
    expect(made("w1 &= 5")).toEqual(["mov w10, #0x5", "and w0, w0, w10"]);
  });
});

describe("an image", () => {
  test("names the entry of each subprogram as a site of four bytes behind the copy of the return address", () => {
    const { patchSites, subprogs } = compile("call f\nexit\nf:\nr0 = 0\nexit");
    expect(patchSites).toEqual(
      subprogs.map(({ start }, subprog) => ({ kind: "entry", offset: start + 4, size: 4, subprog })),
    );
    expect(compile("exit", { layout: { bti: true } }).patchSites[0]!.offset).toBe(8);
  });

  test("draws the frame", () => {
    expect(compile("r6 = r1\nr9 = 1\n*(u32 *)(r10 - 12) = 1\nmay_goto +0\nr0 = 0\nexit").subprogs[0]!.frame).toEqual([
      { name: "return address", offset: 56, size: 8 },
      { name: "x29 of the caller", offset: 48, size: 8 },
      { name: "x26 of the caller", offset: 40, size: 8 },
      { name: "tail calls", offset: 32, size: 8 },
      { name: "x19", offset: 16, size: 8 },
      { name: "x22", offset: 24, size: 8 },
      { name: "x25", offset: 0, size: 8 },
      { name: "stack", offset: -16, size: 16 },
      { name: "may_goto counter", offset: -24, size: 8 },
    ]);
  });

  test("is the same for the same program, and its lines cover the code of the body in order", () => {
    for (let seed = 0; seed < 50; seed++) {
      const program = trust(generateProgram(seed, { size: 100 }));
      const image = arm64.compile(program);
      expect(arm64.compile(program)).toEqual(image);
      for (const [index, { start, end }] of program.structure.subprogs.entries()) {
        const { start: entry, body, end: last } = image.subprogs[index]!;
        let at = body;
        for (let slot = start; slot < end; slot += program.program.insns.width(slot)) {
          expect(image.boundaries[slot]).toBe(at);
          at = image.ends[slot]!;
        }
        expect(at).toBeLessThanOrEqual(last);
        expect((last - entry) % 8).toBe(0);
      }
      for (const text of texts(image)) expect(text).not.toContain(".word");
    }
  });

  test("leaves a subprogram whose last instruction jumps back behind that", () => {
    const image = compile(
      "again:\nr0 = 0\nif r1 == 0 goto out\nout:\nif r1 == 1 goto again\nr0 = 1\nif r1 == 2 goto leave\ngoto again\nleave:\nexit\ngoto again",
    );
    const last = image.boundaries.at(-1)!;
    expect(texts(image)[last / 4]).toMatch(/^b 0x/);
    expect(texts(image)[last / 4 + 1]).toBe("ldp xzr, x26, [sp], #0x10");
  });

  test("is refused where an instruction has no lowering yet, whatever comes before it", () => {
    for (const text of ["r1 = addr_space_cast(r0, 0, 1)", "gotox r1", "callx r1", "r1 = btf[id:5]"]) {
      expect(() => compile(`r0 = 0\nr0 /= r1\n${text}\nexit`), text).toThrow(/^\w+ at 2 has no lowering on arm64 yet$/);
    }
    expect(Object.keys(INSNS)).toContain("lddw_btf_id");
  });
});

describe("branches", () => {
  /** Instructions of one slot and 36 bytes: without those a conditional jump of BPF cannot reach so far. */
  const LONG = "r0 = *(u8 *)skb[0]\n";
  const far = (text: string): Image => compile(text, { layout: { far: true } });

  test("of 19 bits become an inverted one over one of 26 bits where they do not reach, and stay aligned to 8", () => {
    const image = far(`r6 = r1\nr0 = 0\nif r0 == r1 goto far\nmay_goto far\n${LONG.repeat(29_200)}far:\nexit`);
    const target = `b 0x${image.boundaries.at(-1)!.toString(16)}`;
    const at = image.boundaries[2]!;
    const words = texts(image, at, at + 32);
    expect(words.slice(0, 4)).toEqual(["cmp x8, x0", `b.ne 0x${(at + 16).toString(16)}`, target, "nop"]);
    expect(words.slice(5)).toEqual([`cbnz x10, 0x${(at + 32).toString(16)}`, target, "nop"]);
    expect(image.code.length % 8).toBe(0);
  });

  test("reach as far as their field says, and no farther", () => {
    const back = (words: number): string => {
      const filler = `${LONG.repeat(Math.floor(words / 9))}${"r2 = 0\n".repeat(words % 9)}`;
      const image = far(`r6 = r1\nr0 = 0\nback:\n${filler}if r0 == r1 goto back\nexit`);
      return texts(image, image.ends.at(-2)! - 4, image.ends.at(-2)!)[0]!;
    };
    expect(back(262_143)).toMatch(/^b\.eq/);
    expect(back(262_144)).toBe("nop");
  });
});

describe("linking", () => {
  const link = (text: string, value: bigint, options = {}, address = 0x1000_0000n): string[] => {
    const image = compile(text, options);
    const code = arm64.link(image, address, () => value);
    const body = code.subarray(image.boundaries[0]!, image.ends[0]!);
    return [...arm64.disassemble(body, address + BigInt(image.boundaries[0]!))].map((line) => line.text);
  };

  test("fills in distances of calls, or whole addresses where the layout says far", () => {
    expect(link("call 5\nexit", 0x1000_1000n)).toEqual(["bl 0x10001000", "mov x8, x0"]);
    expect(link("call 5\nexit", 0xf00_0000n)).toEqual(["bl 0xf000000", "mov x8, x0"]);
    expect(link("call 5\nexit", 0xffff_8000_1234_5678n, { layout: { far: true } })).toEqual([
      "mov x10, #-0xa988",
      "movk x10, #0x1234, lsl #16",
      "movk x10, #0x8000, lsl #32",
      "blr x10",
      "mov x8, x0",
    ]);
  });

  test("fills in addresses of maps and callbacks from either half of the address space", () => {
    expect(link("r6 = map[counts]\nr0 = 0\nexit", 0x1234_5678_9abcn)).toEqual([
      "mov x19, #0x9abc",
      "movk x19, #0x5678, lsl #16",
      "movk x19, #0x1234, lsl #32",
    ]);
    expect(link("r2 = f ll\nr0 = 0\nexit\nf:\nr0 = 0\nexit", 0xffff_0000_0000_ffffn)).toEqual([
      "mov x1, #-0x1",
      "movk x1, #0x0, lsl #16",
      "movk x1, #0x0, lsl #32",
    ]);
  });

  test("leaves the image as it is", () => {
    const image = compile("call 5\nexit");
    const before = image.code.slice();
    arm64.link(image, 0n, () => 76n);
    expect(image.code).toEqual(before);
  });

  test("refuses what does not fit its field", () => {
    expect(() => link("call 5\nexit", 0x2000_0000n)).toThrow(BpfError);
    expect(() => link("call 5\nexit", 0x2000_0000n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: call of 0x20000000 from code at 0x10000000, expected a multiple of 4 within 128 MiB]`,
    );
    expect(() => link("r6 = map[counts]\nr0 = 0\nexit", 1n << 50n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: address 0x4000000000000 in code at 0x10000000, expected 48 bits, the rest all 0 or all 1]`,
    );
  });
});
