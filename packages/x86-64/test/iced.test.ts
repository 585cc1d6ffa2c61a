// The independent check on encoder and decoder: iced-x86 reads every row we write, and both read the same bytes alike.
import fc from "fast-check";
import { Code, Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction, MemorySizeOptions } from "iced-x86";
import { afterAll, describe, expect, test } from "vitest";
import { decode, type Insn } from "../src/decode.ts";
import { encode } from "../src/encode.ts";
import { disassembleAs } from "../src/iced.ts";
import { disassemble, printInsn } from "../src/print.ts";
import { ROWS } from "../src/row.ts";
import { anyValues, hex } from "./arbitrary.ts";

const ADDRESS = 0x1000_0000n;
const formatter = new Formatter(FormatterSyntax.Intel);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.uppercaseHex = false;
formatter.spaceAfterOperandSeparator = true;
formatter.branchLeadingZeros = false;
formatter.showBranchSize = false;
formatter.ripRelativeAddresses = true;
formatter.memorySizeOptions = MemorySizeOptions.Always;
const instruction = new Instruction();
afterAll(() => {
  instruction.free();
  formatter.free();
});

/** What both have to agree on. iced writes the size of every access, and `imul eax, 3` for `imul eax, eax, 3`; we do neither. */
function agreement(bytes: Uint8Array, ours: Insn): { readonly ours: object; readonly iced: object | undefined } {
  const text = printInsn(ours, ADDRESS);
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  try {
    decoder.ip = ADDRESS;
    decoder.decodeOut(instruction);
    if (instruction.code === Code.INVALID) return { ours: { text }, iced: undefined };
    formatter.smallHexNumbersInDecimal = ours.row.immSize !== 8 || ours.imm < 10n; // it looks at 32 bits only
    formatter.signedImmediateOperands = !ours.row.immIsCount && ours.row.immSize !== 8;
    let theirs = formatter.format(instruction);
    if (!text.includes(" ptr ")) theirs = theirs.replace(/\w+ ptr /, "");
    if (text.startsWith("imul") && !theirs.includes(",", theirs.indexOf(",") + 1))
      theirs = theirs.replace(/ (\w+),(?= -?[0-9])/, " $1, $1,");
    return { ours: { text, length: ours.length }, iced: { text: theirs, length: instruction.length } };
  } finally {
    decoder.free();
  }
}

describe("iced-x86", () => {
  test("reads every row as we mean it", () => {
    for (const row of ROWS) {
      fc.assert(
        fc.property(anyValues(row), (values) => {
          const bytes = encode(row.op as "nop", values as object);
          const { ours, iced } = agreement(bytes, decode(bytes)!);
          expect(iced, hex(bytes)).toEqual(ours);
        }),
        { numRuns: 60 },
      );
    }
  });

  test("reads random bytes as we do wherever we read them at all", () => {
    const firsts = fc.constantFrom(
      0x48,
      0x49,
      0x4c,
      0x41,
      0x66,
      0x0f,
      0xf0,
      0xf3,
      0xc4,
      0x83,
      0xff,
      0xf7,
      0xc1,
      0xd3,
      0x90,
    );
    const bytes = fc
      .tuple(fc.array(firsts, { maxLength: 3 }), fc.uint8Array({ minLength: 15, maxLength: 15 }))
      .map(([a, b]) => Uint8Array.from([...a, ...b]));
    let both = 0;
    fc.assert(
      fc.property(bytes, (code) => {
        const insn = decode(code);
        if (insn === undefined) return;
        both++;
        const { ours, iced } = agreement(code, insn);
        expect(iced, hex(code)).toEqual(ours);
      }),
      { numRuns: 20_000 },
    );
    expect(both).toBeGreaterThan(4000);
  });
});

describe("disassembling", () => {
  test("never throws and covers every byte once", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (code) => {
        let end = 0;
        for (const { offset, bytes } of disassemble(code)) {
          expect(offset).toBe(end);
          end += bytes.length;
        }
        expect(end).toBe(code.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the listing in another syntax", () => {
  test("says the same in AT&T order, NASM and MASM", () => {
    const code = Uint8Array.of(0x48, 0x89, 0xe5, 0x06, 0x48, 0x8b, 0x45, 0xf8);
    expect(disassembleAs("gas", code).map(({ text }) => text)).toEqual([
      "mov %rsp,%rbp",
      ".byte 0x06",
      "mov -0x8(%rbp),%rax",
    ]);
    expect(disassembleAs("nasm", code)[2]?.text).toBe("mov rax,[rbp-0x8]");
    expect(disassembleAs("masm", code)[2]?.text).toBe("mov rax,[rbp-0x8]");
    expect(disassembleAs("intel", code)[0]?.text).toBe("mov rbp,rsp");
  });

  test("shows all of a 64-bit immediate", () => {
    const [line] = disassembleAs("intel", Uint8Array.of(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80));
    expect(line?.text).toBe("mov rax,0x8000000000000000");
  });

  test("counts branch targets from the address it is told and survives a cut instruction", () => {
    expect(
      disassembleAs("intel", Uint8Array.of(0xeb, 0xfe, 0x48), 0x1000n).map(({ offset, text }) => `${offset} ${text}`),
    ).toEqual(["0 jmp short 0x0000000000001000", "2 .byte 0x48"]);
  });
});
