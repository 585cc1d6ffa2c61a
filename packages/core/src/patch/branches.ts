// Which instructions point at others, and in which field: RFC 9669 sections 4.3 and 5.4.
import { OPS } from "../isa/decode.ts";
import { INSNS } from "../isa/opcodes.ts";

// Opcode bytes.
export const LDIMM64 = 0x18;
export const JA = 0x05;
export const GOTOL = 0x06;

/** How an instruction points at another. */
export const Reach = { NONE: 0, OFFSET: 1, IMMEDIATE: 2, CALL: 3, ADDRESS: 4 } as const;

/** Source register field of a call to a subprogram, and of a two-slot load of a subprogram's address. */
export const CALL_SOURCE = 1;
export const ADDRESS_SOURCE = 4;

/** In {@link SHAPES}: either slot of a two-slot load. */
export const HALF = 8;
const REACHES = 7;

/**
 * By opcode and registers, the low 16 bits of a first word: {@link Reach}, plus {@link HALF}. Calls point at code only with
 * {@link CALL_SOURCE}, two-slot loads only with {@link ADDRESS_SOURCE}.
 */
export const SHAPES: Uint8Array = shapes();

function shapes(): Uint8Array {
  const table = new Uint8Array(0x1_0000);
  const fill = (code: number, sources: readonly number[], shape: number): void => {
    for (const source of sources) for (let dst = 0; dst < 16; dst++) table[(source << 12) | (dst << 8) | code] = shape;
  };
  const any = Array.from({ length: 16 }, (_, source) => source);
  for (const op of OPS) {
    const { code, kind } = INSNS[op];
    if (kind === "jumpIf" || kind === "mayGoto") fill(code, any, Reach.OFFSET);
    else if (kind === "jump") fill(code, any, code === GOTOL ? Reach.IMMEDIATE : Reach.OFFSET);
    else if (kind === "callSubprog") fill(code, [CALL_SOURCE], Reach.CALL);
  }
  fill(0, any, HALF);
  fill(LDIMM64, any, HALF);
  fill(LDIMM64, [ADDRESS_SOURCE], Reach.ADDRESS | HALF);
  return table;
}

/** {@link Reach} of an instruction by its first word. */
export function reachOf(word: number): number {
  return SHAPES[word & 0xffff]! & REACHES;
}
