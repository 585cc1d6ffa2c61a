// Listings in the syntaxes of other assemblers, by iced-x86 (an optional peer dependency); a second opinion on the decoder too.
import type { Line } from "@bpfkit/core";
import { Code, Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from "iced-x86";

/** Whose syntax a listing is in: Intel's, Microsoft's assembler, NASM, or GNU's assembler (AT&T order). */
export type Syntax = "intel" | "masm" | "nasm" | "gas";

const SYNTAXES: Readonly<Record<Syntax, FormatterSyntax>> = {
  intel: FormatterSyntax.Intel,
  masm: FormatterSyntax.Masm,
  nasm: FormatterSyntax.Nasm,
  gas: FormatterSyntax.Gas,
};

/**
 * Decodes code into listing lines of another syntax, with iced's decoder: it knows all of x86-64, not only the table's rows.
 * A byte that starts no instruction is a line of its own. Never throws.
 *
 * @param address - where the code is, for the targets of branches
 *
 * @example
 * ```ts
 * import { disassembleAs } from "@bpfkit/x86-64/iced";
 * disassembleAs("gas", Uint8Array.of(0x48, 0x89, 0xe5))[0]?.text; // mov %rsp,%rbp
 * ```
 */
export function disassembleAs(syntax: Syntax, code: Uint8Array, address = 0n): Line[] {
  const formatter = new Formatter(SYNTAXES[syntax]);
  const decoder = new Decoder(64, code, DecoderOptions.None);
  const instruction = new Instruction();
  const lines: Line[] = [];
  try {
    formatter.hexPrefix = "0x";
    formatter.hexSuffix = "";
    formatter.uppercaseHex = false;
    formatter.smallHexNumbersInDecimal = false; // iced 1.21 looks at the low 32 bits only: it would write 2^63 as 0
    while (decoder.canDecode) {
      const offset = decoder.position;
      decoder.ip = BigInt.asUintN(64, address + BigInt(offset));
      decoder.decodeOut(instruction);
      const isInvalid = instruction.code === Code.INVALID;
      if (isInvalid) decoder.position = offset + 1;
      const text = isInvalid ? `.byte 0x${code[offset]!.toString(16).padStart(2, "0")}` : formatter.format(instruction);
      lines.push({ offset, bytes: code.subarray(offset, decoder.position), text });
    }
  } finally {
    instruction.free();
    decoder.free();
    formatter.free();
  }
  return lines;
}
