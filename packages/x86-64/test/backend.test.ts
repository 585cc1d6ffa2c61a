import { generateProgram } from "@bpfkit/conformance";
import { assemble, BpfError, type Image, INSNS, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { x86_64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const compile = (text: string, options = {}): Image => x86_64.compile(trust(assemble(text, { maps: [MAP] })), options);
const MAP = { name: "counts", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
const sizes = ({ subprogs }: Image): number[] => subprogs.map(({ start, end }) => end - start);

describe("code is what Linux 7.2 makes of the same program", () => {
  test("byte for byte, without and with a frame", () => {
    expect(hex(compile("r0 = 0\nexit").code)).toBe(
      "f3 0f 1e fa 0f 1f 44 00 00 0f 1f 00 55 48 89 e5 f3 0f 1e fa 31 c0 c9 c3 cc",
    );
    const saved =
      "r6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\n*(u64 *)(r10 - 64) = r9\nr0 = *(u64 *)(r10 - 64)\nr0 += r6\nr0 += r7\nr0 += r8\nexit";
    expect(hex(compile(saved).code)).toBe(
      "f3 0f 1e fa 0f 1f 44 00 00 0f 1f 00 55 48 89 e5 f3 0f 1e fa 48 81 ec 40 00 00 00 53 41 55 41 56 41 57 " +
        "bb 06 00 00 00 41 bd 07 00 00 00 41 be 08 00 00 00 41 bf 09 00 00 00 4c 89 7d c0 48 8b 45 c0 48 01 d8 4c 01 e8 4c 01 f0 " +
        "41 5f 41 5e 41 5d 5b c9 c3 cc",
    );
  });

  test("in the size of each subprogram", () => {
    const calls = `
      r1 = 10
      r2 = 32
      call f1
      r0 = 3
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
    expect(sizes(compile(calls))).toEqual([43, 57, 26]);
  });
});

describe("an image", () => {
  test("names the entry of each subprogram as a site of five bytes behind endbr64", () => {
    const { patchSites, subprogs } = compile("call f\nexit\nf:\nr0 = 0\nexit");
    expect(patchSites).toEqual(
      subprogs.map(({ start }, subprog) => ({ kind: "entry", offset: start + 4, size: 5, subprog })),
    );
    expect(compile("exit", { layout: { ibt: false } }).patchSites[0]!.offset).toBe(0);
  });

  test("draws the frame", () => {
    expect(compile("r6 = r1\nr9 = 1\n*(u32 *)(r10 - 12) = 1\nmay_goto +0\nr0 = 0\nexit").subprogs[0]!.frame).toEqual([
      { name: "return address", offset: 8, size: 8 },
      { name: "rbp of the caller", offset: 0, size: 8 },
      { name: "stack", offset: -16, size: 16 },
      { name: "may_goto counter", offset: -24, size: 8 },
      { name: "rbx", offset: -32, size: 8 },
      { name: "r15", offset: -40, size: 8 },
    ]);
  });

  test("is the same for the same program, and its lines cover the code of the body in order", () => {
    for (let seed = 0; seed < 50; seed++) {
      const program = trust(generateProgram(seed, { size: 100 }));
      const image = x86_64.compile(program);
      expect(x86_64.compile(program)).toEqual(image);
      for (const [index, { start, end }] of program.structure.subprogs.entries()) {
        let at = image.subprogs[index]!.body;
        for (let slot = start; slot < end; slot += program.program.insns.width(slot)) {
          expect(image.boundaries[slot]).toBe(at);
          at = image.ends[slot]!;
        }
        expect(at).toBeLessThanOrEqual(image.subprogs[index]!.end);
      }
      for (const { text } of x86_64.disassemble(image.code)) expect(text).not.toContain(".byte");
    }
  });

  test("is refused where an instruction has no lowering yet, whatever comes before it", () => {
    for (const text of ["r1 = addr_space_cast(r0, 0, 1)", "gotox r1", "callx r1", "r1 = btf[id:5]"]) {
      expect(() => compile(`r0 = 0\nr0 /= r1\n${text}\nexit`), text).toThrow(
        /^\w+ at 2 has no lowering on x86-64 yet$/,
      );
    }
    expect(Object.keys(INSNS)).toContain("lddw_btf_id");
  });
});

describe("linking", () => {
  const link = (text: string, value: bigint, address = 0x1000_0000n): string => {
    const image = compile(text);
    const code = x86_64.link(image, address, () => value);
    return hex(code.subarray(image.boundaries[0]!, image.ends[0]!));
  };

  test("fills in distances of calls", () => {
    const { boundaries } = compile("call 5\nexit");
    const next = 0x1000_0000n + BigInt(boundaries[0]! + 5);
    expect(link("call 5\nexit", next + 0x1234n)).toBe("e8 34 12 00 00");
    expect(link("call 5\nexit", next - 1n)).toBe("e8 ff ff ff ff");
  });

  test("fills in addresses of maps, map values and callbacks", () => {
    expect(link("r6 = map[counts]\nr0 = 0\nexit", 0xffff_8880_1234_5678n)).toBe("48 bb 78 56 34 12 80 88 ff ff");
    expect(link("r6 = map[counts][0]+8\nr0 = 0\nexit", 8n)).toBe("48 bb 08 00 00 00 00 00 00 00");
    expect(link("r2 = f ll\nr0 = 0\nexit\nf:\nr0 = 0\nexit", 0xffff_ffff_c000_1000n)).toBe("48 c7 c6 00 10 00 c0");
  });

  test("leaves the image as it is", () => {
    const image = compile("call 5\nexit");
    const before = image.code.slice();
    x86_64.link(image, 0n, () => 77n);
    expect(image.code).toEqual(before);
  });

  test("refuses what does not fit its field", () => {
    expect(() => link("call 5\nexit", 0x2_0000_0000n)).toThrow(BpfError);
    expect(() => link("call 5\nexit", 0x2_0000_0000n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: call of 0x200000000 from code at 0x10000000, expected 32 signed bits]`,
    );
    expect(() => link("r2 = f ll\nr0 = 0\nexit\nf:\nr0 = 0\nexit", 0x8000_0000n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: address 0x80000000 in code at 0x10000000, expected 32 signed bits]`,
    );
  });
});
