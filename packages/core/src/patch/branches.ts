// Which instructions point at others, and in which field: RFC 9669 sections 4.3 and 5.4.
import { OPS } from "../isa/decode.ts";
import { INSNS } from "../isa/opcodes.ts";

// Opcode bytes.
export const LDIMM64 = 0x18;
export const JA = 0x05;
export const GOTOL = 0x06;

/** How an instruction points at another. */
export const Reach = { NONE: 0, OFFSET: 1, IMMEDIATE: 2, CALL: 3, ADDRESS: 4 } as const;

/** {@link Reach} by opcode byte; a call and a two-slot load point at code only with {@link CALL_SOURCE} or {@link ADDRESS_SOURCE}. */
export const REACH: Uint8Array = reaches();

/** Source register field of a call to a subprogram, and of a two-slot load of a subprogram's address. */
export const CALL_SOURCE = 1;
export const ADDRESS_SOURCE = 4;

function reaches(): Uint8Array {
  const table = new Uint8Array(256);
  for (const op of OPS) {
    const { code, kind } = INSNS[op];
    if (kind === "jumpIf" || kind === "mayGoto") table[code] = Reach.OFFSET;
    else if (kind === "jump") table[code] = code === GOTOL ? Reach.IMMEDIATE : Reach.OFFSET;
    else if (kind === "callSubprog") table[code] = Reach.CALL;
    else if (kind === "loadImm64") table[code] = Reach.ADDRESS;
  }
  return table;
}

/** {@link Reach} of an instruction by its first word. */
export function reachOf(word: number): number {
  const reach = REACH[word & 0xff]!;
  if (reach === Reach.CALL) return ((word >>> 12) & 0xf) === CALL_SOURCE ? reach : Reach.NONE;
  if (reach === Reach.ADDRESS) return ((word >>> 12) & 0xf) === ADDRESS_SOURCE ? reach : Reach.NONE;
  return reach;
}
