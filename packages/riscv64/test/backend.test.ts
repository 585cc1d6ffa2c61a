import { generateProgram, Machine } from "@bpfkit/conformance";
import { assemble, BpfError, type CompileOptions, Fact, type Image, noFacts, trust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";
import { hex } from "./arbitrary.ts";

const MAP = { name: "counts", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
const compile = (text: string, options: CompileOptions = {}): Image =>
  riscv64.compile(trust(assemble(text, { maps: [MAP] })), options);
const sizes = ({ subprogs }: Image): number[] => subprogs.map(({ start, end }) => end - start);

/** Programs, and the code that Linux 7.2.13 made of them on a CPU with C, Zba and Zbb. */
const IMAGES: readonly (readonly [what: string, program: string, code: string])[] = [
  ["without a frame", "r0 = 0\nexit", "1300000013000000130810027d7122e400088147226441611b8507008280"],
  [
    "with a frame and all saved registers",
    "r6 = 6\nr7 = 7\nr8 = 8\nr9 = 9\n*(u64 *)(r10 - 64) = r9\nr0 = *(u64 *)(r10 - 64)\nr0 += r6\nr0 += r7\nr0 += r8\nexit",
    "1300000013000000130810025971a2f4a6f0caeccee8d2e4d6e08018930a010499441d49a149254a23b04afd83b70afca697ca97ce972674867466" +
      "69c669266a866a65611b8507008280",
  ],
  [
    "with two exits",
    "r6 = *(u64 *)(r1 + 0)\nr0 = 0\nif r6 == 0 goto +1\nexit\nr0 = 1\nexit",
    "1300000013000000130810027d7122e426e0000804618147638404006f00600085472264826441611b8507008280",
  ],
  [
    "with arithmetic of registers and immediates",
    "r0 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r1 + 8)\nr0 += r2\nr0 -= r2\nr0 *= r2\nr0 &= r2\nr0 |= r2\nr0 ^= r2\nr0 += 1\nr0 += 2047\n" +
      "r0 += 2048\nr0 -= 5\nr0 &= 255\nr0 |= 255\nr0 ^= 255\nr0 <<= 3\nr0 >>= 3\nr0 s>>= 3\nr0 <<= r2\nr0 >>= r2\nr0 s>>= r2\n" +
      "r0 *= 77\nr0 = -r0\nexit",
    "1300000013000000130810027d7122e400081c610c65ae978d8fb387b702ed8fcd8fad8f85079387f77f05631b0303809a97ed1793f7f70f93e7f7" +
      "0f93c7f70f8e078d838d87b397b700b3d7b700b3d7b7401303d004b3876702b307f040226441611b8507008280",
  ],
  [
    "with atomic operations",
    "r1 = 1\n*(u64 *)(r10 - 8) = r1\nlock *(u64 *)(r10 - 8) += r1\nr1 = atomic_fetch_add((u64 *)(r10 - 8), r1)\n" +
      "r1 = atomic_fetch_or((u64 *)(r10 - 8), r1)\nr1 = xchg_64(r10 - 8, r1)\nr0 = 0\nr0 = cmpxchg_64(r10 - 8, r0, r1)\nr0 = 0\nexit",
    "1300000013000000130810023d7122ec56e80010930a0101054523bcaafe13838aff2f30a30013838aff2f35a30613838aff2f35a34613838aff2f" +
      "35a30e814713838affbe83af3703106398f3002f3ea31ae31a0efe0f00300381476264c26a05611b8507008280",
  ],
  [
    "with ordered accesses",
    "r0 = 0\n*(u64 *)(r10 - 8) = r0\nr2 = load_acquire((u64 *)(r10 - 8))\nstore_release((u64 *)(r10 - 8), r2)\nr0 = 0\nexit",
    "1300000013000000130810023d7122ec56e80010930a0101814723bcfafe83b58aff0f0030020f00100323bcbafe81476264c26a05611b8507008280",
  ],
];

describe("code is what Linux 7.2 makes of the same program", () => {
  test.each(IMAGES)("byte for byte %s", (_what, program, code) => {
    expect(hex(compile(program).code).replaceAll(" ", "")).toBe(code);
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
    expect(sizes(compile(calls))[1]).toBe(68);
  });
});

describe("an image", () => {
  test("names the entry of each subprogram as a site of eight bytes", () => {
    const { patchSites, subprogs } = compile("call f\nexit\nf:\nr0 = 0\nexit");
    expect(patchSites).toEqual(
      subprogs.map(({ start }, subprog) => ({ kind: "entry", offset: start, size: 8, subprog })),
    );
  });

  test("draws the frame", () => {
    const text = "r6 = r1\nr9 = 1\n*(u32 *)(r10 - 12) = 1\nmay_goto +0\ncall 8\nexit";
    expect(compile(text).subprogs[0]!.frame).toEqual([
      { name: "return address", offset: 40, size: 8 },
      { name: "s0 of the caller", offset: 32, size: 8 },
      { name: "s1", offset: 24, size: 8 },
      { name: "s4", offset: 16, size: 8 },
      { name: "s5", offset: 8, size: 8 },
      { name: "tail calls left", offset: 0, size: 8 },
      { name: "stack", offset: -16, size: 16 },
      { name: "may_goto counter", offset: -24, size: 8 },
    ]);
  });

  test("is the same for the same program, and its lines cover the code of the body in order", () => {
    for (let seed = 0; seed < 50; seed++) {
      const program = trust(generateProgram(seed, { size: 100 }));
      const image = riscv64.compile(program);
      expect(riscv64.compile(program)).toEqual(image);
      for (const [index, { start, end }] of program.structure.subprogs.entries()) {
        let at = image.subprogs[index]!.body;
        for (let slot = start; slot < end; slot += program.program.insns.width(slot)) {
          expect(image.boundaries[slot]).toBe(at);
          at = image.ends[slot]!;
        }
        expect(at).toBeLessThanOrEqual(image.subprogs[index]!.end);
      }
      for (const { text } of riscv64.disassemble(image.code)) expect(text).not.toContain(".byte");
    }
  });

  test("has no compressed instruction where the CPU has none", () => {
    for (let seed = 0; seed < 30; seed++) {
      const image = riscv64.compile(trust(generateProgram(seed, { size: 100 })), {
        features: { c: false, zba: false, zbb: false },
      });
      for (const { bytes, text } of riscv64.disassemble(image.code)) expect(bytes.length, text).toBe(4);
    }
  });

  test("shares a boundary between a 32-bit result and the instruction that drops its upper half", () => {
    const { boundaries, ends, code } = compile(
      "w0 += w1\nw0 = w0\nw2 += 1\nr2 += 1\nw3 += 1\nif r3 == 0 goto +1\nw3 = 5\nexit",
    );
    expect([boundaries[0], ends[0]]).toEqual([boundaries[1], boundaries[1]]);
    expect(ends[1]! - boundaries[1]!).toBe(2 + 4);
    expect(ends[2]! - boundaries[2]!).toBe(2 + 4);
    expect(boundaries[5]).not.toBe(boundaries[4]);
    expect(code.length).toBe(boundaries[7]! + 2 + 2 + 4 + 2);
  });

  test("does without guards and extensions that facts make needless", () => {
    const program = trust(
      assemble("w0 += w1\nw0 /= w1\nr0 s/= r1\nw0 = w1\nw1 = atomic_fetch_add((u32 *)(r10 - 4), w1)\nexit"),
    );
    const plain = riscv64.compile(program);
    const facts = noFacts(program.program.insns.length);
    facts.flags.set([
      Fact.UPPER_UNUSED,
      Fact.UPPER_UNUSED | Fact.DIVISOR_NONZERO,
      Fact.DIVISOR_NONZERO,
      Fact.UPPER_UNUSED,
      Fact.UPPER_UNUSED,
    ]);
    const image = riscv64.compile({ ...program, facts });
    const size = ({ boundaries, ends }: Image, slot: number): number => ends[slot]! - boundaries[slot]!;
    expect([1, 2, 3, 4].map((slot) => size(plain, slot))).toEqual([2 + 4 + 4 + 4 + 4 + 2, 4 + 2 + 2, 4, 4 + 4 + 4]);
    expect([0, 1, 2, 3, 4].map((slot) => size(image, slot))).toEqual([2, 4, 4, 2, 8]);
  });

  test("is refused where an instruction has no lowering yet, whatever comes before it", () => {
    for (const text of ["r1 = addr_space_cast(r0, 0, 1)", "gotox r1", "callx r1", "r1 = btf[id:5]"]) {
      expect(() => compile(`r0 = 0\nr0 /= r1\n${text}\nexit`), text).toThrow(
        /^\w+ at 2 has no lowering on riscv64 yet$/,
      );
    }
  });
});

describe("linking", () => {
  const link = (text: string, value: bigint, address = 0x1000_0000n, options: CompileOptions = {}): string[] => {
    const image = compile(text, options);
    const code = riscv64.link(image, address, () => value).subarray(image.boundaries[0]!, image.ends[0]!);
    return [...riscv64.disassemble(code)].map((line) => line.text);
  };
  const at = (text: string): bigint => 0x1000_0000n + BigInt(compile(text).boundaries[0]!);
  const CALL = "call 5\nexit";
  const CALLBACK = "r2 = f ll\nr0 = 0\nexit\nf:\nr0 = 0\nexit";

  test("fills in distances of calls", () => {
    expect(link(CALL, at(CALL) + 0x1234n)).toEqual(["auipc t1, 0x1", "jalr 0x234(t1)", "mv a5, a0"]);
    expect(link(CALL, at(CALL) + 0x800n).slice(0, 2)).toEqual(["auipc t1, 0x1", "jalr -0x800(t1)"]);
    expect(link(CALL, at(CALL) - 2n).slice(0, 2)).toEqual(["auipc t1, 0x0", "jalr -0x2(t1)"]);
    expect(link(CALL, at(CALL) + 0x7fff_f7fen).slice(0, 2)).toEqual(["auipc t1, 0x7ffff", "jalr 0x7fe(t1)"]);
  });

  test("fills in addresses of maps, map values and callbacks", () => {
    expect(link("r6 = map[counts]\nr0 = 0\nexit", 0xffff_8880_9234_5678n)).toEqual([
      "lui s1, 0xffff9",
      "addiw s1, s1, -0x77f",
      "lui t1, 0x92345",
      "addiw t1, t1, 0x678",
      "slli s1, s1, 0x20",
      "add s1, s1, t1",
    ]);
    expect(link("r6 = map[counts][0]+8\nr0 = 0\nexit", 8n).slice(2, 4)).toEqual(["lui t1, 0x0", "addiw t1, t1, 0x8"]);
    expect(link(CALLBACK, at(CALLBACK) - 0x1001n)).toEqual(["auipc a1, 0xfffff", "addi a1, a1, -0x1"]);
  });

  test("gives every 64-bit address back", () => {
    for (const value of [
      0n,
      1n,
      0x7ffn,
      0x800n,
      0x7fff_ffffn,
      0x8000_0000n,
      0xffff_ffffn,
      0x7fff_f800n,
      0x1234_5678_9abc_def0n,
      0xffff_ffff_7fff_f800n,
    ]) {
      for (const c of [true, false]) {
        const image = compile("r0 = map[counts]\nexit", { features: { c } });
        const { cpu } = new Machine(
          riscv64,
          riscv64.link(image, 0n, () => value),
        );
        expect(cpu.run(100).kind).toBe("host");
        expect(cpu.get("a5")).toBe(value);
      }
    }
  });

  test("leaves the image as it is", () => {
    const image = compile(CALL);
    const before = image.code.slice();
    riscv64.link(image, 0n, () => 77n);
    expect(image.code).toEqual(before);
  });

  test("refuses what does not fit its field", () => {
    expect(() => link(CALL, at(CALL) + 0x7fff_f800n)).toThrow(BpfError);
    expect(() => link(CALL, 0x2_0000_0000n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: call of 0x200000000 from code at 0x10000000, expected a distance of 32 signed bits]`,
    );
    expect(() => link(CALLBACK, at(CALLBACK) + 0x8000_0000n)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: address 0x90000012 from code at 0x10000000, expected a distance of 32 signed bits]`,
    );
  });
});

describe("branches", () => {
  const store = "  *(u32 *)(r10 - 200) = 305419896\n"; // 12 bytes
  const far = (count: number, options: CompileOptions = {}, jump = "if r0 == 0 goto", filler = store): string[] => {
    const text = `r0 = 0\n${jump} out\n${filler.repeat(count)}out:\nexit`;
    const image = compile(text, options);
    return [...riscv64.disassemble(image.code.subarray(image.boundaries[1]!, image.ends[1]!))].map((line) => line.text);
  };

  test("are one instruction, or an inverted one over a jump where that does not reach", () => {
    expect(far(341)).toEqual(["beqz a5, 0x1000"].map(() => "bnez a5, 0x8").concat("j 0x1004"));
    expect(far(340)).toEqual(["beqz a5, 0xff4"]);
    expect(far(20, { layout: { shortBranches: true } })).toEqual(["beqz a5, 0xf2"]);
    expect(far(22, { layout: { shortBranches: true } })).toEqual(["beqz a5, 0x10c"]);
  });

  test("reach beyond a megabyte by way of t1", () => {
    const plain = { features: { c: false, zbb: false } };
    const swap = "  r2 = bswap64 r2\n"; // 120 bytes
    expect(far(10_000, plain, "if r0 == 0 goto", swap)).toEqual(["bnez a5, 0xc", "auipc t1, 0x125", "jr -0x78(t1)"]);
    expect(far(10_000, plain, "goto", swap)).toEqual(["auipc t1, 0x125", "jr -0x78(t1)"]);
  });
});

test("what the host sees in a0 is r0 cut to 32 bits", () => {
  const { cpu } = new Machine(riscv64, compile("r0 = 0x1234567890abcdef ll\nexit").code);
  const sp = cpu.get("sp");
  expect(cpu.run(100).kind).toBe("host");
  expect([cpu.get("a0"), cpu.get("a5"), cpu.get("sp")]).toEqual([0xffff_ffff_90ab_cdefn, 0x1234_5678_90ab_cdefn, sp]);
});
