// Rewriting a patch site of five bytes while other CPUs may run into it: breakpoint first, as in Linux' text_poke.
import { BpfError, type PokePhase, type PokePlan, type SiteState, type TextSite } from "@bpfkit/core";
import { writeInt } from "./assembler.ts";

export const SIZE = 5;

/** `int3`: a CPU that fetches it traps, whatever bytes of the instruction follow. */
export const BREAKPOINT = 0xcc;

/** `nop dword [rax+rax+0]`: rows nop_rm32, call_rel32 and jmp_rel32 of the instruction table. */
export const NOP: Uint8Array = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00);
export const OPCODE = { call: 0xe8, jump: 0xe9 } as const;

/** The distance from `from` to `to` modulo 2^64 as 32 signed bits; undefined where it does not fit. */
export function displacement(from: bigint, to: bigint): number | undefined {
  const distance = BigInt.asIntN(64, to - from);
  return BigInt.asIntN(32, distance) === distance ? Number(distance) : undefined;
}

/** The five bytes of a state. @throws {BpfError} `out-of-range` */
function encodeState(address: bigint, state: SiteState): Uint8Array {
  if (state.kind === "nop") return NOP;
  const distance = displacement(address + BigInt(SIZE), state.target);
  if (distance === undefined) {
    throw new BpfError("out-of-range", `${state.kind} to 0x${state.target.toString(16)} at 0x${address.toString(16)}`, {
      expected: "a distance of 32 signed bits",
    });
  }
  const bytes = new Uint8Array(SIZE);
  bytes[0] = OPCODE[state.kind];
  writeInt(bytes, 1, distance);
  return bytes;
}

/**
 * The first byte becomes a breakpoint, then the others change, then the first one does; after each of these no CPU runs older bytes.
 * So a CPU runs the old instruction, the new one, or the breakpoint, behind which it goes on as the new one would.
 *
 * @throws {BpfError} `out-of-range` for a target further than 2 GiB, `argument` for a site that is not of five bytes
 */
export function poke({ address, size }: TextSite, from: SiteState, to: SiteState): PokePlan {
  if (size !== SIZE) throw new BpfError("argument", `a site of ${size} bytes`, { expected: `${SIZE} bytes` });
  const old = encodeState(address, from);
  const bytes = encodeState(address, to);
  if (old.every((byte, i) => byte === bytes[i])) return { phases: [] };
  const breakpoint = Uint8Array.of(BREAKPOINT);
  const sync: PokePhase = { kind: "sync-cores" };
  return {
    phases: [
      { kind: "write", address, expect: old.slice(0, 1), bytes: breakpoint },
      sync,
      { kind: "write", address: address + 1n, expect: old.slice(1), bytes: bytes.slice(1) },
      sync,
      { kind: "write", address, expect: breakpoint.slice(), bytes: bytes.slice(0, 1) },
      sync,
    ],
    trap: { address, resume: to },
  };
}
