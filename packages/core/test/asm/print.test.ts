import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { assemble, DIALECTS, formatProgram, Insns, printInsn } from "../../src/index.ts";

const LLVM = readFileSync(new URL("llvm-objdump-19.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" || ") as [bytes: string, hex: string, decimal: string]);

function fromHex(hex: string): Insns {
  return Insns.fromBytes(Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16)));
}

describe("the llvm dialect", () => {
  const printed = (options: { hex: boolean }): string[] =>
    LLVM.map(
      ([bytes]) => `${bytes} ${printInsn(fromHex(bytes), 0, { dialect: "llvm", ...options }).replace("\t", " ")}`,
    );

  test("is llvm-objdump's text", () => {
    expect(LLVM.length).toBeGreaterThan(500);
    expect(printed({ hex: true })).toEqual(LLVM.map(([bytes, hex]) => `${bytes} ${hex}`));
  });

  test("is llvm-objdump's text with --no-print-imm-hex", () => {
    expect(printed({ hex: false })).toEqual(LLVM.map(([bytes, , decimal]) => `${bytes} ${decimal}`));
  });

  test("lays a listing out as llvm-objdump -d does", () => {
    const text = formatProgram(
      assemble("entry:\n r1 = 0x1122334455667788 ll\n if r1 > 5 goto +1\n call sub\n exit\nsub:\n exit"),
      {
        dialect: "llvm",
      },
    );
    expect(text).toMatchInlineSnapshot(`
      "0000000000000000 <entry>:
             0:	18 01 00 00 88 77 66 55 00 00 00 00 44 33 22 11	r1 = 0x1122334455667788 ll
             2:	25 01 01 00 05 00 00 00	if r1 > 0x5 goto +0x1 <entry+0x20>
             3:	85 10 00 00 01 00 00 00	call 0x1
             4:	95 00 00 00 00 00 00 00	exit

      0000000000000028 <sub>:
             5:	95 00 00 00 00 00 00 00	exit"
    `);
  });
});

const SAMPLE = `
entry:
  r6 = r1
  w2 = -1
  r0 = *(u32 *)(r6 + 4)
  *(u64 *)(r10 - 8) = r0
  *(u8 *)(r10 - 1) = 7
  r1 = map[counts]
  r2 = r10
  r2 += -8
  call map_lookup_elem
  if r0 == 0 goto out
  lock *(u64 *)(r0 + 0) += r6
  w0 = cmpxchg32_32(r0 + 0, w0, w3)
out:
  call sub
  call bpf_cast_to_kern_ctx
  r3 = subprog[sub]
  r3 = be16 r3
  r3 s>>= 2
  if w3 s< -2 goto +0
  may_goto out
  exit
sub:
  r0 = 0x8000000000000000 ll
  exit
`;

test.each(DIALECTS)("a listing in the %s dialect", (dialect) => {
  const maps = [{ name: "counts", type: 1, keySize: 8, valueSize: 8, maxEntries: 1, flags: 0 }];
  const program = assemble(SAMPLE, { maps, kfuncs: ["bpf_cast_to_kern_ctx"] });
  expect(formatProgram(program, { dialect, labels: true })).toMatchSnapshot();
});

test("a listing shows bytes, source lines and subprograms", () => {
  const program = assemble("main:\n r0 = 1 ll\n call sub\n exit\nsub:\n exit");
  const lines = {
    insn: Uint32Array.of(0, 2, 2, 2, 4),
    file: Uint32Array.of(0, 0, 0, 0, 0),
    line: Uint32Array.of(3, 4, 4, 5, 9),
    column: Uint32Array.of(1, 1, 3, 1, 1),
    text: ["  long x = 1;", "  helper(x);", "  helper(x);", "\tevil \u001b[31m;", "}"],
    files: ["prog.c"],
  };
  expect(formatProgram({ ...program, lines }, { lines: true, raw: true })).toMatchInlineSnapshot(`
    "main:
    ; long x = 1; @ prog.c:3
      0:  18 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00  r0 = 0x1 ll
    ; helper(x); @ prog.c:4
    ; evil  [31m; @ prog.c:5
      2:  85 10 00 00 01 00 00 00  call sub
      3:  95 00 00 00 00 00 00 00  exit

    sub:
    ; } @ prog.c:9
      4:  95 00 00 00 00 00 00 00  exit"
  `);
});

test("what is no instruction is printed slot by slot", () => {
  const insns = new Insns(Int32Array.of(0xff, 1, 0x18, 5, 0x95, 0, 0x10007, 3, 0x0c07, 0, 0x18, 0));
  const texts = Array.from({ length: insns.length }, (_, i) => printInsn(insns, i));
  expect(texts).toMatchInlineSnapshot(`
    [
      ".8byte 0x00000001000000ff",
      ".8byte 0x0000000500000018",
      "exit",
      ".8byte 0x0000000300010007",
      ".8byte 0x0000000000000c07",
      ".8byte 0x0000000000000018",
    ]
  `);
});
